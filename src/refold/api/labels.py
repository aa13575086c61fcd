"""Names of a run's block runs: keys become labels, and labels keys.

The run store keeps neither labels nor uuids (design 3): what an item is called lies with the item, in the output store.

    an axis                its labels
    items of a block       each item's own, its metadata's `block_uuid`, else its index within its run
    a flat axis            `runlabel.itemlabel`, the run's labels joined by dots: all runs' items, in key order
    a zip axis             those of its first upstream; a position that it has no item for is called by its index
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from refold.api.positions import Position
from refold.api.snapshot import AxisSnapshot, PlanSnapshot
from refold.errors import NotFoundError
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, block_run_uuid, decode_key
from refold.model.suggestion import suggestion
from refold.ports.output_store import ChunkRef, Item, OutputStore
from refold.ports.run_store import RunStore
from refold.scheduler.status import Status

COMPLETED = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})
"""Statuses of block runs that have an output, or items."""
_COMPARED = 2000
"""How many labels one that is not there is compared with: to compare it with a million would take minutes."""


@dataclass(slots=True)
class _Stretch:
    """Items of one dynamic run that lie side by side in a chunk."""

    start: int
    length: int
    ref: ChunkRef
    first: int
    named: bool
    labels: Sequence[str] | None = None
    """Decoded when one of them is asked for."""


@dataclass(slots=True)
class _Items:
    """All items of one dynamic run."""

    stretches: list[_Stretch] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are: one more than the last one's index."""
        return self.stretches[-1].start + self.stretches[-1].length if self.stretches else 0

    def find(self, index: int) -> _Stretch | None:
        """The stretch that holds this item."""
        at = bisect_right(self.starts, index) - 1
        if at < 0 or index >= self.starts[at] + self.stretches[at].length:
            return None
        return self.stretches[at]


@dataclass(slots=True)
class _FlatItems:
    """The items of several runs of a dynamic block, as one axis."""

    starts: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    """The run that gave the items from each of `starts` on; runs without items are left out."""
    count: int = 0

    def find(self, position: int) -> tuple[Key, int] | None:
        """The run that gave the item at a position, and the item's index within that run."""
        if not 0 <= position < self.count:
            return None
        at = bisect_right(self.starts, position) - 1
        return self.keys[at], position - self.starts[at]


_NO_ITEMS = _Items()
_Place = tuple[BlockUuid, bool, Key]
"""The items of one producing run, or of one flat axis under an outer key: block, whether it is flat, key."""


class RunLabels:
    """The labels of one pipeline run; items are read when they are first asked for, and then kept."""

    def __init__(
        self,
        run: RunId,
        plan: PlanSnapshot,
        store: RunStore,
        outputs: OutputStore,
        given: Iterable[Position] = (),
    ) -> None:
        """`given`: the items that a run of one block stands at, which other runs have given."""
        self._run = run
        self._plan = plan
        self._store = store
        self._outputs = outputs
        self._items: dict[BlockUuid, dict[Key, _Items]] = {}
        self._flats: dict[tuple[BlockUuid, int], dict[Key, _FlatItems]] = {}
        self._indices: dict[_Place, Mapping[str, int]] = {}
        self._refs: list[ChunkRef] | None = None
        self._given: dict[_Place, dict[int, Position]] = {}
        for position in given:
            self._given.setdefault((position.block, position.flat, position.outer), {})[position.index] = position

    def chunk(self, number: int) -> ChunkRef:
        """Where a chunk of the run lies."""
        if self._refs is None or number >= len(self._refs):
            self._refs = [ChunkRef(row.segment, row.offset, row.length) for row in self._store.chunks(self._run)]
        return self._refs[number]

    def forget(self) -> None:
        """What was read may be out of date: the run goes on."""
        self._items.clear()
        self._flats.clear()
        self._indices.clear()
        self._refs = None

    def of(self, axes: Sequence[AxisSnapshot], key: Key) -> tuple[str, ...]:
        """The labels at a key on these axes, one each, outermost first."""
        return tuple(self._label(_place(axis, key), index) for axis, index in zip(axes, key, strict=True))

    def uuid(self, block: BlockUuid, key: Key) -> BlockRunUuid:
        """The uuid of a block's run at this key."""
        return block_run_uuid(block, self.of(self._plan[block].axes, key))

    def key(self, axes: Sequence[AxisSnapshot], labels: Sequence[str]) -> Key:
        """The key of these labels, one for each axis. Raises NotFoundError, with labels that are near."""
        key: Key = ()
        for axis, label in zip(axes, labels, strict=True):
            key += (self.index(axis, key, label),)
        return key

    def index(self, axis: AxisSnapshot, key: Key, label: str) -> int:
        """The index of a label on one axis, under a key on the axes before it. Raises NotFoundError."""
        place = _place(axis, key)
        known = self._known(place)
        if label in known:
            return known[label]
        surplus = int(label) if label.isascii() and label.isdecimal() and len(label) < 10 and axis.zipped else -1
        if len(known) <= surplus < self.count(axis, key):
            return surplus
        block, flat, producer = place
        whose = f"the runs of `{block}`" if flat else f"`{self.uuid(block, producer)}`"
        raise NotFoundError(
            f"{whose} gave no item `{label}`",
            where=f"run {self._run}",
            fix=suggestion(label, islice(known, _COMPARED), "items"),
        )

    def keys(self, axes: Sequence[AxisSnapshot], before: Key = ()) -> Iterator[Key]:
        """The keys on these axes that exist now and begin so, in order; surplus positions of a zip included."""
        if len(before) == len(axes):
            yield before
            return
        for index in range(self.count(axes[len(before)], before)):
            yield from self.keys(axes, (*before, index))

    def count(self, axis: AxisSnapshot, key: Key) -> int:
        """How many positions an axis has now, under a key on the axes before it."""
        block, flat, producer = _place(axis, key)
        own = self._flat(block, producer).count if flat else self._items_of(block).get(producer, _NO_ITEMS).count
        return max([own, *(self.count(side, key) for side in axis.zipped)])

    def item_place(self, dynamic: BlockUuid, key: Key, index: int) -> tuple[ChunkRef, int, bool] | None:
        """Chunk and position of an item, and whether it may carry metadata; None where there is none."""
        stretch = self._items_of(dynamic).get(key, _NO_ITEMS).find(index)
        return None if stretch is None else (stretch.ref, stretch.first + index - stretch.start, stretch.named)

    def giver(self, axis: AxisSnapshot, key: Key, index: int) -> tuple[Key, int] | None:
        """The run that gave the item at an index of an axis, under a key on the axes before it, and the item's index
        within that run; None where there is none."""
        place = block, flat, producer = _place(axis, key)
        if not flat:
            return producer, index
        given = self._given.get(place, {}).get(index)
        return self._flat(block, producer).find(index) if given is None else (given.giver, given.item)

    def positions(self, axis: AxisSnapshot, key: Key, index: int) -> Iterator[Position]:
        """What an index of an axis is made of, under a key on the axes before it: the item there; of a flat axis the
        items that the run stands at which gave it, then the item, then the position on the flat axis itself."""
        block, flat, outer = _place(axis, key)
        giver, item = self.giver(axis, key, index) or ((), index)
        if flat:
            for place, above in enumerate(self._plan[block].axes[: len(giver)]):
                yield from self.positions(above, giver[:place], giver[place])
            yield self._item(block, giver, item)
            yield Position(block, True, outer, index, self._label((block, True, outer), index), giver, item)
        else:
            yield self._item(block, giver, item)

    def _item(self, block: BlockUuid, key: Key, index: int) -> Position:
        label = self._label((block, False, key), index)
        return Position(block, False, key, index, label, key, index, self.item_place(block, key, index))

    def items(self, dynamic: BlockUuid, key: Key) -> list[Item]:
        """The items that this run of a dynamic block gave."""
        found: list[Item] = []
        for ref, start, stop in self.item_stretches(dynamic, key):
            chunk = self._outputs.read(ref)
            found += [chunk.item(position) for position in range(start, stop)]
        return found

    def item_stretches(self, dynamic: BlockUuid, key: Key) -> Iterator[tuple[ChunkRef, int, int]]:
        """Where these items lie: chunks, with positions from and to, in order."""
        for stretch in self._items_of(dynamic).get(key, _NO_ITEMS).stretches:
            yield stretch.ref, stretch.first, stretch.first + stretch.length

    def givers(self, dynamic: BlockUuid) -> Iterator[tuple[Key, int]]:
        """The completed runs of a dynamic block, in key order, each with how many items it gave."""
        items = self._items_of(dynamic)
        for row in self._store.block_runs(self._run, dynamic, COMPLETED):
            key = decode_key(row.key)
            yield key, items.get(key, _NO_ITEMS).count

    def _label(self, place: _Place, index: int) -> str:
        if self._given and (given := self._given.get(place, {}).get(index)) is not None:
            return given.label
        block, flat, key = place
        if flat:
            found = self._flat(block, key).find(index)
            return str(index) if found is None else self._flat_label(block, *found)
        stretch = self._items_of(block).get(key, _NO_ITEMS).find(index)
        return str(index) if stretch is None else self._labels(stretch)[index - stretch.start]

    def _flat_label(self, block: BlockUuid, key: Key, index: int) -> str:
        return ".".join((*self.of(self._plan[block].axes, key), self._label((block, False, key), index)))

    def _labels(self, stretch: _Stretch) -> Sequence[str]:
        if stretch.labels is None:
            indices = range(stretch.start, stretch.start + stretch.length)
            if stretch.named:
                label = self._outputs.read(stretch.ref).label
                shift = stretch.first - stretch.start
                stretch.labels = [label(index + shift) or str(index) for index in indices]
            else:
                stretch.labels = list(map(str, indices))
        return stretch.labels

    def _known(self, place: _Place) -> Mapping[str, int]:
        """The index of each label; made when one is looked up."""
        if place in self._given:
            return {position.label: index for index, position in self._given[place].items()}
        if place not in self._indices:
            block, flat, key = place
            if flat:
                named = ((self._label(place, at), at) for at in range(self._flat(block, key).count))
                self._indices[place] = dict(named)
            else:
                self._indices[place] = {
                    name: stretch.start + at
                    for stretch in self._items_of(block).get(key, _NO_ITEMS).stretches
                    for at, name in enumerate(self._labels(stretch))
                }
        return self._indices[place]

    def _items_of(self, dynamic: BlockUuid) -> dict[Key, _Items]:
        found = self._items.get(dynamic)
        if found is None:
            found = self._items[dynamic] = {}
            last, items = None, _Items()
            for row in self._store.items(self._run, dynamic):
                if row.key != last:
                    last = row.key
                    items = found.setdefault(decode_key(row.key), _Items())
                ref = self.chunk(row.chunk)
                items.stretches.append(_Stretch(row.start, row.length, ref, row.first, bool(row.named)))
                items.starts.append(row.start)
        return found

    def _flat(self, dynamic: BlockUuid, outer: Key) -> _FlatItems:
        """The flat axis over the completed runs whose keys begin so."""
        depth = len(outer)
        if (dynamic, depth) not in self._flats:
            found = self._flats[dynamic, depth] = {}
            for key, count in self.givers(dynamic):
                if count:
                    flat = found.setdefault(key[:depth], _FlatItems())
                    flat.starts.append(flat.count)
                    flat.keys.append(key)
                    flat.count += count
        return self._flats[dynamic, depth].get(outer) or _FlatItems()


def _place(axis: AxisSnapshot, key: Key) -> _Place:
    return axis.block, axis.flat, axis.producer(key)
