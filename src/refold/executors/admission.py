"""Which batches may begin, as far as memory goes. Nothing here looks at the world.

What a block's children took is remembered: it grows at once with one that took more, and sinks slowly. A batch may
begin where what is free covers what its children will take beside what those under way have yet to take. Nothing is
known of a block's first children: they may begin. When nothing is under way, whatever waits may begin: it cannot be
helped by waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from refold.model.keys import RunId

BlockKey = tuple[RunId, int]
"""A block of a pipeline run, by its number."""

SMALL = 32 * 2**20
"""Bytes: whoever takes less is never held back."""
_SINKING = 0.125
"""Of the difference to a child that took less."""


class UnderWay(NamedTuple):
    """What a worker is at, as far as memory goes."""

    block: BlockKey
    at_once: int
    """How many runs."""
    taken: int
    """Bytes that its worker has more than before it began."""


class Admission:
    """Remembers what children took, and admits batches."""

    def __init__(self) -> None:
        self._needs: dict[BlockKey, float] = {}

    def learn(self, block: BlockKey, memory: int) -> None:
        """A child of a block took so many bytes; 0: not known."""
        if memory > 0:
            before = self._needs.get(block, 0.0)
            self._needs[block] = memory if memory >= before else before + _SINKING * (memory - before)

    def forget(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._needs = {block: need for block, need in self._needs.items() if block[0] != run}

    def cost(self, block: BlockKey, at_once: int) -> int:
        """Bytes that so many of a block's children take, as far as is known; 0 where nothing is, or it is small."""
        cost = int(self._needs.get(block, 0.0) * at_once)
        return cost if cost >= SMALL else 0

    def admits(self, block: BlockKey, at_once: int, under_way: Iterable[UnderWay], free: int) -> bool:
        """Whether a batch of so many runs at once may begin, with so many bytes free."""
        cost, others = self.cost(block, at_once), list(under_way)
        return cost == 0 or not others or cost + self._outstanding(others) <= free

    def width(self, block: BlockKey, width: int, free: int) -> int:
        """How many of `width` runs of a block may be under way at once in one worker; at least one."""
        if self.cost(block, width) <= free:
            return width
        return max(1, min(width, int(free / self._needs[block])))

    def _outstanding(self, under_way: Iterable[UnderWay]) -> int:
        """Bytes that those under way have yet to take."""
        return sum(max(0, self.cost(each.block, each.at_once) - each.taken) for each in under_way)
