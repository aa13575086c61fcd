"""Where records lie, in as few spans as can be; and keys of many runs at once."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from refold.engine.places import NOWHERE, Chunks, Places
from refold.engine.run_keys import encoded_keys, joined_keys
from refold.model.keys import encode_key
from refold.ports.output_store import ChunkRef
from refold.scheduler.decide import decide
from refold.scheduler.events import ItemsArrived, RunsFinished, RunStarted, SlotsFree
from refold.scheduler.ranges import gather
from refold.scheduler.state import State
from refold.testing.drafts import Draft, draft_plan

REFS = [ChunkRef("a.seg", 100 * number, 100) for number in range(3)]
Put = tuple[int, int, int, int]
PUTS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.integers(0, 2), st.integers(0, 9)), max_size=8)


@given(PUTS, st.lists(st.integers(0, 30), max_size=20))
def test_spans_name_the_record_of_each_number_in_order(puts: list[Put], wanted: list[int]) -> None:
    places, model = Places(Chunks(REFS)), dict[int, tuple[ChunkRef, int]]()
    for start, length, chunk, first in puts:
        places.put(start, start + length, chunk, first)
        model |= {start + at: (REFS[chunk], first + at) for at in range(length)}
    spans = places.spans(gather(wanted))
    named = [(span.chunk, position) for span in spans for position in range(span.start, span.stop)]
    assert named == [model[number] for number in wanted if number in model]


@given(PUTS, st.lists(st.integers(0, 30), unique=True, max_size=12), st.integers(0, 2))
def test_numbers_put_in_any_order_lie_in_that_order(puts: list[Put], scattered: list[int], chunk: int) -> None:
    places, model = Places(Chunks(REFS)), dict[int, tuple[ChunkRef, int]]()
    for start, length, number, first in puts:
        places.put(start, start + length, number, first)
        model |= {start + at: (REFS[number], first + at) for at in range(length)}
    places.put_each(scattered, chunk)
    model |= {number: (REFS[chunk], at) for at, number in enumerate(scattered)}
    spans = places.spans(((0, 40),))
    named = [(span.chunk, position) for span in spans for position in range(span.start, span.stop)]
    assert named == [model[number] for number in sorted(model)]
    pieces = list(places.pieces(3, 40))
    assert [at for piece in pieces for at in range(piece.start, piece.stop)] == list(range(3, 40))
    found = {
        at: (REFS[piece.chunk], piece.first + at - piece.start)
        for piece in pieces
        for at in range(piece.start, piece.stop)
        if piece.chunk != NOWHERE
    }
    assert found == {number: place for number, place in model.items() if number >= 3}
    assert [places.knows(number) for number in range(40)] == [number in model for number in range(40)]
    chunks, positions = places.columns(range(40))
    assert [None if each is None else REFS[each] for each in chunks] == [
        model.get(at, (None, 0))[0] for at in range(40)
    ]
    assert list(positions) == [model.get(at, (None, None))[1] for at in range(40)]


def test_neighbours_in_one_chunk_are_one_span() -> None:
    places = Places(Chunks(REFS))
    places.put(0, 100_000, 1, 7)
    assert [tuple(span) for span in places.spans(((0, 100_000),))] == [(REFS[1], 7, 100_007)]


def test_a_chunk_that_is_known_keeps_its_number() -> None:
    chunks = Chunks(REFS)
    assert chunks.add(REFS[2]) == (2, False)
    assert chunks.add(ChunkRef("b.seg", 0, 1)) == (3, True)
    assert chunks[3] == ChunkRef("b.seg", 0, 1)


def test_keys_of_many_runs_are_those_of_each() -> None:
    plan = draft_plan(
        Draft("days", dynamic=True),
        Draft("users", upstreams=("days",), dynamic=True),
        Draft("clean", upstreams=("users",)),
    )
    state = State(plan)
    decide(state, RunStarted())
    decide(state, SlotsFree(1, (1, 1, 1)))
    decide(state, ItemsArrived(0, 0, 0, 3))
    decide(state, RunsFinished(0, ((0, 1),), b"\0"))
    decide(state, SlotsFree(1, (1, 9, 1)))
    decide(state, ItemsArrived(1, 2, 0, 2))
    decide(state, ItemsArrived(1, 0, 0, 1))
    for block, size in ((0, 1), (1, 3), (2, 3)):
        for runs in (range(size), array("I", range(size))):
            keys = encoded_keys(state.axes(block, runs), size)
            assert keys == [encode_key(state.key(block, run)) for run in range(size)]
            assert joined_keys(state.axes(block, runs), size) == b"".join(keys)
    assert [state.key(2, run) for run in state.order(2)] == [(0, 0), (2, 0), (2, 1)]
