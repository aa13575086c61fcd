"""A pipeline's plan as `refold plan` shows it: what would run, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from refold.api.run_counts import RunCounts
from refold.api.run_setup import prepare
from refold.api.snapshot import AxisSnapshot, BlockSnapshot, EdgeSnapshot, PlanSnapshot
from refold.errors import BadInputError
from refold.model.block import LIST, Block, BlockType, DynamicSettings, Join
from refold.model.keys import BlockUuid, PipelineUuid
from refold.model.pipeline import Pipeline
from refold.model.suggestion import suggestion
from refold.scheduler.plan import EdgeKind


@dataclass(frozen=True, slots=True)
class PlannedBlockView:
    """One block of a plan."""

    uuid: BlockUuid
    type: BlockType
    edges: Sequence[EdgeSnapshot]
    """How its upstreams reach it, in order."""
    axes: Sequence[AxisSnapshot]
    """What its runs iterate over, outermost first; repeats included."""
    join: Join
    count: str
    """How many runs it has: `1`, `|users|`, `|users| x |regions|` (`refold.api.run_counts`)."""
    assumed_count: str
    """The same with numbers where items are assumed."""
    number: int | None
    """That number, where it is known."""
    dynamic: bool
    notes: Sequence[str]
    """What is not ordinary about its runs and inputs, a sentence each."""

    @property
    def upstreams(self) -> Sequence[BlockUuid]:
        """In order."""
        return [edge.upstream for edge in self.edges]

    @property
    def reduces(self) -> Sequence[BlockUuid]:
        """Upstreams of which several runs reach it as one value."""
        return [edge.upstream for edge in self.edges if edge.reduces]


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan of a pipeline."""

    pipeline_uuid: PipelineUuid
    blocks: Sequence[PlannedBlockView]
    """Upstreams before downstreams."""
    assumed: Mapping[BlockUuid, int]
    missing: Sequence[BlockUuid]
    """Dynamic blocks of which nothing is assumed, and on which the number of runs depends."""

    @property
    def number(self) -> int:
        """How many block runs there are at least, of blocks whose number is known."""
        return sum(block.number or 0 for block in self.blocks)


def describe_plan(pipeline: Pipeline, assume: Mapping[str, int] | None = None) -> PlanView:
    """What a run of the pipeline would execute; nothing is executed or written.

    `assume` is the number of items that each run of a dynamic block is taken to give. Raises BadInputError for one of
    what is no dynamic block, PipelineError and PlanError for what cannot run.
    """
    prepared = prepare(pipeline)
    plan = PlanSnapshot(prepared.snapshot({}), f"pipeline `{pipeline.uuid}`")
    assumed, cut = _checked(assume or {}, prepared.blocks)
    counts = RunCounts(plan, assumed)
    views = []
    for block, planned in zip(prepared.blocks, plan, strict=True):
        notes = [*_notes(plan, counts, block, planned), *cut.get(block.uuid, ())]
        views.append(
            PlannedBlockView(
                uuid=block.uuid,
                type=block.type,
                edges=planned.edges,
                axes=planned.axes,
                join=block.dynamic.join,
                count=counts.formula(planned.axes),
                assumed_count=counts.partly(planned.axes),
                number=counts.number(planned.axes),
                dynamic=planned.dynamic,
                notes=notes,
            )
        )
    missing = frozenset[BlockUuid]().union(*(counts.missing(planned.axes) for planned in plan))
    return PlanView(
        pipeline.uuid, views, {BlockUuid(uuid): items for uuid, items in (assume or {}).items()}, sorted(missing)
    )


def _checked(
    assume: Mapping[str, int], blocks: Sequence[Block]
) -> tuple[dict[BlockUuid, int], dict[BlockUuid, tuple[str]]]:
    """What is assumed, less what limits cut off, and for each block that has a limit what it does.

    Raises BadInputError, with what is probably meant.
    """
    known = {block.uuid: block for block in blocks}
    dynamic = [block.uuid for block in blocks if block.dynamic.dynamic]
    assumed: dict[BlockUuid, int] = {}
    notes: dict[BlockUuid, tuple[str]] = {}
    for uuid, items in assume.items():
        block = known.get(BlockUuid(uuid))
        if block is None or not block.dynamic.dynamic:
            what = "is no block of the pipeline" if block is None else "is not dynamic: it has no items"
            raise BadInputError(f"`{uuid}` {what}", where="--assume", fix=suggestion(uuid, dynamic, "dynamic blocks"))
        limit = block.dynamic.max_child_block_runs
        assumed[block.uuid] = items
        if limit is not None and items > limit:
            if block.dynamic.cut_children:
                assumed[block.uuid] = limit
                notes[block.uuid] = (f"leaves out all but {limit:,} of the {items:,} items of a run",)
            else:
                notes[block.uuid] = (f"may give {limit:,} items a run: with {items:,} the run fails",)
    return assumed, notes


def _notes(plan: PlanSnapshot, counts: RunCounts, block: Block, planned: BlockSnapshot) -> Iterator[str]:
    if planned.dynamic and planned.axes:
        yield "each of its runs gives items of its own"
    if planned.dynamic and planned.batch_mode:
        yield "hands its items on when it has given all of them"
    yield from _flow_notes(block.dynamic)
    yield from _join_notes(counts, block.dynamic.join, planned)
    for edge in planned.edges:
        note = _edge_note(plan, counts, edge)
        if note is not None:
            yield note
    tolerance = block.dynamic.tolerance
    if tolerance is not None:
        limit = f"{tolerance.count:,} run{'' if tolerance.count == 1 else 's'}"
        if tolerance.percent is not None:
            limit = f"{tolerance.percent:g}% of its runs"
        yield f"up to {limit} may fail without a reduce over it being given up"


def _flow_notes(settings: DynamicSettings) -> Iterator[str]:
    """What is said of buffers, rates and limits by value."""
    bounds = []
    if settings.buffer_items is not None:
        bounds.append(f"{settings.buffer_items:,} item{'' if settings.buffer_items == 1 else 's'}")
    if settings.buffer_bytes is not None:
        bounds.append(f"{settings.buffer_bytes:,} bytes")
    if bounds and settings.batch_mode:
        yield "its `buffer` bounds nothing: in batch mode nobody reads its items before it has given all of them"
    elif bounds:
        yield f"up to {' or '.join(bounds)} may wait to be read; then it pauses"
    whose = "of each block that unfolds its items" if settings.dynamic else "of its runs"
    if settings.rate is not None:
        yield f"{whose}, at most {_rate(settings.rate)} begin"
    if settings.limit_by is not None:
        limit, key = settings.limit_by.limit, settings.limit_by.key
        yield f"{whose}, at most {limit:,} run{'' if limit == 1 else 's'} at a time for items with the same `{key}`"


def _rate(rate: float) -> str:
    """`50 a second`, `100 a minute`, `5,000 an hour`: in the unit that it was given in, or the like."""
    units = {"a second": 1, "a minute": 60, "an hour": 3600}
    for name, seconds in units.items():
        runs = rate * seconds
        if runs >= 1 and abs(runs - round(runs)) < 1e-6 * runs:
            return f"{round(runs):,} {name}"
    return f"{rate:g} a second"


def _join_notes(counts: RunCounts, join: Join, planned: BlockSnapshot) -> Iterator[str]:
    shared = [
        (place, [edge.upstream for edge in planned.edges if place in edge.columns])
        for place in range(len(planned.axes))
    ]
    for place, upstreams in shared:
        axis = planned.axes[place]
        if join is not Join.PRODUCT and len(upstreams) > 1 and not axis.zipped:
            yield f"{_listed(upstreams)} are aligned: one run for each item of `{axis.block}` that they have in common"
        if axis.zipped and (join is Join.ZIP and place == len(planned.axes) - 1):
            sides = _listed([axis.block, *(side.block for side in axis.zipped)])
            yield f"the items of {sides} are zipped: paired by index, and what one has too much of fails"
    unpaired = counts.unpaired(planned.axes) if join is Join.ZIP else 0
    if unpaired:
        yield f"of its runs {unpaired:,} have no partner, and fail"


def _edge_note(plan: PlanSnapshot, counts: RunCounts, edge: EdgeSnapshot) -> str | None:
    upstream = plan[edge.upstream]
    outer = ""
    if edge.levels == 1:
        outer = f" for each of {counts.formula(upstream.axes[:-1])}"
    if edge.kind is EdgeKind.FLAT:
        return f"runs for each item of all runs of `{edge.upstream}`, as one axis{outer}"
    ordinary = edge.levels is None and edge.strategy == LIST and not upstream.dynamic
    if edge.kind is not EdgeKind.FOLDED or ordinary:
        return None
    if edge.levels == 0:
        return f"gets the items of {'one run' if upstream.axes else 'the run'} of `{edge.upstream}` as one list"
    what = "items" if upstream.dynamic else "outputs"
    value, how = ("one list", "") if edge.strategy == LIST else ("one value", f", by `{edge.strategy}`")
    return f"gets the {what} of all runs of `{edge.upstream}` as {value}{outer}{how}"


def _listed(uuids: Sequence[str]) -> str:
    return " and ".join(f"`{uuid}`" for uuid in uuids)
