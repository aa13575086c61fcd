"""Spaces: the positions that the runs of blocks stand at.

Blocks that iterate over the same things share a space, and run `n` of each stands at position `n` of it. A space only
grows, so a number never changes its meaning. There are three kinds:

    RootSpace      one position, for static blocks
    ItemSpace      one position an item of a dynamic block, in order of arrival
    ProductSpace   one position a combination of the positions of two or more upstreams (design 2.3); combinations are
                   counted by arithmetic and become positions only when their turn comes, so a product is a plan

Columns are four bytes a position; keys are computed when asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

from refold.model.keys import Key
from refold.scheduler.plan import PlannedBlock

Axis = tuple["ItemSpace", Sequence[int]]
"""Some runs' items on one axis: the space of the axis, and a position in it for each run."""


class Space(Protocol):
    """What blocks' runs iterate over."""

    @property
    def size(self) -> int:
        """How many positions there are."""

    def total(self) -> int:
        """How many there are, those counted but not yet made included."""

    def settled(self) -> bool:
        """Whether no more positions will come."""

    def closed(self) -> bool:
        """Whether all came: settled, and no dynamic run on the way to it failed (design 2.6)."""

    def key(self, position: int) -> Key:
        """The key of the runs at this position."""

    def axes(self, positions: Sequence[int]) -> tuple[Axis, ...]:
        """The items that lead to these positions, axis by axis, outermost first."""

    def order(self) -> Sequence[int]:
        """All positions, in key order."""


class Producer(Protocol):
    """A dynamic block, as the space of its items sees it."""

    @property
    def plan(self) -> PlannedBlock:
        """The block's plan."""

    @property
    def space(self) -> Space:
        """What its own runs stand at."""

    @property
    def settled(self) -> bool:
        """Whether every run that will ever be is over."""

    @property
    def broken(self) -> bool:
        """Whether some run did not complete, other than by a condition."""


class RootSpace:
    """The space of static blocks."""

    @property
    def size(self) -> int:
        """One."""
        return 1

    def total(self) -> int:
        """One."""
        return 1

    def settled(self) -> bool:
        """Always."""
        return True

    def closed(self) -> bool:
        """Always."""
        return True

    def key(self, position: int) -> Key:  # noqa: ARG002 - the protocol's
        """The empty key."""
        return ()

    def axes(self, positions: Sequence[int]) -> tuple[Axis, ...]:  # noqa: ARG002 - the protocol's
        """No items."""
        return ()

    def order(self) -> Sequence[int]:
        """The one position."""
        return range(1)


class ItemSpace:
    """The items of one dynamic block, over all its runs."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.parent = array("I")
        """The producing run of each item."""
        self.index = array("I")
        """The item's index within that run."""
        self.arrived = array("I")
        """How many items each producing run has given; shorter than the runs when the last ones gave none."""
        self.bytes = 0
        """Bytes that all the items take in the store."""
        self._order: Sequence[int] = range(0)

    @property
    def size(self) -> int:
        """How many items arrived."""
        return len(self.parent)

    def total(self) -> int:
        """How many items arrived."""
        return len(self.parent)

    def settled(self) -> bool:
        """Whether every run of the dynamic block is over."""
        return self.producer.settled

    def closed(self) -> bool:
        """Whether every run of the dynamic block gave all its items; a condition_failed one gives none."""
        return self.producer.settled and self.producer.space.closed() and not self.producer.broken

    def arrived_from(self, run: int) -> int:
        """How many items this run has given."""
        return self.arrived[run] if run < len(self.arrived) else 0

    def grow(self, run: int, start: int, stop: int, size: int) -> int:
        """Adds the run's items `start` to `stop`; the first new position."""
        first = len(self.parent)
        self.parent.extend(array("I", (run,)) * (stop - start))
        self.index.extend(range(start, stop))
        if run >= len(self.arrived):
            self.arrived.extend(array("I", (0,)) * (run + 1 - len(self.arrived)))
        self.arrived[run] = stop
        self.bytes += size
        return first

    def key(self, position: int) -> Key:
        """The producing run's key and the item's index."""
        return (*self.producer.space.key(self.parent[position]), self.index[position])

    def axes(self, positions: Sequence[int]) -> tuple[Axis, ...]:
        """The producing runs' items, then these."""
        base = self.producer.space
        if isinstance(base, RootSpace):
            return ((self, positions),)
        return (*base.axes([self.parent[position] for position in positions]), (self, positions))

    def order(self) -> Sequence[int]:
        """By the producing runs' keys, then by index."""
        if len(self._order) != self.size:
            base = self.producer.space
            if base.size == 1:
                self._order = range(self.size)
            else:
                rank = ranks(base.order())
                sort_keys = [rank[p] << 32 | i for p, i in zip(self.parent, self.index, strict=True)]
                self._order = array("I", sorted(range(self.size), key=sort_keys.__getitem__))
        return self._order


class ProductSpace:
    """All combinations of the positions of several spaces, the first one slowest."""

    def __init__(self, factors: Sequence[Space]) -> None:
        self.factors = tuple(factors)
        self.columns = tuple(array("I") for _ in factors)
        """For each factor, the position of each combination in it."""
        self._order: Sequence[int] = range(0)

    @property
    def size(self) -> int:
        """How many combinations have become positions."""
        return len(self.columns[0])

    def total(self) -> int:
        """How many combinations there are."""
        total = 1
        for factor in self.factors:
            total *= factor.total()
        return total

    def settled(self) -> bool:
        """Whether no factor will grow."""
        return all(factor.settled() for factor in self.factors)

    def closed(self) -> bool:
        """Whether all factors are."""
        return all(factor.closed() for factor in self.factors)

    def key(self, position: int) -> Key:
        """The factors' keys, one after the other."""
        key: Key = ()
        for factor, column in zip(self.factors, self.columns, strict=True):
            key += factor.key(column[position])
        return key

    def axes(self, positions: Sequence[int]) -> tuple[Axis, ...]:
        """The factors' items, one after the other."""
        axes: tuple[Axis, ...] = ()
        for factor, column in zip(self.factors, self.columns, strict=True):
            axes += factor.axes([column[position] for position in positions])
        return axes

    def order(self) -> Sequence[int]:
        """By the first factor's order, then the next one's."""
        if len(self._order) != self.size:
            sort_keys = [0] * self.size
            for factor, column in zip(self.factors, self.columns, strict=True):
                rank = ranks(factor.order())
                width = max(len(rank), 1)
                sort_keys = [key * width + rank[p] for key, p in zip(sort_keys, column, strict=True)]
            self._order = array("I", sorted(range(self.size), key=sort_keys.__getitem__))
        return self._order


def ranks(order: Sequence[int]) -> Sequence[int]:
    """For each position, its place in this order."""
    if isinstance(order, range):
        return order
    places = array("I", bytes(4 * len(order)))
    for place, position in enumerate(order):
        places[position] = place
    return places
