"""What a retry recollects of the run before it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from refold.engine.recollection import Recollection
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, PipelineUuid, RunId, encode_key
from refold.outputs import MemoryOutputStore
from refold.ports.run_store import BlockRunRow, ChunkRow, ItemsRow, NewRun, Owner, WriteBatch
from refold.runs.memory import MemoryRunStore
from refold.scheduler.status import Status

RUN, LOAD, WORK = RunId("20260101-000000-000abcd"), BlockUuid("load"), BlockUuid("work")
FIRST, SECOND = encode_key((0,)), encode_key((1,))


def row(block: BlockUuid, key: bytes, status: Status = Status.COMPLETED) -> BlockRunRow:
    return BlockRunRow(block, key, status, 1, 1.0, 2.0, 0, 0)


@pytest.fixture
def store() -> MemoryRunStore:
    """A dynamic run with two items, and a completed child at each."""
    store = MemoryRunStore()
    blocks: list[Mapping[str, JsonValue]] = [
        {"uuid": LOAD, "dynamic": True},
        {"uuid": WORK, "upstream_blocks": [LOAD], "axes": [LOAD]},
    ]
    store.create(NewRun(RUN, "/shop", PipelineUuid("daily"), 0.0, {}, {}, blocks))
    lease = store.acquire(RUN, Owner("here", 1, 0.0), 0.0, 10.0)
    items = ItemsRow(LOAD, b"", 0, 2, 0, 0, False, bytes(16))
    rows = [row(LOAD, b""), row(WORK, FIRST), row(WORK, SECOND)]
    store.write(lease, WriteBatch([ChunkRow(0, "a", 0, 1)], [items], rows), 0.0, 10.0)
    return store


def test_all_that_completed_is_kept(store: MemoryRunStore) -> None:
    memory = Recollection.of(store, RUN, {LOAD, WORK}, MemoryOutputStore())
    assert memory.completed(WORK, FIRST) == row(WORK, FIRST)
    assert len(memory.items_of(LOAD, b"")) == 1
    assert (memory.obsolete, memory.obsolete_items) == ([], [])


def test_forgotten_runs_are_obsolete_and_their_neighbours_are_kept(store: MemoryRunStore) -> None:
    named = {(WORK, SECOND)}
    memory = Recollection.of(
        store, RUN, {LOAD, WORK}, MemoryOutputStore(), lambda block, key: (block, key) in named
    )  # fmt: skip
    assert memory.completed(WORK, FIRST) is not None
    assert memory.completed(WORK, SECOND) is None
    assert (memory.obsolete, memory.obsolete_items) == ([(WORK, SECOND)], [])


def test_the_items_of_a_forgotten_dynamic_run_are_forgotten_with_it(store: MemoryRunStore) -> None:
    memory = Recollection.of(store, RUN, {LOAD, WORK}, MemoryOutputStore(), lambda block, _key: block == LOAD)
    assert memory.items_of(LOAD, b"") == ()
    assert (memory.obsolete, memory.obsolete_items) == ([(LOAD, b"")], [(LOAD, b"")])
