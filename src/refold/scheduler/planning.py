"""From a pipeline's blocks to a plan; what cannot be unfolded is an error here, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from refold.errors import PlanError
from refold.model.block import BUFFER_BYTES, BUFFER_ITEMS, LIST, READ_LAZILY, Block, BlockType, Join
from refold.model.keys import BlockUuid
from refold.scheduler.joining import Joined, join_axes
from refold.scheduler.plan import Axis, Edge, EdgeKind, Fold, Plan, PlannedBlock
from refold.scheduler.state import State

ASYNC_WIDTH = 50_000
"""How many runs of an `async def` block one worker has under way at once, where the block does not say."""


def make_plan(
    blocks: Sequence[Block],
    block_run_limit: int | None = None,
    asynchronous: frozenset[BlockUuid] = frozenset(),
    refused: Sequence[PlanError] = (),
) -> Plan:
    """The plan of blocks that are given upstreams first; `asynchronous` are those whose function is `async def`.

    Raises PlanError for what cannot be unfolded, naming the block and the key; where several things cannot, all.
    `refused` is what was found wrong before, of the blocks' code.
    """
    planner = _Planner(blocks, asynchronous, refused)
    plan = Plan(planner.plan(), block_run_limit)
    if not planner.errors:
        try:
            State(plan)
        except PlanError as error:
            planner.errors.append(error)
    if len(planner.errors) == 1:
        raise planner.errors[0]
    if planner.errors:
        listed = "".join(f"\n- {error}" for error in planner.errors)
        raise PlanError(f"{len(planner.errors)} things cannot be planned:{listed}")
    return plan


@dataclass(slots=True)
class _Sketch:
    """A block while its downstreams, which say how it is folded, are still to be planned."""

    block: Block
    edges: list[Edge]
    joined: Joined
    depth: int
    limit: int | None
    rate: float | None
    folds: list[Fold] = field(default_factory=list)


class _Planner:
    def __init__(
        self, blocks: Sequence[Block], asynchronous: frozenset[BlockUuid], refused: Sequence[PlanError]
    ) -> None:
        self._blocks = blocks
        self._numbers = {block.uuid: number for number, block in enumerate(blocks)}
        self._asynchronous = asynchronous
        self._sketches: list[_Sketch] = []
        self.errors = list(refused)

    def plan(self) -> tuple[PlannedBlock, ...]:
        """The planned blocks, as far as `errors` is empty."""
        for block in self._blocks:
            self._refuse_contradictions(block)
            self._sketches.append(self._sketch(block))
        for number in range(len(self._sketches)):
            self._refuse_useless_tolerance(number)
            self._refuse_useless_laziness(number)
        return tuple(self._planned(number, sketch) for number, sketch in enumerate(self._sketches))

    def _sketch(self, block: Block) -> _Sketch:
        edges = [self._edge(block, self._sketches[self._numbers[uuid]]) for uuid in block.upstream_blocks]
        iterated = [edge for edge in edges if edge.iterates]
        uuids = [self._blocks[edge.upstream].uuid for edge in iterated]
        visible = [self._visible(edge) for edge in iterated]
        try:
            joined = join_axes(block.dynamic.join, visible, uuids, [each.uuid for each in self._blocks])
        except PlanError as error:
            where = f"block `{block.uuid}`, configuration.dynamic.join"
            self.errors.append(PlanError(error.message, where=where, fix=error.fix))
            joined = join_axes(Join.PRODUCT, visible, uuids, [])
        columns = iter(joined.columns)
        edges = [replace(edge, columns=next(columns)) if edge.iterates else edge for edge in edges]
        # A dynamic block's limits are for its children; those of any other block are its own.
        limiting = [] if block.dynamic.dynamic else [block.dynamic]
        limiting += [
            self._blocks[edge.upstream].dynamic for edge in edges if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}
        ]
        limits = [settings.max_concurrent_child_block_runs for settings in limiting]
        depth = max((self._sketches[edge.upstream].depth + 1 for edge in edges), default=0)
        limit = min((limit for limit in limits if limit is not None), default=None)
        rate = min((settings.rate for settings in limiting if settings.rate is not None), default=None)
        return _Sketch(block, edges, joined, depth, limit, rate)

    def _edge(self, block: Block, upstream: _Sketch) -> Edge:
        """What the block sees of an upstream (the table of `refold.scheduler.plan`)."""
        above, axes = upstream.block, upstream.joined.axes
        number, settings = self._numbers[above.uuid], above.dynamic
        reduces = settings.reduce_output
        reduced = (
            reduces is True
            or (reduces is not False and block.uuid in reduces)
            or above.uuid in block.dynamic.reduce_output_upstream
        )
        child = settings.dynamic and (settings.children is None or block.uuid in settings.children)
        levels = settings.reduction.levels if len(axes) > 1 else None
        if child and not (reduced and axes):
            return Edge(number, EdgeKind.ITEMS, iterates=True)
        if child:
            self._refuse_strategy(above)
            return Edge(number, EdgeKind.FLAT, iterates=True, levels=levels)
        if reduced:
            strategy = settings.reduction.strategy
            ahead = strategy != LIST and not (block.dynamic.lazy_input and strategy in READ_LAZILY)
            fold = self._fold(upstream, levels, computed=ahead)
            return Edge(number, EdgeKind.FOLDED, iterates=levels is not None, levels=levels, fold=fold)
        if settings.dynamic:
            fold = self._fold(upstream, 0, computed=False)
            return Edge(number, EdgeKind.FOLDED, iterates=bool(axes), levels=0, fold=fold)
        return Edge(number, EdgeKind.RUNS, iterates=True) if axes else Edge(number, EdgeKind.BROADCAST)

    def _fold(self, upstream: _Sketch, levels: int | None, *, computed: bool) -> int:
        fold = Fold(levels, computed)
        if fold not in upstream.folds:
            upstream.folds.append(fold)
        return upstream.folds.index(fold)

    def _visible(self, edge: Edge) -> tuple[Axis, ...]:
        """The axes of what an edge lets the downstream see."""
        axes = self._sketches[edge.upstream].joined.axes
        if edge.kind is EdgeKind.ITEMS:
            return (*axes, Axis(edge.upstream, tuple(range(len(axes)))))
        if edge.kind is EdgeKind.FLAT:
            outer = () if edge.levels is None else axes[: -edge.levels]
            return (*outer, Axis(edge.upstream, tuple(range(len(outer))), flat=True))
        return axes[:-1] if edge.kind is EdgeKind.FOLDED and edge.levels == 1 else axes

    def _planned(self, number: int, sketch: _Sketch) -> PlannedBlock:
        block = sketch.block
        return PlannedBlock(
            number=number,
            uuid=block.uuid,
            edges=tuple(sketch.edges),
            axes=sketch.joined.axes,
            join=block.dynamic.join,
            folds=tuple(sketch.folds),
            tolerance=block.dynamic.tolerance,
            depth=sketch.depth,
            dynamic=block.dynamic.dynamic,
            batch_mode=block.dynamic.batch_mode,
            retry=block.retry,
            sensor_interval=block.sensor_interval if block.type is BlockType.SENSOR else None,
            concurrency_limit=sketch.limit,
            rate=sketch.rate,
            buffer_items=block.dynamic.buffer_items or BUFFER_ITEMS,
            buffer_bytes=block.dynamic.buffer_bytes or BUFFER_BYTES,
            group_limit=None if block.dynamic.limit_by is None else block.dynamic.limit_by.limit,
            width=1 if block.dynamic.dynamic else self._width(block),
        )

    def _width(self, block: Block) -> int:
        if block.uuid in self._asynchronous:
            return block.executor.concurrency or ASYNC_WIDTH
        return block.executor.threads or 1

    def _refuse_strategy(self, block: Block) -> None:
        """Items of a flat axis are handed on one by one: there is nothing to fold."""
        if block.dynamic.reduction.strategy != LIST:
            self.errors.append(
                PlanError(
                    f"a dynamic block hands its items on one by one, so `{block.dynamic.reduction.strategy}` has "
                    "nothing to fold",
                    where=f"block `{block.uuid}`, configuration.dynamic.reduce",
                    fix="Leave out the strategy, or name the downstream blocks that unfold it: `parent: [uuids]`.",
                )
            )

    def _refuse_contradictions(self, block: Block) -> None:
        iterates = sum(1 for uuid in block.upstream_blocks if uuid in self._numbers)
        if block.dynamic.join is not Join.PRODUCT and iterates < 2:
            self.errors.append(
                PlanError(
                    f"`join: {block.dynamic.join}` needs two upstream blocks or more",
                    where=f"block `{block.uuid}`, configuration.dynamic.join",
                    fix="Leave it out.",
                )
            )

    def _refuse_useless_laziness(self, number: int) -> None:
        """Only what several runs or items come to can be read piece by piece."""
        sketch = self._sketches[number]
        if sketch.block.dynamic.lazy_input and not any(edge.kind is EdgeKind.FOLDED for edge in sketch.edges):
            self.errors.append(
                PlanError(
                    "`reduce_input: lazy` is for a block below one that reduces, and none of its upstreams does",
                    where=f"block `{sketch.block.uuid}`, configuration.dynamic.reduce_input",
                    fix="Leave it out, or set `reduce_output: true` on the upstream whose outputs are to be gathered.",
                )
            )

    def _refuse_useless_tolerance(self, number: int) -> None:
        """A dynamic run that failed leaves its axis unclosed, whatever is tolerated (design 2.4)."""
        sketch = self._sketches[number]
        if sketch.block.dynamic.tolerance is None or not sketch.block.dynamic.dynamic:
            return
        out = [edge for each in self._sketches for edge in each.edges if edge.upstream == number]
        if not any(edge.kind is EdgeKind.FLAT or edge.reduces for edge in out):
            self.errors.append(
                PlanError(
                    "a dynamic run that failed leaves its axis unclosed, and that cannot be tolerated",
                    where=f"block `{sketch.block.uuid}`, configuration.dynamic.tolerate",
                    fix="Set `tolerate` on the block that reduces.",
                )
            )
