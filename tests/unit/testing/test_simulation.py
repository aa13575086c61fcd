"""The referee sees what a scheduler may get wrong: each test spoils a right one in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from refold.model.block import Join, RetryPolicy
from refold.model.keys import Key
from refold.scheduler import folds
from refold.scheduler.commands import Command, End, FinishRun, Fold, Pull, Record, RunBatch, StartTimer
from refold.scheduler.decide import decide
from refold.scheduler.events import OPEN, Event, Folded, ItemsArrived, Wait
from refold.scheduler.plan import Plan
from refold.scheduler.ranges import numbers
from refold.scheduler.state import State
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import agree, evaluate
from refold.testing.random_pipelines import MAX_RUNS, random_script
from refold.testing.scripted import Act, Script
from refold.testing.simulation import Simulation, SimulationError

Spoil = Callable[[Command], Sequence[Command]]


class Spoiled:
    """The scheduler, but for one kind of command."""

    def __init__(self, plan: Plan, spoil: Spoil) -> None:
        self.state = State(plan)
        self.spoil = spoil

    def decide(self, event: Event) -> list[Command]:
        return [spoilt for command in decide(self.state, event) for spoilt in self.spoil(command)]

    def key(self, block: int, run: int) -> Key:
        return self.state.key(block, run)

    def group_key(self, block: int, fold: int, group: int) -> Key:
        return self.state.group_key(block, fold, group)

    def validate(self) -> None:
        self.state.validate()


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers fold two runs at a time, so that it happens in small pipelines."""
    monkeypatch.setattr(folds, "SHORTEST", 2)


def pipeline() -> Script:
    plan = draft_plan(
        Draft("d", dynamic=True, buffer_items=2, retry=RetryPolicy(retries=1)),
        Draft("a", ("d",), retry=RetryPolicy(retries=2)),
        Draft("b", ("a",), sensor_interval=60.0),
        Draft("total", ("b",), reduces=("b",)),
        concurrency_limit=3,
    )
    acts: dict[tuple[str, Key], Act] = {
        ("d", ()): Act(items=5),
        ("a", ()): Act(failing=(0,)),
        ("b", ()): Act(not_yet=1),
    }
    return Script(plan, fixed=acts)


def folding() -> Script:
    """Seven runs that workers fold."""
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("a", ("d",), strategy="sum"),
        Draft("total", ("a",), reduces=("a",)),
    )
    return Script(plan, fixed={("d", ()): Act(items=7)})


def drive(spoil: Spoil, seed: int, script: Script | None = None) -> None:
    script = script or pipeline()
    Simulation(script, Spoiled(script.plan, spoil), seed).run()


def complaints(spoil: Spoil, script: Script | None = None) -> str:
    found = []
    for seed in range(5):
        with pytest.raises(SimulationError) as caught:
            drive(spoil, seed, script)
        found.append(str(caught.value).split("\n")[0])
    return "\n".join(found)


def test_an_unspoiled_scheduler_is_let_through() -> None:
    for seed in range(20):
        drive(lambda command: [command], seed)


def test_a_run_handed_out_twice_is_seen() -> None:
    assert "handed out twice" in complaints(lambda c: [c, c] if isinstance(c, RunBatch) else [c])


def test_a_record_made_twice_is_seen() -> None:
    assert "recorded twice" in complaints(lambda c: [c, c] if isinstance(c, Record) else [c])


def test_a_record_left_out_is_seen() -> None:
    assert "is None" in complaints(lambda c: [] if isinstance(c, Record) and c.block < 2 else [c])


def test_a_wrong_status_is_seen() -> None:
    assert "it came back as" in complaints(
        lambda c: [replace(c, status=Status.FAILED)] if isinstance(c, Record) else [c]
    )


def test_a_batch_that_is_never_handed_out_is_a_stall() -> None:
    assert "has not ended" in complaints(lambda c: [] if isinstance(c, RunBatch) and c.block == 2 else [c])


def test_a_producer_that_is_never_pulled_is_a_stall() -> None:
    assert "has not ended" in complaints(lambda c: [] if isinstance(c, Pull) else [c])


def test_a_retry_without_its_delay_is_seen() -> None:
    assert "not before" in complaints(lambda c: [replace(c, seconds=0.0)] if isinstance(c, StartTimer) else [c])


def test_forgotten_failures_are_seen() -> None:
    assert "failures given" in complaints(lambda c: [replace(c, failures={})] if isinstance(c, RunBatch) else [c])


def test_an_end_before_the_end_is_seen() -> None:
    assert "ends while" in complaints(lambda c: [c, FinishRun(End.COMPLETED)] if isinstance(c, RunBatch) else [c])


def test_commands_after_the_end_are_seen() -> None:
    assert "last command" in complaints(lambda c: [c, StartTimer(99, 1.0)] if isinstance(c, FinishRun) else [c])


def test_unspoiled_folds_are_let_through() -> None:
    for seed in range(20):
        drive(lambda command: [command], seed, folding())


def test_runs_folded_out_of_order_are_seen() -> None:
    def turn(command: Command) -> Sequence[Command]:
        backwards = isinstance(command, Fold) and tuple((run, run + 1) for run in reversed(list(numbers(command.runs))))
        return [replace(command, runs=backwards)] if isinstance(command, Fold) and backwards else [command]

    assert "next are" in complaints(turn, folding())


def test_a_run_left_out_of_a_fold_is_seen() -> None:
    def leave_out(command: Command) -> Sequence[Command]:
        if isinstance(command, Fold):
            return [replace(command, runs=((command.runs[0][0] + 1, command.runs[-1][1]),))]
        return [command]

    assert "next are" in complaints(leave_out, folding())


def test_a_group_folded_twice_at_once_is_seen() -> None:
    found = complaints(lambda c: [c, c] if isinstance(c, Fold) else [c], folding())
    assert "twice at once" in found or "batches" in found


def test_a_run_folded_before_it_is_on_record_is_seen() -> None:
    found = complaints(
        lambda c: [] if isinstance(c, Record) and c.block == 1 else [c],
        folding(),
    )
    assert "is None" in found


class Hasty(Spoiled):
    """Takes every fold for done when it begins."""

    def decide(self, event: Event) -> list[Command]:
        if isinstance(event, Folded):
            return []
        commands = super().decide(event)
        for command in commands:
            if isinstance(command, Fold):
                commands += super().decide(Folded(command.block, command.fold, command.group))
        return commands


def test_a_reader_of_what_workers_still_fold_is_seen() -> None:
    script = folding()
    found = set()
    for seed in range(30):
        try:
            Simulation(script, Hasty(script.plan, lambda c: [c]), seed, losses=False).run()
        except SimulationError as error:
            found.add(str(error).split("\n")[0])
    assert "FoulError: total: starts though a is being folded" in found


def test_children_that_do_not_wait_for_what_their_item_names_are_seen() -> None:
    """The scheduler is never told that the first item's child waits."""
    plan = draft_plan(Draft("d", dynamic=True, buffer_items=1), Draft("a", ("d",)))
    script = Script(plan, fixed={("d", ()): Act(items=3, waits=(Wait(0, None, 2),)), ("a", ()): Act()})

    class Deaf(Spoiled):
        def decide(self, event: Event) -> list[Command]:
            return super().decide(replace(event, waits=()) if isinstance(event, ItemsArrived) else event)

    with pytest.raises(SimulationError, match="for which it waits"):
        Simulation(script, Deaf(plan, lambda c: [c]), 1).run()


def test_a_name_of_an_item_still_to_come_is_told_when_it_has() -> None:
    plan = draft_plan(Draft("d", dynamic=True, buffer_items=1), Draft("a", ("d",)), Draft("static"))
    waits = (Wait(0, None, 2), Wait(1, 2, None), Wait(2, None, 1))
    script = Script(plan, fixed={("d", ()): Act(items=3, waits=waits), ("a", ()): Act()})
    told: list[Wait] = []

    class Listening(Spoiled):
        def decide(self, event: Event) -> list[Command]:
            told.extend(event.waits if isinstance(event, ItemsArrived) else ())
            return super().decide(event)

    Simulation(script, Listening(plan, lambda c: [c]), 1).run()
    assert told == [Wait(0, None, OPEN), Wait(1, 2, None), Wait(0, None, 2), Wait(2, None, 1)]


def test_what_has_no_partner_and_is_not_said_to_have_failed_is_seen() -> None:
    plan = draft_plan(Draft("d", dynamic=True), Draft("e", dynamic=True), Draft("pair", ("d", "e"), join=Join.ZIP))
    script = Script(plan, fixed={("d", ()): Act(items=3), ("e", ()): Act(items=1), ("pair", ()): Act()})
    found = complaints(
        lambda c: [replace(c, status=Status.UPSTREAM_FAILED)] if isinstance(c, Record) and c.block == 2 else [c], script
    )
    assert "before any of its upstreams" in found or "came back as" in found


def test_a_failure_tells_its_seeds_its_pipeline_and_its_last_events() -> None:
    with pytest.raises(SimulationError) as caught:
        drive(lambda c: [] if isinstance(c, RunBatch) and c.block == 3 else [c], 7)
    story = str(caught.value)
    assert "simulation seed 7" in story
    assert "total <- (b reduced)" in story
    assert "record completed b:4" in story


def test_a_seed_always_tells_the_same_story() -> None:
    stories = []
    for _ in range(2):
        simulation = Simulation(pipeline(), Spoiled(pipeline().plan, lambda c: [c]), 3)
        simulation.run()
        stories.append(simulation.tell())
    assert stories[0] == stories[1]


def test_a_cancelled_run_ends_cancelled() -> None:
    ends = set()
    for seed in range(20):
        script = pipeline()
        observed = Simulation(script, Spoiled(script.plan, lambda c: [c]), seed, cancel=True).run()
        assert not agree(evaluate(script, observed), observed)
        ends.add((observed.cancelled, observed.end))
    assert ends <= {(True, End.CANCELLED), (False, End.COMPLETED)}
    assert (True, End.CANCELLED) in ends


def test_random_pipelines_are_small_and_the_same_for_the_same_seed() -> None:
    for seed in range(50):
        script = random_script(seed)
        assert script == random_script(seed)
        assert sum(map(len, evaluate(script).runs.values())) <= MAX_RUNS
