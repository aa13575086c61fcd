"""The process pool: workers that come when work waits and go when there is none.

A worker is given its next batch while it is still at one, when batches are short; when some worker has nothing to do,
what the others have not begun is called back and shared anew, and results are wanted one by one.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from itertools import count
from multiprocessing.connection import wait
from pathlib import Path

from refold.errors import RefoldError, WorkerLostError
from refold.executors.messages import CloseRunMessage, OpenRunMessage, PullMessage, RecallMessage
from refold.executors.worker_process import WorkerProcess, overdue_error
from refold.model.keys import RunId
from refold.ports.executor import Batch, BlockTask, Finished, FoldBatch, Report, RunContext

SHORT = 0.2
"""Seconds: a worker whose batches are shorter than this is given one ahead."""
RECALL_AFTER = 0.1
"""Seconds after which a batch may be called back."""
KILL_GRACE = 2.0
"""Seconds beyond its timeout after which a child's worker is killed."""
CANCEL_GRACE = 5.0
"""Seconds after a cancel when a worker that has not stopped is killed."""
IDLE_SECONDS = 30.0
"""After how long a worker without work goes, beyond the minimum."""
WARM = 4
"""How many workers are started at once for a run that unfolds, before its items are there."""
_VAIN = 5
"""After how many workers in a row that died of no child and without a word no more are started."""
_NOT_MODULES = frozenset({"__pycache__", "node_modules", "venv", "env", "results"})


class ProcessExecutor:
    """Between `minimum` and `maximum` worker processes; `maximum` defaults to the machine's cores."""

    def __init__(self, minimum: int = 1, maximum: int | None = None) -> None:
        self._maximum = max(1, maximum if maximum is not None else os.cpu_count() or 1)
        self._minimum = min(minimum, self._maximum)
        self._names = (f"{secrets.token_hex(3)}-{number}" for number in count(1))
        self._workers: list[WorkerProcess] = []
        self._leaving: list[WorkerProcess] = []
        self._runs: dict[RunId, OpenRunMessage] = {}
        self._code: dict[RunId, object] = {}
        self._timeouts: dict[tuple[RunId, int], float | None] = {}
        self._homes: dict[int, WorkerProcess] = {}
        """Which worker has a batch."""
        self._cancelled: dict[RunId, float] = {}
        """When pipeline runs were cancelled."""
        self._interrupted = False
        self._cautious = False
        """Whether some worker died so that nobody could tell which child it died of."""
        self._vain = 0
        """How many workers in a row died of no child, and none has said anything meanwhile."""

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins; workers are started for one that unfolds."""
        self._runs[context.run] = OpenRunMessage(context, tuple(tasks))
        self._code[context.run] = _code_of(context.project)
        for task in tasks:
            self._timeouts[context.run, task.number] = task.timeout
        if any(task.dynamic for task in tasks):
            for _ in range(min(self._maximum, WARM) - len(self._workers)):
                self._start(self._code[context.run])

    def free_slots(self) -> int:
        """How many batches could be taken."""
        unborn = max(0, self._maximum - len(self._workers))
        return unborn + sum(max(0, self._depth(worker) - worker.load) for worker in self._workers)

    def submit(self, batch: Batch) -> None:
        """Gives a batch to the worker that has the least to do."""
        self._hand(batch)

    def submit_fold(self, batch: FoldBatch) -> None:
        """Gives a fold to the worker that has the least to do."""
        self._hand(batch)

    def _hand(self, batch: Batch | FoldBatch) -> None:
        worker = self._worker_for(batch.run)
        if not worker.has_opened(batch.run):
            worker.say(self._runs[batch.run])
        self._homes[batch.id] = worker
        worker.submit(batch)

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Lets a producer give more."""
        worker = self._homes.get(batch)
        held = worker.held.get(batch) if worker is not None else None
        if worker is not None and held is not None:
            held.pulls[position] = held.pulls.get(position, 0) + 1
            held.paused.discard(position)
            worker.say(PullMessage(batch, position, items, size))

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for a pipeline run."""
        self._cancelled[run] = time.monotonic()
        for worker in self._workers:
            worker.cancel(run)

    def interrupt(self) -> None:
        """All runs are about to be cancelled: workers that the same signal ends are no failures of children.

        From a signal handler; `cancel` is to follow.
        """
        self._interrupted = True

    def kill(self) -> None:
        """Ends all workers at once, whatever they do; this process is about to end, too. From a signal handler."""
        for worker in (*self._workers, *self._leaving):
            worker.process.kill()

    def wait(self, timeout: float | None) -> list[Report]:
        """Reports, as soon as there are any; raises RefoldError when workers cannot be started, or do not live."""
        self._share()
        reports: list[Report] = []
        if self._workers:
            wait([worker.connection for worker in self._workers], timeout)
        elif timeout:
            wait([], timeout)
        for worker in tuple(self._workers):
            heard = worker.listen()
            if heard is None:
                reports += self._bury(worker)
            elif heard:
                self._vain = 0
                reports += heard
        self._kill_overdue()
        self._retire_idle()
        for report in reports:
            home = self._homes.get(report.batch)
            if home is not None and report.batch not in home.held:
                del self._homes[report.batch]
        return reports

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over."""
        self._runs.pop(run, None)
        self._cancelled.pop(run, None)
        self._timeouts = {key: value for key, value in self._timeouts.items() if key[0] != run}
        for worker in self._workers:
            if worker.has_opened(run):
                worker.forget_run(run)
                worker.say(CloseRunMessage(run))

    def close(self) -> None:
        """Ends all workers: they go when their sockets close."""
        for worker in self._workers:
            worker.close()
        for worker in (*self._workers, *self._leaving):
            worker.reap(CANCEL_GRACE)
        self._workers.clear()
        self._leaving.clear()

    def _depth(self, worker: WorkerProcess) -> int:
        short = worker.batch_seconds is not None and worker.batch_seconds < SHORT
        return 2 if short else 1

    def _worker_for(self, run: RunId) -> WorkerProcess:
        code = self._code[run]
        ours = [worker for worker in self._workers if worker.code == code]
        best = min(ours, key=lambda worker: (worker.load, not worker.ready), default=None)
        if best is not None and (best.load == 0 or len(self._workers) >= self._maximum):
            return best
        return self._start(code)

    def _start(self, code: object) -> WorkerProcess:
        if len(self._workers) >= self._maximum:
            for worker in self._workers:
                if not worker.held:
                    self._retire(worker)
                    break
        worker = WorkerProcess(next(self._names), code, cautious=self._cautious)
        self._workers.append(worker)
        return worker

    def _share(self) -> None:
        """Somebody is idle: what others have not begun is called back, and results are wanted at once."""
        idle = any(worker.load == 0 for worker in self._workers) or len(self._workers) < self._maximum
        now = time.monotonic()
        for worker in self._workers:
            worker.be_eager(idle)
            if not idle or not worker.load or not worker.ready:
                continue
            for held in worker.held.values():
                waits = worker.load > 1 and worker.current_batch() != held.batch.id
                long = held.open > 1 and now - held.sent_at > RECALL_AFTER
                if not held.recalled and (waits or long) and isinstance(held.batch, Batch):
                    held.recalled = True
                    worker.say(RecallMessage(held.batch.id))

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            held = worker.held.get(worker.current_batch())
            if held is not None:
                timeout = self._timeouts.get((held.batch.run, held.batch.block))
                if timeout is not None and worker.overdue(now, timeout + KILL_GRACE):
                    worker.kill(overdue_error(timeout))
                since = self._cancelled.get(held.batch.run)
                if since is not None and now - since > CANCEL_GRACE:
                    worker.kill(WorkerLostError("its worker process was killed: the run was cancelled"))

    def _bury(self, worker: WorkerProcess) -> list[Report]:
        """A worker is gone."""
        worker.process.wait()
        self._workers.remove(worker)
        self._cautious = self._cautious or worker.died_unblamed()
        reports = worker.last_reports(frozenset(self._runs if self._interrupted else self._cancelled))
        errors = worker.startup_errors().strip() or "it said nothing"
        ready = worker.ready
        worker.close()
        if worker.killed_for is not None or self._interrupted:
            return reports
        if not ready:
            raise RefoldError(f"a worker process could not start:\n{errors}")
        nobody_paid = all(isinstance(report, Finished) and not report.failures for report in reports)
        self._vain = self._vain + 1 if reports and nobody_paid else 0
        if self._vain >= _VAIN:
            lost = worker.lost()
            said = f"{_VAIN} worker processes in a row ended without a word; of the last one: {lost.message}\n{errors}"
            raise RefoldError(said, fix=lost.fix)
        return reports

    def _retire_idle(self) -> None:
        now = time.monotonic()
        for worker in tuple(self._workers):
            spare = len(self._workers) > self._minimum
            if spare and worker.ready and not worker.held and now - worker.idle_since > IDLE_SECONDS:
                self._retire(worker)
        self._leaving = [worker for worker in self._leaving if worker.process.poll() is None]

    def _retire(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        worker.close()
        self._leaving.append(worker)


def _code_of(project: Path) -> object:
    """The project and the state of its modules: a worker that has imported others is not used for it."""
    found: list[tuple[str, int, int]] = []
    for folder, folders, files in os.walk(project):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NOT_MODULES)
        for name in sorted(files):
            if name.endswith(".py"):
                try:
                    state = os.stat(os.path.join(folder, name))
                except OSError:  # a link to nowhere, such as an editor's lock, or a file that has just gone
                    continue
                found.append((os.path.join(folder, name), state.st_mtime_ns, state.st_size))
    return project, tuple(found)
