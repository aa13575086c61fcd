"""A worker's own memory: what its children take of it, and how it is kept small.

A worker looks at itself around what it executes, at most once in a few milliseconds, so that short children pay
nothing. What a child took is the most that its process had meanwhile, beyond what it had before.

After a large child memory is given back: to Python, by Arrow's pool, by the C library. What stays nevertheless is told,
for the pool to judge.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from refold.executors.footprint import Footprint, forget_peak, own_footprint

LARGE = 64 * 2**20
"""Bytes that a worker may keep more than before without giving memory back."""
NOTABLE = 16 * 2**20
"""Bytes from which the memory of what was executed is told at once."""
BETWEEN_LOOKS = 0.005
"""Seconds, at least, from one look to the next."""
_OLD = 0.1
"""Seconds after which a look does not tell what was there before."""


class OwnMemory:
    """What memory this process had before, and has during and after what it executes."""

    def __init__(
        self,
        give_back: Callable[[], None],
        look: Callable[[], Footprint] = own_footprint,
        forget: Callable[[], None] = forget_peak,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`give_back` makes it smaller, if that can be done; `forget` lets the peak begin anew."""
        self._give_back = give_back
        self._look_at = look
        self._forget = forget
        self._monotonic = monotonic
        self._began = self._looked_at = 0.0
        self._before = self._look()
        self.first = self._settled = self._before.own
        """What it had at the beginning, and what it had when it was last told of."""

    def begin(self) -> None:
        """Something is executed from now on."""
        self._began = self._monotonic()
        if self._began - self._looked_at > _OLD:
            self._before = self._look()

    def taken(self) -> int:
        """The most that was taken since `begin`, in bytes; 0: too short to look."""
        if self._monotonic() - self._looked_at < BETWEEN_LOOKS:
            return 0
        found, self._looked_at = self._look_at(), self._monotonic()
        return max(1, self._beyond(found))

    def is_notable(self) -> bool:
        """It is executed: whether it took so much that this must be told with its results."""
        return not self._was_short() and self._beyond(self._look_at()) >= NOTABLE

    def settle(self, *, was_long: bool = False) -> int | None:
        """It is executed, and told of: gives memory back where there is much more than before.

        How many bytes more than at its beginning this process has nevertheless, where that has changed much.
        """
        if self._was_short() and not was_long:
            return None
        self._before = self._look()
        if self._before.own - self._settled > LARGE:
            self._give_back()
            self._before = self._look()
        if abs(self._before.own - self._settled) <= LARGE:
            return None
        self._settled = self._before.own
        return max(0, self._settled - self.first)

    def _was_short(self) -> bool:
        return self._monotonic() - self._began < BETWEEN_LOOKS

    def _beyond(self, found: Footprint) -> int:
        """How much more there was at some time than before, but for files."""
        before = self._before
        peak = found.most - before.own - max(before.files, found.files)
        return max(peak, found.own - before.own)

    def _look(self) -> Footprint:
        """What there is; the next peak begins here."""
        found, self._looked_at = self._look_at(), self._monotonic()
        self._forget()
        return found


def give_back() -> None:
    """Gives memory that nobody uses any more back to the system: Python's, Arrow's, the C library's."""
    import ctypes

    gc.collect()
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        with suppress(Exception):
            arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)
