"""What a cached block's results depend on, and where earlier ones are found (`configuration.cache: true`).

Results are looked for among the runs of the same pipeline, as far as they have not been cleaned away. What changes from
run to run by itself (`execution_date`, the run's id, a child's index) is no part of a fingerprint: a function that asks
for it should not be cached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from refold.api.kept_variables import KeptVariables
from refold.api.wiring import open_outputs, run_folder, stored_as
from refold.engine.result_cache import CachedBlock, CacheSetup
from refold.errors import RefoldError, StoreError
from refold.languages.configuration import filled_configuration, filled_variables
from refold.languages.python.source_facts import inspect_source
from refold.model.block import STRATEGIES, Block, BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, RunId
from refold.model.project import Project
from refold.outputs import adopt_segment
from refold.ports.executor import RunContext, Source
from refold.ports.output_store import ChunkRef
from refold.scheduler.plan import EdgeKind, Plan


def make_cache_setup(
    project: Project,
    plan: Plan,
    blocks: Sequence[Block],
    sources: Mapping[BlockUuid, Source],
    snapshot: Sequence[Mapping[str, JsonValue]],
    context: RunContext,
) -> CacheSetup | None:
    """How a run finds results of earlier ones; None where no block is cached. `blocks` and `snapshot` in plan order."""
    cached = {
        number: _cached_block(number, plan, blocks, sources, snapshot, context)
        for number, block in enumerate(blocks)
        if block.cache and block.type is not BlockType.SENSOR
    }
    if not cached:
        return None

    def adopt(earlier: RunId, ref: ChunkRef) -> ChunkRef:
        return adopt_segment(context.run_folder, run_folder(project, context.pipeline_uuid, earlier), ref)

    def publish(number: int, ref: ChunkRef, position: int) -> None:
        outputs = open_outputs(context)
        try:
            outputs.publish_latest(blocks[number].uuid, ref, position)
        except StoreError:
            pass  # the run has its own copy: what follows is not harmed
        finally:
            outputs.close()

    where = stored_as(project) or str(project.path)
    return CacheSetup(context.run, where, context.pipeline_uuid, cached, adopt, publish)


def _cached_block(
    number: int,
    plan: Plan,
    blocks: Sequence[Block],
    sources: Mapping[BlockUuid, Source],
    snapshot: Sequence[Mapping[str, JsonValue]],
    context: RunContext,
) -> CachedBlock:
    block, stored = blocks[number], snapshot[number]
    keywords = any(_takes_keywords(each, sources) for each in (block.uuid, *block.conditionals)) or (
        block.language is not Language.PYTHON
    )
    folds: list[JsonValue] = []
    for edge in plan.blocks[number].edges:
        if edge.kind is EdgeKind.FOLDED:
            reduction = blocks[edge.upstream].dynamic.reduction
            own = None if reduction.strategy in STRATEGIES else snapshot[edge.upstream].get("code")
            folds.append([reduction.strategy, edge.levels, reduction.initial, reduction.has_initial, own])
    told: list[JsonValue] = [
        block.uuid,
        stored["code"],
        stored["configuration"],
        folds,
        stored["variables"] if keywords else None,
    ]
    told += _filled_in(block, context, keywords)
    text = json.dumps(told, sort_keys=True, default=str)
    return CachedBlock(blake2b(text.encode(), digest_size=16).digest(), keywords)


def _filled_in(block: Block, context: RunContext, keywords: bool) -> list[JsonValue]:
    """What expressions of its file give to a block now, secrets by their names; empty where there are none."""
    try:
        variables = filled_variables(context)
        configuration = filled_configuration(block.uuid, block.configuration, context, variables)
    except RefoldError:
        return []  # its runs fail
    found: dict[str, JsonValue] = {}
    if configuration is not block.configuration:
        found["configuration"] = dict(configuration)
    if keywords and variables is not context.variables:
        found["variables"] = dict(variables)
    return [KeptVariables.of(context.project, found).told] if found else []


def _takes_keywords(uuid: BlockUuid, sources: Mapping[BlockUuid, Source]) -> bool:
    """Whether variables and metadata reach a block's function; where that cannot be told, they are taken to."""
    source = sources[uuid]
    kinds = (BlockType.CONDITIONAL, *(kind for kind in BlockType if kind.runs))
    try:
        facts = [inspect_source(source.text, kind, str(source.path)) for kind in kinds]
    except RefoldError:
        return True
    return any(each.takes_keywords for each in facts if each.function is not None)
