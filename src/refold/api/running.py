"""Running and retrying pipelines: what `refold run`, `refold retry` and `Pipeline.execute` do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import FrameType

from refold.api.kept_variables import KeptVariables
from refold.api.labels import RunLabels
from refold.api.retry_record import RetryRequest, write_retry_record
from refold.api.run_setup import (
    PreparedPipeline,
    changed_blocks,
    make_context,
    make_retry_setup,
    make_setup,
    prepare,
)
from refold.api.snapshot import PlanSnapshot
from refold.api.wiring import ExecutorKind, make_executor, make_run_folder, open_outputs, open_project_store
from refold.engine.engine import Engine, Observer
from refold.engine.ownership import is_alive, this_process
from refold.engine.pipeline_run import LEASE_SECONDS, RunSetup
from refold.errors import BadInputError, LeaseError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, Key, RunId
from refold.model.pipeline import Pipeline
from refold.ports.clock import Clock, SystemClock
from refold.ports.run_store import Control, NewRun, Owner, RunRecord, RunStatus, RunStore, WriteBatch


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a pipeline is to be run."""

    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    """Over the pipeline's own."""
    run_tests: bool = True
    executor: ExecutorKind = ExecutorKind.AUTO
    workers: int | None = None
    """Most worker processes; None for one a core."""
    run_sensors: bool = True
    """False: sensors are not asked, and count as saying yes."""

    def as_json(self) -> dict[str, JsonValue]:
        """What a retry takes over."""
        return {
            "run_tests": self.run_tests,
            "run_sensors": self.run_sensors,
            "executor": self.executor.value,
            "workers": self.workers,
        }

    @classmethod
    def of(cls, record: RunRecord) -> RunOptions:
        """The options that a run was started with. Raises BadInputError where a secret among them is not there."""
        workers = record.options.get("workers")
        return cls(
            KeptVariables.in_record(record).given(),
            record.options.get("run_tests") is not False,
            ExecutorKind(str(record.options.get("executor", "auto"))),
            workers if isinstance(workers, int) else None,
            record.options.get("run_sensors") is not False,
        )


def new_run_id(clock: Clock) -> RunId:
    """A run id: the moment in UTC and a random part; sorts by time."""
    moment = datetime.fromtimestamp(clock.now(), UTC)
    return RunId(f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}{os.urandom(2).hex()}")


def run_pipeline(pipeline: Pipeline, options: RunOptions | None = None, observer: Observer | None = None) -> RunRecord:
    """Runs a pipeline to its end; the run as stored.

    Raises BadInputError when it cannot be run: then nothing was started and nothing written. Raises StoreError when
    what it comes to cannot be stored: then it can be retried, unless that was known before it began.
    """
    options = options or RunOptions()
    prepared = prepare(pipeline)
    clock = SystemClock()
    store = open_project_store(pipeline.project)
    try:
        run = new_run_id(clock)
        now = clock.now()
        project, blocks = str(pipeline.project.path), prepared.snapshot(options.variables)
        kept = KeptVariables.of(pipeline.project.path, options.variables)
        asked = {**options.as_json(), **kept.as_options()}
        new = NewRun(run, project, pipeline.uuid, now, kept.variables, asked, blocks)
        context = make_context(prepared, run, options.variables, now, options.run_tests, options.run_sensors)
        make_run_folder(context)
        return drive_run(store, prepared, make_setup(prepared, context), options, clock, observer, new)
    finally:
        store.close()


def retry_run(
    pipeline: Pipeline,
    record: RunRecord,
    store: RunStore,
    from_block: str | None,
    observer: Observer | None = None,
    block_runs: Sequence[tuple[BlockUuid, Key]] = (),
) -> RunRecord:
    """Runs what is incomplete of a run, or all from a block on, or some block runs and what descends from them; the
    run as stored.

    A completed run of which nothing failed is left as it is, unless a block or a block run is named. Raises
    BadInputError while an engine drives it and for a run of one block alone, NotFoundError for an unknown block, else
    as `run_pipeline`.
    """
    alone = record.options.get("block")
    if alone is not None:
        raise BadInputError(
            f"run {record.id} ran the block `{alone}` alone, and cannot be retried",
            fix=f"Run it again: refold run {pipeline.project.path} {pipeline.uuid} --block-uuid {alone}",
        )
    named_none = from_block is None and not block_runs
    if record.status is RunStatus.COMPLETED and named_none and not _has_failures(record):
        return record
    if _is_driven(store, record):
        raise BadInputError(
            f"run {record.id} is under way",
            fix=f"Wait until it is over, or stop it: refold cancel {record.id}",
        )
    prepared = prepare(pipeline)
    options = RunOptions.of(record)
    context = make_context(
        prepared, record.id, options.variables, record.created_at, options.run_tests, options.run_sensors
    )
    setup = make_retry_setup(prepared, context, store, record, from_block, block_runs)
    labels = RunLabels(record.id, PlanSnapshot.of(record), store, open_outputs(context))
    named = tuple(labels.uuid(*each) for each in block_runs)
    request = RetryRequest(from_block, named, tuple(sorted(changed_blocks(prepared, record))))
    write_retry_record(context.run_folder, record, store, labels, request)
    return drive_run(store, prepared, setup, options, SystemClock(), observer)


def _has_failures(record: RunRecord) -> bool:
    """Whether some block run did not complete: a run may complete all the same, where that is tolerated."""
    blocks = record.summary.get("blocks")
    counts = [each for each in blocks.values() if isinstance(each, dict)] if isinstance(blocks, dict) else []
    return any(each.get(status) for each in counts for status in ("failed", "upstream_failed", "cancelled"))


def release_dead(store: RunStore, record: RunRecord) -> bool:
    """Gives back the lease of an engine that is gone; whether the run is free now.

    An engine on another host is believed until its lease runs out.
    """
    if record.owner is None:
        return True
    if is_alive(Owner.parse(record.owner)) is False:
        store.steal(record.id, record.owner)
        return True
    return False


def _is_driven(store: RunStore, record: RunRecord) -> bool:
    """Whether an engine has the run: one that is alive on this host has it whatever the clock says of its lease."""
    if record.owner is None or release_dead(store, record):
        return False
    return is_alive(Owner.parse(record.owner)) is True or (record.lease_expires_at or 0.0) > SystemClock().now()


def is_interrupted(record: RunRecord, now: float) -> bool:
    """Whether a run that is not over has lost its engine."""
    if record.status.ended:
        return False
    if record.owner is None:
        return record.started_at is not None
    alive = is_alive(Owner.parse(record.owner))
    return alive is False or (alive is None and (record.lease_expires_at or 0.0) < now)


def request_cancel(store: RunStore, record: RunRecord) -> bool:
    """Stops a run: an engine that drives it is asked to; without one it is cancelled here and now.

    Whether it is cancelled already: otherwise its engine will see to it. Raises BadInputError when the run is over,
    LeaseError when an engine takes it up at this moment.
    """
    if record.status.ended:
        raise BadInputError(f"the run is over: {record.status}", where=f"run {record.id}")
    now = SystemClock().now()
    if record.owner is not None and not is_interrupted(record, now):
        store.request(record.id, Control.CANCEL, now)
        return False
    release_dead(store, record)
    lease = store.acquire(record.id, this_process(), now, LEASE_SECONDS)
    store.finish(lease, WriteBatch(), RunStatus.CANCELLED, now)
    return True


def drive_run(
    store: RunStore,
    prepared: PreparedPipeline,
    setup: RunSetup,
    options: RunOptions,
    clock: Clock,
    observer: Observer | None,
    new: NewRun | None = None,
) -> RunRecord:
    """Drives a run to its end; `new`: it is not in the store yet."""
    pool = prepared.pipeline.pool
    pool = pool if options.workers is None else replace(pool, maximum=options.workers)
    executor = make_executor(options.executor, prepared.plan, pool)
    engine = Engine(store, executor, clock, this_process(), observer)
    asked = False

    def cancel() -> None:
        nonlocal asked
        asked = True
        engine.cancel_all()
        executor.interrupt()

    with cancelled_by_ctrl_c(cancel, executor.kill):
        try:
            if new is not None:
                store.create(new)
            run = engine.add(setup)
            if observer is not None:
                observer(run)  # so that it knows the run before a block in this process keeps the engine busy
            if asked:
                run.cancel()
            engine.drive()
        finally:
            executor.close()
    return store.get(setup.context.run)


def _nothing() -> None:
    """There is nothing to do."""


@contextmanager
def cancelled_by_ctrl_c(cancel: Callable[[], None], die: Callable[[], None] = _nothing) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal (SIGHUP, unless `nohup` ignores it) call `cancel`.

    A second Ctrl-C or SIGTERM calls `die` and ends this process. In the main thread alone; processes that a block forks
    end of the first one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()
    asked: set[int] = set()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number in asked:
            die()
            os._exit(128 + number)
        if number != signal.SIGHUP:  # a terminal may say more than once that it is gone
            asked.add(number)
        cancel()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # else not Python's: it cannot be given back
                signal.signal(number, handler)


__all__ = ["LeaseError", "RunOptions", "is_interrupted", "release_dead", "request_cancel", "retry_run", "run_pipeline"]
