"""What a retry keeps of the runs before it.

A block run is reused when it completed before, and stands at the same items as before: same labels, same fingerprints
(design 2.11). The scheduler does not know of this: it hands a run out, and the engine answers from memory. Items that a
dynamic block gives anew are matched with those of before, by label where they have one, else by index; so a reordered
list keeps its finished children, and a generator that was cut off goes on where its children had come to.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Self

from refold.engine.former_runs import FormerRuns
from refold.engine.item_waits import beginning_at, up_to
from refold.engine.run_keys import joined
from refold.model.keys import BlockUuid, RunId
from refold.ports.output_store import ChunkRef, OutputStore
from refold.ports.run_store import BlockRunRow, FoldRow, ItemsRow, RunStore
from refold.scheduler.spaces import AxisItems, FlatSpace, ItemSpace, taken
from refold.scheduler.status import Status

_COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})
_PORTION = 1000
"""How many rows are taken in at a time."""
NEW = -1
"""The index before, of an item that was not there."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What becomes of the stored rows of a dynamic run's items."""

    write: list[ItemsRow]
    changed: list[int]
    """Indices at which another item stands than before: what is stored of their children is stale."""
    forget: bool = False
    """Whether all that is stored of the run's items is replaced by `write`."""


class Recollection:
    """Completed block runs of before, and the items they stood at."""

    def __init__(self, chunks: Sequence[ChunkRef], outputs: OutputStore) -> None:
        """`chunks` are those of before, by number; `outputs` holds them, and those that will be."""
        self.chunks = chunks
        self.obsolete: list[tuple[BlockUuid, bytes]] = []
        """Rows of before that are to be forgotten: of what did not complete, or is to run anew."""
        self.obsolete_items: list[tuple[BlockUuid, bytes]] = []
        """Dynamic runs of before whose items are to be forgotten."""
        self._outputs = outputs
        self._rows: dict[BlockUuid, FormerRuns] = {}
        self._items: dict[tuple[BlockUuid, bytes], list[ItemsRow]] = {}
        self._former: dict[BlockUuid, array[int]] = {}
        """For each dynamic block, the index before of each of its items of now, by position in its space."""
        self._by_label: dict[tuple[BlockUuid, bytes], Mapping[str, tuple[int, bytes]]] = {}
        self.folds: list[FoldRow] = []
        """Partials of before."""
        self._gave: dict[BlockUuid, dict[bytes, int]] = {}
        """By dynamic block and run of before, if that completed: how many items it gave."""
        self._offsets: dict[tuple[BlockUuid, int], Mapping[bytes, int]] = {}
        """Of flat axes before: by run, the index of its first item; by block, and how many outer axes there are."""
        self._rewritten: set[tuple[BlockUuid, bytes]] = set()
        """Dynamic runs of now whose rows no longer are those of before."""

    @classmethod
    def of(
        cls,
        store: RunStore,
        run: RunId,
        kept: Collection[BlockUuid],
        outputs: OutputStore,
        forgotten: Callable[[BlockUuid, bytes], bool] | None = None,
    ) -> Self:
        """What is stored of a run, of those blocks whose runs are to be kept where they completed.

        `forgotten` says of a block's run, by its encoded key, whether it is to run anew though its block is kept.
        """
        anew = forgotten or (lambda _block, _key: False)
        memory = cls([ChunkRef(row.segment, row.offset, row.length) for row in store.chunks(run)], outputs)
        given: dict[BlockUuid, Counter[bytes]] = {}
        for block in (BlockUuid(str(block["uuid"])) for block in store.get(run).blocks):
            memory.folds += store.folds(run, block)
            for items in store.items(run, block):
                given.setdefault(block, Counter())[items.key] += items.length
                if block in kept and not anew(block, items.key):
                    memory._items.setdefault((block, items.key), []).append(items)
                else:
                    memory.obsolete_items.append((block, items.key))
        for block, rows in groupby(store.block_runs(run), attrgetter("block")):
            while some := list(islice(rows, _PORTION)):
                completed = [row for row in some if row.status in _COMPLETE]
                if block in given:
                    memory._gave.setdefault(block, {}).update((row.key, given[block][row.key]) for row in completed)
                keeps = [row for row in completed if not anew(block, row.key)] if block in kept else []
                if keeps:
                    memory.runs_of(block).add(keeps)
                if len(keeps) < len(some):
                    keys = {row.key for row in keeps}
                    memory.obsolete += [(block, row.key) for row in some if row.key not in keys]
        return memory

    def former_keys(self, axes: Sequence[AxisItems], count: int) -> list[bytes | None]:
        """For each of some runs of now, the encoded key it had before; None where one of its items is new."""
        columns = [self._former_indices(*axis) for axis in axes]
        if not columns:
            return [b""] * count
        return [
            None if NEW in key else b"".join(index.to_bytes(4) for index in key) for key in zip(*columns, strict=True)
        ]

    def joined_former_keys(self, axes: Sequence[AxisItems], count: int) -> bytes | None:
        """The same, joined; None unless all of these runs have a former key, and it is quickly told."""
        columns = []
        for space, positions in axes:
            if not isinstance(space, ItemSpace) or (not isinstance(positions, range) and min(positions) < 0):
                return None
            former = taken(self._former[space.producer.plan.uuid], positions)
            if NEW in former:
                return None
            columns.append(former)
        return joined(columns, count)

    def _former_indices(self, space: ItemSpace | FlatSpace, positions: Sequence[int]) -> Sequence[int]:
        """For each position on an axis, the index it had before; NEW for those that were not there."""
        former = self._former[space.producer.plan.uuid]
        if isinstance(space, ItemSpace):
            return [former[position] if position >= 0 else NEW for position in positions]
        stored = space.stored(positions)
        runs = [space.items.parent[position] for position in stored]
        producers = self.former_keys(space.producer.space.axes(runs), len(runs))
        offsets = self._flat_offsets(space.producer.plan.uuid, len(space.outer.axes(())))
        return [
            NEW if key is None or key not in offsets or former[at] == NEW else offsets[key] + former[at]
            for key, at in zip(producers, stored, strict=True)
        ]

    def _flat_offsets(self, block: BlockUuid, outer: int) -> Mapping[bytes, int]:
        offsets = self._offsets.get((block, outer))
        if offsets is None:
            offsets, ends = {}, dict[bytes, int]()
            for key, given in sorted(self._gave.get(block, {}).items()):
                start = offsets[key] = ends.get(key[: 4 * outer], 0)
                ends[key[: 4 * outer]] = start + given
            self._offsets[block, outer] = offsets
        return offsets

    def runs_of(self, block: BlockUuid) -> FormerRuns:
        """All runs of a block that completed."""
        found = self._rows.get(block)
        if found is None:
            found = self._rows[block] = FormerRuns(block)
        return found

    def completed(self, block: BlockUuid, former_key: bytes | None) -> BlockRunRow | None:
        """The row of a run that completed, at its key before."""
        return None if former_key is None else self.runs_of(block).find(former_key)

    def items_of(self, block: BlockUuid, former_key: bytes) -> Sequence[ItemsRow]:
        """The items that a dynamic run gave, by start."""
        return self._items.get((block, former_key), ())

    def keep_items(self, block: BlockUuid, count: int) -> None:
        """The next items of now, in order of position, are those of one former run, from its first on."""
        self._former.setdefault(block, array("i")).extend(range(count))

    def match_items(
        self, key: bytes, former_key: bytes | None, row: ItemsRow, labels: Sequence[str | None]
    ) -> Reconciled:
        """The next items of now are new ones: those with the label and fingerprint of before are recognised.

        While a run gives just what it gave before, under the key it had before, its stored rows stay as they are, so
        that another crash loses nothing; the first difference has them written anew.
        """
        former = self._former.setdefault(row.block, array("i"))
        known = {} if former_key is None else self._known(row.block, former_key)
        changed: list[int] = []
        for at in range(row.length):
            index, fingerprint = known.get(labels[at] or str(row.start + at), (NEW, b""))
            same = index != NEW and fingerprint == row.fingerprints[8 * at : 8 * at + 8]
            former.append(index if same else NEW)
            if former[-1] != row.start + at:
                changed.append(row.start + at)
        total = self._total(row.block, former_key)
        if (row.block, key) in self._rewritten or former_key is None:
            return Reconciled([row], changed)
        if key == former_key and (not changed or changed[0] >= total):
            return Reconciled([] if row.start + row.length <= total else [_from(row, max(total, row.start))], [])
        self._rewritten.add((row.block, key))
        return Reconciled([*self._trimmed(row.block, former_key, key, row.start), row], changed, forget=True)

    def close_items(self, block: BlockUuid, key: bytes, former_key: bytes | None, total: int) -> Reconciled | None:
        """A run of now gave all its items: fewer than before have the rows written anew. None: nothing to do."""
        if former_key is None or (block, key) in self._rewritten or total >= self._total(block, former_key):
            return None
        return Reconciled(self._trimmed(block, former_key, key, total), [], forget=True)

    def _total(self, block: BlockUuid, former_key: bytes | None) -> int:
        rows = () if former_key is None else self.items_of(block, former_key)
        return rows[-1].start + rows[-1].length if rows else 0

    def _trimmed(self, block: BlockUuid, former_key: bytes, key: bytes, total: int) -> list[ItemsRow]:
        """The rows of a former run up to so many items, under the key of now."""
        return [
            row._replace(
                key=key,
                length=length,
                fingerprints=row.fingerprints[: 8 * length],
                waits=up_to(row.waits, row.start + length) if length < row.length else row.waits,
            )
            for row in self.items_of(block, former_key)
            if (length := min(row.length, total - row.start)) > 0
        ]

    def _known(self, block: BlockUuid, key: bytes) -> Mapping[str, tuple[int, bytes]]:
        found = self._by_label.get((block, key))
        if found is None:
            found = {}
            for row in self.items_of(block, key):
                for at, label in enumerate(self.labels_of(self.chunks[row.chunk], row)):
                    index = row.start + at
                    found[label or str(index)] = (index, row.fingerprints[8 * at : 8 * at + 8])
            self._by_label[block, key] = found
        return found

    def labels_of(self, ref: ChunkRef, row: ItemsRow) -> Sequence[str | None]:
        """The labels of a row's items, which lie in this chunk; None for an item without one."""
        if not row.named:
            return [None] * row.length
        chunk = self._outputs.read(ref)
        return [chunk.label(position) for position in range(row.first, row.first + row.length)]

    def stored_at(self, block: BlockUuid, places: Sequence[int], key: bytes) -> list[bytes]:
        """Encoded keys of the block's stored rows whose indices at these places are those of `key`."""
        keys = self.runs_of(block).keys()
        if not places:
            return list(keys)
        return [each for each in keys if b"".join(each[4 * place : 4 * place + 4] for place in places) == key]

    def vanished(self, block: BlockUuid, keys_now: bytes, width: int) -> list[bytes]:
        """Encoded keys under which rows of the block were stored before, and at which no run of now stands.

        Those of now are joined, and of `width` bytes each.
        """
        return self.runs_of(block).without(keys_now, width)


def _from(row: ItemsRow, start: int) -> ItemsRow:
    """The row's items from index `start` on."""
    skipped = start - row.start
    return row._replace(
        start=start,
        length=row.length - skipped,
        first=row.first + skipped,
        fingerprints=row.fingerprints[8 * skipped :],
        waits=beginning_at(row.waits, start) if skipped else row.waits,
    )
