"""What pipeline runs that are over leave behind in a process that goes on to drive others.

The blocks of a run and what they iterate over know each other, so what they hold is not given back before Python's
collector of circles comes by. It comes ever less often to a process that has much: a hundred runs would wait for it.
"""

from __future__ import annotations

import gc
from contextlib import suppress

ENOUGH = 50_000
"""How many block runs may wait to be cleared away."""


class Leftovers:
    """The block runs of ended pipeline runs, of one process."""

    def __init__(self) -> None:
        self._waiting = 0

    def leave(self, block_runs: int) -> None:
        """A pipeline run of so many block runs is over; somebody may still look at it."""
        self._waiting += block_runs

    def clear(self) -> None:
        """Clears away what is left, if it is enough to be worth the while: a hundredth of a second, mostly."""
        if self._waiting >= ENOUGH:
            self._waiting = 0
            gc.collect()
            _give_back()


def _give_back() -> None:
    """Has the C library give back what it holds and nobody uses, where it can be asked to."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
