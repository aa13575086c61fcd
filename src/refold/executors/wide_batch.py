"""A batch of which many runs are under way at once, on one event loop."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, cast

from refold.errors import BlockTimeoutError
from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode
from refold.executors.execution import Execution
from refold.executors.failures import failure_of
from refold.executors.interrupts import Cancelled, Overdue
from refold.executors.side_reports import SideReports
from refold.languages.event_loops import Steps
from refold.languages.python.block_function import CallbackStatus
from refold.ports.output_store import Output
from refold.scheduler.events import Outcome

if TYPE_CHECKING:
    import asyncio


class WideBatch(ABC):
    """What kinds of wide batches share: how a run begins, and what is told of its end."""

    def __init__(self, execution: Execution, code: BlockCode, reports: SideReports, context: Context) -> None:
        """Each run is executed in a copy of the context."""
        self.execution = execution
        self.code = code
        self.width = execution.batch.width
        """How many of its runs may be under way at once."""
        self.tasks: dict[int, asyncio.Task[None]] = {}
        """What is under way, by position."""
        self.on_end: Callable[[WideBatch], None] = lambda _batch: None
        """Called on the loop when a run that was under way has been reported."""
        self._reports = reports
        self._context = context
        self._name = execution.task.block
        self._interruptions: tuple[type[BaseException], ...] = (Cancelled,)
        """What a run raises that is cancelled."""

    def begin(self, position: int, loop: asyncio.AbstractEventLoop) -> None:
        """A run begins."""
        self.tasks[position] = loop.create_task(self._run(position), name=self._name, context=self._context.copy())

    def cancel(self) -> None:
        """Interrupts all that is under way, and gives the rest back as cancelled."""
        from inspect import CORO_CREATED, getcoroutinestate

        self.hand_back(Outcome.CANCELLED)
        for position, task in tuple(self.tasks.items()):
            coroutine = cast("Coroutine[object, object, None]", task.get_coro())
            unbegun = getcoroutinestate(coroutine) == CORO_CREATED  # it will not be able to say so itself
            task.cancel()
            if unbegun:
                self._tell(position, Outcome.CANCELLED, time.time())
                self._over(position)

    def hand_back(self, outcome: Outcome) -> None:
        """What has not begun will not; reported so."""
        unbegun = self.execution.take_back()
        if unbegun:
            self._reports.handed_back(self.execution, unbegun, outcome)

    @abstractmethod
    def _run(self, position: int) -> Coroutine[object, object, None]:
        """Executes one run to its end; `_over` is its last step, whatever comes. Raises nothing."""

    def _over(self, position: int) -> None:
        del self.tasks[position]
        self.on_end(self)

    def _complete(self, position: int, output: Output | None, outcome: Outcome, started: float) -> None:
        """Reports a run that did not fail. Raises StoreError if its output cannot be stored."""
        self._reports.completed(self.execution, position, output, outcome, started)

    def _tell(self, position: int, outcome: Outcome, started: float, error: BaseException | None = None) -> None:
        """Reports a run without output."""
        failure = None if error is None else failure_of(error)
        if failure is not None and failure.for_good:
            outcome = Outcome.FAILED_FOR_GOOD
        self._reports.ended(self.execution, position, outcome, started, failure)

    def _ending(self, error: BaseException) -> tuple[Outcome, BaseException | None]:
        """What a run comes to that raised this; and the reason, where it failed."""
        if isinstance(error, Overdue):
            timeout = self.execution.task.timeout
            return Outcome.FAILED, BlockTimeoutError(f"ran longer than its timeout of {timeout:g} seconds")
        cancelled = self.execution.run.cancelled and isinstance(error, self._interruptions)
        return (Outcome.CANCELLED, None) if cancelled else (Outcome.FAILED, error)


def tell_end(call: Call, error: BaseException | None) -> Steps[None]:
    """Calls the callbacks of a call that failed with this, or was cancelled."""
    return call.tell(CallbackStatus.CANCELLED if error is None else CallbackStatus.FAILURE, None, error)
