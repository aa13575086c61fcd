"""How long batches of each block take: a worker that is at a short one may be given the next one ahead."""

from __future__ import annotations

from refold.executors.admission import BlockKey
from refold.model.keys import RunId

SHORT = 0.2
"""Seconds: a batch that is likely to take less is short."""
_WEIGHT = 0.3
"""Of the newest batch, in the mean."""


class Paces:
    """Means of how long batches took."""

    def __init__(self) -> None:
        self._seconds: dict[BlockKey, float] = {}

    def note(self, block: BlockKey, seconds: float) -> None:
        """A batch of this block took so long."""
        before = self._seconds.get(block, seconds)
        self._seconds[block] = before + _WEIGHT * (seconds - before)

    def is_short(self, block: BlockKey, so_far: float) -> bool:
        """Whether a batch that has taken so many seconds is likely to be short. One of a new block is not."""
        return so_far < SHORT and self._seconds.get(block, SHORT) < SHORT

    def forget(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._seconds = {block: seconds for block, seconds in self._seconds.items() if block[0] != run}
