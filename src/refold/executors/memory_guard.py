"""Keeps the workers of a pool within the memory that there is.

Batches are held back whose children would not find enough. Where children take more than was known of them, the largest
worker is stopped while there still is some memory, so that what pays is one child of ours, and not whatever process the
system would choose.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from refold.errors import OutOfMemoryError
from refold.executors.admission import SMALL, Admission, UnderWay
from refold.executors.memory import Memory, MemorySupply, in_words
from refold.executors.worker_process import WorkerProcess
from refold.ports.executor import Batch, FoldBatch

_RESERVE = 256 * 2**20
"""Bytes that are to stay free, at most."""
_SHARE = 20
"""A reserve is not more than this part of all memory."""
_SPEED = 2 * 2**30
"""Bytes a second that one worker may take, at worst."""
_LOOKS = (0.01, 1.0)
"""Seconds from one look to the next, at least and at most."""
_AFTER_A_STOP = 0.1
"""Seconds that the system is given to take back the memory of one that was stopped."""
_ANOTHER = 64 * 2**20
"""Bytes that are to be left where a worker is started in the place of one that waits."""
_FRESH = 0.02
"""Seconds for which a look is good enough to admit a batch."""


class Room(NamedTuple):
    """What is left for workers, in bytes."""

    left: int
    """Until a worker is stopped; below zero when one should have been."""
    without_swap: int
    """Until the system moves memory to the disk."""
    total: int


class Standing(NamedTuple):
    """How a worker stands."""

    size: int
    """Bytes that it has more than when it began."""
    holds: bool
    """Whether it has a batch, if only one with a generator that is paused."""
    works: bool


class MemoryGuard:
    """Watches over the memory of a pool's workers."""

    def __init__(
        self, supply: MemorySupply, limit: int | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`limit`: bytes that all workers together may take, beyond what they take by themselves."""
        self.admission = Admission()
        self._supply = supply
        self._limit = limit
        self._monotonic = monotonic
        self._kills = supply.kills()
        self._room: Room | None = None
        self._looked_at = float("-inf")
        self._due = float("-inf")

    def seconds_left(self) -> float:
        """Seconds until the workers must be looked at again."""
        return max(0.0, self._due - self._monotonic())

    def admits(self, batch: Batch | FoldBatch, workers: Sequence[WorkerProcess]) -> bool:
        """Whether this batch may begin now, beside what workers are at."""
        if isinstance(batch, FoldBatch):
            return True
        block, at_once = (batch.run, batch.block), batch.at_once
        if not self.admission.cost(block, at_once):
            return True
        room = self._look(workers)
        return room is None or self.admission.admits(block, at_once, _under_way(workers), room.without_swap)

    def width(self, batch: Batch, workers: Sequence[WorkerProcess]) -> int:
        """How many runs of a batch may be under way at once."""
        block = batch.run, batch.block
        if batch.width == 1 or not self.admission.cost(block, batch.at_once):
            return batch.width
        room = self._look(workers)
        return batch.width if room is None else self.admission.width(block, batch.width, max(0, room.without_swap))

    def has_room(self, workers: Sequence[WorkerProcess]) -> bool:
        """Whether one more worker may be there beside these, some of which wait, and keep what they have."""
        room = self._look(workers)
        return room is None or room.without_swap >= min(_ANOTHER, room.total // _SHARE)

    def whom_to_stop(self, workers: Sequence[WorkerProcess]) -> tuple[WorkerProcess, OutOfMemoryError] | None:
        """The worker that must be stopped now, and why; None while there is enough."""
        now = self._monotonic()
        if now < self._due or any(worker.killed_for is not None for worker in workers):
            return None
        room = self._look(workers)
        if room is None:
            self._due = now + _LOOKS[1]
            return None
        busy = max(1, sum(worker.load > 0 for worker in workers))
        self._due = now + min(max(room.left / (_SPEED * busy), _LOOKS[0]), _LOOKS[1])
        return self._largest(workers, room) if room.left < 0 else None

    def was_stopped_by_system(self, worker: WorkerProcess) -> bool:
        """Of a worker that has ended: whether the system killed it for want of memory."""
        if worker.killed_for is not None or worker.process.exit_code != -signal.SIGKILL:
            return False
        before, self._kills = self._kills, self._supply.kills()
        return self._kills > before

    def _largest(self, workers: Sequence[WorkerProcess], room: Room) -> tuple[WorkerProcess, OutOfMemoryError] | None:
        """Of those that make a difference: rather one that holds nothing, or else one that is at work."""
        standings = [
            Standing(worker.beyond(), bool(worker.held), worker.load > 0 and not worker.is_away) for worker in workers
        ]
        number = to_stop(standings)
        if number is None:
            return None
        chosen, size = workers[number], standings[number].size
        self._learn(chosen, size)
        self._due = self._monotonic() + _AFTER_A_STOP
        return chosen, OutOfMemoryError(
            "it needed more memory than there is: "
            f"its worker had {in_words(size)} of {in_words(room.total)} when it was stopped"
        )

    def _learn(self, worker: WorkerProcess, size: int) -> None:
        """What the one that is stopped had taken is the least that it needs."""
        held = worker.held.get(worker.current_batch())
        if held is not None and isinstance(held.batch, Batch):
            taken = max(0, size - worker.kept)
            self.admission.learn((held.batch.run, held.batch.block), taken // held.batch.at_once)

    def _look(self, workers: Sequence[WorkerProcess]) -> Room | None:
        now = self._monotonic()
        if now - self._looked_at > _FRESH:
            self._looked_at = now
            self._room = min(self._rooms(workers), key=lambda room: room.left, default=None)
        return self._room

    def _rooms(self, workers: Sequence[WorkerProcess]) -> Iterator[Room]:
        memory = self._supply.look()
        if memory is not None:
            spare = memory.free - reserve(memory)
            yield Room(spare + memory.swap, spare, memory.total)
        if self._limit is not None:
            left = self._limit - sum(worker.beyond() for worker in workers)
            yield Room(left, left, self._limit)


def reserve(memory: Memory) -> int:
    """Bytes that are to stay free."""
    return min(_RESERVE, memory.total // _SHARE)


def to_stop(standings: Sequence[Standing]) -> int | None:
    """The worker that is to be stopped, where there is too little memory left; None where none makes a difference.

    The largest, but rather one that holds nothing: nobody pays for it. One that only waits with a generator takes no
    more than it has, and its children are under way.
    """
    able = [at for at, each in enumerate(standings) if each.size >= SMALL and (each.works or not each.holds)]
    return max(able, key=lambda at: (not standings[at].holds, standings[at].size), default=None)


def _under_way(workers: Sequence[WorkerProcess]) -> Iterator[UnderWay]:
    for worker in workers:
        for held in worker.held.values():
            if held.active and isinstance(held.batch, Batch):
                batch = held.batch
                yield UnderWay((batch.run, batch.block), batch.at_once, max(0, worker.beyond() - worker.kept))
