"""What the runs of a batch are called with: records of the output store become arguments and keywords."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from refold.languages.arguments import Argument, Feed
from refold.languages.keywords import merge_keywords
from refold.model.keys import block_run_uuid
from refold.ports.executor import Batch, BlockTask, InputKind, RunContext, Spans
from refold.ports.output_store import Chunk, Item, Output, OutputStore, Shape


class _Records:
    """The records of some spans, by their place in them; the chunk of the last one asked for is kept at hand."""

    def __init__(self, store: OutputStore, spans: Spans) -> None:
        self._store = store
        self._spans = spans
        self._next = 0
        """Number of the span after the one at hand."""
        self._from = self._until = 0
        """The places of the span at hand."""
        self._shift = 0
        """What makes a place a position in its chunk."""
        self._chunk: Chunk | None = None

    def item(self, place: int) -> Item:
        """The item at a place."""
        return self._chunk_of(place).item(place + self._shift)

    def label(self, place: int) -> str | None:
        """The item's own label."""
        return self._chunk_of(place).label(place + self._shift)

    def output(self, place: int) -> Output:
        """The output at a place."""
        return self._chunk_of(place).output(place + self._shift)

    def outputs(self) -> Iterator[Output]:
        """All outputs, in order."""
        for span in self._spans:
            chunk = self._store.read(span.chunk)
            for position in range(span.start, span.stop):
                yield chunk.output(position)

    def _chunk_of(self, place: int) -> Chunk:
        chunk = self._chunk
        if chunk is not None and self._from <= place < self._until:
            return chunk
        if place < self._from:
            self._next = self._from = self._until = 0
        while place >= self._until:
            span = self._spans[self._next]
            self._from, self._until = self._until, self._until + span.stop - span.start
            self._next += 1
        self._shift = span.start - self._from
        chunk = self._chunk = self._store.read(span.chunk)
        return chunk


class BatchInputs:
    """Gives the arguments, keywords and names of a batch's runs, by position."""

    def __init__(self, store: OutputStore, context: RunContext, task: BlockTask, batch: Batch) -> None:
        self.current = 0
        """The run that is being executed, where they are executed one after the other."""
        self._context = context
        self._task = task
        self._batch = batch
        records = [_Records(store, spans) for spans in batch.inputs]
        self._trail = [None if spans is None else _Records(store, spans) for spans in batch.trail]
        self._readers = [_READERS[kind](each) for kind, each in zip(task.inputs, records, strict=True)]
        self._keywords: tuple[Mapping[str, object], Mapping[str, object]] | None = None

    def arguments(self, position: int) -> list[Argument]:
        """One for each upstream, freshly decoded: a run that changes its input changes nobody else's."""
        return [read(position) for read in self._readers]

    def labels(self, position: int) -> tuple[str, ...]:
        """The run's labels, one an axis, outermost first."""
        return tuple(
            (records.label(position) if records is not None else None) or str(indices[position])
            for records, indices in zip(self._trail, self._batch.keys, strict=True)
        )

    def current_uuid(self) -> str:
        """The uuid of the run at `current`."""
        return self.uuid(self.current)

    def uuid(self, position: int) -> str:
        """The block run's uuid."""
        return block_run_uuid(self._task.block, self.labels(position))

    def keywords(self, position: int) -> dict[str, object]:
        """The keyword arguments of a run (design 2.12)."""
        if self._keywords is None:
            self._keywords = self._builtins(), self._reserved()
        builtins, reserved = self._keywords
        metadata = [records.item(position).metadata for records in self._trail if records is not None]
        retry = {"attempts": self._batch.failures.get(position, 0) + 1}
        own: dict[str, object] = {**reserved, "block_run_uuid": self.uuid(position), "context": {}}
        if self._batch.keys:
            key = tuple(indices[position] for indices in self._batch.keys)
            own |= {"dynamic_block_index": key[-1], "dynamic_block_key": key}
        return merge_keywords({**builtins, "retry": retry}, self._context.variables, metadata, own)

    def _builtins(self) -> Mapping[str, object]:
        began = datetime.fromtimestamp(self._context.started_at, UTC)
        return {
            "env": "dev",
            "event": {},
            "execution_date": began,
            "execution_partition": self._context.run,
            "ds": began.strftime("%Y-%m-%d"),
            "hr": began.strftime("%H"),
        }

    def _reserved(self) -> Mapping[str, object]:
        return {
            "pipeline_uuid": self._context.pipeline_uuid,
            "block_uuid": self._task.block,
            "pipeline_run_id": self._context.run,
            "configuration": dict(self._task.configuration),
            "logger": logging.getLogger(f"refold.blocks.{self._task.block}"),
            "repo_path": str(self._context.project),
        }


def reduced_list(outputs: Iterator[Output] | Sequence[Output]) -> list[object]:
    """What a consumer sees over a reducing edge: lists and tuples give their elements, all else itself (design 2.4)."""
    reduced: list[object] = []
    for output in outputs:
        reduced.extend(output.values)
    return reduced


_Read = Callable[[int], Argument]
"""What an upstream hands over to the run at a position."""


def _items(records: _Records) -> _Read:
    item, shape = records.item, Shape.VALUE
    return lambda position: Argument(Feed.ITEM, Output(shape, (item(position).value,)))


def _children(records: _Records) -> _Read:
    return lambda position: Argument(Feed.CHILD, records.output(position))


def _static(records: _Records) -> _Read:
    return lambda _position: Argument(Feed.STATIC, records.output(0))


def _reduced(records: _Records) -> _Read:
    return lambda _position: Argument(Feed.REDUCED, Output(Shape.VALUE, (reduced_list(records.outputs()),)))


_READERS: dict[InputKind, Callable[[_Records], _Read]] = {
    InputKind.ITEM: _items,
    InputKind.CHILD: _children,
    InputKind.STATIC: _static,
    InputKind.REDUCED: _reduced,
}
