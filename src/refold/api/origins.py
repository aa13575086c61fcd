"""What upstreams have left for a block that runs alone: for each, the newest run that has what the block needs.

A block that runs alone takes its inputs where they are: each upstream's from the newest run, of this pipeline, in which
the block run that is needed has completed. So blocks can be tried one after the other, from the first to the last.

Upstreams are looked through in order. What the first one stands at, those behind it must stand at too, where they are
aligned with it: at items of the same label, or, where they are zipped, of the same index.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from refold.api.labels import COMPLETED
from refold.api.positions import Position
from refold.api.reading import RunReader, closable, list_runs
from refold.api.snapshot import AxisSnapshot, BlockSnapshot, EdgeSnapshot, PlanSnapshot
from refold.api.stored_inputs import StoredInputs, folded_spans, item_span, output_span, position_parts
from refold.errors import BadInputError, NotFoundError
from refold.model.keys import BlockUuid, Key, block_run_uuid, decode_key, encode_key, parse_block_run_uuid
from refold.model.pipeline import Pipeline
from refold.ports.executor import NamePart, Spans
from refold.ports.output_store import Item
from refold.ports.run_store import BlockRunRow, RunStatus
from refold.scheduler.plan import EdgeKind

Wanted = str | int | None
"""What is wanted on an axis: an item of this label, the one at this index, or the first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a block run stands at on one axis."""

    positions: tuple[Position, ...]
    """As `RunLabels.positions` gives them."""
    items: tuple[Item | None, ...]
    """The item at each; None for a position on a flat axis, and for an item that is gone."""
    parts: tuple[NamePart, ...]

    @property
    def own(self) -> Position:
        """The position on the axis itself."""
        return self.positions[-1]


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the inputs of a block run lie, and what it stands at."""

    inputs: StoredInputs
    standings: tuple[Standing, ...]
    """One for each axis."""

    @property
    def items(self) -> Iterator[tuple[Position, Item | None]]:
        """All positions, those behind a flat axis' included, and the items there."""
        for standing in self.standings:
            yield from zip(standing.positions, standing.items, strict=True)


@dataclass(slots=True)
class _Origin:
    """Where one upstream's input lies."""

    spans: Spans
    reader: RunReader
    seen: Key
    """The key of what is seen of the upstream, in that run."""


@dataclass(slots=True)
class OriginSearch:
    """Looks for the inputs of one block. To be closed."""

    pipeline: Pipeline
    plan: PlanSnapshot
    block: BlockSnapshot
    _readers: list[RunReader] = field(default_factory=list)
    _more: Generator[RunReader, None, None] | None = None

    def find(self, child: str | None) -> Origins:
        """The inputs of a run of the block; `child` is its label, None for the first.

        Raises BadInputError when an upstream has nothing, naming the command that runs it, and for a wrong label.
        """
        labels = self._labels(child)
        standings: list[Standing | None] = [None] * len(labels)
        spans: list[Spans] = []
        for edge in self.block.edges:
            axes = self.plan.visible_axes(edge)
            wanted = [self._wanted(place, axis, labels, standings) for place, axis in self._places(edge, axes)]
            origin = self._origin(edge, wanted)
            spans.append(origin.spans)
            for at, (place, axis) in enumerate(self._places(edge, axes)):
                if standings[place] is None:
                    standings[place] = _standing(origin, axis, at)
        found = [standing for standing in standings if standing is not None]
        key = tuple(standing.own.index for standing in found)
        self._check_agreement(found, key)
        parts = tuple(standing.parts for standing in found)
        inputs = StoredInputs(self.block.edges, tuple(spans), key, parts)
        return Origins(inputs, tuple(_at(axis, key, each) for axis, each in zip(self.block.axes, found, strict=True)))

    def close(self) -> None:
        """Gives back connections and files."""
        if self._more is not None:
            self._more.close()
        for reader in self._readers:
            reader.close()

    def _labels(self, child: str | None) -> Sequence[Wanted]:
        axes, uuid = self.block.axes, self.block.uuid
        if child is None:
            return [None] * len(axes)
        if not axes:
            raise BadInputError(f"`{uuid}` runs once: it has no items to choose from", fix="Leave it out.")
        _, labels = parse_block_run_uuid(child if child.startswith(f"{uuid}:") else f":{child}")
        if len(labels) != len(axes):
            items = ", then ".join(f"of `{axis.block}`" for axis in axes)
            raise BadInputError(
                f"`{child}` names no run of `{uuid}`, which runs once for each item {items}",
                fix="Give one label for each, such as `0:1`." if len(axes) > 1 else "Give one label, such as `0`.",
            )
        return labels

    def _places(self, edge: EdgeSnapshot, axes: Sequence[AxisSnapshot]) -> Iterator[tuple[int, AxisSnapshot]]:
        """Which axis of the block each axis is that is seen over the edge."""
        return zip(edge.columns, axes, strict=True)

    def _wanted(
        self, place: int, seen: AxisSnapshot, labels: Sequence[Wanted], standings: Sequence[Standing | None]
    ) -> Wanted:
        """What the upstream is to stand at: an axis that is the block's own has its labels, one that is zipped with it
        has its indices."""
        axis, known = self.block.axes[place], standings[place]
        if (axis.block, axis.flat) != (seen.block, seen.flat):
            return None if known is None else known.own.index
        return labels[place] if known is None else known.own.label

    def _runs(self, upstream: BlockSnapshot) -> Iterator[RunReader]:
        """Runs, newest first, in which the upstream was what it is now; read as far as needed, and once."""
        if self._more is None:
            self._more = closable(list_runs(self.pipeline.project, self.pipeline.uuid))
        at = 0
        while True:
            if at == len(self._readers):
                reader = next(self._more, None)
                if reader is None:
                    return
                self._readers.append(reader)
            reader = self._readers[at]
            at += 1
            if upstream.uuid in reader.plan and _same_keys(self.plan, reader.plan, upstream):
                yield reader

    def _origin(self, edge: EdgeSnapshot, wanted: Sequence[Wanted]) -> _Origin:
        for reader in self._runs(self.plan[edge.upstream]):
            found = self._origin_in(reader, edge, wanted)
            if found is not None:
                return found
        raise self._nothing(edge, wanted)

    def _origin_in(self, reader: RunReader, edge: EdgeSnapshot, wanted: Sequence[Wanted]) -> _Origin | None:
        """The upstream's input in one run; None where it is not there. Raises BadInputError for a wrong label."""
        if edge.reduces:
            return self._group(reader, edge, wanted)
        if edge.kind is EdgeKind.FLAT:
            return self._flat_item(reader, edge, wanted)
        upstream = self.plan[edge.upstream]
        row = _completed_run(reader, upstream, wanted[: len(upstream.axes)])
        if row is None:
            return None
        seen = decode_key(row.key)
        if edge.kind is EdgeKind.ITEMS:
            return self._item(reader, edge, seen, wanted[-1])
        if edge.kind is EdgeKind.FOLDED:
            return _Origin(folded_spans(reader, edge, seen), reader, seen)
        spans = output_span(reader, row)
        return None if spans is None else _Origin(spans, reader, seen)

    def _item(self, reader: RunReader, edge: EdgeSnapshot, before: Key, wanted: Wanted) -> _Origin:
        """An item of a run, or of a flat axis, by label or index."""
        axis = self.plan.visible_axes(edge)[-1]
        index = 0 if wanted is None else wanted
        if isinstance(index, str):
            index = reader.labels.index(axis, before, index)
        spans = item_span(reader, axis, (*before, index))
        if spans is not None:
            return _Origin(spans, reader, (*before, index))
        whose = edge.upstream if axis.flat else reader.labels.uuid(edge.upstream, before)
        what = "no items" if wanted is None else f"no item {index}"
        raise BadInputError(
            f"`{whose}` gave {what} in run {reader.record.id}: there is nothing to run `{self.block.uuid}` on"
        )

    def _flat_item(self, reader: RunReader, edge: EdgeSnapshot, wanted: Sequence[Wanted]) -> _Origin | None:
        axes = self.plan.visible_axes(edge)
        outer = _outer_key(reader, self.plan[edge.upstream], wanted[:-1])
        if outer is None:
            return None
        if not reader.labels.count(axes[-1], outer) and not _is_whole(reader, edge.upstream):
            return None
        return self._item(reader, edge, outer, wanted[-1])

    def _group(self, reader: RunReader, edge: EdgeSnapshot, wanted: Sequence[Wanted]) -> _Origin | None:
        """What the upstream's runs have left, those of one outer key where they are folded for each."""
        outer = _outer_key(reader, self.plan[edge.upstream], wanted) if edge.columns else ()
        if outer is None:
            return None
        spans = folded_spans(reader, edge, outer)
        return _Origin(spans, reader, outer) if spans or _is_whole(reader, edge.upstream) else None

    def _nothing(self, edge: EdgeSnapshot, wanted: Sequence[Wanted]) -> BadInputError:
        upstream = self.plan[edge.upstream]
        command = f"refold run {self.pipeline.project.path} {self.pipeline.uuid} --block-uuid {upstream.uuid}"
        labels = [label for label in wanted[: len(upstream.axes)] if isinstance(label, str)]
        what, child = f"the output of `{upstream.uuid}`", ""
        if labels and len(labels) == len(upstream.axes):
            uuid = block_run_uuid(upstream.uuid, labels)
            what, child = f"the output of `{uuid}`", f" --child {uuid.partition(':')[2]}"
        elif labels:
            what = f"outputs of `{upstream.uuid}` under {' and '.join(f'`{label}`' for label in labels)}"
        return BadInputError(
            f"`{self.block.uuid}` needs {what}, and no run has {'them' if what.startswith('outputs') else 'it'}",
            fix=f"Run it first: {command}{child}",
        )

    def _check_agreement(self, standings: Sequence[Standing], key: Key) -> None:
        """Two upstreams below one dynamic block may come of runs in which its items differ: no one run is like that."""
        known: dict[tuple[BlockUuid, bool, Key, int], str] = {}
        for axis, standing, index in zip(self.block.axes, standings, key, strict=True):
            place = (axis.block, axis.flat, axis.producer(key), index)
            label = standing.own.label
            if known.setdefault(place, label) != label:
                raise BadInputError(
                    f"the newest outputs that `{self.block.uuid}` needs stand at different items of `{axis.block}`: "
                    f"`{known[place]}` and `{label}`",
                    fix=f"Run the pipeline as a whole: refold run {self.pipeline.project.path} {self.pipeline.uuid}",
                )


def _same_keys(now: PlanSnapshot, then: PlanSnapshot, block: BlockSnapshot) -> bool:
    """Whether keys of the block's runs mean then what they mean now: its axes, and those of the blocks behind them."""
    before = then[block.uuid]
    return before.unfolds_as(block) and all(then[axis.block].unfolds_as(now[axis.block]) for axis in block.axes)


def _is_whole(reader: RunReader, block: BlockUuid) -> bool:
    """Whether a run has all that the block's runs could give: none at all is then an empty list."""
    if reader.block_alone is not None:
        return False
    blocks = reader.record.summary.get("blocks")
    counts = blocks.get(block) if isinstance(blocks, dict) else None
    if reader.record.status is RunStatus.COMPLETED or not isinstance(counts, dict):
        return reader.record.status is RunStatus.COMPLETED
    return counts.get("total_final") is True and counts.get("total") == counts.get("completed")


def _completed_run(reader: RunReader, block: BlockSnapshot, wanted: Sequence[Wanted]) -> BlockRunRow | None:
    """The block's run that stands at what is wanted, the first if several do, if it completed."""
    run, labels = reader.record.id, [label for label in wanted if isinstance(label, str)]
    if labels and len(labels) == len(wanted):
        try:
            key = reader.labels.key(block.axes, labels)
        except NotFoundError:
            return None
        row = reader.store.block_run(run, block.uuid, encode_key(key))
        return row if row is not None and row.status in COMPLETED else None
    with closing(closable(reader.store.block_runs(run, block.uuid, COMPLETED))) as rows:
        return next((row for row in rows if _stands_at(reader, block, decode_key(row.key), wanted)), None)


def _stands_at(reader: RunReader, block: BlockSnapshot, key: Key, wanted: Sequence[Wanted]) -> bool:
    """Whether a key begins with what is wanted."""
    if all(each is None for each in wanted):
        return True
    labels = reader.labels.of(block.axes[: len(wanted)], key[: len(wanted)])
    return all(
        each is None or each == (label if isinstance(each, str) else index)
        for each, label, index in zip(wanted, labels, key, strict=False)
    )


def _outer_key(reader: RunReader, upstream: BlockSnapshot, wanted: Sequence[Wanted]) -> Key | None:
    """The key on an upstream's first axes that is wanted; None where the run has none."""
    axes = upstream.axes[: len(wanted)]
    labels = [label for label in wanted if isinstance(label, str)]
    if len(labels) == len(wanted):
        try:
            return reader.labels.key(axes, labels)
        except NotFoundError:
            return None
    with closing(closable(reader.store.block_runs(reader.record.id, upstream.uuid, COMPLETED))) as rows:
        keys = (decode_key(row.key) for row in rows)
        return next((key[: len(axes)] for key in keys if _stands_at(reader, upstream, key, wanted)), None)


def _standing(origin: _Origin, axis: AxisSnapshot, at: int) -> Standing:
    """What an upstream stands at on one of its axes."""
    reader, seen = origin.reader, origin.seen
    positions = tuple(reader.labels.positions(axis, seen[:at], seen[at]))
    items = tuple(
        None if each.place is None else reader.outputs.read(each.place[0]).item(each.place[1]) for each in positions
    )
    return Standing(positions, items, position_parts(reader, positions))


def _at(axis: AxisSnapshot, key: Key, standing: Standing) -> Standing:
    """The same as the run's own key has it: in another run the items before it may have stood at other indices."""
    outer, own = axis.producer(key), standing.own
    own = replace(own, outer=outer, giver=own.giver if axis.flat else outer)
    return replace(standing, positions=(*standing.positions[:-1], own))
