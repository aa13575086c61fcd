"""How many runs a block has: in words, before anything ran, and in numbers for items that somebody assumes.

|users|                      one run for each item of `users`
|users| x |regions|          every combination
|orders of users|            `orders` is dynamic and runs for each item of `users`: the items of all its runs
|(orders x visits) of users| for each item of `users`, its orders with its visits
|all orders|                 one axis over the items of all runs of `orders`
|users zip regions|          items paired by index; what one side has too much of fails
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from refold.api.snapshot import AxisSnapshot, PlanSnapshot
from refold.model.keys import BlockUuid

Assumed = Mapping[BlockUuid, int]
"""How many items each run of a dynamic block is taken to give."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Counts the runs of one pipeline's blocks."""

    plan: PlanSnapshot
    assumed: Assumed

    def formula(self, axes: Sequence[AxisSnapshot]) -> str:
        """The number of keys on these axes in words, `1` on none."""
        return " x ".join(f"|{words}|" for _, words in self._factors(axes)) or "1"

    def partly(self, axes: Sequence[AxisSnapshot]) -> str:
        """The same with numbers where items are assumed: `1,000 x |regions|`."""
        counted: list[str] = []
        for places, words in self._factors(axes):
            number = self.number([axes[place] for place in places])
            counted.append(f"|{words}|" if number is None else f"{number:,}")
        return " x ".join(counted) or "1"

    def number(self, axes: Sequence[AxisSnapshot]) -> int | None:
        """The number of keys on these axes; None where nothing is assumed of one of them."""
        counts = [self.items(axis) for axis in axes]
        return prod(count for count in counts if count is not None) if None not in counts else None

    def unpaired(self, axes: Sequence[AxisSnapshot]) -> int:
        """How many of them have no partner where items are zipped."""
        total, paired = self.number(axes), 1
        for axis in axes:
            sides = [self._own_items(side) for side in (axis, *axis.zipped)]
            paired *= min(side or 0 for side in sides)
        return 0 if total is None else total - paired

    def items(self, axis: AxisSnapshot) -> int | None:
        """How many indices an axis has under each key on the axes before it."""
        counts = [self._own_items(side) for side in (axis, *axis.zipped)]
        known = [count for count in counts if count is not None]
        return max(known) if len(known) == len(counts) else None

    def missing(self, axes: Sequence[AxisSnapshot]) -> frozenset[BlockUuid]:
        """The dynamic blocks of which nothing is assumed, and on which the number depends."""
        found: set[BlockUuid] = set()
        for axis in axes:
            for side in (axis, *axis.zipped):
                found |= {side.block} - self.assumed.keys()
                if side.flat:
                    found |= self.missing(self.plan[side.block].axes[len(side.parents) :])
        return frozenset(found)

    def _own_items(self, axis: AxisSnapshot) -> int | None:
        items = self.assumed.get(axis.block)
        if items is None or not axis.flat:
            return items
        runs = self.number(self.plan[axis.block].axes[len(axis.parents) :])
        return None if runs is None else items * runs

    def _factors(self, axes: Sequence[AxisSnapshot]) -> list[tuple[list[int], str]]:
        """Groups of axes that do not depend on each other, each by their places, and in words."""
        return [
            (places, _words(places, axes, frozenset()))
            for places in _independent(range(len(axes)), axes, frozenset())
        ]  # fmt: skip


def _independent(places: Sequence[int], axes: Sequence[AxisSnapshot], fixed: frozenset[int]) -> list[list[int]]:
    """Places in groups: those of one group depend on each other, where the `fixed` ones are given."""
    groups: list[list[int]] = []
    for place in places:
        above = set(axes[place].parents) - fixed
        joined = [group for group in groups if not above.isdisjoint(group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted([*(each for group in joined for each in group), place]))
    return sorted(groups)


def _words(places: Sequence[int], axes: Sequence[AxisSnapshot], fixed: frozenset[int]) -> str:
    """One group in words."""
    if len(places) == 1:
        return _name(axes[places[0]])
    roots = [place for place in places if not set(axes[place].parents) - fixed]
    if not all(set(roots) <= set(axes[place].parents) for place in places if place not in roots):
        roots = roots[:1]
    rest = [place for place in places if place not in roots]
    given = fixed.union(roots)
    inner = [_words(group, axes, given) for group in _independent(rest, axes, given)]
    above = [_name(axes[place]) for place in roots]
    return f"{_together(inner)} of {_atom(above[0]) if len(above) == 1 else _together(above)}"


def _together(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' x '.join(map(_atom, parts))})"


def _atom(words: str) -> str:
    return f"({words})" if " of " in words or " zip " in words else words


def _name(axis: AxisSnapshot) -> str:
    return " zip ".join(f"all {side.block}" if side.flat else side.block for side in (axis, *axis.zipped))
