"""Names of a run's block runs: keys become labels, and labels keys.

The run store keeps neither labels nor uuids (design 3): what an item is called lies with the item, in the output store.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from refold.api.snapshot import PlanSnapshot
from refold.errors import NotFoundError
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, block_run_uuid, decode_key
from refold.model.suggestion import suggestion
from refold.ports.output_store import ChunkRef, Item, OutputStore
from refold.ports.run_store import RunStore

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

    stretches: list[_Stretch]
    starts: list[int]
    indices: dict[str, int] | None = None
    """By label; made when a label is looked up."""

    def find(self, index: int) -> _Stretch | None:
        """The stretch that holds this item."""
        at = bisect_right(self.starts, index) - 1
        if at < 0 or index >= self.starts[at] + self.stretches[at].length:
            return None
        return self.stretches[at]


class RunLabels:
    """The labels of one pipeline run; items are read when they are first asked for, and then kept."""

    def __init__(self, run: RunId, plan: PlanSnapshot, store: RunStore, outputs: OutputStore) -> None:
        self._run = run
        self._plan = plan
        self._store = store
        self._outputs = outputs
        self._items: dict[BlockUuid, dict[Key, _Items]] = {}
        self._refs: list[ChunkRef] | None = None

    def chunk(self, number: int) -> ChunkRef:
        """Where a chunk of the run lies."""
        if self._refs is None or number >= len(self._refs):
            self._refs = [ChunkRef(row.segment, row.offset, row.length) for row in self._store.chunks(self._run)]
        return self._refs[number]

    def forget(self) -> None:
        """What was read may be out of date: the run goes on."""
        self._items.clear()
        self._refs = None

    def of(self, axes: Sequence[BlockUuid], key: Key) -> tuple[str, ...]:
        """The labels at a key on these axes, one each, outermost first."""
        return tuple(
            self._label(axis, key[depth - self._plan.own_axes(axis) : depth], key[depth])
            for depth, axis in enumerate(axes)
        )

    def uuid(self, block: BlockUuid, key: Key) -> BlockRunUuid:
        """The uuid of a block's run at this key."""
        return block_run_uuid(block, self.of(self._plan[block].axes, key))

    def key(self, axes: Sequence[BlockUuid], labels: Sequence[str]) -> Key:
        """The key of these labels, one for each axis. Raises NotFoundError, with labels that are near."""
        key: Key = ()
        for depth, (axis, label) in enumerate(zip(axes, labels, strict=True)):
            key += (self._index(axis, key[depth - self._plan.own_axes(axis) : depth], label),)
        return key

    def item_place(self, dynamic: BlockUuid, key: Key, index: int) -> tuple[ChunkRef, int, bool] | None:
        """Chunk and position of an item, and whether it may carry metadata; None where there is none."""
        items = self._items_of(dynamic).get(key)
        stretch = None if items is None else items.find(index)
        return None if stretch is None else (stretch.ref, stretch.first + index - stretch.start, stretch.named)

    def items(self, dynamic: BlockUuid, key: Key) -> list[Item]:
        """The items that this run of a dynamic block gave."""
        items = self._items_of(dynamic).get(key)
        found: list[Item] = []
        for stretch in () if items is None else items.stretches:
            chunk = self._outputs.read(stretch.ref)
            found += [chunk.item(position) for position in range(stretch.first, stretch.first + stretch.length)]
        return found

    def _label(self, dynamic: BlockUuid, key: Key, index: int) -> str:
        items = self._items_of(dynamic).get(key)
        stretch = None if items is None else items.find(index)
        return str(index) if stretch is None else self._labels(stretch)[index - stretch.start]

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

    def _index(self, dynamic: BlockUuid, key: Key, label: str) -> int:
        items = self._items_of(dynamic).get(key)
        if items is not None and items.indices is None:
            items.indices = {
                name: stretch.start + at for stretch in items.stretches for at, name in enumerate(self._labels(stretch))
            }
        known = {} if items is None else items.indices or {}
        if label not in known:
            producer = self.uuid(dynamic, key)
            raise NotFoundError(
                f"`{producer}` gave no item `{label}`",
                where=f"run {self._run}",
                fix=suggestion(label, islice(known, _COMPARED), "items"),
            )
        return known[label]

    def _items_of(self, dynamic: BlockUuid) -> dict[Key, _Items]:
        found = self._items.get(dynamic)
        if found is None:
            found = self._items[dynamic] = {}
            last, items = None, _Items([], [])
            for row in self._store.items(self._run, dynamic):
                if row.key != last:
                    last = row.key
                    items = found.setdefault(decode_key(row.key), _Items([], []))
                ref = self.chunk(row.chunk)
                items.stretches.append(_Stretch(row.start, row.length, ref, row.first, bool(row.named)))
                items.starts.append(row.start)
        return found
