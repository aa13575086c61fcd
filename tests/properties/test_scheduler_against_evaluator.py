"""Random pipelines, driven on virtual time: what the scheduler makes of them is what the law says.

A failure shows its seed, the pipeline and the last events. To look into one, run `check(seed)` with that seed.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from refold.model.block import Join, RetryPolicy, Tolerance
from refold.model.keys import Key
from refold.scheduler import folds
from refold.scheduler.commands import Command, RunBatch
from refold.scheduler.decide import decide
from refold.scheduler.events import Event, ItemsArrived, Wait
from refold.scheduler.plan import Edge, EdgeKind, Plan
from refold.scheduler.ranges import count, numbers
from refold.scheduler.state import State
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import Evaluation, Observation, agree, evaluate
from refold.testing.random_pipelines import random_script
from refold.testing.scripted import Act, Habits, Script, Value
from refold.testing.simulation import Simulation


class Scheduler:
    """The scheduler as a simulation drives it."""

    def __init__(self, plan: Plan) -> None:
        self.state = State(plan)

    def decide(self, event: Event) -> list[Command]:
        return decide(self.state, event)

    def key(self, block: int, run: int) -> Key:
        return self.state.key(block, run)

    def group_key(self, block: int, fold: int, group: int) -> Key:
        return self.state.group_key(block, fold, group)

    def validate(self) -> None:
        self.state.validate()


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers fold a few runs at a time, so that it happens in small pipelines."""
    monkeypatch.setattr(folds, "SHORTEST", 2)


class Buffering(Scheduler):
    """Counts the items of block 0 that no run of block 1 has taken yet."""

    unread = 0
    most_unread = 0

    def decide(self, event: Event) -> list[Command]:
        if isinstance(event, ItemsArrived) and event.block == 0:
            self.unread += event.stop - event.start
            self.most_unread = max(self.most_unread, self.unread)
        commands = super().decide(event)
        self.unread -= sum(count(c.runs) for c in commands if isinstance(c, RunBatch) and c.block == 1)
        return commands


def drive(script: Script, seed: int, *, cancel: bool = False) -> tuple[Evaluation, Observation, Scheduler]:
    scheduler = Scheduler(script.plan)
    simulation = Simulation(script, scheduler, seed, cancel=cancel)
    observed = simulation.run()
    expected = evaluate(script, observed)
    differences = agree(expected, observed)
    assert not differences, "\n".join([*differences, simulation.tell()])
    return expected, observed, scheduler


def check(seed: int, *, cancel: bool = False) -> None:
    script = random_script(seed)
    expected, observed, scheduler = drive(script, seed, cancel=cancel)
    if not observed.cancelled:
        check_totals(script, expected, scheduler.state)
        check_numbering(script, scheduler.state)


def check_totals(script: Script, expected: Evaluation, state: State) -> None:
    for block in script.plan.blocks:
        runs = expected.runs[block.uuid]
        counts = state.counts(block.number)
        assert state.total(block.number) == len(runs) == counts.total()
        assert state.total_final(block.number) == expected.total_final[block.uuid]
        statuses = [run.status for run in runs.values()]
        assert {status: statuses.count(status) for status in set(statuses)} == {s: n for s, n in counts.items() if n}


def check_numbering(script: Script, state: State) -> None:
    """Runs in key order, and what each reads, as the engine asks for it."""
    for block in script.plan.blocks:
        order = state.order(block.number)
        keys = [state.key(block.number, run) for run in order]
        assert keys == sorted(set(keys)), f"{block.uuid}: runs in key order"
        runs = [run for run in order if not state.is_surplus(block.number, run)]
        for position, edge in enumerate(block.edges):
            if edge.iterates:
                read = state.inputs(block.number, position, tuple((run, run + 1) for run in runs))
                by_law = [script.sources(block.number, state.key(block.number, run))[position] for run in runs]
                assert [seen_key(state, edge, at) for at in numbers(read)] == [
                    source.key if source.item is None else (*source.key, source.item) for source in by_law
                ], f"{block.uuid}: what its runs read of {script.plan.blocks[edge.upstream].uuid}"


def seen_key(state: State, edge: Edge, at: int) -> Key:
    """The key of what stands at a position of what an edge lets see."""
    if edge.kind is EdgeKind.FLAT:
        return state.flat(edge.upstream, edge.levels).key(at)
    if edge.kind is EdgeKind.ITEMS:
        items = state.blocks[edge.upstream].items
        assert items is not None
        return items.key(at)
    if edge.reduces:
        assert edge.fold is not None
        return state.group_key(edge.upstream, edge.fold, at)
    return state.key(edge.upstream, at)


def check_all(seeds: Iterable[int], *, cancel: bool = False) -> None:
    for seed in seeds:
        check(seed, cancel=cancel)


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_pipelines_end_as_the_law_says(first: int) -> None:
    check_all(range(first, first + 100))


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_cancelled_pipelines_keep_what_was_finished_and_cancel_the_rest(first: int) -> None:
    check_all(range(first, first + 100), cancel=True)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 20_000, 500))
def test_ten_thousand_more_pipelines_end_as_the_law_says(first: int) -> None:
    check_all(range(first, first + 500))
    check_all(range(first, first + 100), cancel=True)


def results_in_every_order(script: Script) -> dict[tuple[str, Key], tuple[Status, Value]]:
    """What the runs come to, which is the same in each of thirty histories."""
    ends = [drive(script, seed)[1] for seed in range(30)]
    results = [
        {(block, key): (seen.status, seen.value) for block, runs in end.runs.items() for key, seen in runs.items()}
        for end in ends
    ]
    assert all(other == results[0] for other in results)
    return results[0]


def test_one_pipeline_ends_the_same_in_every_order_of_events() -> None:
    script = Script(
        draft_plan(
            Draft("days", dynamic=True),
            Draft("users", ("days",), dynamic=True, retry=RetryPolicy(retries=3)),
            Draft("ask", ("users",), sensor_interval=20.0),
            Draft("pairs", ("ask", "days")),
            Draft("totals", ("pairs",), reduces=("pairs",)),
        ),
        (
            Habits(items=(3, 3)),
            Habits(items=(1, 4), fails=0.3),
            Habits(not_yet=2, condition_false=0.1, returns_false=0.1),
            Habits(returns_list=0.5),
            Habits(),
        ),
        seed=5,
    )
    results = results_in_every_order(script)
    assert len(results) > 20
    assert {status for status, _ in results.values()} >= {Status.COMPLETED, Status.CONDITION_FAILED}


def test_joins_and_folds_and_flat_axes_come_out_the_same_in_every_order_of_events() -> None:
    script = Script(
        draft_plan(
            Draft("days", dynamic=True),
            Draft("users", ("days",), dynamic=True, children=("clean", "everybody")),
            Draft("everybody", ("users",), reduces=("users",)),
            Draft("clean", ("users",), strategy="sum", levels=1, tolerance=Tolerance(percent=50.0)),
            Draft("daily", ("clean",), reduces=("clean",)),
            Draft("pairs", ("daily", "users"), join=Join.ALIGN),
            Draft("zipped", ("clean", "daily"), join=Join.ZIP, dynamic=True),
            Draft("all", ("zipped", "clean"), reduces=("zipped", "clean")),
        ),
        (
            Habits(items=(3, 3)),
            Habits(items=(1, 4), fails=0.3),
            Habits(),
            Habits(fails_for_good=0.1, returns_list=0.5),
            Habits(),
            Habits(returns_none=0.3),
            Habits(items=(0, 3)),
            Habits(),
        ),
        seed=3,
    )
    results = results_in_every_order(script)
    assert len(results) > 20
    assert results["daily", (0,)][1] != results["daily", (1,)][1]


def test_children_of_items_that_name_each_other_wait_in_every_order_of_events() -> None:
    """Each item names the one behind it, so that nothing starts before the last one has come."""
    plan = draft_plan(
        Draft("days", dynamic=True, buffer_items=1, retry=RetryPolicy(retries=2)),
        Draft("first", ("days",)),
        Draft("second", ("days",)),
        Draft("total", ("first", "second"), reduces=("first", "second")),
    )
    waits = [Wait(item, None, item + 1) for item in range(5)] + [Wait(item, 1, item + 1) for item in range(5)]
    acts: dict[tuple[str, Key], Act] = {("days", ()): Act(items=6, failing=(2, 4), waits=tuple(waits))}
    for seed in range(100):
        _, observed, _ = drive(Script(plan, fixed=acts | {("first", ()): Act(), ("second", ()): Act()}), seed)
        assert {seen.status for seen in observed.runs["second"].values()} == {Status.COMPLETED}


@pytest.mark.parametrize("batch_mode", [False, True])
def test_what_runs_while_its_forebear_fails_starts_nothing_through_a_product(batch_mode: bool) -> None:
    """Found by seed: a doomed producer in batch mode completed, and its items went into a product as good ones."""
    plan = draft_plan(
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True, batch_mode=batch_mode),
        Draft("regions", dynamic=True),
        Draft("items", ("regions", "users")),
        Draft("plain", ("days",)),
        Draft("runs", ("plain", "regions")),
    )
    acts: dict[tuple[str, Key], Act] = {("days", ()): Act(items=3, failing=(2,)), ("users", ()): Act(items=2)}
    script = Script(plan, fixed=acts | {("regions", ()): Act(items=2)})
    for seed in range(100):
        drive(script, seed)


def test_items_that_come_after_their_forebear_failed_still_count_in_a_product() -> None:
    """Found by seed: the pipeline run never ended, because their combinations were never made."""
    plan = draft_plan(
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True),
        Draft("pairs", ("days", "users")),
    )
    script = Script(plan, fixed={("days", ()): Act(items=3, failing=(2,)), ("users", ()): Act(items=3)})
    for seed in range(100):
        drive(script, seed)


def test_items_that_come_after_the_cancel_are_runs_that_were_cancelled() -> None:
    plan = draft_plan(Draft("days", dynamic=True, buffer_items=2), Draft("plain", ("days",)))
    for seed in range(200):
        drive(Script(plan, fixed={("days", ()): Act(items=4)}), seed, cancel=True)


def test_a_generator_far_ahead_of_its_children_waits_for_them() -> None:
    plan = draft_plan(Draft("d", dynamic=True, buffer_items=20), Draft("slow", ("d",), concurrency_limit=1))
    script = Script(plan, fixed={("d", ()): Act(items=400)})
    for seed in range(10):
        scheduler = Buffering(plan)
        simulation = Simulation(script, scheduler, seed, losses=False)
        assert len(simulation.run().runs["slow"]) == 400
        assert scheduler.most_unread <= 2 * 20, simulation.tell()


def test_an_empty_plan_completes_at_once() -> None:
    drive(Script(draft_plan()), 0)


def test_a_wide_product_and_its_reduce_come_out_whole() -> None:
    plan = draft_plan(
        Draft("a", dynamic=True),
        Draft("b", dynamic=True),
        Draft("pair", ("a", "b")),
        Draft("total", ("pair",), reduces=("pair",)),
    )
    expected, observed, _ = drive(Script(plan, fixed={("a", ()): Act(items=50), ("b", ()): Act(items=50)}), 1)
    assert len(observed.runs["pair"]) == 2500
    assert observed.runs["total"][()].value == expected.runs["total"][()].value
