"""How many runs a batch holds: as many as a worker does in a twentieth of a second, by what was measured."""

from __future__ import annotations

from refold.ports.executor import Finished
from refold.scheduler.ranges import count

TARGET = 0.05
"""Seconds a batch is to take: short enough to share work evenly, long enough to hide the round trip."""
LARGEST = 4000
_WEIGHT = 0.5
"""Of the newest measurement, against all before."""


class BatchSizes:
    """Batch sizes of the blocks of one plan."""

    def __init__(self, blocks: int) -> None:
        self._seconds: list[float | None] = [None] * blocks
        self._sizes = [1] * blocks

    @property
    def sizes(self) -> tuple[int, ...]:
        """Runs a batch, for each block: 1 until a first run was measured."""
        return tuple(self._sizes)

    def measure(self, block: int, report: Finished, width: int) -> None:
        """Learns from a report."""
        runs = count(report.positions)
        if not report.ended or not runs:
            return
        seconds = max(max(report.ended) - min(report.started), 1e-6) / runs
        before = self._seconds[block]
        mean = seconds if before is None else before + _WEIGHT * (seconds - before)
        self._seconds[block] = mean
        self._sizes[block] = max(width, 1, min(LARGEST, int(TARGET / mean)))
