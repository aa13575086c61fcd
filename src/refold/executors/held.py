"""What a worker holds: batches and folds that it was given, and how much of them it has reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from refold.executors.admission import BlockKey
from refold.ports.executor import Batch, FoldBatch


@dataclass(slots=True)
class Held:
    """A batch or a fold that a worker has."""

    batch: Batch | FoldBatch
    sent_at: float
    """Monotonic."""
    reported: bytearray
    """A byte a run: 1 when it was reported. A fold counts as one."""
    open: int
    pulls: dict[int, int] = field(default_factory=dict)
    """By position: how many pulls were sent."""
    paused: set[int] = field(default_factory=set)
    recalled: bool = False

    @property
    def kind(self) -> BlockKey:
        """What it takes about as long as: batches of a block, or folds of its runs."""
        block = self.batch.block
        return self.batch.run, block if isinstance(self.batch, Batch) else -1 - block

    @property
    def is_wide(self) -> bool:
        """Whether many of its runs may be under way at once: they are beside what the worker's main thread does."""
        return isinstance(self.batch, Batch) and self.batch.width > 1

    @property
    def active(self) -> bool:
        """Whether the worker has something to do for it."""
        return self.open > len(self.paused)
