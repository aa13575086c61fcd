"""The real engine on virtual time: its rows are what the law says, whatever fails, dies or is asked on the way."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from refold.engine import recorder
from refold.errors import LeaseError, StoreError
from refold.model.block import RetryPolicy
from refold.model.keys import BlockUuid, Key
from refold.ports.run_store import Control, Owner, RunStatus
from refold.scheduler import folds
from refold.testing.drafts import Draft, draft_plan
from refold.testing.engine_simulation import EngineKilled, EngineSimulation
from refold.testing.naive import agree, evaluate
from refold.testing.random_pipelines import random_script
from refold.testing.scripted import Act, Script
from refold.testing.scripted_executor import Place


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers fold a few runs at a time, and few are told of in columns, so that it happens in small pipelines."""
    monkeypatch.setattr(folds, "SHORTEST", 2)
    monkeypatch.setattr(recorder, "ALIKE", 2)


def check(simulation: EngineSimulation, *, cancelled: bool = False) -> None:
    for run, script in zip(simulation.runs, simulation.scripts, strict=True):
        observed = simulation.observation(run, cancelled)
        differences = agree(evaluate(script, observed), observed)
        assert not differences, "\n".join([f"script {script.seed}, simulation {simulation.seed}", *differences[:20]])


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_rows_of_random_pipelines_are_what_the_law_says(first: int) -> None:
    for seed in range(first, first + 50):
        simulation = EngineSimulation([random_script(seed)], seed)
        simulation.live()
        check(simulation)


def live_until_done(simulation: EngineSimulation, trouble: type[BaseException], where: str, most: int) -> None:
    """Lives that end in trouble at a random moment, each earlier than it might; the last one is spared."""
    chance = random.Random(f"trouble {simulation.seed}")
    for _ in range(chance.randint(1, 3)):
        left = chance.randint(1, most)

        def count(_number: int = 0) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise trouble(where)

        simulation.store.before_write = count if where == "before a write" else lambda _number: None
        simulation.store.after_write = count if where == "after a write" else lambda _number: None
        before, done = simulation.completed(), dict(simulation.deeds.completed)
        try:
            simulation.live(count if where == "waiting" else None)
        except trouble:
            kept_and_not_repeated(simulation, before, done)
        else:
            break
    simulation.store.before_write = simulation.store.after_write = lambda _number: None
    before, done = simulation.completed(), dict(simulation.deeds.completed)
    simulation.live()
    kept_and_not_repeated(simulation, before, done)


def kept_and_not_repeated(simulation: EngineSimulation, before: set[Place], done: dict[Place, int]) -> None:
    """What was stored as completed was not executed again in the life after."""
    again = [place for place in before if simulation.deeds.completed[place] != done[place]]
    assert not again, f"seed {simulation.seed}: executed again: {again[:5]}"


@pytest.mark.parametrize("where", ["waiting", "before a write", "after a write"])
@pytest.mark.parametrize("first", range(0, 200, 50))
def test_an_engine_killed_at_any_moment_costs_no_completed_run(first: int, where: str) -> None:
    for seed in range(first, first + 50):
        simulation = EngineSimulation([random_script(seed)], seed)
        live_until_done(simulation, EngineKilled, where, 40 if where == "waiting" else 8)
        check(simulation)


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_a_store_that_fails_leaves_a_run_that_a_retry_completes(first: int) -> None:
    for seed in range(first, first + 50):
        simulation = EngineSimulation([random_script(seed)], seed)
        live_until_done(simulation, StoreError, "before a write", 8)
        check(simulation)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_a_run_that_is_cancelled_keeps_what_was_finished_and_a_retry_completes_it(first: int) -> None:
    ended = set()
    for seed in range(first, first + 50):
        simulation = EngineSimulation([random_script(seed)], seed)
        waits = random.Random(seed).randint(1, 30)

        def ask(simulation: EngineSimulation = simulation) -> None:
            nonlocal waits
            waits -= 1
            if not waits:
                simulation.store.request(simulation.runs[0], Control.CANCEL, simulation.clock.now())
                simulation.clock.advance(1.0)

        simulation.live(ask)
        status = simulation.store.get(simulation.runs[0]).status
        ended.add(status)
        check(simulation, cancelled=status is RunStatus.CANCELLED)
        before, done = simulation.completed(), dict(simulation.deeds.completed)
        simulation.live()
        kept_and_not_repeated(simulation, before, done)
        check(simulation)
    assert RunStatus.CANCELLED in ended


def chain() -> Script:
    """Items, a child that may be tried again, and their reduce."""
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("child", ("d",), retry=RetryPolicy(retries=2, delay=30.0)),
        Draft("total", ("child",), reduces=("child",)),
    )
    acts: dict[tuple[str, Key], Act] = {
        ("d", ()): Act(items=4),
        ("child", ()): Act(),
        ("child", (2,)): Act(failing=(0, 0)),
        ("total", ()): Act(),
    }
    return Script(plan, fixed=acts)


def test_retries_wait_as_long_as_they_say() -> None:
    simulation = EngineSimulation([chain()], losses=False)
    simulation.live()
    check(simulation)
    attempts = [row.attempts for row in simulation.store.block_runs(simulation.runs[0]) if row.block == "child"]
    assert attempts == [1, 1, 3, 1]
    asked = [moment for moment, _, block in simulation.deeds.batches if block == "child"][-3:]
    waits = [after - before for before, after in pairwise(asked)]
    assert [round(wait) for wait in waits] == [30, 60]


def folded_chain() -> Script:
    """Twelve children that workers fold two at a time."""
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("child", ("d",), strategy="sum"),
        Draft("total", ("child",), reduces=("child",)),
    )
    return Script(plan, fixed={("d", ()): Act(items=12), ("child", ()): Act(), ("total", ()): Act()})


def test_what_was_folded_before_an_engine_was_killed_is_not_folded_again() -> None:
    simulation = EngineSimulation([folded_chain()], losses=False)
    run = simulation.runs[0]

    def kill_in_time() -> None:
        if len(list(simulation.store.folds(run, BlockUuid("child")))) >= 3:
            raise EngineKilled

    with pytest.raises(EngineKilled):
        simulation.live(kill_in_time)
    stored = len(list(simulation.store.folds(run, BlockUuid("child"))))
    before = simulation.deeds.folds[run, "child"]
    simulation.live()
    check(simulation)
    assert stored >= 3
    assert simulation.deeds.folds[run, "child"] - before == 6 - stored


def test_a_stretch_whose_worker_died_is_folded_by_who_reads_it() -> None:
    folded = set()
    for seed in range(20):
        simulation = EngineSimulation([folded_chain()], seed)
        simulation.live()
        check(simulation)
        folded.add(simulation.deeds.folds[simulation.runs[0], "child"])
    assert 6 in folded
    assert min(folded) < 6


def test_what_never_ran_has_no_attempts_and_no_beginning() -> None:
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("child", ("d",)),
        Draft("grandchild", ("child",)),
        Draft("next", ("grandchild",)),
    )
    script = Script(plan, fixed={("d", ()): Act(items=3), ("child", ()): Act(failing=(0,)), ("grandchild", ()): Act()})
    simulation = EngineSimulation([script])
    simulation.live()
    rows = list(simulation.store.block_runs(simulation.runs[0]))
    assert {row.block: row.attempts for row in rows} == {"d": 1, "child": 1, "grandchild": 0, "next": 0}
    assert {row.block for row in rows if row.started_at is None} == {"grandchild", "next"}


def test_a_lease_that_is_lost_stops_the_engine() -> None:
    simulation = EngineSimulation([chain()])
    thief = Owner("elsewhere", 9, 0.0)

    def steal() -> None:
        run = simulation.runs[0]
        record = simulation.store.get(run)
        if record.owner != thief.text and simulation.deeds.completed:
            simulation.store.steal(run, record.owner or "")
            simulation.store.acquire(run, thief, simulation.clock.now(), 1000.0)

    with pytest.raises(LeaseError):
        simulation.live(steal)
    written = simulation.completed()
    simulation.live()
    assert written <= simulation.completed()
    check(simulation)


def test_a_lease_is_renewed_however_long_nothing_happens() -> None:
    simulation = EngineSimulation([chain()], losses=False)
    rival = Owner("elsewhere", 9, 0.0)
    refusals = 0

    def try_it() -> None:
        nonlocal refusals
        with pytest.raises(LeaseError):
            simulation.store.acquire(simulation.runs[0], rival, simulation.clock.now(), 1.0)
        refusals += 1

    simulation.live(try_it)
    assert simulation.clock.monotonic() > 90
    assert refusals > 100


def test_two_runs_over_one_executor_are_served_in_turn() -> None:
    plan = draft_plan(
        Draft("d", dynamic=True), Draft("child", ("d",), concurrency_limit=3), Draft("total", ("child",), ("child",))
    )
    script = Script(plan, fixed={("d", ()): Act(items=60), ("child", ()): Act(), ("total", ()): Act()})
    simulation = EngineSimulation([script, script], slots=2, losses=False)
    simulation.live()
    check(simulation)
    runs = [run for _, run, block in simulation.deeds.batches if block == "child"]
    half = runs[: len(runs) // 2]
    assert len(runs) > 20
    assert abs(half.count(simulation.runs[0]) - half.count(simulation.runs[1])) <= 2


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_many_runs_over_one_executor_do_not_mix(first: int) -> None:
    for seed in range(first, first + 30):
        simulation = EngineSimulation([random_script(3 * seed + number) for number in range(3)], seed)
        simulation.live()
        check(simulation)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 6000, 250))
@pytest.mark.parametrize("where", ["waiting", "before a write", "after a write"])
def test_thousands_more_killed_engines_cost_no_completed_run(first: int, where: str) -> None:
    for seed in range(first, first + 250):
        simulation = EngineSimulation([random_script(seed)], seed)
        live_until_done(simulation, EngineKilled, where, 40 if where == "waiting" else 8)
        check(simulation)
