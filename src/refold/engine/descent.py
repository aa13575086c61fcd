"""Which block runs descend from some that are named: what a retry of single block runs runs anew, and nothing else.

A run descends from those that it sees anything of: its own item's run, the runs at its position, any run of a group
that folds to what it gets. That is worked out on keys alone, block by block: the descendants of a few runs are few
*patterns*, each saying for some places of a key which indices it has, whatever the number of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from refold.model.keys import BlockUuid, Key, decode_key
from refold.scheduler.plan import Edge, EdgeKind, Plan

Pattern = Mapping[int, range]
"""Keys that have one of these indices at each of these places; places that are left out have any."""
Givers = Callable[[BlockUuid], Iterable[tuple[Key, int]]]
"""The completed runs of a dynamic block, in key order, each with how many items it gave."""


class Descent:
    """The named runs and all that descend from them."""

    def __init__(self, plan: Plan, named: Iterable[tuple[BlockUuid, Key]], givers: Givers) -> None:
        """`givers` is asked about dynamic blocks whose items are one axis over several runs (`EdgeKind.FLAT`)."""
        self._plan = plan
        self._givers = givers
        own: dict[BlockUuid, list[Pattern]] = {}
        for uuid, key in named:
            own.setdefault(uuid, []).append({place: range(index, index + 1) for place, index in enumerate(key)})
        self._patterns: list[list[Pattern]] = []
        for block in plan.blocks:
            found = own.get(block.uuid, [])
            for edge in block.edges:
                found += self._through(edge)
            self._patterns.append([{}] if {} in found else found)
        self._by_uuid = {block.uuid: self._patterns[block.number] for block in plan.blocks}

    def holds(self, block: BlockUuid, key: bytes) -> bool:
        """Whether the block's run at this encoded key is one of them."""
        return any(_matches(pattern, decode_key(key)) for pattern in self._by_uuid.get(block, ()))

    def _through(self, edge: Edge) -> list[Pattern]:
        """What descends over an edge from those of the upstream."""
        above = self._patterns[edge.upstream]
        if not above:
            return []
        if edge.kind is EdgeKind.FLAT:
            return list(self._flat(edge, above))
        if not edge.iterates:
            return [{}]
        return [
            {edge.columns[place]: indices for place, indices in pattern.items() if place < len(edge.columns)}
            for pattern in above
        ]

    def _flat(self, edge: Edge, above: list[Pattern]) -> Iterator[Pattern]:
        """Positions of a flat axis: a run's items follow those of the runs before it under the same outer key."""
        *outer_places, place = edge.columns
        given: dict[Key, int] = {}
        for key, count in self._givers(self._plan.blocks[edge.upstream].uuid):
            outer = key[: len(outer_places)]
            start = given.get(outer, 0)
            given[outer] = start + count
            if count and any(_matches(pattern, key) for pattern in above):
                yield {
                    **{column: range(index, index + 1) for column, index in zip(outer_places, outer, strict=True)},
                    place: range(start, start + count),
                }


def _matches(pattern: Pattern, key: Key) -> bool:
    return all(key[place] in indices for place, indices in pattern.items())
