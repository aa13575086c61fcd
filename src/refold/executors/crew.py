"""The workers of a pool: they come when work waits, and go when there has been none for a while."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from itertools import count

from refold.executors.paces import Paces
from refold.executors.spawned_worker import Spawner
from refold.executors.worker_process import WorkerProcess
from refold.model.keys import RunId

MUCH = 256 * 2**20
"""Bytes that a worker may keep, beyond what it began with, without being replaced."""
MOST_AWAY = 256
"""How many workers may wait while others have their slots: each is a process."""
_MORE = 1.5
"""By how much more than others of its kind a worker must keep to be replaced."""


class Crew:
    """Between `minimum` and `maximum` workers."""

    def __init__(self, minimum: int, maximum: int, idle_seconds: float) -> None:
        """`idle_seconds`: after how long a worker without work goes, beyond the minimum."""
        self.maximum = max(1, maximum)
        self.minimum = min(minimum, self.maximum)
        self.workers: list[WorkerProcess] = []
        self.lends = False
        """Whether slots of workers that wait were ever others': those come back."""
        self._leaving: list[WorkerProcess] = []
        self._idle_seconds = idle_seconds
        self._names = (f"{os.urandom(3).hex()}-{number}" for number in count(1))
        self._spawner = Spawner()
        self._paces = Paces()
        self._usual: dict[object, int] = {}
        """By code: bytes that its workers come to keep, one like the other: a model, a cache."""
        self._past_seconds = 0.0

    @property
    def unborn(self) -> int:
        """How many workers could be started."""
        return max(0, self.maximum - self.present)

    @property
    def present(self) -> int:
        """How many workers have a slot: all but those that wait for something outside, where others have theirs."""
        return len(self.workers) - (self.away if self.lends else 0)

    @property
    def away(self) -> int:
        """How many workers wait whose slots are others'."""
        return sum(worker.is_away for worker in self.workers)

    def lend(self, has_room: Callable[[Sequence[WorkerProcess]], bool]) -> None:
        """Gives slots of workers that wait for something outside to others, as long as there is memory for those."""
        for worker in self.workers:
            if worker.waits and not worker.is_lent:
                if self.away >= MOST_AWAY or not has_room(self.workers):
                    return
                self.lends = worker.is_lent = True

    def room(self) -> int | None:
        """How many workers more may begin something; None: as many as have nothing to do.

        One that has waited goes on at once. Where there are then too many, none begins anything until enough have
        ended.
        """
        if not self.lends or self.present <= self.maximum:
            return None
        return max(0, self.maximum - sum(worker.jobs > 0 and not worker.is_away for worker in self.workers))

    @property
    def is_working(self) -> bool:
        """Whether some worker has something to do."""
        return any(worker.load for worker in self.workers)

    @property
    def worker_seconds(self) -> float:
        """How long all workers have been there, taken together; those that have gone until they went."""
        now = time.monotonic()
        return self._past_seconds + sum(now - each.started_at for each in (*self.workers, *self._leaving))

    def start(self, code: object, *, cautious: bool) -> WorkerProcess:
        """Another worker; one that does nothing makes room for it. Raises RefoldError when the system has no process.

        Where all hold something there is one too many for a while: what they hold must not wait for it.
        """
        if not self.unborn:
            for worker in self.workers:
                if not worker.held:
                    self.retire(worker)
                    break
        worker = WorkerProcess(self._spawner, next(self._names), code, self._paces, cautious=cautious)
        self.workers.append(worker)
        return worker

    def retire(self, worker: WorkerProcess) -> None:
        """It holds nothing: it is to end."""
        self.workers.remove(worker)
        worker.close()
        self._leaving.append(worker)

    def retire_all_idle(self) -> None:
        """All workers that hold nothing are to end."""
        for worker in tuple(self.workers):
            if not worker.held:
                self.retire(worker)

    def retire_keepers(self) -> None:
        """Memory is wanted: workers that hold nothing, but keep much, are to end."""
        for worker in tuple(self.workers):
            if not worker.held and worker.kept:
                self.retire(worker)

    def forget_run(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._paces.forget(run)

    def remove(self, worker: WorkerProcess) -> None:
        """It has ended."""
        self.workers.remove(worker)
        self._past_seconds += time.monotonic() - worker.started_at
        worker.close()

    def shrink(self, now: float) -> None:
        """Workers that had nothing to do for a while go, and those that keep much memory."""
        for worker in tuple(self.workers):
            if worker.held or not worker.ready:
                continue
            if worker.worn:
                self.retire(worker)
            elif self.is_swollen(worker):
                self._usual[worker.code] = worker.kept
                self.retire(worker)
            elif self._is_too_many(now - worker.idle_since):
                self.retire(worker)
        for worker in tuple(self._leaving):
            if worker.process.has_ended():
                self._leaving.remove(worker)
                self._past_seconds += now - worker.started_at

    def _is_too_many(self, idle: float) -> bool:
        """Whether a worker that had nothing to do for so many seconds is to go."""
        too_many = self.lends and self.present > self.maximum
        return too_many or (len(self.workers) > self.minimum and idle > self._idle_seconds)

    def is_swollen(self, worker: WorkerProcess) -> bool:
        """Whether it keeps much more memory than those before it: what all come to keep, their blocks need."""
        return worker.kept > max(MUCH, _MORE * self._usual.get(worker.code, 0))

    def kill(self) -> None:
        """Ends all at once. From a signal handler."""
        for worker in (*self.workers, *self._leaving):
            worker.process.kill()

    def close(self, patience: float) -> None:
        """Ends all: they go when their sockets close, or are killed after so many seconds."""
        for worker in tuple(self.workers):
            self.retire(worker)
        for worker in self._leaving:
            worker.reap(patience)
            self._past_seconds += time.monotonic() - worker.started_at
        self._leaving.clear()
        self._spawner.close()
