"""Runs of an `async def` block: many at once, on one loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from refold.errors import BlockTimeoutError
from refold.executors.block_call import Call
from refold.executors.capture import set_speaker
from refold.executors.cursor import MANY, PutCursor
from refold.executors.failures import failure_of
from refold.executors.interrupts import Cancelled, Overdue
from refold.executors.open_run import OpenRun
from refold.executors.reporter import Reporter
from refold.languages.event_loops import run_coroutine
from refold.languages.python.block_function import CallbackStatus
from refold.ports.executor import Batch
from refold.ports.output_store import Output
from refold.scheduler.events import Outcome

NextPosition = Callable[[], int | None]
"""Gives the run that begins now; None when no more do."""

if TYPE_CHECKING:
    import asyncio

CallOf = Callable[[int], Call]
Judge = Callable[[Call, object], tuple[Outcome, Output | None]]


class AsyncBatch:
    """Executes a batch whose function is a coroutine function."""

    def __init__(
        self,
        batch: Batch,
        opened: OpenRun,
        reporter: Reporter,
        next_position: NextPosition,
        call_of: CallOf,
        judge: Judge,
        put_cursor: PutCursor,
    ) -> None:
        self._batch = batch
        self._opened = opened
        self._reporter = reporter
        self._next_position = next_position
        self._call_of = call_of
        self._judge = judge
        self._put_cursor = put_cursor
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Executes runs, at most `width` of them at once; all that have begun are reported afterwards."""
        run_coroutine(self._run())

    async def _run(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()

        def cancel() -> None:
            loop.call_soon_threadsafe(self._cancel_tasks)

        self._opened.on_cancel.append(cancel)
        free = asyncio.Semaphore(max(1, self._batch.width))
        try:
            await free.acquire()
            while not self._opened.cancelled and (position := self._next_position()) is not None:
                task = loop.create_task(self._run_one(position))
                self._tasks.add(task)
                task.add_done_callback(partial(self._settle, position))
                task.add_done_callback(lambda _task: free.release())
                await free.acquire()
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._opened.on_cancel.remove(cancel)

    def _settle(self, position: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # before its first step: it could not say so itself
            now = time.time()
            self._reporter.ended(position, Outcome.CANCELLED, now, now)

    def _turn(self) -> None:
        """The loop goes round: a worker that does not say so any more hangs in the code of some child."""
        self._put_cursor(self._batch.id, MANY, time.monotonic())

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _run_one(self, position: int) -> None:
        import asyncio

        started = time.time()
        call: Call | None = None
        limit: asyncio.Timeout | None = None
        set_speaker(None)
        self._turn()
        try:
            call = self._call_of(position)
            set_speaker(call.name)
            holds = not call.code.conditions or call.conditions_hold()
            if not holds:
                self._reporter.ended(position, Outcome.CONDITION_FAILED, started, time.time())
                return
            async with asyncio.timeout(call.time_left()) as limit:
                returned = await cast("Awaitable[object]", call.main())
            call.check_time()
            self._complete(call, position, returned, started)
        except (asyncio.CancelledError, Cancelled):
            self._end(call, position, started, Outcome.CANCELLED, None)
        except (TimeoutError, Overdue) as error:
            overdue = isinstance(error, Overdue) or (limit is not None and limit.expired())
            self._end(call, position, started, Outcome.FAILED, self._late() if overdue else error)
        except BaseException as error:  # sys.exit and the like end the child, never the worker
            self._end(call, position, started, Outcome.FAILED, error)
            self._turn()

    def _late(self) -> BlockTimeoutError:
        timeout = self._opened.tasks[self._batch.block].timeout
        return BlockTimeoutError(f"ran longer than its timeout of {timeout:g} seconds")

    def _complete(self, call: Call, position: int, returned: object, started: float) -> None:
        outcome, output = self._judge(call, returned)
        if output is None:
            self._reporter.ended(position, outcome, started, time.time())
            return
        call.succeed(output)
        self._reporter.completed(position, output, outcome, started, time.time())

    def _end(
        self, call: Call | None, position: int, started: float, outcome: Outcome, error: BaseException | None
    ) -> None:
        if call is not None:
            status = CallbackStatus.CANCELLED if error is None else CallbackStatus.FAILURE
            call.call_back(status, None, error)
        failure = None if error is None else failure_of(error)
        self._reporter.ended(position, outcome, started, time.time(), failure)
