"""The state of one pipeline run: its blocks' columns, linked as the plan says.

At most sixteen bytes a known run: one of status, and four a column of its space, shared by all blocks of the space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from refold.errors import PlanError
from refold.model.keys import Key
from refold.scheduler.blocks import BlockState, Downstream, Link
from refold.scheduler.folds import FoldState
from refold.scheduler.joins import Factor, JoinSpace
from refold.scheduler.limits import Limit
from refold.scheduler.plan import Edge, EdgeKind, Plan, PlannedBlock
from refold.scheduler.ranges import Ranges
from refold.scheduler.spaces import AxisItems, FlatSpace, ItemSpace, RootSpace, Space
from refold.scheduler.status import Status
from refold.scheduler.waiting import Waiting


class State:
    """What `decide` reads and changes. Others may read it between events, never change it.

    Raises PlanError for a plan whose last axes cannot be left out where an edge asks for that.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.root = RootSpace()
        self.blocks: list[BlockState] = []
        self.joins: list[JoinSpace] = []
        """All joins, the outer spaces of others included."""
        self.flats: list[FlatSpace] = []
        self.waiting = Waiting()
        self._standing: dict[int, list[BlockState]] = {}
        self._joined: dict[int, list[tuple[JoinSpace, int]]] = {}
        self.started = False
        self.cancelling = False
        self.wants_idle = False
        """Whether some block with a rate has runs that may begin, but for a worker that has nothing to do."""
        self.finished = False
        self.folding = 0
        """How many folds workers have under way."""
        self.newly_ready: list[tuple[int, int, int]] | None = None
        """Where an engine wants to know: runs that became ready, as block, from, to; it empties the list."""
        self.timers: dict[int, tuple[int, Ranges]] = {}
        """Runs that wait for a timer: their block and numbers."""
        self.next_timer = 0
        for planned in plan.blocks:
            self._add(planned)
        self._add_readers()
        self.unsettled = list(self.blocks)
        """In topological order."""
        self.deepest_first = sorted(self.blocks, key=lambda block: (-block.plan.depth, block.number))
        self.folds = [fold for block in self.blocks for fold in block.folds]

    def _add(self, planned: PlannedBlock) -> None:
        iterated = [edge for edge in planned.edges if edge.iterates]
        factors = [Factor(self._seen(edge), edge.columns) for edge in iterated]
        join = JoinSpace(factors, planned.join) if len(factors) > 1 else None
        space: Space = join if join is not None else factors[0].space if factors else self.root
        self._register(space, planned)
        block = BlockState(planned, space, join, self._limits(iterated, factors, join))
        block.gate.pending = len(planned.edges) - len(iterated)
        self._standing.setdefault(id(space), []).append(block)
        self.blocks.append(block)
        for number, fold in enumerate(planned.folds):
            if fold.levels != 0:
                self._add_fold(block, fold.levels, number)
        for edge in planned.edges:
            factor = iterated.index(edge) if edge.iterates and len(factors) > 1 else None
            self._link(edge, block, factor)

    def _limits(self, iterated: Sequence[Edge], factors: Sequence[Factor], join: JoinSpace | None) -> list[Limit]:
        """What the dynamic blocks whose items a block unfolds let it have under way at once (`limit_by`)."""
        found: list[Limit] = []
        for number, (edge, factor) in enumerate(zip(iterated, factors, strict=True)):
            most = self.plan.blocks[edge.upstream].group_limit
            if most is not None and edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
                assert isinstance(factor.space, ItemSpace | FlatSpace), "items are what is unfolded"
                found.append(Limit(most, factor.space, None if join is None else join.columns[number]))
        return found

    def _add_readers(self) -> None:
        """Tells dynamic blocks who reads their items while they produce; each learns what that depends on."""
        above: list[frozenset[int]] = []
        for block in self.blocks:
            upstreams = frozenset(edge.upstream for edge in block.plan.edges)
            above.append(upstreams.union(*(above[number] for number in upstreams)))
        for producer in self.blocks:
            for downstream in producer.downstream if not producer.plan.batch_mode else ():
                block = downstream.block
                gates = {edge.upstream for edge in block.plan.edges if not edge.iterates}
                waits_for_all = any(producer.number in above[number] for number in gates)
                if downstream.link is not Link.ITEMS or waits_for_all:
                    continue
                join = block.join
                block.read_from(producer, None if join is None else join.columns[downstream.factor or 0])
                producer.leads_to_reading |= above[block.number] | {block.number}

    def _add_fold(self, block: BlockState, levels: int | None, number: int | None = None) -> FoldState:
        if levels is not None:
            self._register(self._outer(block.space, block.plan), block.plan)
        fold = FoldState(block, levels, number)
        if block.items is not None and block.items.by_run is None:
            block.items.by_run = {}
        block.folds.append(fold)
        block.readers.append([])
        return fold

    def _seen(self, edge: Edge) -> Space:
        """What a block's runs iterate over, over this edge."""
        upstream = self.blocks[edge.upstream]
        if edge.kind is EdgeKind.ITEMS:
            assert upstream.items is not None
            return upstream.items
        if edge.kind is EdgeKind.FLAT:
            return self.flat(edge.upstream, edge.levels)
        if edge.kind is EdgeKind.FOLDED and edge.levels == 1:
            return self._fold_of(edge).outer
        return upstream.space

    def flat(self, block: int, levels: int | None) -> FlatSpace:
        """The one axis over the items of all runs of a dynamic block that reduces."""
        upstream = self.blocks[block]
        for fold in upstream.folds:
            if fold.flat is not None and fold.levels == levels:
                return fold.flat
        fold = self._add_fold(upstream, levels)
        assert upstream.items is not None
        fold.flat = FlatSpace(upstream.items, fold.outer)
        self.flats.append(fold.flat)
        return fold.flat

    def _fold_of(self, edge: Edge) -> FoldState:
        assert edge.fold is not None, "a reducing edge says which fold it is"
        return self.fold(edge.upstream, edge.fold)

    def fold(self, block: int, number: int) -> FoldState:
        """One of the ways in which the plan has the runs of a block folded."""
        return next(fold for fold in self.blocks[block].folds if fold.number == number)

    def _link(self, edge: Edge, block: BlockState, factor: int | None) -> None:
        upstream = self.blocks[edge.upstream]
        if edge.reduces:
            readers = upstream.readers[upstream.folds.index(self._fold_of(edge))]
            readers.append(Downstream(block, Link.FOLD, factor, edge.iterates))
        elif edge.kind is EdgeKind.FLAT:
            flat = self.flat(edge.upstream, edge.levels)
            number = next(number for number, fold in enumerate(upstream.folds) if fold.flat is flat)
            upstream.readers[number].append(Downstream(block, Link.ITEMS, factor, edge.iterates))
        else:
            link = Link.ITEMS if edge.kind is EdgeKind.ITEMS else Link.RUNS if edge.iterates else Link.BROADCAST
            upstream.downstream.append(Downstream(block, link, factor, edge.iterates))
            if edge.kind is EdgeKind.FOLDED and upstream.items is not None and upstream.items.by_run is None:
                upstream.items.by_run = {}

    def _register(self, space: Space, planned: PlannedBlock) -> None:
        """Lets a join know when its factors grow; and the spaces that it is made of."""
        if not isinstance(space, JoinSpace) or space in self.joins:
            return
        for number, factor in enumerate(space.factors):
            self._register(factor.space, planned)
            joined = self._joined.setdefault(id(factor.space), [])
            joined.append((space, number))
            joined.sort(key=lambda each: each[0].width)
        self.joins.append(space)
        if not space.judged:
            self._register(self._outer(space, planned), planned)

    def _outer(self, space: Space, planned: PlannedBlock) -> Space:
        try:
            return space.outer
        except PlanError as error:
            raise PlanError(error.message, where=f"block `{planned.uuid}`", fix=error.fix) from None

    def standing_at(self, space: Space) -> Sequence[BlockState]:
        """The blocks whose runs stand at a space's positions."""
        return self._standing.get(id(space), ())

    def joined_with(self, space: Space) -> Sequence[tuple[JoinSpace, int]]:
        """The joins that a space is a factor of, and which factor it is; an outer space before what it is outer to."""
        return self._joined.get(id(space), ())

    @property
    def running(self) -> int:
        """How many runs are handed out and hold a slot."""
        return sum(block.running for block in self.blocks)

    def key(self, block: int, run: int) -> Key:
        """The key of a run."""
        return self.blocks[block].space.key(run)

    def group_key(self, block: int, fold: int, group: int) -> Key:
        """The outer key of a group of a fold of the plan; `()` where all axes end."""
        return self.fold(block, fold).outer.key(group)

    def axes(self, block: int, runs: Sequence[int]) -> tuple[AxisItems, ...]:
        """The items that lead to these runs, axis by axis, outermost first."""
        return self.blocks[block].space.axes(runs)

    def is_surplus(self, block: int, run: int) -> bool:
        """Whether a run stands where not every side of a zip has something: it fails without being executed."""
        join = self.blocks[block].join
        return join is not None and run in join.surplus

    def inputs(self, block: int, edge: int, runs: Ranges) -> Ranges:
        """Over an iterating edge: for each of these runs, the position of what it sees: a run, an item or a group.

        One number for each run, in their order; as ranges, so that a fan-out of a hundred thousand is one pair.
        """
        state = self.blocks[block]
        if state.join is None:
            return runs
        factor = sum(other.iterates for other in state.plan.edges[:edge])
        column = state.join.columns[factor]
        found: list[tuple[int, int]] = []
        for start, stop in runs:
            for position in column[start:stop]:
                if found and found[-1][1] == position:
                    found[-1] = (found[-1][0], position + 1)
                else:
                    found.append((position, position + 1))
        return tuple(found)

    def order(self, block: int) -> Sequence[int]:
        """All the block's runs that were made so far, in key order."""
        return self.blocks[block].space.order()

    def total(self, block: int) -> int:
        """How many runs of the block exist now."""
        return self.blocks[block].space.total()

    def total_final(self, block: int) -> bool:
        """Whether no more will come, and none is missing behind a dynamic run that failed."""
        return self.blocks[block].space.closed()

    def excused(self, block: int) -> bool:
        """Whether runs of the block that failed do not make the pipeline run a failed one (design 2.6).

        So it is where its own `tolerate` admits them, or where each block that follows, run by run, is excused.
        """
        state = self.blocks[block]
        if state.tolerated:
            return True
        if any(state.readers) or not state.downstream:
            return False
        return all(self.excused(downstream.block.number) for downstream in state.downstream)

    def counts(self, block: int) -> Counter[Status]:
        """How many of the block's runs have each status."""
        state = self.blocks[block]
        counted = Counter({status: state.counts[status] for status in Status})
        counted[Status.INITIAL] += state.space.total() - state.space.size
        return counted

    def validate(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for block in self.blocks:
            block.validate()
        for number, ranges in self.timers.values():
            assert all(start < stop <= len(self.blocks[number].status) for start, stop in ranges), "timer ranges"
        assert self.unsettled == [block for block in self.blocks if not block.settled], "unsettled blocks"
        busy = sum(ahead.busy for fold in self.folds for ahead in fold.ahead.values())
        assert self.folding == busy, "folds under way"
        for fold in self.folds:
            assert all(group < fold.outer.size for group in fold.judged), "judged groups that are not there"
        for join in self.joins:
            assert join.size <= join.total(), "more combinations than there are"
        if self.finished and not self.cancelling:
            assert not self.unsettled, "finished with blocks unsettled"
            assert all(block.over == block.space.total() for block in self.blocks), "finished with runs open"
            assert all(len(fold.judged) == fold.outer.size for fold in self.folds), "finished with groups open"
