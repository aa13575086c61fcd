"""The state of one pipeline run: its blocks' columns, linked as the plan says.

At most sixteen bytes a known run: one of status, and four a column of its space, shared by all blocks of the space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from refold.model.keys import Key
from refold.scheduler.blocks import BlockState, Downstream, Link
from refold.scheduler.plan import Edge, Plan, PlannedBlock
from refold.scheduler.products import ProductCursor
from refold.scheduler.ranges import Ranges
from refold.scheduler.spaces import Axis, ProductSpace, RootSpace, Space
from refold.scheduler.status import Status


class State:
    """What `decide` reads and changes. Others may read it between events, never change it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.root = RootSpace()
        self.blocks: list[BlockState] = []
        self._standing: dict[int, list[BlockState]] = {}
        self.started = False
        self.cancelling = False
        self.finished = False
        self.newly_ready: list[tuple[int, int, int]] | None = None
        """Where an engine wants to know: runs that became ready, as block, from, to; it empties the list."""
        self.timers: dict[int, tuple[int, Ranges]] = {}
        """Runs that wait for a timer: their block and numbers."""
        self.next_timer = 0
        for planned in plan.blocks:
            self._add(planned)
        self.unsettled = list(self.blocks)
        """In topological order."""
        self.deepest_first = sorted(self.blocks, key=lambda block: (-block.plan.depth, block.number))

    def _add(self, planned: PlannedBlock) -> None:
        iterated = [edge for edge in planned.edges if edge.iterates]
        spaces = [self.blocks[edge.upstream].output_space for edge in iterated]
        space: Space = self.root if not spaces else spaces[0] if len(spaces) == 1 else ProductSpace(spaces)
        block = BlockState(planned, space)
        if len(spaces) > 1:
            block.cursor = ProductCursor(len(spaces))
        block.gate.pending = len(planned.edges) - len(iterated)
        self._standing.setdefault(id(space), []).append(block)
        for edge in planned.edges:
            upstream = self.blocks[edge.upstream]
            factor = iterated.index(edge) if edge.iterates and len(spaces) > 1 else None
            upstream.downstream.append(Downstream(block, self._link(edge, upstream), factor))
        self.blocks.append(block)

    def standing_at(self, space: Space) -> Sequence[BlockState]:
        """The blocks whose runs stand at a space's positions."""
        return self._standing.get(id(space), ())

    def _link(self, edge: Edge, upstream: BlockState) -> Link:
        if edge.reduces:
            return Link.REDUCED
        if not edge.iterates:
            return Link.BROADCAST
        return Link.RUNS if upstream.items is None else Link.ITEMS

    @property
    def running(self) -> int:
        """How many runs are handed out and hold a slot."""
        return sum(block.running for block in self.blocks)

    def key(self, block: int, run: int) -> Key:
        """The key of a run."""
        return self.blocks[block].space.key(run)

    def axes(self, block: int, runs: Sequence[int]) -> tuple[Axis, ...]:
        """The items that lead to these runs, axis by axis, outermost first."""
        return self.blocks[block].space.axes(runs)

    def inputs(self, block: int, edge: int, runs: Ranges) -> Ranges:
        """Over an iterating edge: for each of these runs, the upstream's run (or item's position) that it reads.

        One number for each run, in their order; as ranges, so that a fan-out of a hundred thousand is one pair.
        """
        state = self.blocks[block]
        if state.cursor is None or not isinstance(state.space, ProductSpace):
            return runs
        factor = sum(other.iterates for other in state.plan.edges[:edge])
        column = state.space.columns[factor]
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
        if self.finished and not self.cancelling:
            assert not self.unsettled, "finished with blocks unsettled"
            assert all(block.over == block.space.total() for block in self.blocks), "finished with runs open"
