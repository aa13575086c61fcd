"""Records of several spans are read by one count, in whatever order they are asked for."""

from __future__ import annotations

from itertools import product

import pytest

from refold.errors import StoreError
from refold.executors.records import Records
from refold.outputs.memory_store import MemoryOutputStore
from refold.ports.executor import Span, Spans
from refold.ports.output_store import ChunkRef, Output


def stored(store: MemoryOutputStore, *returned: object) -> ChunkRef:
    builder = store.builder("w")
    for value in returned:
        builder.add_output(Output.of(value))
    return builder.publish()


def spans(store: MemoryOutputStore) -> Spans:
    """Five records of three chunks: 1, 2 | nothing | 4 | 1, 0."""
    first, second = stored(store, 0, 1, 2), stored(store, 3, 4)
    return Span(first, 1, 3), Span(second, 0, 0), Span(second, 1, 2), Span(first, 1, 2), Span(first, 0, 1)


def test_any_record_is_read_after_any_other() -> None:
    store = MemoryOutputStore()
    records = Records(store, spans(store))
    expected = [1, 2, 4, 1, 0]
    assert len(records) == 5
    for places in product(range(5), repeat=3):
        assert [records.output(place).value for place in places] == [expected[place] for place in places]


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("stop", range(6))
def test_a_stretch_holds_the_records_between_two_places(start: int, stop: int) -> None:
    store = MemoryOutputStore()
    records = Records(store, spans(store))
    found = [
        chunk.output(position).value
        for chunk, begin, end in records.stretches(start, stop)
        for position in range(begin, end)
    ]
    assert found == [1, 2, 4, 1, 0][start:stop]


def test_a_chunk_that_is_gone_is_never_taken_for_the_one_before() -> None:
    store = MemoryOutputStore()
    gone = Span(ChunkRef("gone", 0, 10), 0, 2)
    records = Records(store, (Span(stored(store, 1), 0, 1), gone))
    assert records.output(0).value == 1
    for place in (1, 2, 1):
        with pytest.raises(StoreError):
            records.output(place)
    assert records.output(0).value == 1
