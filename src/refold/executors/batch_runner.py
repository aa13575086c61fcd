"""Executes batches in this process, one child after the other: what the inline executor and a worker share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from refold.errors import BlockTimeoutError, RefoldError, StoreError
from refold.executors.bare_runs import BareRuns
from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode, make_importable
from refold.executors.caller import Caller
from refold.executors.capture import Capture, LogWriter, execute_child
from refold.executors.cursor import FOLDING, IDLE, LOADING, PutCursor
from refold.executors.execution import Execution
from refold.executors.failures import CANCELLED_FOLD, failure_of
from refold.executors.folds import Folds
from refold.executors.interrupts import Cancelled, Interrupts, Overdue
from refold.executors.judging import judged
from refold.executors.open_run import OpenRun
from refold.executors.production import Production
from refold.executors.reporter import Reporter
from refold.executors.wide_batches import Pulse, WideBatches
from refold.languages.project_context import set_repo_path
from refold.languages.python.block_function import CallbackStatus
from refold.languages.unfolding import unfold
from refold.model.keys import RunId, block_run_uuid
from refold.ports.executor import Batch, BlockTask, FoldBatch, RunContext
from refold.ports.output_store import ChunkRef, Output, OutputStore
from refold.scheduler.events import Outcome

OpenStore = Callable[[RunContext], OutputStore]

_LOG = logging.getLogger("refold.blocks")


class BatchRunner:
    """Executes the batches that it is given. `pull`, `recall` and `cancel` may be called from another thread."""

    def __init__(
        self,
        name: str,
        open_store: OpenStore,
        reporter: Reporter,
        interrupts: Interrupts,
        put_cursor: PutCursor,
        aside: Pulse | None = None,
        on_worn: Callable[[], None] | None = None,
        on_rest: Callable[[], None] | None = None,
    ) -> None:
        """`aside` and `on_worn` as in `WideBatches`; `on_rest`: what was under way beside the main thread is over."""
        self.capture = Capture()
        self._name = name
        self._open_store = open_store
        self._reporter = reporter
        self._interrupts = interrupts
        self._put_cursor = put_cursor
        self._on_rest = on_rest
        self._runs: dict[RunId, OpenRun] = {}
        self._executions: dict[int, Execution] = {}
        self._wide = WideBatches(reporter, self._published, self._forget, put_cursor, aside, on_worn)
        self._current: RunId | None = None
        """The pipeline run of which something is being executed."""

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
            self._wide.forget(run)
            opened.close()

    def flush_wide(self) -> None:
        """Publishes what is known of runs that are over, of batches of which many are under way at once."""
        self._wide.flush()

    def waits_for(self, batch: int) -> bool:
        """Whether the main thread does nothing but wait for a batch on the loop."""
        return self._wide.waits_for(batch)

    @property
    def is_busy_aside(self) -> bool:
        """Whether runs are under way beside what the main thread does."""
        return self._wide.is_busy_aside

    def close(self) -> None:
        """Lets go of what it has begun in this process."""
        self._wide.close()

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for a run; what has not begun is reported as cancelled."""
        opened = self._runs.get(run)
        if opened is not None:
            opened.cancelled = True
            if self._current == run:
                self._interrupts.cancel()
            self._wide.cancel(run)

    def interrupt(self) -> None:
        """The same for the run that is being executed."""
        if self._current is not None:
            self.cancel(self._current)

    def recall(self, batch: int) -> Sequence[int]:
        """Takes back what has not begun of a batch; its positions, which the caller reports."""
        execution = self._executions.get(batch)
        return range(0) if execution is None else execution.take_back()

    def pull(self, batch: int, position: int, items: int, size: int) -> bool:
        """Lets a producer give more; whether it was paused, and is to be resumed now."""
        with self._reporter.lock:
            execution = self._executions.get(batch)
            if execution is None or position not in execution.producing:
                return False
            production = execution.producing[position][0]
            production.pulls += 1
            paused, production.paused = production.paused, False
            production.pull(items, size, anew=paused)
            return paused

    def drop_cached(self) -> None:
        """Lets go of outputs that were read and may be wanted again."""
        for opened in self._runs.values():
            opened.store.drop_cached()

    def run(self, batch: Batch, positions: Sequence[int] | None = None) -> None:
        """Executes a batch, or some runs of it; all of them are reported afterwards, but for paused generators."""
        opened = self._runs[batch.run]
        task = opened.tasks[batch.block]
        wide = batch.width > 1 and not task.dynamic
        execution = Execution.of(batch, opened, self._interrupts, positions)
        if task.tells_begun:
            execution.on_begin = partial(self._reporter.begun, batch.id)
        self._executions[batch.id] = execution
        self._enter(execution)
        self._put_cursor(batch.id, LOADING, time.monotonic())
        code = opened.code(task)
        if isinstance(code, RefoldError):
            self._fail_all(execution, code)
        elif wide or (code.main.is_async and not task.dynamic):
            self._put_cursor(batch.id, IDLE, 0.0)
            self._wide.take(execution, code, wait=not wide)
        elif code.bare and positions is None and not task.tells_begun:
            self._run_bare(execution, code)
        else:
            self._run_each(execution, code)
        self._leave(execution)

    def resume(self, batch: int, position: int) -> None:
        """Goes on with a generator that was paused."""
        execution = self._executions[batch]
        self._enter(execution)
        production, call = execution.producing[position]
        execution.call = call
        self._attempt(execution, position, partial(self._produce, execution, production, call))
        self._leave(execution)

    def drop_paused(self, run: RunId) -> None:
        """A run was cancelled: its paused generators are closed and reported."""
        for execution in tuple(self._executions.values()):
            if execution.batch.run != run:
                continue
            self._enter(execution)
            for position, (production, call) in tuple(execution.producing.items()):
                if production.paused:
                    execution.call = call
                    self._attempt(execution, position, _cancel)
            self._leave(execution)

    def fold(self, batch: FoldBatch) -> None:
        """Folds ahead of who will read; told of at once, whatever it comes to."""
        opened = self._runs[batch.run]
        task = opened.tasks[batch.block]
        assert task.folds_own is not None
        self._reporter.flush()
        self._enter_run(opened)
        self._put_cursor(batch.id, FOLDING, time.monotonic())
        execute_child(partial(block_run_uuid, task.block), self.capture)
        try:
            folded = Folds(opened, self._interrupts).ahead(batch, task.folds_own)
            self._reporter.folded(batch.id, opened, folded)
        except Cancelled:
            self._reporter.not_folded(batch.id, opened, CANCELLED_FOLD)
        except BaseException as error:  # sys.exit of what is read or folded ends the fold, never the worker
            self._reporter.not_folded(batch.id, opened, failure_of(error))
        self._leave_run(opened, batch.id)

    def _enter_run(self, opened: OpenRun) -> None:
        self._current = opened.context.run
        self.capture.log = opened.log
        set_repo_path(opened.context.project)

    def _leave_run(self, opened: OpenRun, batch: int) -> None:
        self._current = None
        execute_child(None, self.capture)
        self._put_cursor(batch, IDLE, 0.0)
        opened.log.flush()

    def _enter(self, execution: Execution) -> None:
        self._enter_run(execution.run)
        self._reporter.begin(execution.batch, execution.run, partial(self._published, execution))

    def _leave(self, execution: Execution) -> None:
        if not execution.producing and not execution.aside:
            self._forget(execution)
        self._leave_run(execution.run, execution.batch.id)

    def _forget(self, execution: Execution) -> None:
        self._executions.pop(execution.batch.id, None)
        if execution.aside and self._on_rest is not None and not self._wide.is_busy_aside:
            self._on_rest()

    def _fail_all(self, execution: Execution, error: RefoldError) -> None:
        now, failure = time.time(), failure_of(error)
        for position in execution.remaining:
            self._reporter.ended(position, Outcome.FAILED, now, now, failure)

    def _run_each(self, execution: Execution, code: BlockCode) -> None:
        run_one = self._begin_production if execution.task.dynamic else self._run_one
        while not execution.run.cancelled and (position := execution.next_position()) is not None:
            execution.call = None
            self._attempt(execution, position, partial(run_one, execution, code, position))
        self._reporter.handed_back(execution.take_back(), Outcome.CANCELLED)

    def _run_bare(self, execution: Execution, code: BlockCode) -> None:
        execute_child(Caller(execution.inputs), self.capture)
        unbegun = BareRuns(execution, code, self._reporter, self._interrupts, self._fail).run(self._put_cursor)
        self._reporter.handed_back(unbegun, Outcome.CANCELLED)

    def _attempt(self, execution: Execution, position: int, work: Callable[[], None]) -> None:
        """Does the work of one run; what it raises ends the run, never the worker: `sys.exit` included."""
        started = time.time()
        self._put_cursor(execution.batch.id, position, time.monotonic())
        execute_child(Caller(execution.inputs, position), self.capture)
        try:
            work()
        except BaseException as error:
            self._fail(execution, position, error, started)

    def _fail(self, execution: Execution, position: int, error: BaseException, started: float) -> None:
        if position in execution.producing:
            _close(execution.producing.pop(position)[0])
        if isinstance(error, Overdue):
            error = BlockTimeoutError(f"ran longer than its timeout of {execution.task.timeout:g} seconds")
        cancelled = isinstance(error, Cancelled)
        failure = None if cancelled else failure_of(error)
        call, now = execution.call, time.time()
        if call is not None:
            status = CallbackStatus.CANCELLED if cancelled else CallbackStatus.FAILURE
            call.call_back(status, None, None if cancelled else error)
        outcome = Outcome.CANCELLED if failure is None else Outcome.FAILED
        if failure is not None and failure.for_good:
            outcome = Outcome.FAILED_FOR_GOOD
        self._reporter.ended(position, outcome, call.started if call is not None else started, now, failure)

    def _run_one(self, execution: Execution, code: BlockCode, position: int) -> None:
        """One run of a block that is not dynamic."""
        call = execution.make_call(code, position)
        outcome, output = self._interrupts.limited(call.time_left(), partial(judged, execution.task, call))
        if output is None:
            self._reporter.ended(position, outcome, call.started, time.time())
            return
        if code.callbacks:
            call.succeed(output)
        self._reporter.completed(position, output, outcome, call.started, time.time())

    def _begin_production(self, execution: Execution, code: BlockCode, position: int) -> None:
        """One run of a dynamic block."""
        call = execution.make_call(code, position)
        holds, returned = self._interrupts.limited(call.time_left(), partial(_returned, call))
        if not holds:
            self._reporter.ended(position, Outcome.CONDITION_FAILED, call.started, time.time())
            return
        batch = execution.batch
        production = Production(
            task=execution.task,
            position=position,
            unfolded=unfold(returned),
            known=batch.known.get(position, b""),
            scratch=execution.run.scratch_builder() if position in batch.known else None,
            interrupts=self._interrupts,
            kept=[] if code.tests or code.callbacks else None,
            credit=batch.credit,
            credit_bytes=batch.credit_bytes,
        )
        self._produce(execution, production, call)

    def _produce(self, execution: Execution, production: Production, call: Call) -> None:
        """Takes items until there are no more, or the credit is used up."""
        position = production.position
        execution.producing[position] = (production, call)
        if not production.streams:
            production.give_returned(self._reporter)
        else:
            while self._give_some(execution, production):
                if production.spent() and self._pause(production):
                    return
        self._end_production(execution, production, call)
        del execution.producing[position]
        self._reporter.completed(position, None, Outcome.COMPLETED, call.started, time.time())

    def _give_some(self, execution: Execution, production: Production) -> bool:
        """Gives some of a generator's next items; False when there are no more."""
        more = production.give_some(self._reporter, execution.run)
        if production.timeout is not None and production.seconds > production.timeout:
            raise Overdue  # the generator swallowed the one that was raised in it
        if more and execution.run.cancelled:
            raise Cancelled
        return more

    def _pause(self, production: Production) -> bool:
        """Gives the slot back, unless a pull came meanwhile."""
        with self._reporter.lock:
            if not production.spent():
                return False
            production.paused = True
            self._reporter.paused(production.position, production.pulls)
            return True

    def _end_production(self, execution: Execution, production: Production, call: Call) -> None:
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

    def _published(self, execution: Execution, chunk: ChunkRef, outputs: list[int]) -> None:
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


def _cancel() -> None:
    raise Cancelled


def _close(production: Production) -> None:
    try:
        production.close()
    except BaseException as error:  # what its `finally` raises changes nothing any more
        _LOG.error("the generator failed when it was closed: %s", failure_of(error).traceback)


def _returned(call: Call) -> tuple[bool, object]:
    """Whether the conditions hold, and then what the function of a dynamic block returns."""
    holds = not call.code.conditions or call.conditions_hold()
    return holds, call.returned() if holds else None
