"""Buffers, rates and limits by value, on virtual time: they hold in every history, and no history stands still.

The referee of the simulations watches each command and each beginning (`refold.testing.flow_referee`); what is left to
these tests is to bring about what is hard on it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from refold.model.block import Join, RetryPolicy, Tolerance
from refold.model.keys import Key
from refold.scheduler.commands import Command, Record, RunBatch
from refold.scheduler.decide import decide
from refold.scheduler.events import Event, ItemsArrived, RunsFinished
from refold.scheduler.plan import Plan
from refold.scheduler.ranges import numbers
from refold.scheduler.state import State
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import agree, evaluate
from refold.testing.scripted import Act, Habits, Script
from refold.testing.simulation import Simulation


class Scheduler:
    """The scheduler as a simulation drives it; it notes which runs of each block were handed out, in order."""

    def __init__(self, plan: Plan) -> None:
        self.state = State(plan)
        self.order: list[list[int]] = [[] for _ in plan.blocks]

    def decide(self, event: Event) -> list[Command]:
        commands = decide(self.state, event)
        for command in commands:
            if isinstance(command, RunBatch):
                self.order[command.block] += numbers(command.runs)
        return commands

    def key(self, block: int, run: int) -> Key:
        return self.state.key(block, run)

    def group_key(self, block: int, fold: int, group: int) -> Key:
        return self.state.group_key(block, fold, group)

    def validate(self) -> None:
        self.state.validate()


class Watched(Scheduler):
    """Counts the items of one block that are unread: no run of the block behind it was handed out for them, or will
    never be. And who gives them."""

    def __init__(self, plan: Plan, producer: int, reader: int) -> None:
        super().__init__(plan)
        self.producer, self.reader = producer, reader
        self.unread: set[int] = set()
        self.items = 0
        self.producing: set[int] = set()
        self.worst = 0
        """By how many items the unread ones exceeded, at most, what the budget and those who gave them explain."""

    def decide(self, event: Event) -> list[Command]:
        if isinstance(event, ItemsArrived) and event.block == self.producer:
            self.unread.update(range(self.items, self.items + event.stop - event.start))
            self.items += event.stop - event.start
            budget = self.state.plan.blocks[self.producer].buffer_items
            self.worst = max(self.worst, len(self.unread) - budget)
        if isinstance(event, RunsFinished) and event.block == self.producer:
            self.producing.difference_update(numbers(event.runs))
        commands = super().decide(event)
        for command in commands:
            if isinstance(command, RunBatch | Record) and command.block == self.reader:
                self.unread.difference_update(numbers(command.runs))
            if isinstance(command, RunBatch) and command.block == self.producer:
                self.producing.update(numbers(command.runs))
        return commands


def drive(script: Script, seed: int, workers: int | None = None, scheduler: Scheduler | None = None) -> Scheduler:
    """Drives a script to its end, which is the one that the law says."""
    scheduler = scheduler or Scheduler(script.plan)
    simulation = Simulation(script, scheduler, seed, workers=workers)
    observed = simulation.run()
    differences = agree(evaluate(script, observed), observed)
    assert not differences, "\n".join([*differences[:20], simulation.tell()])
    return scheduler


def generators(chance: random.Random) -> Script:
    """One to fifty generators of up to five items each, and a child of each item."""
    plan = draft_plan(
        Draft("outer", dynamic=True),
        Draft(
            "inner",
            ("outer",),
            dynamic=True,
            buffer_items=chance.randint(1, 5),
            buffer_bytes=chance.choice((500, 5000, 2**26)),
            retry=RetryPolicy(retries=2, delay=chance.choice((0.0, 5.0))),
            concurrency_limit=chance.choice((None, None, 1, 2)),
        ),
        Draft("child", ("inner",), retry=RetryPolicy(retries=3), concurrency_limit=chance.choice((None, 1, 3))),
        concurrency_limit=chance.choice((None, None, 2)),
    )
    habits = (
        Habits(items=(0, 0)),
        Habits(items=(chance.choice((0, 5)), 5), fails=chance.choice((0.0, 0.3))),
        Habits(fails=chance.choice((0.0, 0.3))),
    )
    fixed: dict[tuple[str, Key], Act] = {("outer", ()): Act(items=chance.randint(1, 50))}
    return Script(plan, habits, chance.randint(0, 10**9), fixed)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_unread_items_stay_within_the_budget_and_one_for_each_who_gives(workers: int) -> None:
    for seed in range(40):
        script = generators(random.Random(f"{workers} {seed}"))
        watched = Watched(script.plan, 1, 2)
        drive(script, seed, workers, watched)
        assert watched.worst <= 0, f"seed {seed}: {watched.worst} items too many"
        assert not watched.unread


def joined(chance: random.Random) -> Script:
    """Two streams that meet in some join, in front of which nearly anything may go wrong."""
    join = chance.choice((Join.PRODUCT, Join.ALIGN, Join.ZIP))
    nested = chance.random() < 0.6
    under = ("outer",) if nested else ()
    sides = [
        Draft(
            side,
            under,
            dynamic=True,
            buffer_items=chance.randint(1, 5),
            buffer_bytes=chance.choice((500, 2**26)),
            batch_mode=chance.random() < 0.1,
            retry=RetryPolicy(retries=chance.choice((0, 2))),
            group_limit=chance.choice((None, 1, 2)),
        )
        for side in ("left", "right")
    ]
    between = Draft("between", ("left",), sensor_interval=chance.choice((None, 20.0)), retry=RetryPolicy(retries=1))
    first = chance.choice(("left", "between"))
    gate = Draft("gate", sensor_interval=30.0) if chance.random() < 0.3 else Draft("gate")
    pair = Draft(
        "pair",
        (first, "right", "gate"),
        join=join,
        dynamic=chance.random() < 0.3,
        buffer_items=1,
        rate=chance.choice((None, 2.0, 300.0)),
        tolerance=None,
        concurrency_limit=chance.choice((None, 1, 2)),
    )
    tail = Draft("tail", ("pair",), retry=RetryPolicy(retries=1))
    drafts = [Draft("outer", dynamic=True, buffer_items=2), *sides, between, gate, pair, tail]
    plan = draft_plan(*(drafts if nested else drafts[1:]), concurrency_limit=chance.choice((None, None, 2)))
    troubles = chance.choice((0.0, 0.0, 0.2))
    habits = {
        "outer": Habits(items=(1, 4)),
        "left": Habits(items=(0, 6), fails=troubles, fails_for_good=troubles / 2),
        "right": Habits(items=(0, 6), at_once=chance.choice((0.0, 0.5))),
        "between": Habits(fails=troubles, condition_false=troubles, returns_false=troubles, not_yet=2),
        "gate": Habits(not_yet=3),
        "pair": Habits(items=(0, 2), fails=troubles),
        "tail": Habits(fails=troubles),
    }
    return Script(plan, tuple(habits[block.uuid] for block in plan.blocks), chance.randint(0, 10**9))


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("first", [0, 40])
def test_two_streams_that_meet_stand_still_in_no_history(first: int, workers: int) -> None:
    for seed in range(first, first + 40):
        drive(joined(random.Random(f"joined {workers} {seed}")), seed, workers)


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("first", range(1000, 5000, 500))
def test_thousands_of_streams_more_stand_still_in_no_history(first: int, workers: int) -> None:
    for seed in range(first, first + 500):
        drive(joined(random.Random(f"joined {workers} {seed}")), seed, workers)
        script = generators(random.Random(f"{workers} {seed}"))
        watched = Watched(script.plan, 1, 2)
        drive(script, seed, workers, watched)
        assert watched.worst <= 0, f"seed {seed}: {watched.worst} items too many"


def test_a_buffer_that_nothing_can_empty_brings_no_run_to_a_stand() -> None:
    """All of one side must come before the last item of the other, whose partner it is, is read."""
    plan = draft_plan(
        Draft("few", dynamic=True, buffer_items=1),
        Draft("many", dynamic=True, buffer_items=1),
        Draft("pair", ("few", "many"), join=Join.ZIP),
        Draft("forever", sensor_interval=10.0),
    )
    acts: dict[tuple[str, Key], Act] = {
        ("few", ()): Act(items=2),
        ("many", ()): Act(items=30),
        ("pair", ()): Act(),
        ("forever", ()): Act(not_yet=50),
    }
    for seed in range(30):
        scheduler = drive(Script(plan, fixed=acts), seed)
        asked = len(scheduler.order[3])
        assert asked >= 51, "the sensor was asked to the end, and held nothing up"


def rated(chance: random.Random) -> Script:
    """Children that begin at some rate, and are tried again, asked again, stopped and cancelled meanwhile."""
    rate = chance.choice((0.5, 3.0, 20.0, 150.0, 1000.0))
    plan = draft_plan(
        Draft("d", dynamic=True, group_limit=chance.choice((None, None, 2))),
        Draft(
            "child",
            ("d",),
            rate=rate,
            width=chance.choice((1, 1, 4)),
            retry=RetryPolicy(retries=3, delay=chance.choice((0.0, 1.0))),
            sensor_interval=chance.choice((None, None, 0.01)),
            concurrency_limit=chance.choice((None, 2)),
        ),
        Draft("other", ("d",), width=chance.choice((1, 8))),
        Draft("below", ("child",), rate=chance.choice((None, 2 * rate))),
    )
    troubles = chance.choice((0.0, 0.3))
    habits = (
        Habits(items=(40, 60), at_once=0.5),
        Habits(fails=troubles, not_yet=chance.choice((0, 2)), condition_false=troubles / 3),
        Habits(),
        Habits(),
    )
    return Script(plan, habits, chance.randint(0, 10**9))


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_runs_begin_no_faster_than_the_rate_whatever_happens_to_them(workers: int) -> None:
    for seed in range(25):
        script = rated(random.Random(f"rated {workers} {seed}"))
        drive(script, seed, workers)
        scheduler = Scheduler(script.plan)
        Simulation(script, scheduler, seed, cancel=True, workers=workers).run()


def by_value(order: Sequence[int], values: Sequence[str]) -> Iterator[list[int]]:
    for value in sorted(set(values)):
        yield [run for run in order if values[run] == value]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_within_a_value_runs_are_handed_out_in_key_order_and_none_is_left(limit: int) -> None:
    plan = draft_plan(Draft("d", dynamic=True, group_limit=limit), Draft("child", ("d",)))
    for seed in range(20):
        chance = random.Random(seed)
        values = tuple(f"shop {chance.randint(0, chance.choice((0, 3, 40)))}" for _ in range(60))
        acts: dict[tuple[str, Key], Act] = {("d", ()): Act(items=60, at_once=True, values=values), ("child", ()): Act()}
        scheduler = Scheduler(plan)
        Simulation(Script(plan, fixed=acts), scheduler, seed, losses=False).run()
        assert sorted(scheduler.order[1]) == list(range(60))
        assert all(runs == sorted(runs) for runs in by_value(scheduler.order[1], values))


def test_tolerated_failures_of_limited_runs_are_counted_off() -> None:
    plan = draft_plan(
        Draft("d", dynamic=True, group_limit=1),
        Draft("child", ("d",), tolerance=Tolerance(30)),
        Draft("total", ("child",), reduces=("child",)),
    )
    script = Script(plan, (Habits(items=(30, 30)), Habits(fails_for_good=0.5), Habits()), 3)
    for seed in range(10):
        drive(script, seed)
