"""Spaces: the positions that the runs of blocks stand at.

Blocks that iterate over the same things share a space, and run `n` of each stands at position `n` of it. A space only
grows, so a number never changes its meaning. There are four kinds:

    RootSpace    one position, for static blocks
    ItemSpace    one position an item of a dynamic block, in order of arrival
    FlatSpace    one position an item of a dynamic block that reduces, in key order over its runs (design 2.4)
    JoinSpace    one position a combination of the positions of two or more upstreams (design 2.3; `joins`)

Every space but the root has an *outer* space: its positions without their last axis. Columns are four bytes a position;
keys are computed when asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

from refold.model.keys import Key
from refold.scheduler.plan import PlannedBlock

AxisItems = tuple["ItemSpace | FlatSpace", Sequence[int]]
"""Some runs' items on one axis: the space of the axis, and a position in it for each run.

A negative position `~index` is an index at which the axis has no item: a surplus one of a zip (design 2.3).
"""


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

    def axes(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        """The items that lead to these positions, axis by axis, outermost first."""

    def order(self) -> Sequence[int]:
        """All positions, in key order."""

    @property
    def outer(self) -> Space:
        """The space without its last axis."""

    def outer_of(self, position: int) -> int:
        """The position of the outer space that this one belongs to."""

    def group(self, outer: int) -> Group:
        """How the positions stand that belong to one of the outer space."""


class Group:
    """The positions that belong to one outer position."""

    __slots__ = ("broken", "over", "size")

    def __init__(self, size: int, over: bool, broken: bool) -> None:
        self.size = size
        """How many there are."""
        self.over = over
        """Whether no more will come."""
        self.broken = broken
        """Whether some are missing: the dynamic run that gives them failed."""


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

    def is_over(self, run: int) -> bool:
        """Whether a run has reached its last status."""

    def is_broken(self, run: int) -> bool:
        """Whether a run is over and did not complete, other than by a condition."""


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

    def axes(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:  # noqa: ARG002 - the protocol's
        """No items."""
        return ()

    def order(self) -> Sequence[int]:
        """The one position."""
        return range(1)

    @property
    def outer(self) -> Space:
        """Itself: there is no axis to leave out."""
        return self

    def outer_of(self, position: int) -> int:
        """The same position."""
        return position

    def group(self, outer: int) -> Group:  # noqa: ARG002 - the protocol's
        """The one position."""
        return Group(1, over=True, broken=False)


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
        self.groups = array("I")
        """Where the block has a `limit_by`: for each item the number of its value; empty elsewhere."""
        self.group_count = 0
        """How many such values there are."""
        self.by_run: dict[int, array[int]] | None = None
        """For each producing run its items, by index; kept only where somebody asks for the items of a run."""
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

    def grow(self, run: int, start: int, stop: int, groups: Sequence[int] = ()) -> int:
        """Adds the run's items `start` to `stop`; the first new position. `groups`: their values' numbers."""
        first = len(self.parent)
        self.parent.extend(array("I", (run,)) * (stop - start))
        self.index.extend(range(start, stop))
        if run >= len(self.arrived):
            self.arrived.extend(array("I", (0,)) * (run + 1 - len(self.arrived)))
        self.arrived[run] = stop
        if groups:
            self.groups.extend(groups)
            self.group_count = max(self.group_count, 1 + max(groups))
        if self.by_run is not None:
            self.by_run.setdefault(run, array("I")).extend(range(first, first + stop - start))
        return first

    def items_of(self, run: int) -> Sequence[int]:
        """The items of one run, by index."""
        if self.producer.space.size == 1:
            return range(self.size)
        assert self.by_run is not None, "it was said that somebody would ask"
        return self.by_run.get(run, ())

    def position_of(self, run: int, index: int) -> int:
        """The position of an item of one run."""
        if self.by_run is None and self.producer.space.size > 1:
            self.by_run = {}
            for position, producing in enumerate(self.parent):
                self.by_run.setdefault(producing, array("I")).append(position)
        return self.items_of(run)[index]

    def run_of(self, position: int) -> int:
        """The run that gave an item."""
        return self.parent[position]

    def stored(self, positions: Sequence[int]) -> Sequence[int]:
        """Where these items stand among all the items of the dynamic block."""
        return positions

    def key(self, position: int) -> Key:
        """The producing run's key and the item's index."""
        return (*self.producer.space.key(self.parent[position]), self.index[position])

    def axes(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        """The producing runs' items, then these."""
        base = self.producer.space
        if isinstance(base, RootSpace):
            return ((self, positions),)
        return (*base.axes(taken(self.parent, positions)), (self, positions))

    def order(self) -> Sequence[int]:
        """By the producing runs' keys, then by index."""
        if len(self._order) != self.size:
            base = self.producer.space
            if base.size == 1:
                self._order = range(self.size)
            else:
                self._order = nested_order(base, self.parent, self.index)
        return self._order

    @property
    def outer(self) -> Space:
        """What the dynamic block's runs stand at."""
        return self.producer.space

    def outer_of(self, position: int) -> int:
        """The producing run."""
        return self.parent[position]

    def group(self, outer: int) -> Group:
        """The items of one run."""
        return Group(self.arrived_from(outer), self.producer.is_over(outer), self.producer.is_broken(outer))


class FlatSpace:
    """The items of a dynamic block that reduces, as one axis over many runs (design 2.4).

    It is filled for one outer position at a time, when all runs that belong to it are over.
    """

    def __init__(self, items: ItemSpace, outer: Space) -> None:
        self.items = items
        self.producer = items.producer
        self._outer = outer
        self.parent = array("I")
        """The outer position of each item."""
        self.index = array("I")
        """Its index under that, in key order."""
        self.base = array("I")
        """Its position among all the items of the dynamic block."""
        self.doomed: set[int] = set()
        """Outer positions of which a forebear failed after it had given them."""
        self._groups: dict[int, int] = {}
        """How many items each outer position has, of those that are judged; -1 where there will be none."""
        self._order: Sequence[int] = range(0)

    @property
    def size(self) -> int:
        """How many items there are."""
        return len(self.parent)

    def total(self) -> int:
        """How many items there are."""
        return len(self.parent)

    def settled(self) -> bool:
        """Whether every outer position was judged."""
        return self.producer.settled and self._outer.settled() and len(self._groups) == self._outer.total()

    def closed(self) -> bool:
        """Whether every outer position got its items."""
        return self.settled() and self._outer.closed() and all(size >= 0 for size in self._groups.values())

    def fill(self, outer: int, base: Sequence[int]) -> int:
        """Gives an outer position its items, in key order; the first new position."""
        first = len(self.parent)
        self.parent.extend(array("I", (outer,)) * len(base))
        self.index.extend(range(len(base)))
        self.base.extend(base)
        self._groups[outer] = len(base)
        return first

    def give_up(self, outer: int) -> None:
        """An outer position will have no items: a run of it did not complete."""
        self._groups[outer] = -1

    def run_of(self, position: int) -> int:
        """The run that gave an item."""
        return self.items.parent[self.base[position]]

    def stored(self, positions: Sequence[int]) -> Sequence[int]:
        """Where these items stand among all the items of the dynamic block."""
        return taken(self.base, positions)

    def key(self, position: int) -> Key:
        """The outer key and the index."""
        return (*self._outer.key(self.parent[position]), self.index[position])

    def axes(self, positions: Sequence[int]) -> tuple[AxisItems, ...]:
        """The outer items, then these."""
        if isinstance(self._outer, RootSpace):
            return ((self, positions),)
        return (*self._outer.axes(taken(self.parent, positions)), (self, positions))

    def order(self) -> Sequence[int]:
        """By outer key, then by index."""
        if len(self._order) != self.size:
            if isinstance(self._outer, RootSpace):
                self._order = range(self.size)
            else:
                self._order = nested_order(self._outer, self.parent, self.index)
        return self._order

    @property
    def outer(self) -> Space:
        """The space without the flat axis."""
        return self._outer

    def outer_of(self, position: int) -> int:
        """The outer position that an item belongs to."""
        return self.parent[position]

    def group(self, outer: int) -> Group:
        """The items of one outer position."""
        size = self._groups.get(outer)
        return Group(max(size or 0, 0), size is not None, size == -1)


def index_of(space: ItemSpace | FlatSpace, positions: Sequence[int]) -> Sequence[int]:
    """The index on an axis of each position."""
    index = space.index
    if isinstance(positions, range) or (isinstance(positions, array) and positions.typecode == "I"):
        return taken(index, positions)
    return array("I", [index[each] if each >= 0 else ~each for each in positions])


def taken(column: array[int], positions: Sequence[int]) -> Sequence[int]:
    """The column's values at these positions; none of them is negative."""
    if isinstance(positions, range) and positions.step == 1:
        return column[positions.start : positions.stop]
    return array(column.typecode, map(column.__getitem__, positions))


def nested_order(base: Space, parent: Sequence[int], index: Sequence[int]) -> Sequence[int]:
    """Positions by the order of what they belong to, then by index."""
    rank = ranks(base.order())
    sort_keys = [rank[p] << 32 | i for p, i in zip(parent, index, strict=True)]
    return array("I", sorted(range(len(sort_keys)), key=sort_keys.__getitem__))


def ranks(order: Sequence[int]) -> Sequence[int]:
    """For each position, its place in this order."""
    if isinstance(order, range):
        return order
    places = array("I", bytes(4 * len(order)))
    for place, position in enumerate(order):
        places[position] = place
    return places
