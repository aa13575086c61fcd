"""Where the inputs of a block run came from: what `refold trace` shows (design 2.4).

A source is one line: a block run, or one of its elements or items. A reduced list has one for each of its elements, in
order. Of a computed fold (`sum`, `merge`, a function, ...) they are the values that were folded, in the order in which
they were; `min` and `max` do not say which of them won. What contributed nothing is counted, not listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from refold.api.labels import COMPLETED, RunLabels
from refold.api.snapshot import BlockSnapshot, EdgeSnapshot, PlanSnapshot
from refold.model.block import LIST, READ_LAZILY
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, decode_key, encode_key
from refold.ports.output_store import OutputStore
from refold.ports.run_store import BlockRunRow, RunStore
from refold.scheduler.plan import EdgeKind
from refold.scheduler.status import Status

NONE = "None"
"""What a value that a strategy passes over counts as."""
NO_ITEM = "no item"
"""What an item that is not there counts as."""


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """Where one input of a block run, or one value that went into it, came from."""

    upstream: BlockUuid
    index: int | None
    """Index in the list that the run received, or among the frames that were put together; None where it received
    neither of this upstream's outputs."""
    block_run_uuid: BlockRunUuid
    """The block run that gave it."""
    element: int | None
    """Which element of that run's output, or which of its items; None for the whole output."""
    strategy: str | None = None
    """How it was folded with others; None for an input that is not."""


class Trace:
    """The sources of one block run's inputs, upstream by upstream; to be iterated over once."""

    def __init__(
        self,
        run: RunId,
        plan: PlanSnapshot,
        store: RunStore,
        outputs: OutputStore,
        labels: RunLabels,
        block: BlockSnapshot,
        key: Key,
    ) -> None:
        self.passed_over: dict[BlockUuid, Counter[str]] = {}
        """By upstream, what contributed nothing: `NONE` values, runs by the word of their status, `NO_ITEM`. Complete
        when the sources were iterated over."""
        self._run = run
        self._plan = plan
        self._store = store
        self._outputs = outputs
        self._labels = labels
        self._block = block
        self._key = key

    def __iter__(self) -> Iterator[TraceEntry]:
        for edge in self._block.edges:
            if edge.kind is EdgeKind.FOLDED:
                yield from self._folded(edge, self._plan[edge.upstream].dynamic)
            elif edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
                yield from self._item(edge, edge.seen(self._key))
            else:
                yield TraceEntry(edge.upstream, None, self._labels.uuid(edge.upstream, edge.seen(self._key)), None)

    def _item(self, edge: EdgeSnapshot, seen: Key) -> Iterator[TraceEntry]:
        """One item; none where a zip has no partner for the run, and where the items lie in other runs."""
        uuid = edge.upstream
        given = self._labels.giver(self._plan.visible_axes(edge)[-1], seen[:-1], seen[-1])
        if given is None or self._labels.item_place(uuid, *given) is None:
            self.passed_over[uuid] = Counter({NO_ITEM: 1})
        else:
            yield TraceEntry(uuid, None, self._labels.uuid(uuid, given[0]), given[1])

    def _folded(self, edge: EdgeSnapshot, items: bool) -> Iterator[TraceEntry]:
        passed_over = self.passed_over.setdefault(edge.upstream, Counter())
        listed = edge.strategy == LIST
        index = count()
        for row in group_rows(self._store, self._run, edge, edge.seen(self._key)):
            if row.status not in COMPLETED:
                passed_over[Status(row.status).word] += 1
                continue
            key = decode_key(row.key)
            elements = self._items(edge.upstream, key, listed) if items else self._elements(row, listed)
            uuid = self._labels.uuid(edge.upstream, key)
            for element, there in enumerate(elements):
                if there:
                    number = next(index) if edge.strategy in READ_LAZILY else None
                    yield TraceEntry(edge.upstream, number, uuid, element, edge.strategy)
                else:
                    passed_over[NONE] += 1

    def _elements(self, row: BlockRunRow, listed: bool) -> Iterator[bool]:
        """For each element of an output, whether it contributes: a list takes all, everything else passes over None."""
        if row.chunk is None or row.position is None:
            return
        chunk = self._outputs.read(self._labels.chunk(row.chunk))
        if listed:
            for _ in range(chunk.elements(row.position)):
                yield True
        else:
            for value in chunk.output(row.position).values:
                yield value is not None

    def _items(self, dynamic: BlockUuid, key: Key, listed: bool) -> Iterator[bool]:
        """The same for the items of a run."""
        for ref, start, stop in self._labels.item_stretches(dynamic, key):
            chunk = None if listed else self._outputs.read(ref)
            for position in range(start, stop):
                yield chunk is None or chunk.item(position).value is not None


def group_rows(store: RunStore, run: RunId, edge: EdgeSnapshot, seen: Key) -> Iterator[BlockRunRow]:
    """The rows of the upstream's runs that fold to what is seen over the edge, in key order."""
    key = encode_key(seen)
    if edge.levels == 0:
        row = store.block_run(run, edge.upstream, key)
        return iter(() if row is None else (row,))
    return (row for row in store.block_runs(run, edge.upstream) if row.key.startswith(key))
