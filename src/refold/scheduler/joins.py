"""Joins: the space of a block whose runs iterate over two or more upstreams (design 2.3).

    product   every position of one with every position of the others, the first upstream slowest
    align     positions that agree on the axes that upstreams have in common
    zip       positions of one index under outer axes that agree; what one side has too much of is *surplus*

Combinations are counted, and become positions only when their turn comes, so a product is a plan. A join that is but
the outer space of another has no runs of its own: it is made at once, since each of its positions is a group, and a
group without members counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from refold.errors import PlanError
from refold.model.block import Join
from refold.model.keys import Key
from refold.scheduler.matches import MatchCursor, SameCursor
from refold.scheduler.products import ProductCursor
from refold.scheduler.spaces import AxisItems, Group, RootSpace, Space, index_of, ranks


@dataclass(frozen=True, slots=True)
class Factor:
    """One upstream of a join."""

    space: Space
    places: tuple[int, ...]
    """Which axes of the join its own are."""


class JoinSpace:
    """Combinations of the positions of several spaces."""

    def __init__(self, factors: Sequence[Factor], join: Join, *, eager: bool = False) -> None:
        """`eager`: whether combinations become positions as soon as their members are there."""
        self.factors = tuple(factors)
        self.join = join
        self.eager = eager
        self.columns = tuple(array("I") for _ in factors)
        """For each factor, the position of each combination in it; of a surplus position of no meaning."""
        self.cursor: ProductCursor | SameCursor | MatchCursor
        """The combinations that are due."""
        self.width = 1 + max(place for factor in factors for place in factor.places)
        """How many axes there are."""
        self._sources = [self._source(place) for place in range(self.width)]
        if join is Join.PRODUCT or not self._shares():
            self.cursor = ProductCursor(len(factors))
        elif all(factor == self.factors[0] for factor in self.factors):
            self.cursor = SameCursor(len(factors))
        else:
            by_index = self.width - 1 if join is Join.ZIP else None
            self.cursor = MatchCursor([(factor.space, factor.places) for factor in factors], by_index)
        self._outer: Space | None = None
        self._kept: list[Factor] = []
        """The factors of the outer space, where that is a join or one of them."""
        self._kept_from: list[int] = []
        """For each of those, the factor that it comes of."""
        self._made: dict[tuple[int, ...], int] = {}
        """Eager: positions by those of the factors."""
        self.surplus: dict[int, tuple[int, int]] = {}
        """Zip: positions that one side has too much of; for each its outer position, and the first side's item on the
        last axis, or `~index` where it has none."""
        self.judged = join is not Join.ZIP
        """Whether surplus positions were looked for."""
        self._whole = False
        """Zip: whether all factors had closed by then, so that what has no partner is surplus."""
        self._order: Sequence[int] = range(0)

    def _source(self, place: int) -> tuple[int, int]:
        """The first factor that holds an axis, and which of its axes it is there."""
        for number, factor in enumerate(self.factors):
            if place in factor.places:
                return number, factor.places.index(place)
        raise AssertionError(f"no factor holds axis {place}")

    def _shares(self) -> bool:
        return sum(len(factor.places) for factor in self.factors) > self.width

    @property
    def size(self) -> int:
        """How many combinations have become positions."""
        return len(self.columns[0])

    def total(self) -> int:
        """How many combinations there are."""
        if isinstance(self.cursor, MatchCursor):
            return self.cursor.total + len(self.surplus)
        if isinstance(self.cursor, SameCursor):
            return self.factors[0].space.total()
        total = 1
        for factor in self.factors:
            total *= factor.space.total()
        return total

    def settled(self) -> bool:
        """Whether no factor will grow, and all combinations are made."""
        whole = self.judged and all(factor.space.settled() for factor in self.factors)
        return whole and self.size == self.total()

    def closed(self) -> bool:
        """Whether all factors are; of those that are matched, all positions must be there to be counted."""
        matched = isinstance(self.cursor, MatchCursor)
        return self.judged and all(
            factor.space.closed() and (factor.space.settled() or not matched) for factor in self.factors
        )

    def arrive(self, number: int, start: int, stop: int) -> None:
        """A factor has grown."""
        if not isinstance(self.cursor, ProductCursor):
            self.cursor.arrive(number, start, stop)

    def made(self, start: int) -> None:
        """Positions were made from `start` on."""
        if self.eager:
            for position in range(start, self.size):
                self._made[tuple(column[position] for column in self.columns)] = position

    def key(self, position: int) -> Key:
        """The factors' keys, each axis once."""
        if position in self.surplus:
            outer, item = self.surplus[position]
            return (*self.outer.key(outer), index_of(self._combined(())[-1][0], (item,))[0])
        keys = [factor.space.key(column[position]) for factor, column in zip(self.factors, self.columns, strict=True)]
        return tuple(keys[number][column] for number, column in self._sources)

    def axes(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        """The factors' items, each axis once."""
        if self.surplus and not self.surplus.keys().isdisjoint(positions):
            return self._axes_with_surplus(positions)
        return self._combined(positions)

    def _combined(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        axes = [
            factor.space.axes([column[position] for position in positions])
            for factor, column in zip(self.factors, self.columns, strict=True)
        ]
        return tuple(axes[number][column] for number, column in self._sources)

    def _axes_with_surplus(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        columns = [array("q") for _ in range(self.width)]
        for position in positions:
            if position in self.surplus:
                outer, item = self.surplus[position]
                items = [*(at[0] for _, at in self.outer.axes((outer,))), item]
            else:
                items = [at[0] for _, at in self._combined((position,))]
            for column, at in zip(columns, items, strict=True):
                column.append(at)
        return tuple((space, column) for (space, _), column in zip(self._combined(()), columns, strict=True))

    def order(self) -> Sequence[int]:
        """By the first factor's order, then the next one's, which is that of the keys; of a zip, by the keys."""
        if len(self._order) != self.size:
            if self.join is Join.ZIP:
                keys = [self.key(position) for position in range(self.size)]
                self._order = array("I", sorted(range(self.size), key=keys.__getitem__))
                return self._order
            sort_keys = [0] * self.size
            for factor, column in zip(self.factors, self.columns, strict=True):
                rank = ranks(factor.space.order())
                width = max(len(rank), 1)
                sort_keys = [key * width + rank[p] for key, p in zip(sort_keys, column, strict=True)]
            self._order = array("I", sorted(range(self.size), key=sort_keys.__getitem__))
        return self._order

    def _holds_last(self, factor: Factor) -> bool:
        return self.width - 1 in factor.places

    @property
    def outer(self) -> Space:
        """The join of the factors without the last axis.

        Raises PlanError where a factor holds that axis before another of its own.
        """
        if self._outer is None:
            kept = self._kept
            for number, factor in enumerate(self.factors):
                space, places = factor.space, factor.places
                if self._holds_last(factor):
                    if places[-1] != self.width - 1:
                        raise PlanError(
                            "the last axis cannot be reduced alone: an upstream has it before another axis",
                            fix="Leave out `levels: 1`, or change the order of `upstream_blocks`.",
                        )
                    space, places = space.outer, places[:-1]
                other = Factor(space, places)
                if places and (self.join is Join.PRODUCT or other not in kept):
                    kept.append(other)
                    self._kept_from.append(number)
            if not kept:
                self._outer = RootSpace()
            elif len(kept) == 1:
                self._outer = kept[0].space
            else:
                align = Join.PRODUCT if self.join is Join.PRODUCT else Join.ALIGN
                self._outer = JoinSpace(kept, align, eager=True)
        return self._outer

    def outer_of(self, position: int) -> int:
        """The outer position that a combination belongs to."""
        if position in self.surplus:
            return self.surplus[position][0]
        outer = self.outer
        if isinstance(outer, RootSpace):
            return 0
        found = []
        for number in self._kept_from:
            at, factor = self.columns[number][position], self.factors[number]
            found.append(factor.space.outer_of(at) if self._holds_last(factor) else at)
        return outer.position_of(tuple(found)) if isinstance(outer, JoinSpace) and len(found) > 1 else found[0]

    def position_of(self, members: tuple[int, ...]) -> int:
        """The position of these members; of an eager join, where they were combined."""
        return self._made[members]

    def _holders(self, outer: int) -> Iterator[tuple[Space, int]]:
        """The factors that have the last axis, each with the outer position of its own that this one leads to."""
        space = self.outer
        for factor in self.factors:
            if not self._holds_last(factor):
                continue
            places = factor.places[:-1]
            if not places:
                yield factor.space, 0
            elif isinstance(space, JoinSpace) and len(self._kept) > 1:
                at = self._kept.index(Factor(factor.space.outer, places))
                yield factor.space, space.columns[at][outer]
            else:
                yield factor.space, outer

    def group(self, outer: int) -> Group:
        """The combinations of one outer position: indices from 0 that all sides have, of a judged zip that any has."""
        groups = [space.group(at) for space, at in self._holders(outer)]
        sizes = [group.size for group in groups]
        return Group(
            max(sizes) if self._whole else min(sizes),
            self.judged and all(group.over for group in groups),
            any(group.broken for group in groups),
        )

    def find_surplus(self) -> int:
        """Judges a zip whose factors have settled; how many surplus positions it got, the last ones.

        They fail when all sides have closed (design 2.3); of a side that never closes nobody knows what it lacks.
        """
        self.judged = True
        self._whole = all(factor.space.closed() for factor in self.factors)
        if not self._whole:
            return 0
        first = self.factors[0].space
        by_outer: dict[int, list[int]] = {}
        for position in first.order():
            by_outer.setdefault(first.outer_of(position), []).append(position)
        before = self.size
        for outer in self.outer.order():
            holders = list(self._holders(outer))
            sizes = [space.group(at).size for space, at in holders]
            own = by_outer.get(holders[0][1], [])[: max(sizes)]
            items = first.axes(own)[-1][1]
            for index in range(min(sizes), max(sizes)):
                self.surplus[self.size] = (outer, items[index] if index < len(own) else ~index)
                for column in self.columns:
                    column.append(0)
        return self.size - before
