"""From a pipeline to a run that an engine can drive: its plan, its code as it is now, and what a retry remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from refold.api.block_tasks import BlockTasks
from refold.api.caching import make_cache_setup
from refold.api.kept_variables import KeptVariables
from refold.api.labels import RunLabels
from refold.api.snapshot import PlanSnapshot, snapshot_of
from refold.api.wiring import is_durable, latest_folder, open_outputs, run_folder
from refold.engine.descent import Descent
from refold.engine.pipeline_run import RunSetup
from refold.engine.recollection import Recollection
from refold.errors import BlockFileError, NotFoundError, PipelineError, PlanError, RefoldError
from refold.languages.python.source import read_source
from refold.languages.python.source_facts import inspect_source
from refold.languages.support import require_support
from refold.model.block import STRATEGIES, Block, BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, Key, RunId
from refold.model.pipeline import Pipeline
from refold.model.requirements import requirements_for
from refold.model.suggestion import suggestion
from refold.ports.executor import BlockTask, RunContext, Source
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

    def snapshot(self, variables: Mapping[str, JsonValue]) -> list[Mapping[str, JsonValue]]:
        """What the run store keeps of the plan: enough to read the run when the pipeline has changed. `variables` are
        those of the run, over the pipeline's own."""
        seen = KeptVariables.of(self.pipeline.project.path, {**self.pipeline.variables, **variables})
        return snapshot_of(self.plan, self.blocks, self.sources, seen.told)


def prepare(pipeline: Pipeline) -> PreparedPipeline:
    """Reads all that a run needs. Raises PipelineError and PlanError; nothing is written."""
    pipeline.check_files()
    blocks = pipeline.running_blocks
    sources: dict[BlockUuid, Source] = {}
    asynchronous: set[BlockUuid] = set()
    refused: list[PlanError] = []
    for block in (*blocks, *pipeline.callbacks, *pipeline.conditionals):
        require_support(block)
        sources[block.uuid] = source_of(block)
        refused += _unknown_strategy(block, sources[block.uuid])
        refused += _useless_width(block, sources[block.uuid])
        if _is_async(block, sources[block.uuid]):
            asynchronous.add(block.uuid)
    plan = make_plan(blocks, pipeline.block_run_limit, frozenset(asynchronous), refused)
    return PreparedPipeline(pipeline, plan, sources, blocks)


def source_of(block: Block) -> Source:
    """A block's code as it is now. Raises PipelineError for a file that is no text: nothing has been started."""
    try:
        return Source(block.uuid, block.file, read_source(block.file))
    except BlockFileError as error:
        raise PipelineError(error.message, where=error.where, fix=error.fix) from error


def _unknown_strategy(block: Block, source: Source) -> list[PlanError]:
    """A strategy that is neither one of ours nor a function of the block's file is an error before anything runs."""
    strategy = block.dynamic.reduction.strategy
    if strategy in STRATEGIES or block.language is not Language.PYTHON:
        return []
    try:
        functions = inspect_source(source.text, block.type, str(source.path)).functions
    except RefoldError:
        return []  # a syntax error fails the block's runs, with file and line
    if strategy in functions:
        return []
    return [
        PlanError(
            f"`{strategy}` is neither a strategy nor a function of {source.path.name}",
            where=f"block `{block.uuid}`, configuration.dynamic.reduce",
            fix=suggestion(strategy, [*STRATEGIES, *functions], "strategies"),
        )
    ]


def _useless_width(block: Block, source: Source) -> list[PlanError]:
    """Settings of `configuration.executor` that mean nothing for the block's function."""
    given = [key for key in ("threads", "concurrency") if getattr(block.executor, key) is not None]
    if not given or block.language is not Language.PYTHON:
        return []
    if block.dynamic.dynamic:
        problem, fix = "a worker executes one run of a dynamic block at a time", "Leave it out."
        return [_width_error(block, key, problem, fix) for key in given]
    try:
        is_async = inspect_source(source.text, block.type, str(source.path)).is_async
    except RefoldError:
        return []  # a syntax error fails the block's runs, with file and line
    if is_async and "threads" in given:
        return [_width_error(block, "threads", "the function is `async def`", "Use `concurrency`.")]
    if not is_async and "concurrency" in given:
        return [_width_error(block, "concurrency", "the function is not `async def`", "Use `threads`.")]
    return []


def _width_error(block: Block, key: str, problem: str, fix: str) -> PlanError:
    where = f"block `{block.uuid}`, configuration.executor.{key}"
    return PlanError(f"`{key}` changes nothing here: {problem}", where=where, fix=fix)


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
        expressions=frozenset(pipeline.variables.keys() - variables.keys()),
    )


def make_tasks(prepared: PreparedPipeline, run: RunId) -> tuple[BlockTask, ...]:
    """What workers must know of each block."""
    tasks = BlockTasks(prepared.blocks, prepared.plan, prepared.sources)
    return tuple(tasks.make(planned.number, run) for planned in prepared.plan.blocks)


def make_task(prepared: PreparedPipeline, number: int, run: RunId) -> BlockTask:
    """What workers must know of one block, by its number in the plan; of the others no code is needed."""
    return BlockTasks(prepared.blocks, prepared.plan, prepared.sources).make(number, run)


def make_setup(prepared: PreparedPipeline, context: RunContext) -> RunSetup:
    """A new run, ready to be driven."""
    return _setup(prepared, context, None)


def _setup(prepared: PreparedPipeline, context: RunContext, recollection: Recollection | None) -> RunSetup:
    snapshot = prepared.snapshot(context.variables)
    project = prepared.pipeline.project
    return RunSetup(
        plan=prepared.plan,
        context=context,
        tasks=make_tasks(prepared, context.run),
        blocks=snapshot,
        recollection=recollection,
        cache=make_cache_setup(project, prepared.plan, prepared.blocks, prepared.sources, snapshot, context),
        outputs=open_outputs(context) if any(block.group_limit is not None for block in prepared.plan.blocks) else None,
    )


def make_retry_setup(
    prepared: PreparedPipeline,
    context: RunContext,
    store: RunStore,
    record: RunRecord,
    from_block: str | None,
    block_runs: Sequence[tuple[BlockUuid, Key]] = (),
) -> RunSetup:
    """A retry of a run: completed block runs are kept, but for `from_block` and all that follows it, and for
    `block_runs` and what descends from them.

    A block whose place in the pipeline was changed since is run anew, with all that follows it. Raises NotFoundError
    for an unknown `from_block`, or one of `block_runs` whose block is gone.
    """
    where, known = f"run {record.id}", [block.uuid for block in prepared.blocks]
    for uuid in (from_block, *(uuid for uuid, _ in block_runs)):
        if uuid is not None and uuid not in known:
            raise NotFoundError(
                f"the pipeline has no block `{uuid}`", where=where, fix=suggestion(uuid, known, "blocks")
            )
    forget = changed_blocks(prepared, record)
    if from_block is not None:
        forget.add(BlockUuid(from_block))
    forget = _with_descendants(prepared, forget)
    outputs = open_outputs(context)
    labels = RunLabels(record.id, PlanSnapshot.of(record), store, outputs)
    descent = Descent(prepared.plan, block_runs, labels.givers)
    recollection = Recollection.of(store, record.id, set(known) - forget, outputs, descent.holds)
    named = {from_block, *(uuid for uuid, _ in block_runs)}
    setup = _setup(prepared, context, recollection)
    if setup.cache is None:
        return setup
    anew = frozenset(number for number, block in enumerate(prepared.blocks) if block.uuid in named)
    return replace(setup, cache=replace(setup.cache, anew=anew))


def changed_blocks(prepared: PreparedPipeline, record: RunRecord) -> set[BlockUuid]:
    """Blocks whose place in the pipeline is another than when the run was last started."""
    now, before = PlanSnapshot(prepared.snapshot({}), "now"), PlanSnapshot.of(record)
    return {block.uuid for block in now if block.uuid in before and not block.stands_as(before[block.uuid])}


def _with_descendants(prepared: PreparedPipeline, forget: set[BlockUuid]) -> set[BlockUuid]:
    found = set(forget)
    for block in prepared.blocks:
        if not found.isdisjoint(block.upstream_blocks):
            found.add(block.uuid)
    return found
