"""Running one block alone, on what its upstreams left: `refold run --block-uuid`.

It is a run like any other, with one block run in it: its output is stored, and the next block that is tried alone finds
it. The items that it stands at are copied into it, and its options say what they are called (`items`), so that it stays
readable when the runs that it drew on are deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from refold.api.kept_variables import KeptVariables
from refold.api.origins import Origins, OriginSearch
from refold.api.positions import Position
from refold.api.reading import COMPLETED, RunReader
from refold.api.run_setup import PreparedPipeline, make_context, make_task, source_of
from refold.api.running import RunOptions, cancelled_by_ctrl_c, new_run_id
from refold.api.snapshot import PlanSnapshot
from refold.api.wiring import ExecutorKind, open_outputs, open_project_store
from refold.engine.ownership import this_process
from refold.engine.pipeline_run import LEASE_SECONDS
from refold.engine.places import Chunks
from refold.errors import BadInputError, BlockError, StoreError
from refold.executors.capture import LogLine
from refold.executors.failures import failure_of
from refold.executors.inline import InlineExecutor
from refold.languages.event_loops import outside_loop
from refold.languages.support import require_support
from refold.model.block import STRATEGIES, Block, BlockType, JsonValue
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, encode_key
from refold.model.pipeline import Pipeline
from refold.ports.clock import SystemClock
from refold.ports.executor import BlockTask, Failure, Finished, Produced, Report, RunContext, Source
from refold.ports.output_store import ChunkBuilder, ChunkRef, Item
from refold.ports.run_store import (
    BlockRunRow,
    ChunkRow,
    FailureRow,
    ItemsRow,
    Lease,
    NewRun,
    RunStatus,
    RunStore,
    WriteBatch,
)
from refold.scheduler.events import Outcome
from refold.scheduler.planning import make_plan
from refold.scheduler.status import Status

_ENDS: Mapping[Outcome, tuple[Status, RunStatus]] = {
    Outcome.COMPLETED: (Status.COMPLETED, RunStatus.COMPLETED),
    Outcome.COMPLETED_FALSE: (Status.COMPLETED_FALSE, RunStatus.COMPLETED),
    Outcome.CONDITION_FAILED: (Status.CONDITION_FAILED, RunStatus.COMPLETED),
    Outcome.CANCELLED: (Status.CANCELLED, RunStatus.CANCELLED),
}
"""What becomes of the block run and of the pipeline run; every other outcome is a failure of both."""
_FAILED = (Status.FAILED, RunStatus.FAILED)


@dataclass(frozen=True, slots=True)
class SingleBlockResult:
    """How one block alone ended."""

    block_run_uuid: BlockRunUuid
    value: object
    """What it returned; of a dynamic block, the list of its items. None unless it completed."""
    shown: object
    """The value as people see it: the one output of a dynamic child is unwrapped, `[x]` shows `x`."""
    run_id: RunId
    status: str
    """`completed`, `failed`, `condition_failed` or `cancelled`."""
    failure: Failure | None
    """Why it failed: `.error` is one line, `.traceback` the whole story."""
    printed: Sequence[LogLine]
    """What it printed and logged, by time."""


def run_block(
    pipeline: Pipeline,
    block_uuid: str,
    child: str | None = None,
    variables: Mapping[str, JsonValue] | None = None,
    run_tests: bool = True,
) -> SingleBlockResult:
    """Runs one block of a pipeline in this process, once, and without retries; stored as a run of its own.

    Its inputs are the newest that its upstreams have left. A block with items runs on one: the first, or `child`, such
    as `for_user_2` or `0:1`. Over a reducing edge it gets what the newest run has. A sensor is asked once.

    Raises BadInputError when it cannot be run: then nothing was started and nothing written. A block that fails raises
    nothing: the result says so.
    """
    prepared = prepare_block(pipeline, block_uuid)
    number = len(prepared.blocks) - 1
    uuid = prepared.blocks[number].uuid
    options = RunOptions(dict(variables or {}), run_tests, ExecutorKind.INLINE)
    plan = PlanSnapshot(prepared.snapshot(options.variables), f"pipeline `{pipeline.uuid}`")
    search = OriginSearch(pipeline, plan, plan[uuid])
    store = open_project_store(pipeline.project)
    try:
        found = search.find(child)
        execution = _begin(store, prepared, uuid, found, options)
        execution.drive(number)
        return _result(RunReader(pipeline.project, store.get(execution.context.run), store), uuid, execution)
    finally:
        search.close()
        store.close()


def prepare_block(pipeline: Pipeline, uuid: str) -> PreparedPipeline:
    """The block, as the last one, and all that is upstream of it; only files that it runs with are read.

    Raises BadInputError.
    """
    block = pipeline.block(uuid)
    if block.uuid not in pipeline.order:
        attached = block.type in {BlockType.CALLBACK, BlockType.CONDITIONAL}
        raise BadInputError(
            f"`{uuid}` is a {block.type.value.replace('_', ' ')} and cannot run alone",
            where=f"pipeline `{pipeline.uuid}`",
            fix=f"Run a block that it is attached to: {', '.join(block.upstream_blocks)}." if attached else None,
        )
    wanted: set[BlockUuid] = {block.uuid}
    for each in reversed(pipeline.running_blocks):
        if each.uuid in wanted:
            wanted.update(each.upstream_blocks)
    sources: dict[BlockUuid, Source] = {}
    folding = (each for each in map(pipeline.block, block.upstream_blocks) if _folds_with_its_file(each))
    attached_blocks = map(pipeline.block, (*block.conditionals, *block.callbacks))
    for needed in (block, *attached_blocks, *folding):
        require_support(needed)
        if not needed.file.is_file():
            raise BadInputError(
                f"the file of block `{needed.uuid}` is missing: {needed.file}",
                fix="Create it, or name the right one in `configuration.file_source.path`.",
            )
        sources[needed.uuid] = source_of(needed)
    ancestors = [each for each in pipeline.running_blocks if each.uuid in wanted and each.uuid != block.uuid]
    blocks = [*ancestors, block]
    # What is tolerated is said of blocks that may not be among these, and nothing is judged here.
    judged = [replace(each, dynamic=replace(each.dynamic, tolerance=None)) for each in blocks]
    return PreparedPipeline(pipeline, make_plan(judged), sources, blocks)


@dataclass(slots=True)
class _Execution:
    """The one block run, from its row's creation to its end."""

    store: RunStore
    lease: Lease
    context: RunContext
    task: BlockTask
    origins: Origins
    chunks: Chunks = field(default_factory=Chunks)
    rows: WriteBatch = field(default_factory=WriteBatch)
    failure: Failure | None = None

    def drive(self, number: int) -> None:
        """Executes the block run and stores what it comes to. Raises StoreError when that cannot be stored."""
        ended = False
        try:
            self._copy_items()
            executor = InlineExecutor(open_outputs)
            executor.open_run(self.context, (self.task,))
            try:
                executor.submit(self.origins.inputs.batch(self.context.run, number))
                with cancelled_by_ctrl_c(executor.interrupt):
                    reports = outside_loop(lambda: executor.wait(0.0))
            finally:
                executor.close_run(self.context.run)
            self._finish(reports)
            ended = True
        finally:
            if not ended:
                with contextlib.suppress(StoreError):
                    self.store.finish(self.lease, WriteBatch(), RunStatus.FAILED, SystemClock().now())

    @property
    def key(self) -> Key:
        """The block run's key."""
        return self.origins.inputs.key

    def _copy_items(self) -> None:
        """Puts the items that the run stands at into its own folder."""
        outputs = open_outputs(self.context)
        try:
            for number, (position, item) in enumerate(self.origins.items):
                if item is not None:
                    self._copy_item(outputs.builder(f"items-{number}"), position, item)
        finally:
            outputs.close()

    def _copy_item(self, builder: ChunkBuilder, position: Position, item: Item) -> None:
        builder.add_item(item)
        named, fingerprints = builder.named(), builder.fingerprints()
        chunk = self._chunk(builder.publish())
        row = ItemsRow(
            position.block, encode_key(position.giver), position.item, 1, chunk, 0, named, fingerprints
        )  # fmt: skip
        if not any(known[:3] == row[:3] for known in self.rows.items):
            self.rows.items.append(row)

    def _chunk(self, ref: ChunkRef) -> int:
        number, new = self.chunks.add(ref)
        if new:
            self.rows.chunks.append(ChunkRow(number, *ref))
        return number

    def _finish(self, reports: Sequence[Report]) -> None:
        now = SystemClock().now()
        status, run_status = _FAILED
        times: tuple[float, float] = (now, now)
        place: tuple[int, int] | None = None
        for report in reports:
            if isinstance(report, Produced):
                self.rows.items.append(self._items_row(report))
            elif isinstance(report, Finished):
                outcome = Outcome(report.outcomes[0])
                status, run_status = _ENDS.get(outcome, _FAILED)
                self.failure = _not_yet() if outcome is Outcome.NOT_YET else report.failures.get(0)
                if report.started:
                    times = (report.started[0], report.ended[0])
                place = None if report.chunk is None else (self._chunk(report.chunk), 0)
        block, key = self.task.block, encode_key(self.key)
        self.rows.rows.append(BlockRunRow(block, key, status, 1, *times, *(place or (None, None))))
        if self.failure is not None:
            why = self.failure
            self.rows.failures.append(FailureRow(block, key, why.error, why.group, why.traceback))
        self.rows.summary = {"blocks": {block: _counts(status)}}
        self.store.finish(self.lease, self.rows, run_status, now)

    def _items_row(self, report: Produced) -> ItemsRow:
        return ItemsRow(
            self.task.block,
            encode_key(self.key),
            report.start,
            report.length,
            self._chunk(report.chunk),
            report.first,
            report.named,
            report.fingerprints,
        )


def _begin(
    store: RunStore, prepared: PreparedPipeline, block: BlockUuid, origins: Origins, options: RunOptions
) -> _Execution:
    """Stores the run as begun."""
    clock = SystemClock()
    run, now = new_run_id(clock), clock.now()
    pipeline = prepared.pipeline
    items: list[JsonValue] = [position.as_json() for position, _ in origins.items]
    asked: dict[str, JsonValue] = {**options.as_json(), "block": block, "items": items}
    kept = KeptVariables.of(pipeline.project.path, options.variables)
    asked |= kept.as_options()
    blocks = prepared.snapshot(options.variables)
    store.create(NewRun(run, str(pipeline.project.path), pipeline.uuid, now, kept.variables, asked, blocks))
    lease = store.acquire(run, this_process(), now, LEASE_SECONDS)
    return _Execution(
        store=store,
        lease=lease,
        context=make_context(prepared, run, options.variables, now, options.run_tests),
        task=make_task(prepared, len(prepared.blocks) - 1, run),
        origins=origins,
    )


def _folds_with_its_file(block: Block) -> bool:
    """Whether a fold over the block calls a function of its file."""
    return block.dynamic.reduction.strategy not in STRATEGIES


def _result(reader: RunReader, block: BlockUuid, execution: _Execution) -> SingleBlockResult:
    uuid = reader.labels.uuid(block, execution.key)
    row = reader.store.block_run(reader.record.id, block, encode_key(execution.key))
    status = Status.FAILED if row is None else Status(row.status)
    value = reader.output(uuid) if status in COMPLETED else None
    shown = unwrapped(value, execution.task)
    printed = list(reader.logs())
    reader.outputs.close()
    return SingleBlockResult(uuid, value, shown, reader.record.id, status.word, execution.failure, printed)


def unwrapped(value: object, task: BlockTask) -> object:
    """What a block returned as people see it: the one output of a dynamic child is unwrapped, `[x]` shows `x`."""
    if task.axes and not task.dynamic and isinstance(value, list | tuple) and len(value) == 1:
        return value[0]
    return value


def _counts(status: Status) -> JsonValue:
    words = ("completed", "failed", "upstream_failed", "condition_failed", "cancelled")
    return {"total": 1, "total_final": True, **{word: int(status.word == word) for word in words}}


def _not_yet() -> Failure:
    return failure_of(BlockError("the sensor says: not yet", fix="In a pipeline's run it is asked again."))
