"""The inline executor: block runs in this process, for debuggers, `execute_sync` and chains that need no pool."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from refold.executors.batch_runner import BatchRunner, OpenStore
from refold.executors.interrupts import Interrupts
from refold.executors.reporter import Reporter
from refold.model.keys import RunId
from refold.ports.executor import Batch, BlockTask, FoldBatch, Report, RunContext


class InlineExecutor:
    """Executes a batch whenever it is waited for."""

    def __init__(self, open_store: OpenStore) -> None:
        self._reports: list[Report] = []
        self._interrupts = Interrupts()
        self._reporter = Reporter(self._reports.extend)
        self._runner = BatchRunner(
            f"{os.urandom(3).hex()}-inline", open_store, self._reporter, self._interrupts, lambda *_at: None
        )
        self._jobs: deque[Callable[[], None]] = deque()
        self._never = threading.Event()

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins."""
        self._runner.open_run(context, tasks)

    def workers(self) -> int:
        """This process alone."""
        return 1

    def free_slots(self) -> int:
        """One, while nothing waits to be executed."""
        return 0 if self._jobs else 1

    def idle(self, run: RunId) -> int:  # noqa: ARG002 - the port's
        """The same: what it takes, it executes as soon as it is waited for."""
        return self.free_slots()

    def submit(self, batch: Batch) -> None:
        """Takes a batch."""
        self._jobs.append(partial(self._runner.run, batch))

    def submit_fold(self, batch: FoldBatch) -> None:
        """Takes a fold."""
        self._jobs.append(partial(self._runner.fold, batch))

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Lets a producer give more."""
        if self._runner.pull(batch, position, items, size):
            self._jobs.append(partial(self._runner.resume, batch, position))

    def cancel(self, run: RunId) -> None:
        """Stops what is under way; batches that wait report their runs as cancelled when their turn comes."""
        self._runner.cancel(run)
        self._jobs.append(partial(self._runner.drop_paused, run))

    def interrupt(self) -> None:
        """Stops what is being executed; from a signal handler of the main thread. `cancel` is to follow."""
        self._runner.interrupt()

    def kill(self) -> None:
        """Nothing: this process is about to end, and there is no other."""

    def wait(self, timeout: float | None) -> list[Report]:
        """Executes the next batch, or waits where there is none; what it reported."""
        if self._jobs:
            job = self._jobs.popleft()
            self._interrupts.install()
            try:
                with self._runner.capture.installed():
                    job()
                    self._reporter.flush()
            finally:
                self._interrupts.uninstall()
        elif not self._reports:
            self._never.wait(timeout)
        reports = self._reports[:]
        self._reports.clear()
        return reports

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over."""
        self._runner.close_run(run)

    def close(self) -> None:
        """Lets go of what blocks have begun in this process."""
        self._runner.close()
