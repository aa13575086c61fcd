"""How many runs a batch holds.

Of runs that a worker executes one after the other: as many as it does in a twentieth of a second, by what was measured.
Of those of which it has many under way at once: as many as may begin, before anything was measured, for they wait
rather than work. A worker is given a little more than may begin, where runs are so short that it would have to wait
for the next ones. Where some workers are busy, those of them that come free in a moment get their share.
"""

from __future__ import annotations

from refold.ports.executor import Finished
from refold.scheduler.blocks import BlockState
from refold.scheduler.ranges import count
from refold.scheduler.state import State

TARGET = 0.05
"""Seconds a batch is to take: short enough to share work evenly, long enough to hide the round trip."""
LARGEST = 4000
PATIENCE = 0.05
"""Seconds for which shares are kept for workers that are busy."""
BULK = 32
"""Runs: of fewer no shares are kept."""
WHOLE = 64
"""Runs: so many are not halved to share them more evenly."""
_WEIGHT = 0.5
"""Of the newest measurement, against all before."""


class BatchSizes:
    """Batch sizes of the blocks of one plan."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seconds: list[float | None] = [None for _ in state.blocks]
        """Of a run: the time it took its worker; where many are under way at once, from its beginning to its end."""
        self._sizes = [1 for _ in state.blocks]
        self._wide = [block for block in state.blocks if block.plan.width > 1]
        self._kept_since: dict[int, float] = {}
        """For blocks of which shares are kept: since when."""

    def sizes(self, slots: int, workers: int, now: float) -> tuple[int, ...]:
        """Runs a batch, for each block, where so many batches could be taken by so many workers; `now` is monotonic.

        1 until a first run was measured; of blocks of which many are under way at once what there is room for, maybe 0.
        """
        sizes = list(self._sizes)
        for block in self._wide:
            number, most = block.number, self._ahead(block) + block.plan.width
            room = self._room(block, workers)
            if self._keeps_shares(block, slots, workers, now):
                room = min(room, -(-(block.ready.size + block.running) * slots // workers) - block.running)
            share = -(-room // max(1, slots))
            # The halves that are left go to those who then have the least: so none gets more than may begin.
            sizes[number] = max(0, min(most, share if slots == 1 or share <= WHOLE else -(-share // 2)))
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

    def _ahead(self, block: BlockState) -> int:
        """How many more runs than may be under way a worker is given."""
        seconds = self._seconds[block.number]
        return 0 if seconds is None else min(LARGEST, int(TARGET * block.plan.width / seconds))

    def _room(self, block: BlockState, workers: int) -> int:
        """How many more runs of a block all workers together may be given."""
        ahead = self._ahead(block)
        room = workers * (block.plan.width + ahead) - block.running
        return room if room > workers * ahead // 2 else 0  # few at a time would be more to tell than to do

    def _keeps_shares(self, block: BlockState, slots: int, workers: int, now: float) -> bool:
        """Whether what is ready of a block is not all for those workers that are free."""
        if slots >= workers:
            self._kept_since.pop(block.number, None)
            return False
        if block.ready.size < BULK:
            return False
        return now - self._kept_since.setdefault(block.number, now) <= PATIENCE
