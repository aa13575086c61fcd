"""What the suites over run stores share: fixtures, runs, rows and batches, and a store's content as dictionaries."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, Key, PipelineUuid, RunId, decode_key, encode_key
from refold.ports.run_store import (
    BlockRunColumns,
    BlockRunRow,
    ChunkRow,
    FailureRow,
    FoldRow,
    ItemsRow,
    Lease,
    NewRun,
    Owner,
    RunStore,
    WriteBatch,
)
from refold.scheduler.status import Status

_Place = TypeVar("_Place", bound=tuple[object, ...])
_Found = TypeVar("_Found")

OpenStore = Callable[[], RunStore]
"""Opens the store once more: as another engine, or a reader, would. The fixture closes all of them."""

LOAD, SPLIT, FOLD = BlockUuid("load"), BlockUuid("split"), BlockUuid("a_fold")
"""The plan of `new_run`, in this order, which is not the alphabet's."""
HERE = Owner("host", 1, 10.5)
THERE = Owner("elsewhere", 2, 20.25)
NOW, TTL = 1000.0, 30.0

_ids = itertools.count()


def new_run(id: str | None = None, blocks: Sequence[str] = (LOAD, SPLIT, FOLD), created_at: float = NOW) -> NewRun:  # noqa: A002
    """A run with this plan; its id is new in this process unless given."""
    return NewRun(
        id=RunId(id or f"run-{next(_ids):09d}"),
        project="/home/me/project",
        pipeline_uuid=PipelineUuid("pipeline"),
        created_at=created_at,
        variables={"day": "2024-01-01", "nested": {"list": [1, 2.5, None, True]}},
        options={"workers": 4},
        blocks=[{"uuid": uuid, "name": uuid.upper()} for uuid in blocks],
    )


def row(
    block: str, *key: int, status: Status = Status.COMPLETED, chunk: int | None = 0, attempts: int = 1
) -> BlockRunRow:
    """A block run that is over."""
    position = None if chunk is None else 7
    return BlockRunRow(BlockUuid(block), encode_key(key), int(status), attempts, NOW, NOW + 0.125, chunk, position)


def columns(
    block: str,
    keys: Sequence[Key],
    status: Status = Status.COMPLETED,
    started_at: Sequence[float] | float | None = NOW,
    completed_at: Sequence[float] | float | None = NOW + 0.125,
    chunk: int | None = 0,
) -> BlockRunColumns:
    """Block runs that are over, as columns; where nothing else is said, those of `row`, but for positions from 7 on."""
    encoded = b"".join(map(encode_key, keys))
    position = None if chunk is None else 7
    return BlockRunColumns(
        BlockUuid(block), encoded, len(keys), int(status), 1, started_at, completed_at, chunk, position
    )


def failure(block: str, *key: int, error: str = "ValueError: no", group: str = "ValueError: no") -> FailureRow:
    """Why a block run failed."""
    return FailureRow(BlockUuid(block), encode_key(key), error, group, f"Traceback of {key}\n  {error}")


def items(block: str, key: Key, start: int, count: int, chunk: int = 0) -> ItemsRow:
    """Items of a run of a dynamic block."""
    return ItemsRow(
        BlockUuid(block), encode_key(key), start, count, chunk, start % 5, start % 2 == 0, b"\0\xff5678ab" * count
    )


def fold(block: str, outer: Key, folded: int, levels: int = -1, chunk: int = 0) -> FoldRow:
    """What the first runs of a group were folded to."""
    return FoldRow(BlockUuid(block), levels, encode_key(outer), folded, b"\0\xff" * 8, chunk, 3)


class StoreUnderTest:
    """What the suites have in common: a store, and a run under way in it."""

    @pytest.fixture
    def open_store(self) -> Iterator[OpenStore]:
        """Opens the same, at first empty, store as often as it is called. Subclasses bring it."""
        raise NotImplementedError("the adapter's tests say how its store is opened")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> RunStore:
        """The store as the engine has it."""
        return open_store()

    @pytest.fixture
    def lease(self, store: RunStore) -> Lease:
        """A run under way, and the right to write it."""
        run = new_run()
        store.create(run)
        return store.acquire(run.id, HERE, NOW, TTL)


class DictionaryStore:
    """What a run store holds of one run, as dictionaries: the model that stores are compared with."""

    def __init__(self) -> None:
        self.rows: dict[tuple[BlockUuid, bytes], BlockRunRow] = {}
        self.failures: dict[tuple[BlockUuid, bytes], FailureRow] = {}
        self.items: dict[tuple[BlockUuid, bytes, int], ItemsRow] = {}
        self.folds: dict[tuple[BlockUuid, int, bytes, int], FoldRow] = {}
        self.chunks: dict[int, ChunkRow] = {}
        self.summary: Mapping[str, JsonValue] = {}

    def write(self, batch: WriteBatch) -> None:
        """Writes a batch, in the order of the port's words."""
        for place in batch.forgotten:
            self.rows.pop(place, None)
            self.failures.pop(place, None)
        for place in batch.forgotten_items:
            self.items = {at: found for at, found in self.items.items() if at[:2] != place}
        self.chunks.update((chunk.chunk, chunk) for chunk in batch.chunks)
        self.items.update(((given.block, given.key, given.start), given) for given in batch.items)
        rows = [row for each in batch.columns for row in each.rows()] + list(batch.rows)
        for over in itertools.starmap(BlockRunRow, rows):
            self.rows[over.block, over.key] = over
            self.failures.pop((over.block, over.key), None)
        self.failures.update(((failed.block, failed.key), failed) for failed in batch.failures)
        self.folds.update(((one.block, one.levels, one.group, one.folded), one) for one in batch.folds)
        self.summary = self.summary if batch.summary is None else batch.summary

    def groups(self) -> list[tuple[str, int, list[tuple[BlockUuid, Key]]]]:
        """Failures by group: the first one's line, how many, where; the largest first, then the first."""
        groups: dict[str, list[FailureRow]] = {}
        for failed in in_plan_order(self.failures):
            groups.setdefault(failed.group, []).append(failed)
        ordered = sorted(groups.values(), key=len, reverse=True)
        return [(found[0].error, len(found), [(one.block, decode_key(one.key)) for one in found]) for found in ordered]


def in_plan_order(rows: Mapping[_Place, _Found]) -> list[_Found]:
    """The rows, by the plan of `new_run` and then by what else places them."""
    order = {LOAD: 0, SPLIT: 1, FOLD: 2}
    places = sorted(rows, key=lambda place: (order[BlockUuid(str(place[0]))], *place[1:]))
    return [rows[place] for place in places]


_BLOCKS = st.sampled_from([LOAD, SPLIT, FOLD])
_KEYS = st.lists(st.sampled_from([0, 1, 2, 256, 2**32 - 1]), max_size=3).map(lambda key: encode_key(tuple(key)))
_TIMES = st.none() | st.floats(0, 2e9)
_NUMBERS = st.integers(0, 2**31 - 1)
_PLACES = st.tuples(_BLOCKS, _KEYS)
_WHOLE_ROWS = st.builds(
    BlockRunRow,
    _BLOCKS,
    _KEYS,
    st.sampled_from(Status).map(int),
    _NUMBERS,
    _TIMES,
    _TIMES,
    st.none() | _NUMBERS,
    st.none() | _NUMBERS,
    st.none() | st.binary(min_size=8, max_size=8),
    st.none() | st.sampled_from([b"a" * 16, b"\0" * 16, b"\xff" * 16]),
    st.booleans(),
)
_ROWS = st.builds(
    lambda row, width: row if width == len(row) else row[:width], _WHOLE_ROWS, st.sampled_from([8, 9, 11])
)
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_FAILURES = st.builds(FailureRow, _BLOCKS, _KEYS, _TEXTS, st.sampled_from(["A", "B", "c"]), _TEXTS)
_ITEMS = st.builds(
    ItemsRow,
    _BLOCKS,
    _KEYS,
    st.integers(0, 3),
    _NUMBERS,
    _NUMBERS,
    _NUMBERS,
    st.booleans(),
    st.binary(max_size=24),
    st.none() | _TEXTS,
)
_FOLDS = st.builds(
    FoldRow, _BLOCKS, st.integers(-1, 2), _KEYS, _NUMBERS, st.binary(min_size=16, max_size=16), _NUMBERS, _NUMBERS
)
_CHUNKS = st.builds(ChunkRow, st.integers(0, 5), _TEXTS, st.integers(0, 2**60), st.integers(0, 2**60))


@st.composite
def _columns(draw: st.DrawFn) -> BlockRunColumns:
    """Columns of all lengths of keys; few of them many, as those are of few keys."""
    count = draw(st.sampled_from([1, 2, 9, 80]))
    width = draw(st.sampled_from([0, 1, 2]))
    rows, chunk = st.lists(st.floats(0, 2e9), min_size=count, max_size=count), draw(st.none() | _NUMBERS)
    return BlockRunColumns(
        block=draw(_BLOCKS),
        keys=b"".join(encode_key((draw(st.integers(0, 2)),) * width) for _ in range(count)),
        length=count,
        status=int(draw(st.sampled_from(Status))),
        attempts=draw(_NUMBERS),
        started_at=draw(_TIMES | rows | rows.map(lambda times: array("d", times))),
        completed_at=draw(_TIMES | rows),
        chunk=chunk,
        position=None if chunk is None else draw(st.integers(0, 2**30)),
    )


def batches() -> st.SearchStrategy[WriteBatch]:
    """Batches of few keys, so that rows are written again, forgotten, and repeated within a batch."""
    return st.builds(
        WriteBatch,
        chunks=st.lists(_CHUNKS, max_size=4),
        items=st.lists(_ITEMS, max_size=5),
        rows=st.lists(_ROWS, max_size=12) | st.lists(_ROWS, min_size=12, max_size=36),
        failures=st.lists(_FAILURES, max_size=5),
        folds=st.lists(_FOLDS, max_size=5),
        forgotten=st.lists(_PLACES, max_size=4),
        forgotten_items=st.lists(_PLACES, max_size=4),
        summary=st.none() | st.dictionaries(_TEXTS, st.integers() | _TEXTS | st.none(), max_size=3),
        columns=st.lists(_columns(), max_size=3),
    )
