"""What the runs of a batch are called with: records of the output store become arguments and keywords."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from refold.languages.arguments import Argument, Feed
from refold.languages.keywords import merge_keywords
from refold.model.keys import block_run_uuid
from refold.ports.executor import Batch, BlockTask, InputKind, RunContext, Spans
from refold.ports.output_store import Item, Output, OutputStore, Shape

_FEEDS = {
    InputKind.ITEM: Feed.ITEM,
    InputKind.CHILD: Feed.CHILD,
    InputKind.STATIC: Feed.STATIC,
    InputKind.REDUCED: Feed.REDUCED,
}


class _Records:
    """The records of some spans, by their place in them; neighbours are found without a search."""

    def __init__(self, store: OutputStore, spans: Spans) -> None:
        self._store = store
        self._spans = spans
        self._at = 0
        self._before = 0
        """How many records lie before the span that was used last."""

    def item(self, place: int) -> Item:
        """The item at a place."""
        span, position = self._find(place)
        return self._store.read(self._spans[span].chunk).item(position)

    def label(self, place: int) -> str | None:
        """The item's own label."""
        span, position = self._find(place)
        return self._store.read(self._spans[span].chunk).label(position)

    def output(self, place: int) -> Output:
        """The output at a place."""
        span, position = self._find(place)
        return self._store.read(self._spans[span].chunk).output(position)

    def outputs(self) -> Iterator[Output]:
        """All outputs, in order."""
        for span in self._spans:
            chunk = self._store.read(span.chunk)
            for position in range(span.start, span.stop):
                yield chunk.output(position)

    def _find(self, place: int) -> tuple[int, int]:
        if place < self._before:
            self._at = self._before = 0
        while True:
            span = self._spans[self._at]
            length = span.stop - span.start
            if place < self._before + length:
                return self._at, span.start + place - self._before
            self._before += length
            self._at += 1


class BatchInputs:
    """Gives the arguments, keywords and names of a batch's runs, by position."""

    def __init__(self, store: OutputStore, context: RunContext, task: BlockTask, batch: Batch) -> None:
        self._context = context
        self._task = task
        self._batch = batch
        self._records = [_Records(store, spans) for spans in batch.inputs]
        self._trail = [None if spans is None else _Records(store, spans) for spans in batch.trail]
        self._constant: list[Argument | None] = [
            self._shared(kind, records) for kind, records in zip(task.inputs, self._records, strict=True)
        ]
        self._keywords: tuple[Mapping[str, object], Mapping[str, object]] | None = None

    def arguments(self, position: int) -> list[Argument]:
        """One for each upstream, freshly decoded: a run that changes its input changes nobody else's."""
        found: list[Argument] = []
        for kind, records, constant in zip(self._task.inputs, self._records, self._constant, strict=True):
            if constant is not None:
                found.append(constant)
            elif kind is InputKind.ITEM:
                item = records.item(position)
                found.append(Argument(Feed.ITEM, Output(Shape.VALUE, (item.value,))))
            else:
                shared = kind is InputKind.STATIC
                found.append(Argument(_FEEDS[kind], records.output(0 if shared else position)))
        return found

    def _shared(self, kind: InputKind, records: _Records) -> Argument | None:
        """The list over a reducing edge, where just one run reads it."""
        if kind is not InputKind.REDUCED or self._batch.length > 1:
            return None
        return Argument(Feed.REDUCED, Output(Shape.VALUE, (reduced_list(records.outputs()),)))

    def labels(self, position: int) -> tuple[str, ...]:
        """The run's labels, one an axis, outermost first."""
        return tuple(
            (records.label(position) if records is not None else None) or str(indices[position])
            for records, indices in zip(self._trail, self._batch.keys, strict=True)
        )

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
