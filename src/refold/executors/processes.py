"""The process pool: gives batches to workers, and tells what they say.

A worker is given its next batch while it is still at one, when batches are short; when some worker has nothing to do,
what the others have not begun is called back and shared anew, and results are wanted one by one. A batch whose children
would not find enough memory waits; a child that ran out of it is executed once more, alone.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from refold.errors import OutOfMemoryError, RefoldError, WorkerLostError
from refold.executors.admission import BlockKey
from refold.executors.crew import Crew
from refold.executors.memory import MemorySupply, SystemMemory
from refold.executors.memory_guard import MemoryGuard
from refold.executors.messages import CloseRunMessage, OpenRunMessage, PullMessage, RecallMessage
from refold.executors.second_chances import Chance, Given, SecondChances
from refold.executors.spawned_worker import await_news
from refold.executors.worker_process import WorkerProcess, overdue_error
from refold.model.keys import RunId
from refold.model.pool_settings import PoolSettings
from refold.ports.executor import Batch, BlockTask, Finished, FoldBatch, Report, RunContext
from refold.scheduler.events import Outcome

RECALL_AFTER = 0.1
"""Seconds after which a batch may be called back."""
KILL_GRACE = 2.0
"""Seconds beyond its timeout after which a child's worker is killed."""
_STILL = 1.0
"""Seconds after which a worker whose loop does not go round is given nothing that others have not begun."""
CANCEL_GRACE = 5.0
"""Seconds after a cancel when a worker that has not stopped is killed."""
WARM = 2
"""How many workers are started at once for a run that unfolds, before its items are there."""
_VAIN = 5
"""After how many workers in a row that died of no child and without a word no more are started."""
_NOT_MODULES = frozenset({"__pycache__", "node_modules", "venv", "env", "results"})
_SYSTEM_STOPPED_IT = "it needed more memory than there is: the system stopped its worker"


@dataclass(slots=True)
class _Home:
    """Where a batch is."""

    worker: WorkerProcess
    batch: Batch | FoldBatch
    given: Given | None = None
    """None: it is a fold, or executed a second time."""


class ProcessExecutor:
    """Between a minimum and a maximum of worker processes."""

    def __init__(
        self,
        minimum: int = 1,
        maximum: int | None = None,
        settings: PoolSettings | None = None,
        memory: MemorySupply | None = None,
    ) -> None:
        """The first two stand for settings that say nothing else; `memory` tells what there is, else the system does.

        Starts nothing yet.
        """
        settings = settings or PoolSettings(minimum, maximum)
        cores = os.cpu_count() or 1
        self._crew = Crew(settings.minimum, settings.maximum or cores, settings.idle_seconds)
        self._guard = MemoryGuard(memory or SystemMemory(), settings.memory)
        self._chances = SecondChances()
        self._runs: dict[RunId, OpenRunMessage] = {}
        self._code: dict[RunId, object] = {}
        self._timeouts: dict[tuple[RunId, int], float | None] = {}
        self._homes: dict[int, _Home] = {}
        self._held_back: deque[Batch] = deque()
        """Batches whose children would not find enough memory now."""
        self._ready: list[Report] = []
        """What is to be told with the next reports."""
        self._cancelled: dict[RunId, float] = {}
        """When pipeline runs were cancelled."""
        self._interrupted = False
        self._cautious = False
        """Whether some worker died so that nobody could tell which child it died of."""
        self._vain = 0
        """How many workers in a row died of no child, and none has said anything meanwhile."""

    @property
    def worker_seconds(self) -> float:
        """Seconds from start to end, of all workers taken together."""
        return self._crew.worker_seconds

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins; workers are started for it."""
        self._runs[context.run] = OpenRunMessage(context, tuple(tasks))
        self._code[context.run] = _code_of(context.project)
        for task in tasks:
            self._timeouts[context.run, task.number] = task.timeout
        warm = WARM if any(task.dynamic for task in tasks) else 1
        for _ in range(min(self._crew.maximum, max(warm, self._crew.minimum)) - len(self._crew.workers)):
            self._start(context.run)

    def workers(self) -> int:
        """How many workers there may be."""
        return self._crew.maximum

    def free_slots(self) -> int:
        """How many batches could be taken."""
        if self._chances.are_due:
            return 0
        free = sum(max(0, self._depth(worker) - worker.jobs) for worker in self._crew.workers)
        room = self._crew.room()
        return max(0, self._crew.unborn + (free if room is None else min(free, room)) - len(self._held_back))

    def idle(self, run: RunId) -> int:
        """How many workers would begin a batch of this run at once; where none would, one more is started."""
        ours = [worker for worker in self._crew.workers if worker.code == self._code[run]]
        coming = any(not worker.ready for worker in ours)
        # A new one is preferred to one that has runs under way beside its jobs.
        preferred = self._crew.unborn > 0 or coming
        idle = sum(
            worker.ready and not (worker.load if preferred else worker.jobs) and self._depth(worker) > 0
            for worker in ours
        )
        if not idle and not coming and (self._crew.unborn > 0 or not ours):
            self._start(run)
        return idle

    def submit(self, batch: Batch) -> None:
        """Gives a batch to the worker that has the least to do, or holds it back until there is memory for it."""
        if self._guard.admits(batch, self._crew.workers):
            self._give(batch)
        else:
            self._held_back.append(batch)

    def submit_fold(self, batch: FoldBatch) -> None:
        """Gives a fold to the worker that has the least to do."""
        worker = self._worker_for(batch.run)
        self._homes[batch.id] = _Home(worker, batch)
        worker.submit(batch)

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Lets a producer give more."""
        number = self._chances.place(batch, position)
        home = self._homes.get(number)
        held = home.worker.held.get(number) if home is not None else None
        if home is not None and held is not None:
            held.pulls[position] = held.pulls.get(position, 0) + 1
            held.paused.discard(position)
            home.worker.say(PullMessage(number, position, items, size))

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for a pipeline run."""
        self._cancelled[run] = time.monotonic()
        for worker in self._crew.workers:
            worker.cancel(run)
        self._ready += self._chances.cancel(run)
        for batch in tuple(self._held_back):
            if batch.run == run:
                self._held_back.remove(batch)
                outcomes = bytes((Outcome.CANCELLED,)) * batch.length
                self._ready.append(Finished(batch.id, ((0, batch.length),), outcomes))

    def interrupt(self) -> None:
        """All runs are about to be cancelled: workers that the same signal ends are no failures of children.

        From a signal handler; `cancel` is to follow.
        """
        self._interrupted = True

    def kill(self) -> None:
        """Ends all workers at once, whatever they do; this process is about to end, too. From a signal handler."""
        self._crew.kill()

    def wait(self, timeout: float | None) -> list[Report]:
        """Reports, as soon as there are any; raises RefoldError when workers cannot be started, or do not live."""
        self._share()
        self._go_on()
        self._listen(self._patience(timeout))
        self._kill_overdue()
        self._save_memory()
        self._crew.lend(self._guard.has_room)
        self._crew.shrink(time.monotonic())
        self._go_on()
        reports, self._ready = self._ready, []
        return reports

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over."""
        self._runs.pop(run, None)
        self._code.pop(run, None)
        self._cancelled.pop(run, None)
        self._chances.forget(run)
        self._guard.admission.forget(run)
        self._timeouts = {key: value for key, value in self._timeouts.items() if key[0] != run}
        self._crew.forget_run(run)
        for worker in self._crew.workers:
            if worker.has_opened(run):
                worker.forget_run(run)
                worker.say(CloseRunMessage(run))

    def close(self) -> None:
        """Ends all workers: they go when their sockets close."""
        self._crew.close(CANCEL_GRACE)

    def _depth(self, worker: WorkerProcess) -> int:
        """How many batches a worker may have at a time."""
        if worker.waits:
            return 0
        if (worker.worn or self._crew.is_swollen(worker)) and not worker.holds_paused:
            return 0
        return 2 if worker.jobs and worker.will_be_free_soon() else 1

    def _give(self, batch: Batch) -> None:
        width = self._guard.width(batch, self._crew.workers)
        if width < batch.width:
            batch = replace(batch, width=width)
        worker = self._worker_for(batch.run)
        self._homes[batch.id] = _Home(worker, batch, Given(batch))
        worker.submit(batch)

    def _worker_for(self, run: RunId) -> WorkerProcess:
        """The worker that has the least to do, or a new one; it knows the pipeline run."""
        code = self._code[run]
        ours = [worker for worker in self._crew.workers if worker.code == code]
        best = min(ours, key=self._preference, default=None)
        if best is None or (self._crew.unborn and (best.load > 0 or self._depth(best) == 0)):
            best = self._start(run)
        if not best.has_opened(run):
            best.say(self._runs[run])
        return best

    def _preference(self, worker: WorkerProcess) -> tuple[bool, bool, int, int, bool, bool]:
        """Who is given something first: the least is the best."""
        jobs, aside = worker.jobs, worker.wide_runs.total()
        return worker.waits, self._depth(worker) <= jobs, jobs, aside, not worker.ready, worker.holds_paused

    def _start(self, run: RunId) -> WorkerProcess:
        return self._crew.start(self._code[run], cautious=self._cautious)

    def _go_on(self) -> None:
        """Gives workers what was held back, and what is to be executed alone."""
        if self._chances.are_due:
            if not self._crew.is_working and (chance := self._chances.take()) is not None:
                self._execute_alone(chance)
            return
        if self._held_back:
            self._crew.retire_keepers()
        for batch in tuple(self._held_back):
            free = self._crew.unborn or any(self._depth(worker) > worker.jobs for worker in self._crew.workers)
            if not free:
                return
            if self._guard.admits(batch, self._crew.workers):
                self._held_back.remove(batch)
                self._give(batch)

    def _execute_alone(self, chance: Chance) -> None:
        """Nothing else is under way: executes what ran out of memory before, in a worker that has none of it yet."""
        self._crew.retire_all_idle()
        worker = self._worker_for(chance.batch.run)
        self._homes[chance.batch.id] = _Home(worker, chance.batch)
        worker.submit_alone(chance.batch, chance.positions)

    def _patience(self, timeout: float | None) -> float | None:
        """Seconds to wait for news: workers that are at something are looked at again and again."""
        if self._ready:
            return 0.0
        if not self._crew.is_working:
            return timeout
        look = self._guard.seconds_left()
        return look if timeout is None else min(timeout, look)

    def _listen(self, timeout: float | None) -> None:
        """Hears what workers say, and which of them have ended."""
        if self._crew.workers or timeout:
            await_news([worker.process for worker in self._crew.workers], timeout)
        for worker in tuple(self._crew.workers):
            heard = worker.listen()
            if heard is None:
                self._take(self._bury(worker))
            elif heard:
                self._vain = 0
                self._take(heard)

    def _take(self, reports: Sequence[Report]) -> None:
        """Keeps account of reports, and of what is to be told of them."""
        for report in reports:
            home = self._homes[report.batch]
            if isinstance(report, Finished):
                self._guard.admission.learn((home.batch.run, home.batch.block), report.memory)
            self._ready += self._chances.sift(report, home.given, final=home.batch.run in self._cancelled)
        for batch in {report.batch for report in reports}:
            if batch not in self._homes[batch].worker.held:
                del self._homes[batch]

    def _share(self) -> None:
        """Somebody is idle: what others have not begun is called back, and results are wanted at once."""
        workers = self._crew.workers
        idle = self._crew.unborn > 0 or any(worker.jobs == 0 for worker in workers)
        shares = idle and not self._chances.are_due and not self._held_back
        now = time.monotonic()
        for worker in workers:
            worker.be_eager(idle)
            if not shares or not worker.load or not worker.ready:
                continue
            for held in worker.called_back(now, RECALL_AFTER, partial(self._has_fewer, worker)):
                worker.say(RecallMessage(held.batch.id))

    def _has_fewer(self, full: WorkerProcess, block: BlockKey, runs: int) -> bool:
        """Whether another worker than this one could take runs of a block, and has fewer of it than so many."""
        if self._crew.unborn > 0:
            return True
        others = (worker for worker in self._crew.workers if worker is not full and not worker.jobs)
        fewer = (worker for worker in others if worker.wide_runs[block] < runs)
        return any(not worker.overdue_aside(time.monotonic(), _STILL) for worker in fewer)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._crew.workers:
            held = worker.held.get(worker.current_batch())
            if held is not None:
                timeout = self._timeouts.get((held.batch.run, held.batch.block))
                if timeout is not None and worker.overdue(now, timeout + KILL_GRACE):
                    worker.kill(overdue_error(timeout))
                since = self._cancelled.get(held.batch.run)
                if since is not None and now - since > CANCEL_GRACE:
                    worker.kill(_cancelled())
            self._kill_overdue_aside(worker, now)

    def _kill_overdue_aside(self, worker: WorkerProcess, now: float) -> None:
        """The same for what it has under way beside the child that it is on."""
        blocks = [block for block, runs in worker.wide_runs.items() if runs]
        timeout = min((found for block in blocks if (found := self._timeouts.get(block)) is not None), default=None)
        if timeout is not None and worker.overdue_aside(now, timeout + KILL_GRACE):
            worker.kill(overdue_error(timeout), aside=True)
        if any(now - self._cancelled.get(run, now) > CANCEL_GRACE for run, _ in blocks):
            worker.kill(_cancelled(), aside=True)

    def _save_memory(self) -> None:
        """Stops the largest worker where there is too little memory left."""
        found = self._guard.whom_to_stop(self._crew.workers)
        if found is not None:
            worker, reason = found
            worker.kill(reason)
            if not worker.held:
                self._crew.retire(worker)

    def _bury(self, worker: WorkerProcess) -> list[Report]:
        """A worker is gone."""
        worker.process.wait()
        meant = worker.killed_for is not None or self._interrupted
        if self._guard.was_stopped_by_system(worker):
            worker.killed_for = OutOfMemoryError(_SYSTEM_STOPPED_IT)
        self._cautious = self._cautious or worker.died_unblamed()
        reports = worker.last_reports(frozenset(self._runs if self._interrupted else self._cancelled))
        errors = worker.startup_errors().strip() or "it said nothing"
        ready, start_error = worker.ready, worker.start_error()
        self._crew.remove(worker)
        if meant:
            return reports
        if not ready:
            raise start_error
        nobody_paid = all(isinstance(report, Finished) and not report.failures for report in reports)
        self._vain = self._vain + 1 if reports and nobody_paid else 0
        if self._vain >= _VAIN:
            lost = worker.lost()
            said = f"{_VAIN} worker processes in a row ended without a word; of the last one: {lost.message}\n{errors}"
            raise RefoldError(said, fix=lost.fix)
        return reports


def _cancelled() -> WorkerLostError:
    return WorkerLostError("its worker process was killed: the run was cancelled")


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
