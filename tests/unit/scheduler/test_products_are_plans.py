"""A product is counted, not allocated, until its turn comes (design 2.3)."""

from __future__ import annotations

from refold.scheduler.commands import RunBatch
from refold.scheduler.decide import decide
from refold.scheduler.events import ItemsArrived, RunsFinished, RunStarted, SlotsFree
from refold.scheduler.ranges import count
from refold.scheduler.state import State
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan

MANY = 10_000


def producers_done(*uuids: str) -> State:
    plan = draft_plan(*(Draft(uuid, dynamic=True) for uuid in uuids), Draft("pair", upstreams=uuids))
    state = State(plan)
    decide(state, RunStarted())
    decide(state, SlotsFree(len(uuids), (1,) * len(plan.blocks)))
    for number in range(len(uuids)):
        decide(state, ItemsArrived(number, 0, 0, MANY))
        decide(state, RunsFinished(number, ((0, 1),), b"\0"))
    return state


def test_a_hundred_million_pairs_are_known_and_few_are_made() -> None:
    state = producers_done("left", "right")
    pair = len(state.blocks) - 1
    assert state.total(pair) == MANY * MANY
    assert state.total_final(pair)
    commands = decide(state, SlotsFree(2, (1, 1, 50)))
    batches = [command for command in commands if isinstance(command, RunBatch)]
    assert [count(batch.runs) for batch in batches] == [50, 50]
    assert state.blocks[pair].space.size <= 200
    assert state.counts(pair)[Status.INITIAL] == MANY * MANY - 100
    state.validate()


def test_the_first_upstream_is_the_slowest() -> None:
    state = producers_done("left", "right")
    pair = len(state.blocks) - 1
    decide(state, SlotsFree(1, (1, 1, 3)))
    assert [state.key(pair, run) for run in range(3)] == [(0, 0), (0, 1), (0, 2)]


def test_three_upstreams_multiply() -> None:
    state = producers_done("a", "b", "c")
    assert state.total(3) == MANY**3
    decide(state, SlotsFree(1, (1, 1, 1, 2)))
    assert [state.key(3, run) for run in range(2)] == [(0, 0, 0), (0, 0, 1)]
