"""Time, as a port: tests and simulations bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Two readings of time."""

    def now(self) -> float:
        """Seconds since the epoch, for people and stores; it may jump."""

    def monotonic(self) -> float:
        """Seconds that only grow, for waiting."""


class SystemClock:
    """The machine's clock, which somebody may set back while it is read: then `now` goes on as it would have.

    A lease that is renewed with an earlier time would seem to have run out to engines on other machines.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._start = wall() - monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return max(self._wall(), self._start + self._monotonic())

    def monotonic(self) -> float:
        """Seconds since some moment in the past."""
        return self._monotonic()
