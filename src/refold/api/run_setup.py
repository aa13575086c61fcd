"""From a pipeline to a run that an engine can drive: its plan, its code as it is now, and what a retry remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refold.api.wiring import is_durable, latest_folder, open_outputs, run_folder
from refold.engine.pipeline_run import RunSetup
from refold.engine.recollection import Recollection
from refold.errors import BlockFileError, NotFoundError, PipelineError, PlanError, RefoldError
from refold.languages import require_language
from refold.languages.python.source import read_source
from refold.languages.python.source_facts import inspect_source
from refold.model.block import Block, BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, RunId
from refold.model.pipeline import Pipeline
from refold.model.requirements import requirements_for
from refold.ports.executor import BlockTask, InputKind, RunContext, Source
from refold.ports.run_store import RunRecord, RunStore
from refold.scheduler.plan import Plan
from refold.scheduler.planning import make_plan
from refold.scheduler.status import Status

_COMPLETED = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})


@dataclass(frozen=True, slots=True)
class PreparedPipeline:
    """A pipeline whose files were read and whose plan is sound: nothing has been started or written."""

    pipeline: Pipeline
    plan: Plan
    sources: Mapping[BlockUuid, Source]
    blocks: Sequence[Block] = field(default=())
    """In the plan's order."""

    @property
    def snapshot(self) -> list[Mapping[str, JsonValue]]:
        """What the run store keeps of the plan: enough to read the run when the pipeline has changed."""
        return [
            {
                "uuid": block.uuid,
                "type": block.type.value,
                "upstream_blocks": [*block.upstream_blocks],
                "axes": [self.plan.blocks[axis].uuid for axis in planned.axes],
                "dynamic": planned.dynamic,
                "reduced_upstream_blocks": [
                    self.plan.blocks[edge.upstream].uuid for edge in planned.edges if edge.reduces
                ],
            }
            for block, planned in zip(self.blocks, self.plan.blocks, strict=True)
        ]


def prepare(pipeline: Pipeline) -> PreparedPipeline:
    """Reads all that a run needs. Raises PipelineError and PlanError; nothing is written."""
    pipeline.check_files()
    _refuse_limit(pipeline)
    blocks = pipeline.running_blocks
    sources: dict[BlockUuid, Source] = {}
    asynchronous: set[BlockUuid] = set()
    for block in (*blocks, *pipeline.callbacks, *pipeline.conditionals):
        require_language(block.uuid, block.language)
        sources[block.uuid] = source_of(block)
        if _is_async(block, sources[block.uuid]):
            asynchronous.add(block.uuid)
    plan = make_plan(blocks, pipeline.block_run_limit, frozenset(asynchronous))
    return PreparedPipeline(pipeline, plan, sources, blocks)


def source_of(block: Block) -> Source:
    """A block's code as it is now. Raises PipelineError for a file that is no text: nothing has been started."""
    try:
        return Source(block.uuid, block.file, read_source(block.file))
    except BlockFileError as error:
        raise PipelineError(error.message, where=error.where, fix=error.fix) from error


def _refuse_limit(pipeline: Pipeline) -> None:
    """A limit that would not be kept is an error: it is there for safety."""
    for metadata, where in ((pipeline.metadata, f"pipeline {pipeline.uuid}"), (pipeline.project.metadata, "project")):
        limits = metadata.get("dynamic_blocks")
        if isinstance(limits, dict) and limits.get("max_child_block_runs") is not None:
            raise PlanError(
                "a limit on the number of children cannot be kept",
                where=f"{where}, metadata.yaml, dynamic_blocks.max_child_block_runs",
                fix="Leave it out; `max_concurrent_child_block_runs` limits how many run at once.",
            )


def _is_async(block: Block, source: Source) -> bool:
    if block.language is not Language.PYTHON or block.type in {BlockType.CALLBACK, BlockType.CONDITIONAL}:
        return False
    try:
        return inspect_source(source.text, block.type, str(source.path)).is_async
    except RefoldError:
        return False  # a syntax error fails the block's runs, with file and line


def make_context(
    prepared: PreparedPipeline,
    run: RunId,
    variables: Mapping[str, JsonValue],
    started_at: float,
    run_tests: bool,
    run_sensors: bool = True,
) -> RunContext:
    """What all block runs of the pipeline run share."""
    pipeline = prepared.pipeline
    project = pipeline.project
    return RunContext(
        run=run,
        pipeline_uuid=pipeline.uuid,
        project=project.path,
        run_folder=run_folder(project, pipeline.uuid, run),
        latest_folder=latest_folder(project, pipeline.uuid),
        variables={**pipeline.variables, **variables},
        started_at=started_at,
        run_tests=run_tests,
        run_sensors=run_sensors,
        mage_outputs=project.feature("mage_outputs"),
        requirements=tuple(requirements_for(project, pipeline)),
        durable=is_durable(project),
    )


def make_tasks(prepared: PreparedPipeline, run: RunId) -> tuple[BlockTask, ...]:
    """What workers must know of each block."""
    return tuple(make_task(prepared, planned.number, run) for planned in prepared.plan.blocks)


def make_task(prepared: PreparedPipeline, number: int, run: RunId) -> BlockTask:
    """What workers must know of one block, by its number in the plan."""
    block, planned = prepared.blocks[number], prepared.plan.blocks[number]
    return BlockTask(
        run=run,
        number=number,
        block=block.uuid,
        type=block.type,
        language=block.language,
        source=prepared.sources[block.uuid],
        configuration=dict(block.configuration),
        inputs=tuple(_input_kind(prepared.plan, edge.upstream, edge.reduces) for edge in planned.edges),
        axes=len(planned.axes),
        dynamic=planned.dynamic,
        timeout=block.timeout,
        run_tests=block.run_tests,
        conditional=block.conditional,
        conditions=tuple(prepared.sources[uuid] for uuid in block.conditionals),
        callbacks=tuple(prepared.sources[uuid] for uuid in block.callbacks),
    )


def _input_kind(plan: Plan, upstream: int, reduces: bool) -> InputKind:
    block = plan.blocks[upstream]
    if reduces:
        return InputKind.REDUCED
    if block.dynamic:
        return InputKind.ITEM
    return InputKind.CHILD if block.axes else InputKind.STATIC


def make_setup(prepared: PreparedPipeline, context: RunContext) -> RunSetup:
    """A new run, ready to be driven."""
    return RunSetup(prepared.plan, context, make_tasks(prepared, context.run), prepared.snapshot)


def make_retry_setup(
    prepared: PreparedPipeline, context: RunContext, store: RunStore, record: RunRecord, from_block: str | None
) -> RunSetup:
    """A retry of a run: completed block runs are kept, but for `from_block` and all that follows it.

    A block whose place in the pipeline was changed since is run anew, with all that follows it. Raises NotFoundError
    for an unknown `from_block`.
    """
    forget = _changed_blocks(prepared, record)
    if from_block is not None:
        if from_block not in {block.uuid for block in prepared.blocks}:
            raise NotFoundError(
                f"the pipeline has no block `{from_block}`",
                where=f"run {record.id}",
                fix=f"Choose one of {', '.join(block.uuid for block in prepared.blocks)}.",
            )
        forget.add(BlockUuid(from_block))
    forget = _with_descendants(prepared, forget)
    kept = {block.uuid for block in prepared.blocks} - forget
    return RunSetup(
        plan=prepared.plan,
        context=context,
        tasks=make_tasks(prepared, record.id),
        blocks=prepared.snapshot,
        recollection=Recollection.of(store, record.id, kept, open_outputs(context)),
    )


def _changed_blocks(prepared: PreparedPipeline, record: RunRecord) -> set[BlockUuid]:
    before = {block["uuid"]: block for block in record.blocks}
    return {BlockUuid(str(block["uuid"])) for block in prepared.snapshot if before.get(block["uuid"], block) != block}


def _with_descendants(prepared: PreparedPipeline, forget: set[BlockUuid]) -> set[BlockUuid]:
    found = set(forget)
    for block in prepared.blocks:
        if not found.isdisjoint(block.upstream_blocks):
            found.add(block.uuid)
    return found
