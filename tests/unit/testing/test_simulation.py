"""The referee sees what a scheduler may get wrong: each test spoils a right one in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from refold.model.block import RetryPolicy
from refold.model.keys import Key
from refold.scheduler.commands import Command, End, FinishRun, Pull, Record, RunBatch, StartTimer
from refold.scheduler.decide import decide
from refold.scheduler.events import Event
from refold.scheduler.plan import Plan
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

    def validate(self) -> None:
        self.state.validate()


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


def drive(spoil: Spoil, seed: int) -> None:
    Simulation(pipeline(), Spoiled(pipeline().plan, spoil), seed).run()


def complaints(spoil: Spoil) -> str:
    found = []
    for seed in range(5):
        with pytest.raises(SimulationError) as caught:
            drive(spoil, seed)
        found.append(str(caught.value).split("\n")[0])
    return "\n".join(found)


def test_an_unspoiled_scheduler_is_let_through() -> None:
    for seed in range(20):
        drive(lambda command: [command], seed)


def test_a_run_handed_out_twice_is_seen() -> None:
    assert "batches" in complaints(lambda c: [c, c] if isinstance(c, RunBatch) else [c])


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
