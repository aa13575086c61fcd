"""Drafts of pipelines: a few words per block instead of a project on disk.

The plan that comes of a draft has its axes worked out here, by the plainest code there is, so that what tests compare
the scheduler with does not depend on how plans are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from refold.errors import PlanError
from refold.model.block import LIST, Join, RetryPolicy, Tolerance
from refold.model.keys import BlockUuid
from refold.scheduler.plan import Axis, Edge, EdgeKind, Fold, Plan, PlannedBlock

Sight = tuple[Axis, ...]
"""The axes of what one upstream lets its downstream see; their parents are places in it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One block, by what it is downstream of."""

    uuid: str
    upstreams: tuple[str, ...] = ()
    """Uuids of blocks drafted before it, in order, each once."""
    reduces: tuple[str, ...] = ()
    """Those of its upstreams whose edges into it reduce."""
    dynamic: bool = False
    children: tuple[str, ...] | None = None
    """The downstream blocks for which it is dynamic; None: for all of them."""
    batch_mode: bool = False
    join: Join = Join.PRODUCT
    strategy: str = LIST
    """How a reduce over it folds."""
    levels: int | None = None
    """How many axes such a reduce ends; None: all."""
    tolerance: Tolerance | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sensor_interval: float | None = None
    """Seconds between two askings; None for a block that is not a sensor."""
    concurrency_limit: int | None = None
    width: int = 1
    rate: float | None = None
    buffer_items: int = 1000
    buffer_bytes: int = 64 * 2**20
    group_limit: int | None = None


def draft_plan(*drafts: Draft, concurrency_limit: int | None = None) -> Plan:
    """The plan of these blocks, which come upstreams first. Raises PlanError for what cannot be unfolded."""
    numbers = {draft.uuid: number for number, draft in enumerate(drafts)}
    planned: list[PlannedBlock] = []
    folds: list[list[Fold]] = [[] for _ in drafts]
    for number, draft in enumerate(drafts):
        edges: list[Edge] = []
        sights: list[Sight] = []
        for upstream in (numbers[uuid] for uuid in draft.upstreams):
            edge = _edge(drafts[upstream], planned[upstream], draft)
            if edge.kind is EdgeKind.FOLDED:
                fold = Fold(edge.levels, drafts[upstream].strategy != LIST and edge.levels != 0)
                if fold not in folds[upstream]:
                    folds[upstream].append(fold)
                edge = replace(edge, fold=folds[upstream].index(fold))
            edges.append(edge)
            if edge.iterates:
                sights.append(sight_over(edge, planned[upstream]))
        if draft.join is not Join.PRODUCT and len(edges) < 2:
            raise PlanError(f"`{draft.uuid}` has nothing to join")
        axes, columns = _joined(draft, sights)
        rest = iter(columns)
        planned.append(
            PlannedBlock(
                number=number,
                uuid=BlockUuid(draft.uuid),
                edges=tuple(replace(edge, columns=next(rest)) if edge.iterates else edge for edge in edges),
                axes=axes,
                join=draft.join,
                tolerance=draft.tolerance,
                depth=max((planned[edge.upstream].depth + 1 for edge in edges), default=0),
                dynamic=draft.dynamic,
                batch_mode=draft.batch_mode,
                retry=draft.retry,
                sensor_interval=draft.sensor_interval,
                concurrency_limit=draft.concurrency_limit,
                width=draft.width,
                rate=draft.rate,
                group_limit=draft.group_limit,
                buffer_items=draft.buffer_items,
                buffer_bytes=draft.buffer_bytes,
            )
        )
    plan = Plan(tuple(replace(block, folds=tuple(folds[block.number])) for block in planned), concurrency_limit)
    _refuse_cuts(plan)
    _refuse_vain_tolerance(plan)
    return plan


def _edge(upstream: Draft, planned: PlannedBlock, downstream: Draft) -> Edge:
    """What the downstream sees, and whether its runs iterate over it."""
    number = planned.number
    reduces = upstream.uuid in downstream.reduces
    child = upstream.dynamic and (upstream.children is None or downstream.uuid in upstream.children)
    levels = upstream.levels if len(planned.axes) > 1 else None
    if child:
        if not reduces or not planned.axes:
            return Edge(number, EdgeKind.ITEMS, iterates=True)
        if upstream.strategy != LIST:
            raise PlanError(f"`{downstream.uuid}` is a child of `{upstream.uuid}`, whose items are no fold")
        return Edge(number, EdgeKind.FLAT, iterates=True, levels=levels)
    if reduces:
        return Edge(number, EdgeKind.FOLDED, iterates=levels == 1, levels=levels)
    if upstream.dynamic:
        return Edge(number, EdgeKind.FOLDED, iterates=bool(planned.axes), levels=0)
    if planned.axes:
        return Edge(number, EdgeKind.RUNS, iterates=True)
    return Edge(number, EdgeKind.BROADCAST)


def sight_over(edge: Edge, upstream: PlannedBlock) -> Sight:
    """The axes of what an edge out of this block lets see, outermost first (design 2.2 and 2.4)."""
    axes = upstream.axes
    outer = axes[:-1] if edge.levels == 1 else axes if edge.levels == 0 else ()
    match edge.kind:
        case EdgeKind.BROADCAST:
            return ()
        case EdgeKind.RUNS:
            return axes
        case EdgeKind.ITEMS:
            return (*axes, Axis(upstream.number, parents=tuple(range(len(axes)))))
        case EdgeKind.FLAT:
            return (*outer, Axis(upstream.number, parents=tuple(range(len(outer))), flat=True))
        case EdgeKind.FOLDED:
            return outer


def _joined(draft: Draft, sights: Sequence[Sight]) -> tuple[tuple[Axis, ...], list[tuple[int, ...]]]:
    """The axes of a block, and for each iterating edge the places of what it sees among them (design 2.3)."""
    if draft.join is not Join.PRODUCT and len(sights) > 1:
        _refuse_repeats(draft, sights)
        _refuse_strange_pairs(draft, sights)
        if draft.join is Join.ALIGN:
            return _aligned(sights)
        axes, columns = _aligned([sight[:-1] for sight in sights])
        first = sights[0][-1]
        paired = _pairs([sight[-1] for sight in sights])
        last = replace(first, parents=tuple(columns[0][parent] for parent in first.parents), zipped=paired)
        return (*axes, last), [(*places, len(axes)) for places in columns]
    axes, columns = (), []
    for sight in sights:
        shift = len(axes)
        axes += tuple(replace(axis, parents=tuple(parent + shift for parent in axis.parents)) for axis in sight)
        columns.append(tuple(range(shift, len(axes))))
    return axes, columns


def _aligned(sights: Sequence[Sight]) -> tuple[tuple[Axis, ...], list[tuple[int, ...]]]:
    """Axes that sights have in common are one axis; the rest follow each other."""
    merged: list[Axis] = []
    columns: list[tuple[int, ...]] = []
    for sight in sights:
        places: list[int] = []
        for axis in sight:
            moved = replace(axis, parents=tuple(places[parent] for parent in axis.parents))
            here = (moved.block, moved.flat, moved.parents)
            same = [at for at, there in enumerate(merged) if (there.block, there.flat, there.parents) == here]
            if same:
                places.append(same[0])
                merged[same[0]] = replace(moved, zipped=_pairs([merged[same[0]], moved]))
            else:
                places.append(len(merged))
                merged.append(moved)
        columns.append(tuple(places))
    return tuple(merged), columns


def _pairs(axes: Sequence[Axis]) -> tuple[int, ...]:
    """The dynamic blocks, other than the first axis's, that one axis out of all these is paired with; each once."""
    blocks = [block for axis in axes for block in (axis.block, *axis.zipped)]
    return tuple(block for block in dict.fromkeys(blocks) if block != axes[0].block)


def _refuse_repeats(draft: Draft, sights: Sequence[Sight]) -> None:
    for sight in sights:
        if len({(axis.block, axis.flat) for axis in sight}) < len(sight):
            raise PlanError(f"`{draft.uuid}` aligns what holds an axis twice")


def _refuse_strange_pairs(draft: Draft, sights: Sequence[Sight]) -> None:
    """Items that were paired with others meet themselves only where those come along."""
    for sight in sights:
        for axis in sight:
            for other in sights:
                met = [met for met in other if met.block in axis.zipped]
                if met and _identity(sight, axis) not in [_identity(other, along) for along in other]:
                    raise PlanError(f"`{draft.uuid}` joins what was zipped with one side of it")


def _identity(sight: Sight, axis: Axis) -> tuple[object, ...]:
    """What makes two axes the same: the dynamic block, and that the axes of its runs are the same."""
    return (axis.block, axis.flat, *(_identity(sight, sight[parent]) for parent in axis.parents))


def _refuse_cuts(plan: Plan) -> None:
    """An axis ends alone, or is zipped, only where it is the last of all that hold it."""
    for block in plan.blocks:
        iterating = [edge for edge in block.edges if edge.iterates]
        if block.join is Join.ZIP and len(iterating) > 1:
            for edge in iterating:
                _refuse_edge_cut(plan, edge, len(edge.columns) - 1)
        for edge in block.edges:
            if edge.levels == 1:
                _refuse_cut(plan, edge.upstream, len(plan.blocks[edge.upstream].axes) - 1)


def _refuse_cut(plan: Plan, number: int, kept: int) -> None:
    """Raises PlanError unless a block's keys can be cut down to so many of their first axes."""
    for edge in plan.blocks[number].edges:
        first = sum(column < kept for column in edge.columns)
        if max(edge.columns[:first], default=-1) >= kept:
            raise PlanError(f"`{plan.blocks[number].uuid}` has an axis behind the one that ends")
        if first < len(edge.columns):
            _refuse_edge_cut(plan, edge, first)


def _refuse_edge_cut(plan: Plan, edge: Edge, kept: int) -> None:
    own = edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT} and kept == len(edge.columns) - 1
    if not own:
        _refuse_cut(plan, edge.upstream, kept)


def _refuse_vain_tolerance(plan: Plan) -> None:
    """A dynamic run that failed leaves its axis open, whatever is tolerated of the runs of others."""
    for block in plan.blocks:
        out = [edge for other in plan.blocks for edge in other.edges if edge.upstream == block.number]
        if block.dynamic and block.tolerance and not any(edge.reduces or edge.kind is EdgeKind.FLAT for edge in out):
            raise PlanError(f"`{block.uuid}` tolerates what nothing reduces")
