"""What a block run is called with, from what is stored of its upstreams: for whatever executes one block run alone.

Segments are named by absolute path, since the inputs of one run may lie in other runs' folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from refold.api.labels import COMPLETED
from refold.api.positions import Position
from refold.api.reading import RunReader
from refold.api.snapshot import AxisSnapshot, BlockSnapshot, EdgeSnapshot
from refold.api.tracing import group_rows
from refold.errors import NotFoundError
from refold.model.keys import Key, RunId, decode_key, encode_key
from refold.ports.executor import Batch, Grouping, NamePart, Span, Spans
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import BlockRunRow
from refold.scheduler.plan import EdgeKind

_EVERYTHING = 2**62
"""Credit of a generator whose items nobody waits for."""


@dataclass(frozen=True, slots=True)
class StoredInputs:
    """The inputs of one block run."""

    edges: tuple[EdgeSnapshot, ...]
    spans: tuple[Spans, ...]
    """For each edge: its records."""
    key: Key
    names: tuple[tuple[NamePart, ...], ...]
    """For each axis: what its label is made of."""

    def batch(self, run: RunId, number: int, identifier: int = 0) -> Batch:
        """The batch of this one run of the block of this number."""
        groupings = tuple(
            Grouping((0,), (sum(span.stop - span.start for span in spans),)) if edge.kind is EdgeKind.FOLDED else None
            for edge, spans in zip(self.edges, self.spans, strict=True)
        )
        return Batch(
            id=identifier,
            run=run,
            block=number,
            length=1,
            inputs=self.spans,
            keys=tuple((index,) for index in self.key),
            names=self.names,
            groupings=groupings if any(groupings) else (),
            credit=_EVERYTHING,
        )


def output_span(reader: RunReader, row: BlockRunRow | None) -> Spans | None:
    """Where the output of a block run lies; None unless it completed, and has one."""
    if row is None or row.status not in COMPLETED or row.chunk is None or row.position is None:
        return None
    return (Span(_absolute(reader, reader.labels.chunk(row.chunk)), row.position, row.position + 1),)


def item_span(reader: RunReader, axis: AxisSnapshot, seen: Key) -> Spans | None:
    """Where the item lies that the last index of a key stands for, on the axis that is the key's last one."""
    given = reader.labels.giver(axis, seen[:-1], seen[-1])
    place = None if given is None else reader.labels.item_place(axis.block, *given)
    if place is None:
        return None
    ref, position, _ = place
    return (Span(_absolute(reader, ref), position, position + 1),)


def folded_spans(reader: RunReader, edge: EdgeSnapshot, seen: Key) -> Spans:
    """Where everything lies that folds to what is seen over the edge: of completed runs, in key order."""
    spans: list[Span] = []
    dynamic = reader.plan[edge.upstream].dynamic
    for row in group_rows(reader.store, reader.record.id, edge, seen):
        if row.status not in COMPLETED:
            continue
        if dynamic:
            for ref, start, stop in reader.labels.item_stretches(edge.upstream, decode_key(row.key)):
                _extend(spans, _absolute(reader, ref), start, stop)
        elif row.chunk is not None and row.position is not None:
            _extend(spans, _absolute(reader, reader.labels.chunk(row.chunk)), row.position, row.position + 1)
    return tuple(spans)


def position_parts(reader: RunReader, positions: Iterable[Position]) -> tuple[NamePart, ...]:
    """What the label of an index on an axis is made of, from the positions that make it up."""
    return tuple(_absolute_part(reader, position.part) for position in positions if not position.flat)


def stored_inputs(reader: RunReader, block: BlockSnapshot, key: Key) -> StoredInputs:
    """What a block's run at this key is called with, all from one run. Raises NotFoundError for what is not there."""
    names = tuple(
        position_parts(reader, reader.labels.positions(axis, key[:place], key[place]))
        for place, axis in enumerate(block.axes)
    )
    spans = tuple(_edge_spans(reader, block, edge, key) for edge in block.edges)
    return StoredInputs(block.edges, spans, key, names)


def _edge_spans(reader: RunReader, block: BlockSnapshot, edge: EdgeSnapshot, key: Key) -> Spans:
    seen = edge.seen(key)
    if edge.kind is EdgeKind.FOLDED:
        return folded_spans(reader, edge, seen)
    if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
        spans, what = item_span(reader, reader.plan.visible_axes(edge)[-1], seen), f"an item of `{edge.upstream}`"
    else:
        spans = output_span(reader, reader.store.block_run(reader.record.id, edge.upstream, encode_key(seen)))
        what = f"the output of `{reader.labels.uuid(edge.upstream, seen)}`"
    if spans is None:
        raise NotFoundError(
            f"`{reader.labels.uuid(block.uuid, key)}` needs {what}, which is not there",
            where=f"run {reader.record.id}",
            fix=f"`refold show {reader.record.id}` tells what became of the run.",
        )
    return spans


def _absolute_part(reader: RunReader, part: NamePart) -> NamePart:
    """The part, its item named by absolute path."""
    if part.items is None:
        return part
    return NamePart(part.indices, tuple(span._replace(chunk=_absolute(reader, span.chunk)) for span in part.items))


def _absolute(reader: RunReader, ref: ChunkRef) -> ChunkRef:
    return ref._replace(segment=str(reader.folder / ref.segment))


def _extend(spans: list[Span], ref: ChunkRef, start: int, stop: int) -> None:
    if spans and spans[-1].chunk == ref and spans[-1].stop == start:
        spans[-1] = spans[-1]._replace(stop=stop)
    else:
        spans.append(Span(ref, start, stop))
