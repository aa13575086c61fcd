"""A clock that jumps by hours, forwards and backwards: no run stalls, no lease is lost, all comes to the same."""

from __future__ import annotations

import random

import pytest

from refold.errors import LeaseError
from refold.model.block import RetryPolicy
from refold.ports.clock import SystemClock
from refold.ports.run_store import Owner
from refold.testing.drafts import Draft, draft_plan
from refold.testing.engine_simulation import EngineSimulation
from refold.testing.naive import agree, evaluate
from refold.testing.random_pipelines import random_script
from refold.testing.scripted import Act, Script
from refold.testing.simulated_clock import SimulatedClock

HOUR = 3600.0
ELSEWHERE = Owner("elsewhere", 9, 0.0)


class SteppedClock(SimulatedClock):
    """The system's clock over simulated readings, of which somebody sets the wall's."""

    def __init__(self) -> None:
        super().__init__()
        self.off = 0.0
        """Seconds by which the wall's clock is wrong."""
        self._system = SystemClock(lambda: self.true_time() + self.off, self.monotonic)

    def true_time(self) -> float:
        """Seconds since the epoch, as a clock that nobody sets has them."""
        return super().now()

    def now(self) -> float:
        """Seconds since the epoch, as the engine has them."""
        return self._system.now()


def jumping(script: Script, seed: int) -> tuple[EngineSimulation, SteppedClock]:
    """A run whose clock jumps whenever the engine waits, and whose lease an engine elsewhere would like to have."""
    clock, chance = SteppedClock(), random.Random(f"clock {seed}")
    simulation = EngineSimulation([script], seed, losses=False, clock=clock)

    def jump_and_try() -> None:
        if simulation.store.get(simulation.runs[0]).status.ended:
            return
        clock.off = chance.choice((0.0, HOUR, -HOUR, 30 * HOUR, -30 * HOUR))
        with pytest.raises(LeaseError):
            simulation.store.acquire(simulation.runs[0], ELSEWHERE, clock.true_time(), 1.0)

    simulation.live(jump_and_try)
    return simulation, clock


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_runs_come_to_the_same_whatever_the_clock_does(first: int) -> None:
    for seed in range(first, first + 50):
        script = random_script(seed)
        simulation, _ = jumping(script, seed)
        observed = simulation.observation()
        assert not agree(evaluate(script, observed), observed), f"seed {seed}"


def test_retries_wait_as_long_as_they_say_though_the_clock_jumps() -> None:
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("child", ("d",), retry=RetryPolicy(retries=2, delay=30.0)),
        Draft("end", ("child",)),
    )
    acts = {("d", ()): Act(items=2), ("child", ()): Act(), ("child", (1,)): Act(failing=(0, 0)), ("end", ()): Act()}
    _, jumped = jumping(Script(plan, fixed=acts), 0)
    steady = EngineSimulation([Script(plan, fixed=acts)], losses=False)
    steady.live()
    assert 90.0 <= jumped.monotonic() == pytest.approx(steady.clock.monotonic(), abs=1.0)


def test_a_clock_that_is_set_back_goes_on_as_it_would_have() -> None:
    wall, passed = 1000.0, 5.0
    clock = SystemClock(lambda: wall, lambda: passed)
    assert clock.now() == 1000.0
    wall, passed = 400.0, 15.0
    assert clock.now() == 1010.0
    wall, passed = 5000.0, 16.0
    assert clock.now() == 5000.0
