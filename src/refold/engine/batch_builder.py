"""Turns a scheduler's `RunBatch` into an executor's `Batch`: numbers into records of the output store."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from refold.engine.places import Chunks, Places
from refold.engine.run_keys import indices
from refold.model.keys import RunId
from refold.ports.executor import Batch, Spans
from refold.ports.run_store import ItemsRow
from refold.scheduler.commands import RunBatch
from refold.scheduler.plan import Edge
from refold.scheduler.ranges import count, numbers
from refold.scheduler.spaces import Axis
from refold.scheduler.state import State


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
        self._reduced: dict[int, Spans] = {}
        """Blocks that were reduced, so that many runs that read them share one list of spans."""

    def build(self, batch_id: int, command: RunBatch, runs: Sequence[int], known: Mapping[int, bytes]) -> Batch:
        """The batch of this command, whose runs are `runs`."""
        edges = self._state.plan.blocks[command.block].edges
        axes = self._state.axes(command.block, runs)
        failures: dict[int, int] = {}
        if command.failures:
            failures = {at: command.failures[run] for at, run in enumerate(runs) if run in command.failures}
        return Batch(
            id=batch_id,
            run=self._run,
            block=command.block,
            length=len(runs),
            inputs=tuple(self._input(command, number, edge) for number, edge in enumerate(edges)),
            keys=tuple(indices(axis) for axis in axes),
            trail=tuple(map(self._trail, axes)),
            width=command.width,
            failures=failures,
            credit=command.credit,
            credit_bytes=command.credit_bytes,
            known=known,
        )

    def place_items(self, block: int, row: ItemsRow) -> None:
        """The next items of a dynamic block lie there."""
        places = self.items[block]
        places.put(len(places), len(places) + row.length, row.chunk, row.first)
        self.named[block] = self.named[block] or row.named

    def _input(self, command: RunBatch, number: int, edge: Edge) -> Spans:
        if edge.reduces:
            if edge.upstream not in self._reduced:
                order = self._state.order(edge.upstream)
                self._reduced[edge.upstream] = self.outputs[edge.upstream].spans_of_known(order)
            return self._reduced[edge.upstream]
        if not edge.iterates:
            return self.outputs[edge.upstream].spans((0,))
        upstream = self._state.plan.blocks[edge.upstream]
        places = self.items if upstream.dynamic else self.outputs
        return places[edge.upstream].spans(numbers(self._state.inputs(command.block, number, command.runs)))

    def _trail(self, axis: Axis) -> Spans | None:
        space, positions = axis
        producer = space.producer.plan.number
        return self.items[producer].spans(positions) if self.named[producer] else None


def sequence_of(ranges: tuple[tuple[int, int], ...]) -> Sequence[int]:
    """The numbers of some ranges, as a sequence that can be sliced."""
    if len(ranges) == 1:
        return range(*ranges[0])
    found = array("I", bytes(4 * count(ranges)))
    for at, number in enumerate(numbers(ranges)):
        found[at] = number
    return found
