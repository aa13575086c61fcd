"""Runs of a block with a rate go to workers that have nothing to do, when there are tokens for them."""

from __future__ import annotations

import pytest

from refold.scheduler.commands import Command, RunBatch, StartTimer
from refold.scheduler.decide import decide
from refold.scheduler.events import (
    CancelRequested,
    Event,
    ItemsArrived,
    RunsBegan,
    RunsFinished,
    RunStarted,
    SlotsFree,
    TimerFired,
)
from refold.scheduler.ranges import count, numbers
from refold.scheduler.state import State
from refold.testing.drafts import Draft, draft_plan

DYNAMIC, RATED, OTHER = range(3)


class Run:
    """A dynamic block whose items are there, a child of them with a rate, and an other block that is less deep."""

    def __init__(self, rate: float, items: int = 50, **settings: int) -> None:
        plan = draft_plan(
            Draft("d", dynamic=True, group_limit=settings.pop("group_limit", None)),
            Draft("rated", ("d",), rate=rate, **settings),  # type: ignore[arg-type]
            Draft("other"),
        )
        self.state = State(plan)
        self.limited = plan.blocks[DYNAMIC].group_limit is not None
        self.send(RunStarted())
        self.send(SlotsFree(1, (1, 1, 1)))
        self.send(ItemsArrived(DYNAMIC, 0, 0, items, groups=range(items) if self.limited else ()))
        self.send(RunsFinished(DYNAMIC, ((0, 1),), b"\0"))

    def send(self, event: Event) -> list[Command]:
        commands = decide(self.state, event)
        self.state.validate()
        return commands

    def offer(self, now: float, idle: int, slots: int = 4, size: int = 100) -> list[Command]:
        return self.send(SlotsFree(slots, (size,) * 3, now, idle))

    def begin(self, commands: list[Command], at: float) -> None:
        for command in commands:
            if isinstance(command, RunBatch) and command.block == RATED:
                self.send(RunsBegan(RATED, command.runs, at))


def sizes(commands: list[Command], block: int = RATED) -> list[int]:
    return [count(each.runs) for each in commands if isinstance(each, RunBatch) and each.block == block]


def test_without_an_idle_worker_nothing_is_handed_out_before_there_is_one() -> None:
    run = Run(50.0)
    assert run.offer(0.0, idle=0) == []
    assert run.state.wants_idle
    commands = run.offer(0.0, idle=1)
    assert (sizes(commands), sizes(commands, OTHER)) == ([1], [1])
    assert not run.state.wants_idle


def test_one_timer_wakes_it_when_the_next_one_may_begin() -> None:
    run = Run(50.0)
    run.begin(run.offer(0.0, idle=2), 0.0)
    commands = run.offer(0.005, idle=2)
    [timer] = [each for each in commands if isinstance(each, StartTimer)]
    assert timer.seconds == pytest.approx(0.015)
    assert run.offer(0.01, idle=2) == []
    run.send(TimerFired(timer.timer))
    assert sizes(run.offer(0.02, idle=2)) == [1]


def test_no_timer_is_set_before_what_was_handed_out_has_begun() -> None:
    run = Run(50.0)
    run.offer(0.0, idle=2)
    assert run.offer(9.0, idle=2) == []
    run.send(RunsBegan(RATED, ((0, 1),), 9.0))
    assert [type(each) for each in run.offer(9.0, idle=2)] == [StartTimer]


def test_a_burst_is_shared_among_idle_workers() -> None:
    run = Run(450.0)
    assert sizes(run.offer(0.0, idle=3)) == [2, 2, 1]


def test_a_burst_waits_for_half_a_burst() -> None:
    run = Run(1000.0)
    run.begin(run.offer(0.0, idle=4), 0.0)
    [timer] = [each for each in run.offer(0.0, idle=4) if isinstance(each, StartTimer)]
    assert timer.seconds == pytest.approx(0.005)


def test_a_rate_and_a_limit_by_value_hold_together() -> None:
    run = Run(300.0, group_limit=1)
    commands = run.offer(0.0, idle=4)
    handed = [list(numbers(each.runs)) for each in commands if isinstance(each, RunBatch) and each.block == RATED]
    assert handed == [[0], [1], [2]]


def test_runs_that_the_engine_answers_for_take_no_tokens() -> None:
    run = Run(1.0)
    for number in range(5):
        assert sizes(run.offer(0.0, idle=1)) == [1]
        run.send(RunsFinished(RATED, ((number, number + 1),), b"\0", began=False))
    run.begin(run.offer(0.0, idle=1), 0.0)
    assert sizes(run.offer(0.5, idle=1)) == []


def test_a_run_that_is_tried_again_begins_again() -> None:
    run = Run(1.0, items=1)
    run.begin(run.offer(0.0, idle=1), 0.0)
    run.send(RunsFinished(RATED, ((0, 1),), bytes((7,))))
    assert sizes(run.offer(0.5, idle=1)) == []
    assert sizes(run.offer(1.0, idle=1)) == [1]


def test_a_batch_that_was_taken_back_has_not_begun() -> None:
    run = Run(1.0, items=1)
    run.offer(0.0, idle=1)
    run.send(RunsFinished(RATED, ((0, 1),), bytes((7,))))
    assert sizes(run.offer(0.0, idle=1)) == [1]


def test_a_cancelled_run_waits_for_no_rate() -> None:
    run = Run(1.0)
    run.begin(run.offer(0.0, idle=1), 0.0)
    run.offer(0.0, idle=1)
    run.send(CancelRequested())
    assert run.state.timers == {}
    assert run.send(TimerFired(0)) == []
