"""The real engine on virtual time: rates wake it when they should, and limits by value outlive it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from refold.model.block import RetryPolicy
from refold.model.keys import Key
from refold.ports.run_store import RunStatus
from refold.scheduler.plan import Plan
from refold.testing.drafts import Draft, draft_plan
from refold.testing.engine_simulation import EngineKilled, EngineSimulation
from refold.testing.naive import agree, evaluate
from refold.testing.scripted import Act, Script


def check(simulation: EngineSimulation) -> None:
    for run, script in zip(simulation.runs, simulation.scripts, strict=True):
        observed = simulation.observation(run)
        differences = agree(evaluate(script, observed), observed)
        assert not differences, "\n".join(differences[:20])


def fan_out(items: int, values: tuple[str, ...] = (), **settings: object) -> Script:
    """A returned list and its children; settings that are not the dynamic block's are theirs."""
    limit = settings.pop("group_limit", None)
    plan = draft_plan(
        Draft("d", dynamic=True, group_limit=limit),  # type: ignore[arg-type]
        Draft("child", ("d",), **settings),  # type: ignore[arg-type]
    )
    acts: dict[tuple[str, Key], Act] = {("d", ()): Act(items=items, at_once=True, values=values), ("child", ()): Act()}
    return Script(plan, fixed=acts)


def test_a_rate_wakes_the_engine_just_when_a_run_may_begin() -> None:
    simulation = EngineSimulation([fan_out(40, rate=0.5)], losses=False)
    waits = 0

    def count() -> None:
        nonlocal waits
        waits += 1

    simulation.live(count)
    check(simulation)
    began = simulation.deeds.begun[simulation.runs[0], "child"]
    assert len(began) == 40
    assert [later - before for before, later in pairwise(began)] == pytest.approx([2.0] * 39, abs=1e-6)
    # It looks up every tenth of a second, for whoever wants it to stop, and never more often for a rate.
    assert waits <= simulation.clock.monotonic() / 0.1 + 10 * 40


def test_a_rate_is_nearly_reached_though_runs_take_their_time_to_begin() -> None:
    simulation = EngineSimulation([fan_out(100, rate=10.0, width=8)], slots=4, losses=False)
    simulation.live()
    check(simulation)
    began = simulation.deeds.begun[simulation.runs[0], "child"]
    assert 9.9 - 1e-6 <= began[-1] - began[0] <= 12.0


def test_attempts_count_as_often_as_they_are_made() -> None:
    script = fan_out(10, rate=1.0, retry=RetryPolicy(retries=2, delay=0.0))
    script = Script(script.plan, fixed={**script.fixed, ("child", (3,)): Act(failing=(0, 0))})
    simulation = EngineSimulation([script], losses=False)
    simulation.live()
    check(simulation)
    assert len(simulation.deeds.begun[simulation.runs[0], "child"]) == 12
    assert simulation.clock.monotonic() >= 11.0


def test_what_a_retry_keeps_waits_for_no_rate_and_begins_nowhere() -> None:
    simulation = EngineSimulation([fan_out(30, rate=1.0)], losses=False)

    def kill_in_the_end() -> None:
        if len(simulation.completed()) >= 25:
            raise EngineKilled

    with pytest.raises(EngineKilled):
        simulation.live(kill_in_the_end)
    done, began = len(simulation.completed()) - 1, len(simulation.deeds.begun[simulation.runs[0], "child"])
    before = simulation.clock.monotonic()
    simulation.live()
    check(simulation)
    assert done >= 24
    assert len(simulation.deeds.begun[simulation.runs[0], "child"]) - began == 30 - done
    assert simulation.clock.monotonic() - before <= 30 - done + 1


def test_a_retry_knows_the_values_of_items_that_came_before() -> None:
    """All items are of one value: their children are executed one by one, before the engine was killed and after."""
    simulation = EngineSimulation([fan_out(30, ("shop",) * 30, group_limit=1)], slots=4, losses=False)

    def kill_half_way() -> None:
        if len(simulation.completed()) >= 12:
            raise EngineKilled

    with pytest.raises(EngineKilled):
        simulation.live(kill_half_way)
    batches = len(simulation.deeds.batches)
    simulation.live()  # the executor sees to it that no two are under way at once
    check(simulation)
    assert len(simulation.deeds.batches) - batches > 10


def test_runs_of_many_values_are_under_way_at_once() -> None:
    values = tuple(f"shop {item % 6}" for item in range(60))
    simulation = EngineSimulation([fan_out(60, values, group_limit=1)], slots=6, losses=False)
    simulation.live()
    check(simulation)
    assert simulation.store.get(simulation.runs[0]).status is RunStatus.COMPLETED


def generator() -> Plan:
    return draft_plan(
        Draft("d", dynamic=True, buffer_items=3, buffer_bytes=2000),
        Draft("child", ("d",), rate=2.0),
        Draft("total", ("child",), reduces=("child",)),
    )


def test_a_slow_rate_holds_the_producer_back() -> None:
    acts: dict[tuple[str, Key], Act] = {("d", ()): Act(items=40), ("child", ()): Act(), ("total", ()): Act()}
    for seed in range(10):
        simulation = EngineSimulation([Script(generator(), fixed=acts)], seed)
        most = 0

        def look(simulation: EngineSimulation = simulation) -> None:
            nonlocal most
            run = simulation.runs[0]
            items = sum(row.length for row in simulation.store.items(run, simulation.scripts[0].plan.blocks[0].uuid))
            most = max(most, items - len(simulation.deeds.begun.get((run, "child"), ())))

        simulation.live(look)
        check(simulation)
        assert most <= 3 + 1


def test_runs_that_share_an_executor_come_to_their_rates_beside_each_other() -> None:
    """One has work for all workers at any time; the other waits for one that has nothing to do."""
    busy, slow = fan_out(3000), fan_out(20, rate=50.0)
    simulation = EngineSimulation([busy, slow], slots=2, losses=False, ahead=2)
    simulation.live()
    check(simulation)
    began = simulation.deeds.begun
    assert began[simulation.runs[1], "child"][-1] < began[simulation.runs[0], "child"][-1]


def test_combinations_that_a_retry_keeps_wait_for_no_rate() -> None:
    """What becomes of a combination is known when it is handed out: there and then it is answered for."""
    plan = draft_plan(Draft("d", dynamic=True), Draft("e", dynamic=True), Draft("pair", ("d", "e"), rate=1.0))
    acts: dict[tuple[str, Key], Act] = {("d", ()): Act(items=6), ("e", ()): Act(items=5), ("pair", ()): Act()}
    simulation = EngineSimulation([Script(plan, fixed=acts)], losses=False)

    def kill_in_the_end() -> None:
        if len(simulation.completed()) >= 27:
            raise EngineKilled

    with pytest.raises(EngineKilled):
        simulation.live(kill_in_the_end)
    left, before = 32 - len(simulation.completed()), simulation.clock.monotonic()
    simulation.live()
    check(simulation)
    assert left <= 5
    assert simulation.clock.monotonic() - before <= left + 1
