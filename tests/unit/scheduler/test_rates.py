"""However runs are handed out, begin and come back: in no window more of them begin than the rate lets."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.scheduler.rates import Bucket, burst_of

RATES = [0.01, 0.5, 1.0, 7.0, 50.0, 100.0, 101.0, 250.0, 5000.0]


@dataclass
class Block:
    """A block with a rate, whose runs begin when somebody says so."""

    bucket: Bucket
    now: float = 0.0
    handed: list[int] = field(default_factory=list)
    """Runs that have not begun."""
    began: list[float] = field(default_factory=list)
    runs: int = 0

    def ask(self, most: int) -> int:
        """Hands out as many as may be; how many."""
        count = min(most, self.bucket.available(self.now))
        self.bucket.take(((self.runs, self.runs + count),) if count else ())
        self.handed += range(self.runs, self.runs + count)
        self.runs += count
        return count

    def begin(self, *, told: bool) -> None:
        """The first of them begins; `told`: somebody says so, else it is over a moment later."""
        run = self.handed.pop(0)
        self.began.append(self.now)
        if told:
            self.bucket.begin(((run, run + 1),), self.now)
        self.bucket.over(run, run + 1)


def worst(began: list[float], rate: float) -> float:
    """By how many runs the fullest of all windows exceeds what the rate lets."""
    burst = max(1, math.ceil(rate / 100))
    return max(
        (
            last - first + 1 - rate * (began[last] - began[first]) - burst
            for first in range(len(began))
            for last in range(first, len(began))
        ),
        default=0.0,
    )


@pytest.mark.parametrize("rate", RATES)
def test_no_window_holds_more_beginnings_than_the_rate_lets(rate: float) -> None:
    for seed in range(60):
        chance, block = random.Random(f"{rate} {seed}"), Block(Bucket(rate))
        for _ in range(80):
            what = chance.choice(("wait", "ask", "begin", "end", "hand back"))
            if what == "wait":
                block.now += chance.random() * 3 / rate
            elif what == "ask":
                block.ask(chance.randint(1, 200))
            elif block.handed and what == "hand back":
                run = block.handed.pop()
                block.bucket.give_back(run, run + 1)
            elif block.handed:
                block.begin(told=what == "begin")
            block.bucket.validate()
        assert worst(block.began, rate) <= 1e-6


@given(st.sampled_from(RATES), st.integers(1, 300))
def test_runs_that_begin_at_once_are_as_many_as_the_rate_lets(rate: float, count: int) -> None:
    block = Block(Bucket(rate))
    while len(block.began) < count:
        for _ in range(block.ask(count - len(block.began))):
            block.begin(told=True)
        if len(block.began) < count:
            seconds = block.bucket.seconds_until(count - len(block.began))
            assert seconds is not None
            block.now += seconds
    assert block.now == pytest.approx(max(0, count - burst_of(rate)) / rate, rel=1e-6, abs=1e-9)
    assert worst(block.began, rate) <= 1e-6


def test_nothing_begins_behind_one_that_was_handed_out_and_has_not_begun() -> None:
    block = Block(Bucket(50.0))
    assert block.ask(10) == 1
    block.now = 5.0
    assert block.ask(10) == 0
    assert block.bucket.seconds_until(10) is None
    block.begin(told=True)
    block.now = 5.019
    assert block.ask(10) == 0
    block.now = 5.020001
    assert block.ask(10) == 1


def test_what_never_began_is_not_counted() -> None:
    bucket = Bucket(1.0)
    assert bucket.available(0.0) == 1
    bucket.take(((7, 8),))
    bucket.give_back(7, 8)
    assert bucket.available(0.0) == 1


def test_a_beginning_that_is_told_late_counts_from_when_it_was() -> None:
    bucket = Bucket(10.0)
    bucket.available(0.0)
    bucket.take(((0, 1),))
    bucket.begin(((0, 1),), 0.01)
    assert bucket.available(0.11) == 1


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = Bucket(1.0)
    bucket.available(100.0)
    bucket.take(((0, 1),))
    bucket.begin(((0, 1),), 100.0)
    assert bucket.available(100.0) == bucket.available(50.0) == 0
    assert bucket.available(101.0) == 1


@pytest.mark.parametrize(("rate", "burst"), [(0.01, 1), (50.0, 1), (100.0, 1), (100.5, 2), (5000.0, 50)])
def test_a_hundredth_of_a_second_may_come_at_once(rate: float, burst: int) -> None:
    assert burst_of(rate) == burst
