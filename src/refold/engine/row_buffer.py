"""Rows that wait for the next transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import cast

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.ports.executor import Failure
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import (
    BlockRunColumns,
    BlockRunRow,
    ChunkRow,
    FailureRow,
    FoldRow,
    ItemsRow,
    WriteBatch,
)


class RowBuffer:
    """Gathers what one transaction is to write, in the order in which it came to be."""

    def __init__(self) -> None:
        self._batch = WriteBatch()
        self._in_columns = 0
        """How many block runs wait as columns."""

    def __len__(self) -> int:
        batch = self._batch
        return (
            self._in_columns
            + len(batch.rows)
            + len(batch.items)
            + len(batch.chunks)
            + len(batch.failures)
            + len(batch.folds)
            + len(batch.forgotten)
            + len(batch.forgotten_items)
        )

    def add_chunk(self, number: int, ref: ChunkRef) -> None:
        """A chunk was published."""
        self._batch.chunks.append(ChunkRow(number, *ref))

    def add_items(self, row: ItemsRow) -> None:
        """A run of a dynamic block gave items."""
        self._batch.items.append(row)

    def add_columns(self, columns: BlockRunColumns) -> None:
        """Block runs of one block, alike but for their times, have reached their last status."""
        self._batch.columns.append(columns)
        self._in_columns += columns.length

    def add_rows(
        self,
        block: BlockUuid,
        keys: Sequence[bytes],
        status: int,
        attempts: Iterable[int],
        started: Iterable[float | None],
        ended: Iterable[float | None],
        chunks: Iterable[int | None],
        positions: Iterable[int | None],
        *,
        digests: Iterable[bytes | None] | None = None,
        fingerprints: Iterable[bytes | None] | None = None,
        kept: bool = False,
    ) -> None:
        """Block runs of one block that have reached the same last status, each with its own of everything.

        The columns become rows, as plain tuples. The last three are of the few blocks that are cached, or followed by
        one that is; rows of others are without them, and cost nothing for them.
        """
        count = len(keys)
        columns: list[Iterable[object]] = [repeat(block, count), keys, repeat(int(status), count)]
        columns += attempts, started, ended, chunks, positions
        if digests is not None or fingerprints is not None or kept:
            columns += (repeat(None, count) if column is None else column for column in (digests, fingerprints))
            columns.append(repeat(kept, count))
        self._batch.rows.extend(cast("Iterable[BlockRunRow]", zip(*columns, strict=True)))

    def add_fold(self, row: FoldRow) -> None:
        """The first runs of a group were folded; it takes the place of what was folded of as many before."""
        self._batch.folds.append(row)

    def add_failure(self, block: BlockUuid, key: bytes, failure: Failure) -> None:
        """Why a block run failed."""
        self._batch.failures.append(FailureRow(block, key, failure.error, failure.group, failure.traceback))

    def forget(self, block: BlockUuid, key: bytes) -> None:
        """A block run is no longer: its label vanished."""
        self._batch.forgotten.append((block, key))

    def forget_items(self, block: BlockUuid, key: bytes) -> None:
        """A dynamic run's items are about to be replaced."""
        self._batch.forgotten_items.append((block, key))

    def take(self, summary: Mapping[str, JsonValue] | None) -> WriteBatch:
        """Everything so far; the buffer is empty afterwards."""
        batch, self._batch = self._batch, WriteBatch()
        self._in_columns = 0
        batch.summary = summary
        return batch

    def put_back(self, batch: WriteBatch) -> None:
        """A transaction did not go through: its rows come first in the next."""
        newer = self._batch
        batch.chunks += newer.chunks
        batch.items += newer.items
        batch.columns += newer.columns
        batch.rows += newer.rows
        batch.failures += newer.failures
        batch.folds += newer.folds
        batch.forgotten += newer.forgotten
        batch.forgotten_items += newer.forgotten_items
        self._batch = batch
        self._in_columns = sum(each.length for each in batch.columns)
