"""A pipeline's plan as `refold plan` shows it: what would run, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refold.api.run_setup import prepare
from refold.model.block import BlockType
from refold.model.keys import BlockUuid, PipelineUuid
from refold.model.pipeline import Pipeline
from refold.scheduler.plan import Plan, PlannedBlock


@dataclass(frozen=True, slots=True)
class PlannedBlockView:
    """One block of a plan."""

    uuid: BlockUuid
    type: BlockType
    upstreams: Sequence[BlockUuid]
    """In order."""
    axes: Sequence[BlockUuid]
    """The dynamic blocks whose items its runs iterate over, outermost first; repeats included."""
    count: str
    """How many runs it has: `1`, `|users|`, `|users| x |regions|`."""
    dynamic: bool
    reduces: Sequence[BlockUuid]
    """Upstreams whose outputs reach it as one list."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan of a pipeline."""

    pipeline_uuid: PipelineUuid
    blocks: Sequence[PlannedBlockView]
    """Upstreams before downstreams."""


def describe_plan(pipeline: Pipeline) -> PlanView:
    """What a run of the pipeline would execute; nothing is executed or written. Raises PipelineError, PlanError."""
    prepared = prepare(pipeline)
    return PlanView(
        pipeline.uuid,
        [
            _view(prepared.plan, planned, block.type)
            for planned, block in zip(prepared.plan.blocks, prepared.blocks, strict=True)
        ],
    )


def _view(plan: Plan, planned: PlannedBlock, block_type: BlockType) -> PlannedBlockView:
    axes = [plan.blocks[axis].uuid for axis in planned.axes]
    return PlannedBlockView(
        uuid=planned.uuid,
        type=block_type,
        upstreams=[plan.blocks[edge.upstream].uuid for edge in planned.edges],
        axes=axes,
        count=" x ".join(f"|{axis}|" for axis in axes) or "1",
        dynamic=planned.dynamic,
        reduces=[plan.blocks[edge.upstream].uuid for edge in planned.edges if edge.reduces],
    )
