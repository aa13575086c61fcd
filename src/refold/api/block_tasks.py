"""What workers must know of each block, worked out from the plan and from the code as it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refold.model.block import LIST, READ_LAZILY, STRATEGIES, Block
from refold.model.keys import BlockUuid, RunId
from refold.ports.executor import BlockTask, Folding, InputKind, Source
from refold.scheduler.plan import Edge, EdgeKind, Plan


def input_kind(edge: Edge) -> InputKind:
    """What an edge gives to a run of the downstream block."""
    match edge.kind:
        case EdgeKind.FOLDED:
            return InputKind.GROUP if edge.iterates else InputKind.REDUCED
        case EdgeKind.ITEMS | EdgeKind.FLAT:
            return InputKind.ITEM
        case EdgeKind.RUNS:
            return InputKind.CHILD
        case EdgeKind.BROADCAST:
            return InputKind.STATIC


class BlockTasks:
    """Makes the tasks of one pipeline."""

    def __init__(self, blocks: Sequence[Block], plan: Plan, sources: Mapping[BlockUuid, Source]) -> None:
        """`blocks` in the plan's order; `sources` of them, and of what is attached to them."""
        self._blocks = blocks
        self._plan = plan
        self._sources = sources
        self._behind: list[frozenset[int]] = []
        """For each block, all blocks that it follows, directly or not."""
        for planned in plan.blocks:
            direct = {edge.upstream for edge in planned.edges}
            self._behind.append(frozenset(direct.union(*(self._behind[number] for number in direct))))

    def make(self, number: int, run: RunId) -> BlockTask:
        """The task of one block, by its number in the plan."""
        block, planned = self._blocks[number], self._plan.blocks[number]
        foldings = [self._folding(edge, block.dynamic.lazy_input) for edge in planned.edges]
        ahead = any(fold.computed for fold in planned.folds)
        children = self._children(number) if planned.dynamic else []
        lone = all(self._stands_at_items(child) for child, _ in children)
        return BlockTask(
            run=run,
            number=number,
            block=block.uuid,
            type=block.type,
            language=block.language,
            source=self._sources[block.uuid],
            configuration=dict(block.configuration),
            inputs=tuple(input_kind(edge) for edge in planned.edges),
            axes=len(planned.axes),
            upstreams=tuple(self._blocks[edge.upstream].uuid for edge in planned.edges),
            dynamic=planned.dynamic,
            timeout=block.timeout,
            run_tests=block.run_tests,
            conditional=block.conditional,
            conditions=tuple(self._sources[uuid] for uuid in block.conditionals),
            callbacks=tuple(self._sources[uuid] for uuid in block.callbacks),
            foldings=tuple(foldings) if any(foldings) else (),
            folds_own=self._how(number, block.dynamic.reduction.strategy) if ahead else None,
            siblings=self._siblings([child for child, _ in children]) if lone else frozenset(),
            statics=self._statics(number) if children else frozenset(),
            lone_children=lone,
            digests=self._is_followed_by_cached(number),
            max_items=block.dynamic.max_child_block_runs,
            cuts_items=block.dynamic.cut_children,
            tells_begun=planned.rate is not None,
            limit_by=None if block.dynamic.limit_by is None else block.dynamic.limit_by.key,
        )

    def _folding(self, edge: Edge, lazy: bool) -> Folding | None:
        if edge.kind is not EdgeKind.FOLDED:
            return None
        strategy = self._blocks[edge.upstream].dynamic.reduction.strategy if edge.reduces else LIST
        return self._how(edge.upstream, strategy, lazy=lazy and strategy in READ_LAZILY)

    def _how(self, number: int, strategy: str, *, lazy: bool = False) -> Folding:
        block = self._blocks[number]
        reduction = block.dynamic.reduction
        return Folding(
            block=block.uuid,
            items=block.dynamic.dynamic,
            strategy=strategy,
            initial=reduction.initial,
            has_initial=reduction.has_initial,
            source=None if strategy in STRATEGIES else self._sources[block.uuid],
            lazy=lazy,
        )

    def _children(self, number: int) -> list[tuple[int, Edge]]:
        """The blocks that unfold a dynamic block's items."""
        return [
            (planned.number, edge)
            for planned in self._plan.blocks
            for edge in planned.edges
            if edge.upstream == number and edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}
        ]

    def _stands_at_items(self, number: int) -> bool:
        iterated = [edge for edge in self._plan.blocks[number].edges if edge.iterates]
        return len(iterated) == 1 and iterated[0].kind is EdgeKind.ITEMS

    def _siblings(self, children: Sequence[int]) -> frozenset[BlockUuid]:
        """Those of a dynamic block's children that follow no other one (design 2.9: never a descendant)."""
        return frozenset(
            self._blocks[child].uuid for child in children if self._behind[child].isdisjoint(set(children) - {child})
        )

    def _statics(self, number: int) -> frozenset[BlockUuid]:
        return frozenset(
            planned.uuid
            for planned in self._plan.blocks
            if not planned.axes and planned.number != number and number not in self._behind[planned.number]
        )

    def _is_followed_by_cached(self, number: int) -> bool:
        """Whether a block that reads this one's outputs is cached by what it gets."""
        return any(
            self._blocks[planned.number].cache and edge.upstream == number
            for planned in self._plan.blocks
            for edge in planned.edges
        )
