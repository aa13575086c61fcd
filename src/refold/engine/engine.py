"""The engine: drives pipeline runs over one executor, fair between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from refold.engine.pipeline_run import PipelineRun, RunSetup
from refold.ports.clock import Clock
from refold.ports.executor import Executor
from refold.ports.run_store import Control, Owner, RunStore

TICK_SECONDS = 0.1
"""How long the engine waits for reports before it looks up: a signal handler may have asked for a cancel."""
POLL_SECONDS = 0.5
"""How often it reads what users ask of its runs."""

Observer = Callable[[PipelineRun], None]
"""Called after every round for each run that is under way, and once when it has ended."""


class Engine:
    """Drives pipeline runs to their ends. It alone writes their rows."""

    def __init__(
        self, store: RunStore, executor: Executor, clock: Clock, owner: Owner, observer: Observer | None = None
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._owner = owner
        self._observer = observer
        self._active: deque[PipelineRun] = deque()
        self._poll_due = 0.0
        self._cancel_asked = False

    def add(self, setup: RunSetup) -> PipelineRun:
        """Takes over a pipeline run and begins it. Raises LeaseError while another engine has it."""
        run = PipelineRun(setup, self._store, self._executor, self._clock, self._owner)
        self._active.append(run)
        run.start()
        return run

    def cancel_all(self) -> None:
        """Asks all runs to stop; safe to call from a signal handler."""
        self._cancel_asked = True

    def drive(self) -> None:
        """Goes on until every run has ended.

        Raises StoreError when rows cannot be written, LeaseError when another engine took a run over: the runs are
        then left as they stand, and can be retried.
        """
        self._offer()
        while self._active:
            reports = self._executor.wait(self._timeout())
            self._look_up()  # first: what was interrupted by a cancel is reported as cancelled
            for report in reports:
                run = next((run for run in self._active if run.owns(report.batch)), None)
                if run is not None:
                    run.handle(report)
            for run in self._active:
                run.fire_timers()
            self._offer()  # before rows are written: no worker waits for that
            for run in tuple(self._active):
                run.tick()
                if self._observer is not None:
                    self._observer(run)
                if run.end is not None:
                    self._active.remove(run)

    def _offer(self) -> None:
        """Shares free slots among the runs, one round after the other, until nobody wants more."""
        idle = 0
        while self._active and idle < len(self._active):
            free = self._executor.free_slots()
            if free <= 0:
                return
            if len(self._active) > 1 and not self._let_first():
                return
            run = self._active[0]
            self._active.rotate(-1)
            idle = 0 if run.offer(max(1, free // len(self._active))) else idle + 1

    def _let_first(self) -> bool:
        """One that waits for an idle worker comes first; whether there is one: meanwhile no other is given work."""
        waiting = next((run for run in self._active if run.wants_idle), None)
        if waiting is not None:
            self._active.remove(waiting)
            self._active.appendleft(waiting)
        return waiting is None or self._executor.idle(waiting.id) > 0

    def _timeout(self) -> float:
        if any(run.end is not None for run in self._active):
            return 0.0
        dues = [due for run in self._active if (due := run.due()) is not None]
        return min(TICK_SECONDS, max(0.0, min(dues, default=TICK_SECONDS) - self._clock.monotonic()))

    def _look_up(self) -> None:
        if self._cancel_asked:
            self._cancel_asked = False
            for run in self._active:
                run.cancel()
        now = self._clock.monotonic()
        if now < self._poll_due:
            return
        self._poll_due = now + POLL_SECONDS
        for run in self._active:
            if run.end is None and not run.cancelling and Control.CANCEL in self._store.requests(run.id):
                run.cancel()
