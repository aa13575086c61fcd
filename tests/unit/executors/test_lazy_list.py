"""A lazy list is the eager one: the same elements, found one at a time."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from refold.errors import StoreError
from refold.executors.lazy_list import LazyList
from refold.languages.description import describe
from refold.languages.unfolding import ItemList, unfold
from refold.model.keys import BlockUuid
from refold.outputs import FileOutputStore
from refold.ports.executor import Span
from refold.ports.output_store import ChunkRef, Item, Output, OutputStore, Shape

CLEAN = BlockUuid("clean")
RETURNED: Sequence[Sequence[object]] = [
    [1, "two", None, {"three": [3]}],
    [[4, 5], (), (6, {7}), [], [[8], {9}], [None]],
    [],
    [[{"a": number} for number in range(300)], "x" * 3_000_000, [b"y", "z"]],
]
"""What the runs of some chunks returned."""
ELEMENTS: list[object] = [
    1,
    "two",
    None,
    {"three": [3]},
    4,
    5,
    6,
    {7},
    [8],
    {9},
    None,
    *({"a": number} for number in range(300)),
    "x" * 3_000_000,
    b"y",
    "z",
]


class Watched:
    """An output store that counts what is read."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store
        self.read_chunks: list[ChunkRef] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def read(self, ref: ChunkRef) -> object:
        self.read_chunks.append(ref)
        return self._store.read(ref)


@pytest.fixture
def store(tmp_path: Path) -> FileOutputStore:
    return FileOutputStore(tmp_path / "run")


@pytest.fixture
def lazy(store: FileOutputStore) -> LazyList:
    return LazyList(CLEAN, store, stored(store), items=False)


def stored(store: FileOutputStore) -> tuple[Span, ...]:
    builder = store.builder("w")
    found: list[Span] = []
    for values in RETURNED:
        builder.add_output(Output.of("not one of them"))
        for value in values:
            builder.add_output(Output.of(value))
        found.append(Span(builder.publish(), 1, 1 + len(values)))
    return tuple(found)


def items(store: FileOutputStore, *given: object) -> LazyList:
    builder = store.builder("items")
    for value in given:
        builder.add_item(value if isinstance(value, Item) else Item(value, None))
    return LazyList(CLEAN, store, (Span(builder.publish(), 0, len(given)),), items=True)


def test_it_is_a_sequence_of_the_same_elements(lazy: LazyList) -> None:
    assert isinstance(lazy, Sequence)
    assert len(lazy) == len(ELEMENTS)
    assert list(lazy) == ELEMENTS
    assert list(lazy) == ELEMENTS, "it can be gone through again"
    assert list(reversed(lazy)) == ELEMENTS[::-1]
    assert [lazy[at] for at in range(len(ELEMENTS))] == ELEMENTS
    assert [lazy[at] for at in range(-len(ELEMENTS), 0)] == ELEMENTS


@pytest.mark.parametrize("index", [0, 7, 200, -1, 310])
def test_one_element_is_found_before_any_other(lazy: LazyList, index: int) -> None:
    assert lazy[index] == ELEMENTS[index]


@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 9), slice(-5, None), slice(None, None, -7), slice(400, 500), slice(8, 3)], ids=str
)
def test_a_slice_is_a_plain_list(lazy: LazyList, part: slice) -> None:
    assert lazy[part] == ELEMENTS[part]
    assert type(lazy[part]) is list


@pytest.mark.parametrize("index", [314, -315, 10**30])
def test_beyond_the_end_there_is_nothing(lazy: LazyList, index: int) -> None:
    with pytest.raises(IndexError, match="314 elements of `clean`"):
        lazy[index]


def test_it_is_searched_as_a_list(lazy: LazyList) -> None:
    assert lazy.index("two") == 1
    assert lazy.count(None) == 2
    assert {7} in lazy
    assert "none" not in lazy
    assert lazy
    with pytest.raises(ValueError):  # noqa: PT011 # as a list does
        lazy.index("none")


def test_it_equals_the_list_both_ways(store: FileOutputStore, lazy: LazyList) -> None:
    again = LazyList(CLEAN, store, stored(store), items=False)
    assert lazy == ELEMENTS
    assert ELEMENTS == lazy  # noqa: SIM300 # the other way round
    assert lazy == again
    for other in (ELEMENTS[:-1], [*ELEMENTS[:-1], "y"], [], tuple(ELEMENTS), "text", None):
        assert lazy != other
        assert other != lazy
    with pytest.raises(TypeError, match="unhashable"):
        hash(lazy)


def test_every_access_gives_another_object(lazy: LazyList) -> None:
    for index in (3, 8, 20):
        before = copy.deepcopy(lazy[index])
        changed = lazy[index]
        assert isinstance(changed, dict | list)
        changed.clear()
        next(iter(lazy))
        assert lazy[index] == before
        assert list(lazy)[index] == before


def test_nothing_is_an_empty_list(store: FileOutputStore) -> None:
    empty = LazyList(CLEAN, store, (), items=False)
    assert not empty
    assert (len(empty), list(empty), empty[:], list(reversed(empty))) == (0, [], [], [])
    assert empty == []
    with pytest.raises(IndexError):
        empty[0]


def test_items_are_elements_and_rows_too(store: FileOutputStore) -> None:
    given = items(store, [1, 2], Item({"a": 1}, {"block_uuid": "a"}), {3}, None)
    assert list(given) == [given[at] for at in range(4)] == [[1, 2], {"a": 1}, {3}, None]
    builder = store.builder("rows")
    builder.add_rows(pl.DataFrame({"n": [1, 2, 3]}), [{"block_uuid": "a"}])
    rows = LazyList(CLEAN, store, (Span(builder.publish(), 0, 3),), items=True)
    assert list(rows) == [rows[0], rows[1], rows[2]] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_counting_reads_no_value(tmp_path: Path, store: FileOutputStore, lazy: LazyList) -> None:
    """Values that are damaged are noticed by who reads them, not by who counts."""
    [segment] = (tmp_path / "run").rglob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(b"x" * 1000)] = ord("y")
    segment.write_bytes(data)
    assert len(lazy) == 314
    assert repr(lazy) == "<lazy list of 314 elements of `clean`>"
    assert lazy[0] == 1
    with pytest.raises(StoreError, match="damaged"):
        lazy[20]


def test_items_are_counted_without_a_look_at_them(store: FileOutputStore) -> None:
    gone = LazyList(CLEAN, store, (Span(ChunkRef("gone", 0, 10), 3, 8),), items=True)
    assert len(gone) == 5


def test_going_through_it_opens_each_chunk_once(store: FileOutputStore) -> None:
    watched = Watched(store)
    lazy = LazyList(CLEAN, watched, stored(store), items=False)  # type: ignore[arg-type] # it takes no method's place
    walk = iter(lazy)
    assert not watched.read_chunks
    next(walk)
    assert len(watched.read_chunks) == 1
    assert len(list(walk)) == len(ELEMENTS) - 1
    assert len(watched.read_chunks) == len(RETURNED)


def test_of_a_list_of_frames_only_the_asked_one_is_decoded(
    store: FileOutputStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = store.builder("w")
    builder.add_output(Output.of([pd.DataFrame({"n": [number]}) for number in range(5)]))
    lazy = LazyList(CLEAN, store, (Span(builder.publish(), 0, 1),), items=False)
    read, reads = pq.ParquetFile.read, []

    def counted(file: pq.ParquetFile, **how: object) -> object:
        reads.append(file)
        return read(file, **how)

    monkeypatch.setattr(pq.ParquetFile, "read", counted)
    assert [int(lazy[at]["n"][0]) for at in (4, 0, -1)] == [4, 0, 4]  # type: ignore[index]
    assert len(reads) == 3
    walk = iter(lazy)
    next(walk)
    assert len(reads) == 4


def test_threads_read_it_at_once(lazy: LazyList) -> None:
    with ThreadPoolExecutor(8) as threads:
        places = [at * 37 % len(ELEMENTS) for at in range(2000)]
        assert list(threads.map(lazy.__getitem__, places)) == [ELEMENTS[at] for at in places]
        assert all(threads.map(lambda _: list(lazy) == ELEMENTS, range(8)))


def test_stored_or_copied_it_is_the_plain_list(store: FileOutputStore, lazy: LazyList) -> None:
    for copied in (pickle.loads(pickle.dumps(lazy)), copy.copy(lazy), copy.deepcopy(lazy)):
        assert type(copied) is list
        assert copied == ELEMENTS
    output = Output.of(lazy)
    assert output.shape is Shape.LIST
    builder = store.builder("again")
    builder.add_output(output)
    builder.add_output(Output.of({"inside": lazy}))
    builder.add_output(Output.of((lazy, 1)))
    chunk = store.read(builder.publish())
    for value in (chunk.output(0).value, chunk.output(1).values[0]["inside"], chunk.output(2).values[0]):  # type: ignore[index]
        assert type(value) is list
        assert value == ELEMENTS


def test_a_dynamic_block_may_return_it(store: FileOutputStore) -> None:
    given = items(store, 1, 2, 3)
    assert unfold(given) == unfold([given]) == ItemList([1, 2, 3], None)
    assert unfold([given, [{"block_uuid": "a"}]]) == ItemList([1, 2, 3], [{"block_uuid": "a"}])


def test_it_is_short_in_messages(lazy: LazyList) -> None:
    assert repr(lazy) == "<lazy list of 314 elements of `clean`>"
    assert describe(lazy) == "lazy list"


def test_without_the_run_it_says_that_it_is_gone(tmp_path: Path, store: FileOutputStore) -> None:
    spans = stored(store)
    lazy = LazyList(CLEAN, store, spans, items=False)
    assert lazy[0] == 1
    store.close()
    assert lazy[0] == 1, "closing is no end: it opens files again"
    store.close()
    (tmp_path / "run").rename(tmp_path / "gone")
    gone = LazyList(CLEAN, store, spans, items=False)
    asked: Sequence[Callable[[], object]] = (
        lambda: list(gone),
        lambda: len(gone),
        lambda: gone[20],
        lambda: list(reversed(gone)),
        lambda: gone == ELEMENTS,
        lambda: pickle.dumps(gone),
    )
    for ask in asked:
        with pytest.raises(StoreError, match=r"cannot be read: No such file(.|\n)*the run's folder was deleted"):
            ask()
    assert repr(gone) == "<lazy list of `clean`, whose elements are gone>"
