"""Runs of a block whose function is not `async def`, many at once: each on a thread (`configuration.executor.threads`).

A thread cannot be stopped from outside. A run that is late, or cancelled, is told of in time; its thread is *stuck*
until the user's code comes back, and what that comes to then is nobody's any more. A stuck thread counts as one of
those that the block may have.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode
from refold.executors.caller import Caller
from refold.executors.capture import set_speaker
from refold.executors.execution import Execution
from refold.executors.interrupts import Cancelled, Interrupts, Overdue
from refold.executors.judging import judged
from refold.executors.side_reports import SideReports
from refold.executors.wide_batch import WideBatch, tell_end
from refold.languages.event_loops import stepped
from refold.scheduler.events import Outcome

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")
_STOPPING = 1.5
"""Seconds that a run may take to let go of what it waits for, such as a pipeline that it has started."""


class Threads:
    """Threads that do one piece of work after the other; there are as many as were ever at work at once.

    They are daemons: nobody waits for one that is stuck.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0

    def start(self, work: Callable[[], None]) -> None:
        """Does this on a thread, which raises nothing. Raises RuntimeError when the system has no thread for it."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                threading.Thread(target=self._serve, name="refold-child", daemon=True).start()
                self._threads += 1
        self._work.put(work)

    def close(self) -> None:
        """Ends the threads; those at work end after it."""
        for _ in range(self._threads):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._free += 1


class _Attempt:
    """One run on a thread, which the thread and the loop both may be the first to report."""

    def __init__(self, started: float, finished: asyncio.Future[None], caller: Caller) -> None:
        self.started = started
        self.caller = caller
        self.finished = finished
        """The thread is through with it."""
        self.call: Call | None = None
        self._unclaimed = deque((True,))

    def claim(self) -> bool:
        """Whether the caller, as the first who asks, is to report it."""
        with suppress(IndexError):
            return self._unclaimed.pop()
        return False


class ThreadedBatch(WideBatch):
    """Executes a batch whose function is a plain one."""

    def __init__(
        self,
        execution: Execution,
        code: BlockCode,
        reports: SideReports,
        context: Context,
        *,
        threads: Threads,
        interrupts: Interrupts,
        on_stuck: Callable[[int], None],
    ) -> None:
        """`interrupts` of the threads, which interrupt none; `on_stuck` is called on the loop with 1 when one of its
        threads is stuck, and with -1 when it comes back."""
        super().__init__(execution, code, reports, context)
        self._threads = threads
        self._interrupts = interrupts
        self._on_stuck = on_stuck
        self._reading = threading.RLock()
        """Held while records are read: what reads them is made for one thread, and may call code of the user."""

    async def _run(self, position: int) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        caller = Caller(self.execution.inputs, position, self._read)
        attempt = _Attempt(time.time(), loop.create_future(), caller)
        set_speaker(attempt.caller)
        try:
            self._threads.start(partial(copy_context().run, self._execute, position, attempt, loop))
        except RuntimeError as error:  # the system has no thread left
            self._tell(position, Outcome.FAILED, attempt.started, error)
            self._over(position)
            return
        try:
            await asyncio.wait((attempt.finished,), timeout=self.execution.task.timeout)
            if not attempt.finished.done():
                await self._give_up(position, attempt, Overdue())
        except asyncio.CancelledError:
            await self._give_up(position, attempt, Cancelled())
        self._over(position)

    async def _give_up(self, position: int, attempt: _Attempt, reason: Overdue | Cancelled) -> None:
        """A run is not waited for any longer, unless its thread is just telling what came of it."""
        import asyncio

        awaited = attempt.finished
        if attempt.claim():
            if attempt.caller.give_up(reason):
                with suppress(asyncio.CancelledError):  # it stops as fast as it can
                    await asyncio.wait((awaited,), timeout=_STOPPING)
            if not awaited.done():
                self._on_stuck(1)
                awaited.add_done_callback(lambda _finished: self._on_stuck(-1))
            awaited = self._on_thread(partial(self._end, attempt.call, position, attempt.started, reason))
        while not awaited.done():
            with suppress(asyncio.CancelledError):  # it is given up as it is
                await asyncio.wait((awaited,))

    def _on_thread(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Does some work of the user's, for which the loop is not to wait; resolved when it is done."""
        import asyncio

        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def do() -> None:
            work()
            _resolve(loop, done)

        try:
            self._threads.start(partial(copy_context().run, do))
        except RuntimeError:  # the system has no thread left
            do()
        return done

    def _execute(self, position: int, attempt: _Attempt, loop: asyncio.AbstractEventLoop) -> None:
        """The thread's part."""
        mine = False
        try:
            call = attempt.call = self._make_call(position)
            outcome, output = self._interrupts.limited(None, partial(judged, self.execution.task, call))
            call.check_time()
            mine = attempt.claim()
            if mine and output is not None:
                call.succeed(output)
            if mine:
                self._complete(position, output, outcome, attempt.started)
        except BaseException as error:  # sys.exit and the like end the child, never the worker
            if mine or attempt.claim():
                self._end(attempt.call, position, attempt.started, error)
        _resolve(loop, attempt.finished)

    def _end(self, call: Call | None, position: int, started: float, error: BaseException) -> None:
        """A run ended without output; its callbacks are called."""
        outcome, reason = self._ending(error)
        if call is not None:
            stepped(tell_end(call, reason))
        self._tell(position, outcome, started, reason)

    def _make_call(self, position: int) -> Call:
        call = self._read(partial(self.execution.make_call, self.code, position))
        call.keywords, call.name = partial(self._read, call.keywords), partial(self._read, call.name)
        return call

    def _read(self, read: Callable[[], _T]) -> _T:
        timeout = self.execution.task.timeout
        if not self._reading.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError("the records of its inputs are being read by a run that does not come back")
        try:
            return read()
        finally:
            self._reading.release()


def _resolve(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    """From a thread: a future of the loop is done, unless somebody has given it up."""

    def resolve() -> None:
        if not done.done():
            done.set_result(None)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(resolve)
