"""How many runs go to a worker at a time: by what was measured, and of runs that wait as many as there is room for."""

from __future__ import annotations

import pytest

from refold.engine.batch_sizes import BULK, LARGEST, PATIENCE, BatchSizes
from refold.ports.executor import Finished
from refold.scheduler.commands import RunBatch
from refold.scheduler.decide import decide
from refold.scheduler.events import ItemsArrived, RunsFinished, RunStarted, SlotsFree
from refold.scheduler.ranges import count
from refold.scheduler.state import State
from refold.testing.drafts import Draft, draft_plan

NOW = 100.0
CHILD = 1


class Fan:
    """A dynamic block and one below it, whose batches are as large as `BatchSizes` says."""

    def __init__(self, width: int, workers: int = 2) -> None:
        self.state = State(draft_plan(Draft("load", dynamic=True), Draft("child", ("load",), width=width)))
        self.sizes = BatchSizes(self.state)
        self._workers = workers
        decide(self.state, RunStarted())
        decide(self.state, SlotsFree(1, (1, 1)))
        self._items = 0

    def give(self, items: int) -> None:
        """So many more children."""
        decide(self.state, ItemsArrived(0, 0, self._items, self._items + items))
        self._items += items

    def size(self, slots: int = 2, now: float = NOW) -> int:
        """What a batch of children may hold."""
        return self.sizes.sizes(slots, self._workers, now)[CHILD]

    def hand_out(self, slots: int = 2, now: float = NOW) -> list[int]:
        """Offers slots, which runs that wait do not take, until nothing is handed out; how many runs each batch has."""
        found: list[int] = []
        while True:
            commands = decide(self.state, SlotsFree(slots, self.sizes.sizes(slots, self._workers, now)))
            batches = [count(command.runs) for command in commands if isinstance(command, RunBatch)]
            found += batches
            if not batches or self.state.plan.blocks[CHILD].width == 1:
                return found

    def end(self, start: int, stop: int, seconds: float) -> None:
        """Children are over that took so long each."""
        runs, outcomes = ((start, stop),), bytes(stop - start)
        began, ended = [NOW] * (stop - start), [NOW + seconds] * (stop - start)
        width = self.state.plan.blocks[CHILD].width
        self.sizes.measure(CHILD, Finished(1, runs, outcomes, began, ended), width)
        decide(self.state, RunsFinished(CHILD, runs, outcomes))


def test_runs_one_after_the_other_go_out_one_by_one_until_they_are_measured() -> None:
    fan = Fan(width=1)
    fan.give(1000)
    assert fan.hand_out() == [1, 1]
    fan.sizes.measure(CHILD, Finished(1, ((0, 10),), bytes(10), [NOW] * 10, [NOW + 2**-6] * 10), 1)
    assert fan.size() == 32
    fan.sizes.measure(CHILD, Finished(1, ((0, 10),), bytes(10), [NOW] * 10, [NOW] * 10), 1)
    fan.sizes.measure(CHILD, Finished(1, ((0, 10),), bytes(10), [NOW] * 10, [NOW] * 10), 1)
    assert 32 < fan.size() <= LARGEST


def test_runs_that_wait_side_by_side_all_go_out_before_anything_is_measured() -> None:
    fan = Fan(width=50_000)
    fan.give(100_000)
    assert sum(fan.hand_out()) == 100_000
    assert fan.size() == 0


@pytest.mark.parametrize(("children", "under_way"), [(100_000, 50_000), (100_001, 50_001), (150, 75)])
def test_workers_that_are_given_batches_in_turn_have_about_as_many(children: int, under_way: int) -> None:
    """Each batch goes to the worker that has the fewest, whatever they had before."""
    fan = Fan(width=under_way)
    fan.give(children)
    workers = [0, 0]
    for size in fan.hand_out():
        workers[workers.index(min(workers))] += size
    assert sum(workers) == children
    assert max(workers) <= under_way


def test_no_more_are_handed_out_than_workers_may_have_under_way() -> None:
    fan = Fan(width=30)
    fan.give(1000)
    assert sum(fan.hand_out()) == 60
    assert fan.hand_out() == []
    fan.end(0, 10, seconds=60.0)
    assert sum(fan.hand_out()) == 10


def test_what_comes_one_by_one_goes_out_one_by_one() -> None:
    fan = Fan(width=50_000)
    for _ in range(50):
        fan.give(1)
        assert fan.hand_out(slots=1) == [1]


def test_workers_have_short_runs_ahead_and_are_given_more_when_half_of_those_are_used_up() -> None:
    fan = Fan(width=16)
    fan.give(10_000)
    fan.hand_out()
    fan.end(0, 32, seconds=2**-7)
    ahead = 102  # what a worker does in a twentieth of a second
    assert sum(fan.hand_out()) == 2 * (16 + ahead)
    fan.end(32, 32 + ahead, seconds=2**-7)
    assert fan.hand_out() == []
    fan.end(32 + ahead, 34 + ahead, seconds=2**-7)
    assert sum(fan.hand_out()) == ahead + 2


def test_a_worker_that_is_busy_keeps_its_share_for_a_moment() -> None:
    fan = Fan(width=50_000)
    fan.give(1000)
    assert fan.hand_out(slots=1) == [500]
    assert fan.hand_out(slots=1, now=NOW + PATIENCE / 2) == []
    assert sum(fan.hand_out(slots=2, now=NOW + PATIENCE / 2)) == 500


def test_nobody_waits_longer_for_a_worker_that_is_busy() -> None:
    fan = Fan(width=50_000)
    fan.give(1000)
    assert fan.hand_out(slots=1) == [500]
    assert fan.hand_out(slots=1, now=NOW + 2 * PATIENCE) == [500]
    fan.give(1000)
    assert fan.hand_out(slots=1, now=NOW + 3 * PATIENCE) == [1000]


def test_few_runs_wait_for_no_share() -> None:
    fan = Fan(width=50_000)
    fan.give(BULK - 1)
    assert fan.hand_out(slots=1) == [BULK - 1]
