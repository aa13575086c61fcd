"""How many runs a batch holds.

Of runs that a worker executes one after the other: as many as it does in a twentieth of a second, by what was measured.
Of those of which it has many under way at once: as many as may begin, at once and before anything was measured, for they
wait rather than work. A worker is given a little more than may begin, where runs are so short that it would have to
wait for the next ones.
"""

from __future__ import annotations

from refold.ports.executor import Finished
from refold.scheduler.ranges import count
from refold.scheduler.state import State

TARGET = 0.05
"""Seconds a batch is to take: short enough to share work evenly, long enough to hide the round trip."""
LARGEST = 4000
_WEIGHT = 0.5
"""Of the newest measurement, against all before."""


class BatchSizes:
    """Batch sizes of the blocks of one plan."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seconds: list[float | None] = [None for _ in state.blocks]
        """Of a run; where many are under way at once from its beginning to its end, else the time it took its worker."""
        self._sizes = [1 for _ in state.blocks]
        self._wide = [block.plan for block in state.blocks if block.plan.width > 1]

    def sizes(self, slots: int, workers: int) -> tuple[int, ...]:
        """Runs a batch, for each block, where so many batches could be taken by so many workers.

        1 until a first run was measured; of blocks of which many are under way at once what there is room for.
        """
        sizes = list(self._sizes)
        for block in self._wide:
            sizes[block.number] = self._room(block.number, block.width, slots, workers)
        return tuple(sizes)

    def measure(self, block: int, report: Finished, width: int) -> None:
        """Learns from a report."""
        runs = count(report.positions)
        if not report.ended or not runs:
            return
        if width > 1:
            seconds = (sum(report.ended) - sum(report.started)) / runs
        else:  # they are told of in the order in which they ran
            seconds = (report.ended[-1] - report.started[0]) / runs
        before, seconds = self._seconds[block], max(seconds, 1e-6)
        mean = seconds if before is None else before + _WEIGHT * (seconds - before)
        self._seconds[block] = mean
        self._sizes[block] = max(1, min(LARGEST, int(TARGET / mean)))

    def _room(self, block: int, width: int, slots: int, workers: int) -> int:
        """How many runs one batch may hold of a block of which `width` may be under way in each worker."""
        seconds = self._seconds[block]
        ahead = 0 if seconds is None else min(LARGEST, int(TARGET * width / seconds))
        room = workers * (width + ahead) - self._state.blocks[block].running
        if room <= workers * ahead // 2:  # few at a time would be more to tell than to do
            return 0
        return min(width + ahead, -(-room // max(1, slots)))
