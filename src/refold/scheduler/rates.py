"""Rates: how many runs of a block may begin in a second (`configuration.dynamic.rate`).

A bucket holds tokens, one for each run that may begin now. It is full at first, and fills with time up to its *burst*;
a run that is handed out takes one. So in any window of T seconds at most `rate * T + burst` runs begin.

That holds though some runs begin after they were handed out, behind others of their batch: for each that may not have
begun yet the bucket holds one token less. Whatever begins in a window was then either paid for in it, or left out of
what the bucket held when it began.
"""

from __future__ import annotations

import math

from refold.scheduler.ranges import Ranges, numbers

_EXACT = 1e-9
"""Of a token: what sums of floating-point numbers may be off by."""


def burst_of(rate: float) -> int:
    """How many runs may begin at once, at so many a second: what comes in a hundredth of a second, 1 at least."""
    return max(1, math.ceil(rate / 100))


class Bucket:
    """The tokens of one block."""

    def __init__(self, rate: float) -> None:
        """`rate`: runs a second."""
        self.timer: int | None = None
        """The timer that is set for when there are tokens again."""
        self._rate = rate
        self._burst = burst_of(rate)
        self._tokens = float(self._burst)
        self._at: float | None = None
        """When they were counted, in seconds of some clock that only goes forward."""
        self._unbegun: set[int] = set()
        """Runs that were handed out, and may not have begun."""
        self._most_unbegun = 0
        """How many there were at most since the tokens were counted."""

    def available(self, now: float) -> int:
        """How many runs may begin."""
        if self._at is None:
            self._at = now
        elif now > self._at:
            more = min((now - self._at) * self._rate, self._burst - self._most_unbegun - self._tokens)
            self._tokens += max(0.0, more)
            self._at = now
        self._most_unbegun = len(self._unbegun)
        return int(self._tokens + _EXACT)

    def take(self, runs: Ranges, at_once: int) -> None:
        """A batch of these runs is handed out; its worker begins so many of them at once."""
        handed = list(numbers(runs))
        self._tokens -= len(handed)
        self._unbegun.update(handed[at_once:])
        self._most_unbegun = max(self._most_unbegun, len(self._unbegun))

    def begun(self, start: int, stop: int) -> None:
        """Runs `start` to `stop` are not under way any more."""
        if self._unbegun:
            self._unbegun.difference_update(range(start, stop))

    def give_back(self, start: int, stop: int, *, never_begun: bool = False) -> None:
        """Runs that were handed out did not begin, as is sure of them all, or of those that were not the first."""
        returned = stop - start if never_begun else len(self._unbegun.intersection(range(start, stop)))
        self.begun(start, stop)
        self._tokens += returned

    def seconds_until(self, runs: int) -> float | None:
        """How long it takes until so many runs may begin, or half a burst, or as many as the bucket may hold.

        None: for ever, unless one that was handed out is over.
        """
        most = self._burst - len(self._unbegun)
        if most <= 0:
            return None
        wanted = max(1, min(runs, self._burst // 2, most))
        return max(0.0, (wanted - self._tokens) / self._rate)

    def validate(self) -> None:
        """Raises AssertionError where there are more tokens than there may be."""
        assert self._tokens <= self._burst - len(self._unbegun) + _EXACT, "more tokens than there may be"
        assert self._tokens >= -_EXACT, "tokens taken that were not there"
