"""Rates: how many runs of a block may begin in a second (`configuration.dynamic.rate`).

A bucket holds tokens, one for each run that may begin now. It is full at first, and fills with time up to its *burst*;
a run that is handed out takes one. So in any window of T seconds at most `rate * T + burst` runs begin.

That holds though runs begin some time after they were handed out: for each that has not begun, as far as is known, the
bucket holds one token less. What begins in a window was then either paid for in it, or left out of what the bucket held
when the window began.
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
    """The tokens of one block. Times are seconds of some clock that only goes forward."""

    def __init__(self, rate: float) -> None:
        """`rate`: runs a second."""
        self.timer: int | None = None
        """The timer that is set for when there are tokens again."""
        self._rate = rate
        self._burst = burst_of(rate)
        self._tokens = float(self._burst)
        self._at: float | None = None
        """When they were counted."""
        self._unbegun: set[int] = set()
        """Runs that were handed out, and of which nobody has said that they began."""
        self._reserved = 0
        """How many of those there were at most since the tokens were counted."""

    def available(self, now: float) -> int:
        """How many runs may begin."""
        self._count(now)
        return int(self._tokens + _EXACT)

    def _count(self, now: float) -> None:
        if self._at is None:
            self._at = now
        elif now > self._at:
            more = min((now - self._at) * self._rate, self._burst - self._reserved - self._tokens)
            self._tokens += max(0.0, more)
            self._at = now
        self._reserved = len(self._unbegun)

    def take(self, runs: Ranges) -> None:
        """These runs are handed out."""
        handed = list(numbers(runs))
        self._tokens -= len(handed)
        self._unbegun.update(handed)
        self._reserved = max(self._reserved, len(self._unbegun))

    def begin(self, runs: Ranges, at: float) -> None:
        """These runs began then."""
        self._count(at)
        self._unbegun.difference_update(numbers(runs))
        self._reserved = len(self._unbegun)

    def over(self, start: int, stop: int) -> None:
        """Runs `start` to `stop` are not under way any more."""
        if self._unbegun:
            self._unbegun.difference_update(range(start, stop))

    def give_back(self, start: int, stop: int) -> None:
        """Runs `start` to `stop`, handed out, will not begin, but for those that have."""
        self._tokens += len(self._unbegun.intersection(range(start, stop)))
        self.over(start, stop)

    def seconds_until(self, runs: int) -> float | None:
        """How long it takes until so many runs may begin, or half a burst, or as many as the bucket may hold.

        None: for ever, unless one that was handed out begins.
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
