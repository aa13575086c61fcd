"""What upstreams have left for a block that runs alone: for each, the newest run that has what the block needs.

A block that runs alone takes its inputs where they are: each upstream's from the newest run, of this pipeline, in which
the block run that is needed has completed. So blocks can be tried one after the other, from the first to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from refold.api.reading import COMPLETED, RunReader, closable, list_runs
from refold.api.snapshot import BlockSnapshot, PlanSnapshot
from refold.errors import BadInputError, NotFoundError
from refold.model.keys import BlockUuid, Key, block_run_uuid, decode_key, encode_key, parse_block_run_uuid
from refold.model.pipeline import Pipeline
from refold.ports.executor import Span, Spans
from refold.ports.output_store import ChunkRef, Item
from refold.ports.run_store import BlockRunRow, RunStatus


@dataclass(frozen=True, slots=True)
class AxisItem:
    """The item that a block run stands at, on one axis."""

    dynamic: BlockUuid
    key: Key
    """The key of the run that gave it."""
    index: int
    item: Item


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one upstream's input lies."""

    spans: Spans
    """Its records; segments by absolute path, since they lie in other runs' folders."""
    axes: tuple[AxisItem, ...] = ()
    """The upstream's part of the block run's key, axis by axis."""


class Origins:
    """Looks for the inputs of one block."""

    def __init__(self, pipeline: Pipeline, plan: PlanSnapshot, block: BlockSnapshot) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._block = block
        self._readers: list[RunReader] = []
        self._more = closable(list_runs(pipeline.project, pipeline.uuid))

    def find(self, child: str | None) -> list[Origin]:
        """One for each upstream, in order; `child` is the wanted block run's label, None for the first.

        Raises BadInputError when an upstream has nothing, naming the command that runs it, and for a wrong label.
        """
        labels = self._labels(child)
        origins = []
        at = 0
        for uuid in self._block.upstreams:
            upstream = self._plan[uuid]
            if uuid in self._block.reduced:
                origins.append(self._reduced(upstream))
                continue
            depth = len(upstream.axes) + upstream.dynamic
            wanted = None if labels is None else labels[at : at + depth]
            at += depth
            origins.append(self._item(upstream, wanted) if upstream.dynamic else self._output(upstream, wanted))
        self._check_agreement(origins)
        return origins

    def close(self) -> None:
        """Gives back connections and files."""
        self._more.close()
        for reader in self._readers:
            reader.close()

    def _labels(self, child: str | None) -> Sequence[str] | None:
        axes = self._block.axes
        if child is None:
            return None
        if not axes:
            raise BadInputError(f"`{self._block.uuid}` runs once: it has no items to choose from", fix="Leave it out.")
        _, labels = parse_block_run_uuid(child if child.startswith(f"{self._block.uuid}:") else f":{child}")
        if len(labels) != len(axes):
            items = ", then ".join(f"of `{axis}`" for axis in axes)
            raise BadInputError(
                f"`{child}` names no run of `{self._block.uuid}`, which runs once for each item {items}",
                fix="Give one label for each, such as `0:1`." if len(axes) > 1 else "Give one label, such as `0`.",
            )
        return labels

    def _runs(self, upstream: BlockSnapshot) -> Iterator[RunReader]:
        """Runs, newest first, in which the upstream was what it is now; read as far as needed, and once."""
        at = 0
        while True:
            if at == len(self._readers):
                reader = next(self._more, None)
                if reader is None:
                    return
                self._readers.append(reader)
            reader = self._readers[at]
            at += 1
            if upstream.uuid in reader.plan and _same_keys(self._plan, reader.plan, upstream):
                yield reader

    def _reduced(self, upstream: BlockSnapshot) -> Origin:
        for reader in self._runs(upstream):
            spans: list[Span] = []
            for row in reader.store.block_runs(reader.record.id, upstream.uuid, COMPLETED):
                if row.chunk is not None and row.position is not None:
                    _extend(spans, _absolute(reader, reader.labels.chunk(row.chunk)), row.position)
            whole = reader.record.status is RunStatus.COMPLETED and "block" not in reader.record.options
            if spans or whole:  # of a whole run, no outputs at all are an empty list
                return Origin(tuple(spans))
        raise self._nothing(upstream)

    def _output(self, upstream: BlockSnapshot, labels: Sequence[str] | None) -> Origin:
        """The output of one run of an upstream that is not dynamic."""
        for reader in self._runs(upstream):
            row = _completed_run(reader, upstream, labels)
            if row is None or row.chunk is None or row.position is None:
                continue
            ref = _absolute(reader, reader.labels.chunk(row.chunk))
            return Origin((Span(ref, row.position, row.position + 1),), _axis_items(reader, upstream, row.key))
        raise self._nothing(upstream, labels)

    def _item(self, upstream: BlockSnapshot, labels: Sequence[str] | None) -> Origin:
        """One item of a dynamic upstream."""
        for reader in self._runs(upstream):
            row = _completed_run(reader, upstream, None if labels is None else labels[:-1])
            if row is None:
                continue
            key = decode_key(row.key)
            index = 0
            if labels is not None:
                index = reader.labels.key((*upstream.axes, upstream.uuid), labels)[-1]
            place = reader.labels.item_place(upstream.uuid, key, index)
            if place is None:
                raise BadInputError(
                    f"`{reader.labels.uuid(upstream.uuid, key)}` gave no items in run {reader.record.id}: "
                    f"there is nothing to run `{self._block.uuid}` on"
                )
            ref, position, _named = place
            own = AxisItem(upstream.uuid, key, index, reader.outputs.read(ref).item(position))
            span = Span(_absolute(reader, ref), position, position + 1)
            return Origin((span,), (*_axis_items(reader, upstream, row.key), own))
        raise self._nothing(upstream, None if labels is None else labels[:-1])

    def _nothing(self, upstream: BlockSnapshot, labels: Sequence[str] | None = None) -> BadInputError:
        command = f"refold run {self._pipeline.project.path} {self._pipeline.uuid} --block-uuid {upstream.uuid}"
        if labels:
            uuid = block_run_uuid(upstream.uuid, labels)
            return BadInputError(
                f"`{self._block.uuid}` needs the output of `{uuid}`, and no run has it",
                fix=f"Run it first: {command} --child {uuid.partition(':')[2]}",
            )
        return BadInputError(
            f"`{self._block.uuid}` needs the output of `{upstream.uuid}`, and no run has it",
            fix=f"Run it first: {command}",
        )

    def _check_agreement(self, origins: Sequence[Origin]) -> None:
        """Two upstreams below one dynamic block may come of runs in which its items differ: no one run is like that."""
        known: dict[tuple[BlockUuid, Key, int], object] = {}
        for item in (item for origin in origins for item in origin.axes):
            place = (item.dynamic, item.key, item.index)
            label = (item.item.metadata or {}).get("block_uuid")
            if known.setdefault(place, label) != label:
                raise BadInputError(
                    f"the newest outputs that `{self._block.uuid}` needs stand at different items of `{item.dynamic}`: "
                    f"`{known[place]}` and `{label}`",
                    fix=f"Run the pipeline as a whole: refold run {self._pipeline.project.path} {self._pipeline.uuid}",
                )


def _same_keys(now: PlanSnapshot, then: PlanSnapshot, block: BlockSnapshot) -> bool:
    """Whether keys of the block's runs mean then what they mean now: its axes, and those of the blocks behind them."""
    before = then[block.uuid]
    return before.unfolds_as(block) and all(then[axis].unfolds_as(now[axis]) for axis in block.axes)


def _completed_run(reader: RunReader, block: BlockSnapshot, labels: Sequence[str] | None) -> BlockRunRow | None:
    """The block's run at these labels, or the first one, if it completed."""
    run = reader.record.id
    if labels is None:
        with closing(closable(reader.store.block_runs(run, block.uuid, COMPLETED))) as rows:
            return next(rows, None)
    try:
        key = reader.labels.key(block.axes, labels)
    except NotFoundError:
        return None
    row = reader.store.block_run(run, block.uuid, encode_key(key))
    return row if row is not None and row.status in COMPLETED else None


def _axis_items(reader: RunReader, block: BlockSnapshot, encoded: bytes) -> tuple[AxisItem, ...]:
    """The items that the block's run at this key stands at."""
    key = decode_key(encoded)
    found = []
    for depth, axis in enumerate(block.axes):
        producer = key[depth - reader.plan.own_axes(axis) : depth]
        place = reader.labels.item_place(axis, producer, key[depth])
        item = Item(None, None) if place is None else reader.outputs.read(place[0]).item(place[1])
        found.append(AxisItem(axis, producer, key[depth], item))
    return tuple(found)


def _absolute(reader: RunReader, ref: ChunkRef) -> ChunkRef:
    return ref._replace(segment=str(reader.folder / ref.segment))


def _extend(spans: list[Span], ref: ChunkRef, position: int) -> None:
    if spans and spans[-1].chunk == ref and spans[-1].stop == position:
        spans[-1] = spans[-1]._replace(stop=position + 1)
    else:
        spans.append(Span(ref, position, position + 1))
