"""Turns a scheduler's `RunBatch` into an executor's `Batch`: numbers into records of the output store."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain

from refold.engine.completed_runs import completed_runs
from refold.engine.partials import Partials
from refold.engine.places import Chunks, Places
from refold.model.keys import RunId
from refold.ports.executor import Batch, Grouping, NamePart, Span, Spans
from refold.ports.run_store import ItemsRow
from refold.scheduler.commands import RunBatch
from refold.scheduler.plan import Edge, EdgeKind
from refold.scheduler.ranges import Ranges, gather, numbers, ranges_of, without_first
from refold.scheduler.spaces import AxisItems, FlatSpace, ItemSpace, index_of
from refold.scheduler.state import State

_Input = tuple[Spans, Grouping | None]


class BatchBuilder:
    """Knows where every output and item of a pipeline run lies."""

    def __init__(self, run: RunId, state: State, chunks: Chunks) -> None:
        self._run = run
        self._state = state
        self.chunks = chunks
        self.outputs = [Places(chunks) for _ in state.blocks]
        """For each block, where its runs' outputs lie."""
        self.items = [Places(chunks) for _ in state.blocks]
        """For each dynamic block, where its items lie, by their position in its space."""
        self.named = [False for _ in state.blocks]
        """For each dynamic block, whether some item carries metadata."""
        self.fingerprints: list[bytearray | None] = [None for _ in state.blocks]
        """For each dynamic block, eight bytes an item, by position; None where nobody asked for them in time."""
        self.partials = Partials(chunks)
        self._folded: dict[tuple[int, int], _Input] = {}
        """Folds over all runs of a block, so that many runs that read one share it."""

    def build(self, batch_id: int, command: RunBatch, runs: Sequence[int], known: Mapping[int, bytes]) -> Batch:
        """The batch of this command, whose runs are `runs`."""
        edges = self._state.plan.blocks[command.block].edges
        axes = self._state.axes(command.block, runs)
        failures: dict[int, int] = {}
        if command.failures:
            failures = {at: command.failures[run] for at, run in enumerate(runs) if run in command.failures}
        inputs = [self._input(command, number, edge) for number, edge in enumerate(edges)]
        grouped = any(grouping is not None for _, grouping in inputs)
        return Batch(
            id=batch_id,
            run=self._run,
            block=command.block,
            length=len(runs),
            inputs=tuple(spans for spans, _ in inputs),
            keys=tuple(index_of(*axis) for axis in axes),
            names=tuple(self._names(*axis) for axis in axes),
            groupings=tuple(grouping for _, grouping in inputs) if grouped else (),
            width=command.width,
            failures=failures,
            credit=command.credit,
            credit_bytes=command.credit_bytes,
            known=known,
        )

    def keep_fingerprints(self, block: int) -> None:
        """The fingerprints of a dynamic block's items will be asked for."""
        self.fingerprints[block] = bytearray()

    def place_items(self, block: int, row: ItemsRow) -> None:
        """The next items of a dynamic block lie there."""
        places = self.items[block]
        places.put(len(places), len(places) + row.length, row.chunk, row.first)
        self.named[block] = self.named[block] or row.named
        fingerprints = self.fingerprints[block]
        if fingerprints is not None:
            fingerprints += row.fingerprints

    def contributions(self, block: int, runs: Ranges) -> Spans:
        """What completed runs give to a fold: their outputs, or of a dynamic block their items."""
        items = self._state.blocks[block].items
        if items is None:
            return self.outputs[block].spans(runs)
        return self.items[block].spans(gather(chain.from_iterable(map(items.items_of, numbers(runs)))))

    def _input(self, command: RunBatch, number: int, edge: Edge) -> _Input:
        if edge.kind is EdgeKind.FOLDED:
            return self._fold(command, number, edge)
        if not edge.iterates:
            return self.outputs[edge.upstream].spans(((0, 1),)), None
        positions = self._state.inputs(command.block, number, command.runs)
        if edge.kind is EdgeKind.RUNS:
            return self.outputs[edge.upstream].spans(positions), None
        if edge.kind is EdgeKind.FLAT:
            positions = gather(self._state.flat(edge.upstream, edge.levels).stored(sequence_of(positions)))
        return self.items[edge.upstream].spans(positions), None

    def _fold(self, command: RunBatch, number: int, edge: Edge) -> _Input:
        assert edge.fold is not None, "an edge that folds says which fold it is"
        if edge.iterates:
            groups = list(numbers(self._state.inputs(command.block, number, command.runs)))
            return self._groups(edge, edge.fold, groups)
        place = (edge.upstream, edge.fold)
        if place not in self._folded:
            self._folded[place] = self._groups(edge, edge.fold, (0,))
        return self._folded[place]

    def _groups(self, edge: Edge, fold: int, groups: Sequence[int]) -> _Input:
        spans: list[Span] = []
        partials: list[int] = []
        records: list[int] = []
        for group in groups:
            runs: Ranges = ((group, group + 1),)
            found: Spans = ()
            if edge.levels != 0:
                found, folded = self.partials.of(edge.upstream, fold, group)
                runs = without_first(completed_runs(self._state.fold(edge.upstream, fold), group), folded)
            partials.append(_records(found))
            contributed = self.contributions(edge.upstream, runs)
            spans += [*found, *contributed]
            records.append(partials[-1] + _records(contributed))
        return tuple(spans), Grouping(partials, records)

    def _names(self, space: FlatSpace | ItemSpace, positions: Sequence[int]) -> tuple[NamePart, ...]:
        """What the labels on an axis are made of; a flat one's of all axes that lead to its items."""
        producer = space.producer.plan.number
        stored = space.stored(positions)
        own = self._part(producer, (space, positions) if not isinstance(space, FlatSpace) else (space.items, stored))
        if not isinstance(space, FlatSpace):
            return (own,)
        runs = [space.items.parent[position] for position in stored]
        outer = len(space.outer.axes(()))
        parts = [part for axis in space.producer.space.axes(runs)[outer:] for part in self._names(*axis)]
        return (*parts, own)

    def _part(self, producer: int, axis: AxisItems) -> NamePart:
        spans = self.items[producer].spans(ranges_of(axis[1])) if self.named[producer] else None
        return NamePart(index_of(*axis), spans)


def _records(spans: Spans) -> int:
    return sum(span.stop - span.start for span in spans)


def sequence_of(ranges: Ranges) -> Sequence[int]:
    """The numbers of some ranges, as a sequence that can be sliced."""
    return range(*ranges[0]) if len(ranges) == 1 else array("I", numbers(ranges))
