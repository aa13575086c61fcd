"""Runs of an `async def` block: many at once, on one loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Coroutine
from contextlib import nullcontext
from contextvars import Context
from typing import TYPE_CHECKING, cast

from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode
from refold.executors.caller import Caller
from refold.executors.capture import set_speaker
from refold.executors.execution import Execution
from refold.executors.interrupts import Cancelled, Overdue
from refold.executors.judging import CONDITION_FAILED, Judged, judge_in_steps, refuse_generator
from refold.executors.side_reports import SideReports
from refold.executors.wide_batch import WideBatch, tell_end
from refold.languages.arguments import bind
from refold.languages.event_loops import stepped_here
from refold.ports.output_store import Output
from refold.scheduler.events import Outcome

if TYPE_CHECKING:
    import asyncio

_NO_KEYWORDS: dict[str, object] = {}


class AsyncBatch(WideBatch):
    """Executes a batch whose function is a coroutine function."""

    def __init__(self, execution: Execution, code: BlockCode, reports: SideReports, context: Context) -> None:
        import asyncio

        super().__init__(execution, code, reports, context)
        self._interruptions = (asyncio.CancelledError, Cancelled)
        self._function, self._signature = code.main.function, code.main.signature
        self._mage_outputs = execution.run.context.mage_outputs
        self._inputs = execution.inputs
        self._arguments = execution.inputs.arguments
        self._bare = code.plain and execution.on_begin is None

    def _run(self, position: int) -> Coroutine[object, object, None]:
        return self._run_bare(position) if self._bare else self._run_call(position)

    async def _run_bare(self, position: int) -> None:
        """A run that is nothing but a call: tens of thousands may be under way, so there is little of it."""
        started = time.time()
        try:
            set_speaker(Caller(self._inputs, position))
            arguments, _ = bind(self._signature, self._arguments(position), _NO_KEYWORDS, self._mage_outputs)
            returned = await cast("Awaitable[object]", self._function(*arguments))
            refuse_generator(returned)
            self._complete(position, Output.of(returned), Outcome.COMPLETED, started)
        except BaseException as error:  # sys.exit and the like end the child, never the worker
            outcome, reason = self._ending(error)
            self._tell(position, outcome, started, reason)
        self._over(position)

    async def _run_call(self, position: int) -> None:
        """A run with all that may come with it."""
        import asyncio

        started = time.time()
        call: Call | None = None
        limit: asyncio.Timeout | None = None
        try:
            set_speaker(Caller(self._inputs, position))
            call = self.execution.make_call(self.code, position)
            async with nullcontext() if call.deadline is None else asyncio.timeout(call.time_left()) as limit:
                outcome, output = await self._judged(call)
            call.check_time()
            if output is not None:
                await stepped_here(call.tell_success(output))
            self._complete(position, output, outcome, started)
        except BaseException as error:
            late = limit is not None and limit.expired() and isinstance(error, TimeoutError)
            await self._end(call, position, started, Overdue() if late else error)
        self._over(position)

    async def _judged(self, call: Call) -> Judged:
        """All that is called for a run."""
        if self.code.conditions and not await stepped_here(call.ask_conditions()):
            return CONDITION_FAILED
        returned = await cast("Awaitable[object]", call.main())
        return await stepped_here(judge_in_steps(self.execution.task, call, returned))

    async def _end(self, call: Call | None, position: int, started: float, error: BaseException) -> None:
        """A run ended without output; its callbacks are called."""
        outcome, reason = self._ending(error)
        if call is not None:
            await stepped_here(tell_end(call, reason))
        self._tell(position, outcome, started, reason)
