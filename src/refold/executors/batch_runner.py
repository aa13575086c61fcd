"""Executes batches in this process, one child after the other: what the inline executor and a worker share."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from refold.errors import BlockError, BlockTimeoutError, RefoldError, StoreError
from refold.executors.async_batch import AsyncBatch
from refold.executors.batch_inputs import BatchInputs
from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode, make_importable
from refold.executors.capture import Capture, LogWriter, end_lines, set_speaker
from refold.executors.cursor import IDLE, MANY
from refold.executors.failures import failure_of
from refold.executors.interrupts import Cancelled, Interrupts, Overdue
from refold.executors.open_run import OpenRun
from refold.executors.production import Production
from refold.executors.reporter import Reporter
from refold.languages.arguments import spread
from refold.languages.project_context import set_repo_path
from refold.languages.python.block_function import CallbackStatus
from refold.languages.unfolding import unfold
from refold.model.block import BlockType
from refold.model.keys import RunId
from refold.ports.executor import Batch, BlockTask, RunContext
from refold.ports.output_store import ChunkRef, Output, OutputStore
from refold.scheduler.events import Outcome

OpenStore = Callable[[RunContext], OutputStore]
PutCursor = Callable[[int, int, float], None]
"""Notes which child is being executed: batch, position, since when (monotonic seconds)."""

_LOG = logging.getLogger("refold.blocks")


@dataclass(slots=True)
class _Execution:
    """A batch that is being executed; generators of it may be paused."""

    batch: Batch
    run: OpenRun
    task: BlockTask
    inputs: BatchInputs
    item_chunks: list[ChunkRef] = field(default_factory=list)
    producing: dict[int, tuple[Production, Call, float]] = field(default_factory=dict)
    """Generators that are not exhausted: with their calls, and when they began."""
    recalled: bool = False
    """Whether what has not begun is to be handed back."""

    def call(self, code: BlockCode, position: int) -> Call:
        """What is called for a run. Raises StoreError when an input cannot be read."""
        arguments = self.inputs.arguments(position)
        return Call(
            code,
            arguments,
            partial(self.inputs.keywords, position),
            partial(self.inputs.uuid, position),
            self.run.context.mage_outputs,
        )


class BatchRunner:
    """Executes the batches that it is given. `pull`, `recall` and `cancel` may be called from another thread."""

    def __init__(
        self, name: str, open_store: OpenStore, reporter: Reporter, interrupts: Interrupts, put_cursor: PutCursor
    ) -> None:
        self.capture = Capture()
        self._name = name
        self._open_store = open_store
        self._reporter = reporter
        self._interrupts = interrupts
        self._put_cursor = put_cursor
        self._runs: dict[RunId, OpenRun] = {}
        self._executions: dict[int, _Execution] = {}

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins."""
        make_importable(context.project)
        log = LogWriter(context.run_folder / "logs" / f"{self._name}.jsonl")
        known = {task.number: task for task in tasks}
        self._runs[context.run] = OpenRun(context, known, self._open_store(context), log, self._name)

    def close_run(self, run: RunId) -> None:
        """A pipeline run is over."""
        opened = self._runs.pop(run, None)
        if opened is not None:
            opened.close()

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for a run; what has not begun is reported as cancelled."""
        opened = self._runs.get(run)
        if opened is not None:
            opened.cancelled = True
            self._interrupts.cancel()
            for hook in tuple(opened.on_cancel):
                hook()

    def recall(self, batch: int) -> None:
        """Hands back what has not begun of a batch."""
        execution = self._executions.get(batch)
        if execution is not None:
            execution.recalled = True

    def pull(self, batch: int, position: int, items: int, size: int) -> bool:
        """Lets a producer give more; whether it was paused, and is to be resumed now."""
        with self._reporter.lock:
            execution = self._executions.get(batch)
            if execution is None or position not in execution.producing:
                return False
            production = execution.producing[position][0]
            production.credit += items
            production.pulls += 1
            production.credit_bytes = production.given_bytes + size
            paused, production.paused = production.paused, False
            return paused

    def run(self, batch: Batch) -> None:
        """Executes a batch; all of it is reported afterwards, but for paused generators."""
        opened = self._runs[batch.run]
        task = opened.tasks[batch.block]
        execution = _Execution(batch, opened, task, BatchInputs(opened.store, opened.context, task, batch))
        self._executions[batch.id] = execution
        self._enter(execution)
        code = opened.code(task)
        if isinstance(code, RefoldError):
            self._fail_all(batch, code)
        elif code.main.is_async and not task.dynamic:
            self._put_cursor(batch.id, MANY, time.monotonic())
            AsyncBatch(batch, opened, self._reporter, partial(execution.call, code), partial(judge, task, code)).run()
            self._put_cursor(batch.id, IDLE, 0.0)
        else:
            self._run_each(execution, code)
        self._leave(execution)

    def resume(self, batch: int, position: int) -> None:
        """Goes on with a generator that was paused."""
        execution = self._executions[batch]
        self._enter(execution)
        self._on(execution, position)
        production, call, started = execution.producing[position]
        self._conclude(execution, position, call, started, partial(self._produce, execution, production, call, started))
        self._leave(execution)

    def drop_paused(self, run: RunId) -> None:
        """A run was cancelled: its paused generators are closed and reported."""
        for execution in tuple(self._executions.values()):
            if execution.batch.run != run:
                continue
            self._enter(execution)
            for position, (production, _call, started) in tuple(execution.producing.items()):
                if production.paused:
                    production.close()
                    del execution.producing[position]
                    self._reporter.ended(position, Outcome.CANCELLED, started, time.time())
            self._leave(execution)

    def _enter(self, execution: _Execution) -> None:
        self.capture.log = execution.run.log
        set_repo_path(execution.run.context.project)
        self._reporter.begin(execution.batch, execution.run, partial(self._published, execution))

    def _leave(self, execution: _Execution) -> None:
        if not execution.producing:
            del self._executions[execution.batch.id]
        execution.run.log.flush()

    def _fail_all(self, batch: Batch, error: RefoldError) -> None:
        now, failure = time.time(), failure_of(error)
        for position in range(batch.length):
            self._reporter.ended(position, Outcome.FAILED, now, now, failure)

    def _run_each(self, execution: _Execution, code: BlockCode) -> None:
        batch, opened = execution.batch, execution.run
        for position in range(batch.length):
            if opened.cancelled or execution.recalled:
                rest = list(range(position, batch.length))
                self._reporter.handed_back(rest, Outcome.CANCELLED if opened.cancelled else Outcome.UNSTARTED)
                return
            started = time.time()
            self._on(execution, position)
            try:
                call = execution.call(code, position)
            except StoreError as error:
                self._reporter.ended(position, Outcome.FAILED, started, time.time(), failure_of(error))
                continue
            work = self._begin_production if execution.task.dynamic else self._call
            self._conclude(execution, position, call, started, partial(work, execution, position, call, started))

    def _on(self, execution: _Execution, position: int) -> None:
        self._put_cursor(execution.batch.id, position, time.monotonic())
        set_speaker(partial(execution.inputs.uuid, position))

    def _conclude(
        self, execution: _Execution, position: int, call: Call, started: float, work: Callable[[], None]
    ) -> None:
        """Does the work of one run, and reports it if it raises."""
        try:
            work()
        except Cancelled:
            self._end(execution, position, call, started, Outcome.CANCELLED, None)
        except Overdue:
            error = BlockTimeoutError(f"ran longer than its timeout of {execution.task.timeout:g} seconds")
            self._end(execution, position, call, started, Outcome.FAILED, error)
        except BaseException as error:  # sys.exit and the like end the child, never the worker
            self._end(execution, position, call, started, Outcome.FAILED, error)
        finally:
            end_lines()
            set_speaker(None)
            self._put_cursor(execution.batch.id, IDLE, 0.0)

    def _end(
        self,
        execution: _Execution,
        position: int,
        call: Call,
        started: float,
        outcome: Outcome,
        error: BaseException | None,
    ) -> None:
        execution.producing.pop(position, None)
        failure = None if error is None else failure_of(error)
        if failure is not None and failure.for_good:
            outcome = Outcome.FAILED_FOR_GOOD
        status = CallbackStatus.FAILURE if error is not None else CallbackStatus.CANCELLED
        call.call_back(status, None, error)
        self._reporter.ended(position, outcome, started, time.time(), failure)

    def _call(self, execution: _Execution, position: int, call: Call, started: float) -> None:
        """One run of a block that is not dynamic."""
        self._interrupts.enter(execution.task.timeout)
        try:
            holds = not call.code.conditions or call.conditions_hold()
            outcome, output = judge(execution.task, call.code, call, call.main()) if holds else _CONDITION_FAILED
        finally:
            self._interrupts.leave()
        self._complete(call, position, outcome, output, started)

    def _complete(self, call: Call, position: int, outcome: Outcome, output: Output | None, started: float) -> None:
        if output is None:
            self._reporter.ended(position, outcome, started, time.time())
            return
        if call.code.callbacks:
            call.call_back(CallbackStatus.SUCCESS, output, None)
        self._reporter.completed(position, output, outcome, started, time.time())

    def _begin_production(self, execution: _Execution, position: int, call: Call, started: float) -> None:
        """One run of a dynamic block."""
        self._interrupts.enter(execution.task.timeout)
        try:
            holds = not call.code.conditions or call.conditions_hold()
            returned = call.main() if holds else None
        finally:
            self._interrupts.leave()
        if not holds:
            self._reporter.ended(position, Outcome.CONDITION_FAILED, started, time.time())
            return
        batch = execution.batch
        production = Production(
            position=position,
            unfolded=unfold(returned),
            known=batch.known.get(position, b""),
            scratch=execution.run.scratch_builder() if position in batch.known else None,
            interrupts=self._interrupts,
            timeout=execution.task.timeout,
            kept=[] if call.code.tests or call.code.callbacks else None,
            credit=batch.credit,
            credit_bytes=batch.credit_bytes,
        )
        self._produce(execution, production, call, started)

    def _produce(self, execution: _Execution, production: Production, call: Call, started: float) -> None:
        position = production.position
        execution.producing[position] = (production, call, started)
        if not production.streams:
            production.give_returned(self._reporter)
        else:
            while production.give_next(self._reporter):
                if execution.run.cancelled:
                    production.close()
                    raise Cancelled
                if production.spent() and self._pause(production):
                    return
        self._end_production(execution, production, call)
        del execution.producing[position]
        self._reporter.completed(position, None, Outcome.COMPLETED, started, time.time())

    def _pause(self, production: Production) -> bool:
        """Gives the slot back, unless a pull came meanwhile."""
        with self._reporter.lock:
            if not production.spent():
                return False
            production.paused = True
            self._reporter.paused(production.position, production.pulls)
            return True

    def _end_production(self, execution: _Execution, production: Production, call: Call) -> None:
        if call.code.tests or call.code.callbacks or not execution.task.axes:
            self._reporter.flush()
        if call.code.tests:
            items, metadata = production.returned()
            call.test((items,), (metadata,) if metadata is not None else ())
        if call.code.callbacks:
            call.call_back(CallbackStatus.SUCCESS, Output.of(production.returned()[0]), None)
        if not execution.task.axes and not production.streams and not production.known:
            self._publish(
                partial(execution.run.store.publish_latest_items, execution.task.block, execution.item_chunks)
            )

    def _published(self, execution: _Execution, chunk: ChunkRef, outputs: list[int]) -> None:
        """A chunk is there for others; a static block's output becomes the latest."""
        task = execution.task
        if task.dynamic:
            execution.item_chunks.append(chunk)
        elif not task.axes and outputs:
            self._publish(partial(execution.run.store.publish_latest, task.block, chunk, 0))

    def _publish(self, publish: Callable[[], None]) -> None:
        try:
            publish()
        except StoreError as error:  # the run has its own copy: what follows is not harmed
            _LOG.warning("the visible output files could not be written: %s", error)


_CONDITION_FAILED: tuple[Outcome, Output | None] = (Outcome.CONDITION_FAILED, None)


def judge(task: BlockTask, code: BlockCode, call: Call, returned: object) -> tuple[Outcome, Output | None]:
    """What a returned value means: the outcome, and the output unless the run is not over.

    Raises TestFailedError, and BlockError for a generator of a block that is not dynamic.
    """
    if task.type is BlockType.SENSOR and not returned:
        return Outcome.NOT_YET, None
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise BlockError(
            "returned a generator, but the block is not dynamic",
            fix="Set `configuration: {dynamic: true}` to make a run of each item, or return a list.",
        )
    output = Output.of(returned)
    if code.tests:
        call.test(spread(output, task.axes > 0))
    return (Outcome.COMPLETED_FALSE if code.stops and not returned else Outcome.COMPLETED), output
