"""A batch as a transaction writes it: every iterable read, rows by block.

A transaction that lost its connection is tried again, so a batch must be there to be written twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, starmap
from operator import itemgetter
from typing import TypeVar

from refold.model.keys import BlockUuid
from refold.ports.run_store import BlockRunColumns, BlockRunRow, ChunkRow, FailureRow, FoldRow, ItemsRow, WriteBatch
from refold.runs.text import storable, to_json

_Row = TypeVar("_Row", bound=tuple[object, ...])


@dataclass(frozen=True, slots=True)
class ReadyBatch:
    """What one transaction writes and forgets, by block, and the summary as JSON."""

    chunks: Sequence[ChunkRow]
    items: Mapping[BlockUuid, Sequence[ItemsRow]]
    columns: Mapping[BlockUuid, Sequence[BlockRunColumns]]
    rows: Mapping[BlockUuid, Sequence[BlockRunRow]]
    """Plain tuples, maybe without their last columns: they are too many to be touched one by one."""
    failures: Mapping[BlockUuid, Sequence[FailureRow]]
    folds: Mapping[BlockUuid, Sequence[FoldRow]]
    forgotten: Mapping[BlockUuid, Sequence[tuple[BlockUuid, bytes]]]
    forgotten_items: Mapping[BlockUuid, Sequence[tuple[BlockUuid, bytes]]]
    summary: str | None

    @classmethod
    def of(cls, batch: WriteBatch) -> ReadyBatch:
        """The batch, ready. Raises StoreError for a summary that is not JSON."""
        return cls(
            list(batch.chunks),
            _by_block(starmap(ItemsRow, batch.items)),
            _by_block(batch.columns),
            _by_block(batch.rows),
            _by_block(storable(FailureRow(*row)) for row in batch.failures),
            _by_block(batch.folds),
            _by_block(batch.forgotten),
            _by_block(batch.forgotten_items),
            None if batch.summary is None else to_json(batch.summary),
        )

    @property
    def blocks(self) -> Iterable[BlockUuid]:
        """The blocks that it has rows of any kind for."""
        return (*self.items, *self.columns, *self.rows, *self.failures, *self.folds)


def _by_block(rows: Iterable[_Row]) -> dict[BlockUuid, list[_Row]]:
    """The rows of each block, in their order: of two rows for one key the later one counts."""
    uuid = itemgetter(0)
    return {BlockUuid(block): list(found) for block, found in groupby(sorted(rows, key=uuid), uuid)}
