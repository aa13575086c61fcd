"""What the runs of a batch are called with: records of the output store become arguments and keywords."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

from refold.executors.folded_input import GroupValue, group_values
from refold.executors.folds import Folds
from refold.executors.open_run import OpenRun
from refold.executors.records import UNREAD, DecodeMany, Records
from refold.languages.arguments import Argument, Feed
from refold.languages.keywords import merge_keywords
from refold.model.block import JsonValue
from refold.model.keys import block_run_uuid
from refold.ports.executor import Batch, BlockTask, InputKind, NamePart
from refold.ports.output_store import Chunk, Output, OutputStore, Shape


class BatchInputs:
    """Gives the arguments, keywords and names of a batch's runs, by position."""

    def __init__(self, opened: OpenRun, task: BlockTask, batch: Batch, folds: Folds) -> None:
        self.current = 0
        """The run that is being executed, where they are executed one after the other."""
        self.context = self._context = opened.context
        self.batch_id = batch.id
        self.counts: dict[tuple[int, str], Iterator[int]] = {}
        """By position and what it does: how often each run has done it (`Caller.ordinal`)."""
        self._opened = opened
        self._task = task
        self._batch = batch
        self._names = [[_NamePart(opened.store, part) for part in parts] for parts in batch.names]
        unnamed = all(len(parts) == 1 and parts[0].items is None for parts in batch.names)
        self._indices = [parts[0].indices for parts in batch.names] if unnamed else None
        """For each axis the items' indices, where these are the labels; None where labels are to be looked for."""
        assert len(batch.inputs) == len(task.inputs)
        self._records = [Records(opened.store, spans) for spans in batch.inputs]
        self._readers = [self._reader(number, each, opened, folds) for number, each in enumerate(self._records)]

    def arguments(self, position: int) -> list[Argument]:
        """One for each upstream, freshly decoded: a run that changes its input changes nobody else's."""
        return [read(position) for read in self._readers]

    def ahead(self) -> Iterator[list[object]]:
        """What the runs are called with, one argument each, in order and in lists: as many as there are runs.

        Where that is not one value that can be decoded together with others it is UNREAD: `arguments` says what it is.
        """
        decode = _DECODERS.get(self._task.inputs[0]) if len(self._records) == 1 else None
        if decode is not None:
            yield from self._records[0].ahead(decode)
        else:
            yield [UNREAD] * self._batch.length

    def labels(self, position: int) -> tuple[str, ...]:
        """The run's labels, one an axis, outermost first."""
        return tuple(
            parts[0].label(position) if len(parts) == 1 else ".".join(part.label(position) for part in parts)
            for parts in self._names
        )

    def current_uuid(self) -> str:
        """The uuid of the run at `current`."""
        return self.uuid(self.current)

    def uuid(self, position: int) -> str:
        """The block run's uuid."""
        if self._indices is None:
            return block_run_uuid(self._task.block, self.labels(position))
        if len(self._indices) == 1:
            return f"{self._task.block}:{self._indices[0][position]}"
        return ":".join((self._task.block, *[str(indices[position]) for indices in self._indices]))

    def keywords(self, position: int) -> dict[str, object]:
        """The keyword arguments of a run (design 2.12)."""
        named = self._names if self._indices is None else ()
        metadata = [part.metadata(position) for parts in named for part in parts]
        retry = {"attempts": self._batch.failures.get(position, 0) + 1}
        if any(metadata):
            builtins = {**self._builtins, "retry": retry}
            keywords = merge_keywords(builtins, self._variables, metadata, self._reserved)
        else:
            keywords = self._unnamed.copy()
            if "retry" not in self._variables:
                keywords["retry"] = retry
        keywords["block_run_uuid"] = self.uuid(position)
        keywords["context"] = {}
        if self._batch.keys:
            key = tuple([indices[position] for indices in self._batch.keys])
            keywords["dynamic_block_index"] = key[-1]
            keywords["dynamic_block_key"] = key
        return keywords

    @cached_property
    def _variables(self) -> Mapping[str, JsonValue]:
        return self._opened.variables()

    @cached_property
    def _unnamed(self) -> dict[str, object]:
        """The keyword arguments of runs at items without metadata, but for what each has of its own."""
        return merge_keywords({**self._builtins, "retry": None}, self._variables, (), self._reserved)

    def _reader(self, number: int, records: Records, opened: OpenRun, folds: Folds) -> _Read:
        kind, batch = self._task.inputs[number], self._batch
        if kind in _READERS:
            return _READERS[kind](records)
        folding, grouping = self._task.foldings[number], batch.groupings[number]
        assert folding is not None
        assert grouping is not None
        folded = group_values(opened, folds, folding, batch.inputs[number], grouping, batch.length)
        return _group(folded) if kind is InputKind.GROUP else _reduced(folded)

    @cached_property
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

    @cached_property
    def _reserved(self) -> Mapping[str, object]:
        return {
            "pipeline_uuid": self._context.pipeline_uuid,
            "block_uuid": self._task.block,
            "pipeline_run_id": self._context.run,
            "configuration": dict(self._opened.configuration(self._task)),
            "logger": logging.getLogger(f"refold.blocks.{self._task.block}"),
            "repo_path": str(self._context.project),
        }


class _NamePart:
    """A part of the labels on one axis, and the metadata that came with it."""

    def __init__(self, store: OutputStore, part: NamePart) -> None:
        self._indices = part.indices
        self._items = None if part.items is None else Records(store, part.items)

    def label(self, position: int) -> str:
        """The item's own label, else its index."""
        return (self._items.label(position) if self._items is not None else None) or str(self._indices[position])

    def metadata(self, position: int) -> Mapping[str, object] | None:
        """The item's metadata, None without."""
        return None if self._items is None else self._items.metadata(position)


def reduced_list(outputs: Iterator[Output] | Sequence[Output]) -> list[object]:
    """What a consumer sees over a reducing edge: lists and tuples give their elements, all else itself (design 2.4)."""
    reduced: list[object] = []
    for output in outputs:
        reduced.extend(output.values)
    return reduced


_Read = Callable[[int], Argument]
"""What an upstream hands over to the run at a position."""


def _items(records: Records) -> _Read:
    item, shape = records.item, Shape.VALUE
    return lambda position: Argument(Feed.ITEM, Output(shape, (item(position).value,)))


def _children(records: Records) -> _Read:
    return lambda position: Argument(Feed.CHILD, records.output(position))


def _static(records: Records) -> _Read:
    return lambda _position: Argument(Feed.STATIC, records.output(0))


def _reduced(folded: GroupValue) -> _Read:
    return lambda _position: Argument(Feed.REDUCED, Output(Shape.VALUE, (folded(0),)))


def _group(folded: GroupValue) -> _Read:
    return lambda position: Argument(Feed.REDUCED, Output(Shape.VALUE, (folded(position),)))


_READERS: dict[InputKind, Callable[[Records], _Read]] = {
    InputKind.ITEM: _items,
    InputKind.CHILD: _children,
    InputKind.STATIC: _static,
}


def _decode_items(chunk: Chunk, start: int, stop: int) -> list[object] | None:
    return chunk.plain_items(start, stop)


def _decode_children(chunk: Chunk, start: int, stop: int) -> list[object] | None:
    """What children of children are called with: a list is outputs, of which one arrives as itself (design 2.12)."""
    returned = chunk.plain_outputs(start, stop)
    if returned is None:
        return None
    return [value if type(value) is not list else value[0] if len(value) == 1 else UNREAD for value in returned]


_DECODERS: dict[InputKind, DecodeMany] = {InputKind.ITEM: _decode_items, InputKind.CHILD: _decode_children}
