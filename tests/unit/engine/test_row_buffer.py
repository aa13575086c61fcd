"""Rows that wait for the next transaction."""

from __future__ import annotations

from itertools import repeat

import pytest

from refold.engine.row_buffer import RowBuffer
from refold.model.keys import BlockUuid
from refold.ports.run_store import BlockRunRow, FoldRow
from refold.testing.run_store_samples import columns

BLOCK = BlockUuid("block")
KEYS = [b"\0\0\0\1", b"\0\0\0\2"]
PARTIAL = FoldRow(BLOCK, -1, b"", 2, b"d" * 16, 0, 0)


def test_columns_become_rows_that_say_no_more_than_they_must() -> None:
    rows = RowBuffer()
    rows.add_rows(BLOCK, KEYS, 2, [1, 2], repeat(1.0, 2), repeat(2.0, 2), [7, 8], [0, 1])
    found: list[tuple[object, ...]] = list(rows.take(None).rows)
    assert found == [(BLOCK, KEYS[0], 2, 1, 1.0, 2.0, 7, 0), (BLOCK, KEYS[1], 2, 2, 1.0, 2.0, 8, 1)]


@pytest.mark.parametrize(
    ("columns", "endings"),
    [
        ({"digests": [b"d" * 8, None]}, [(b"d" * 8, None, False), (None, None, False)]),
        ({"fingerprints": [b"f" * 16, b"g" * 16]}, [(None, b"f" * 16, False), (None, b"g" * 16, False)]),
        ({"digests": [b"d" * 8] * 2, "kept": True}, [(b"d" * 8, None, True), (b"d" * 8, None, True)]),
        ({"kept": True}, [(None, None, True), (None, None, True)]),
    ],
)
def test_what_a_cache_needs_comes_with_the_rows(
    columns: dict[str, list[bytes | None]], endings: list[tuple[object, ...]]
) -> None:
    rows = RowBuffer()
    rows.add_rows(BLOCK, KEYS, 2, [1, 1], [1.0, 1.0], [2.0, 2.0], [7, 7], [0, 1], **columns)  # type: ignore[arg-type]
    found = [BlockRunRow(*row) for row in rows.take(None).rows]
    assert [(row.digest, row.fingerprint, row.kept) for row in found] == endings


def test_columns_of_other_lengths_are_refused() -> None:
    rows = RowBuffer()
    with pytest.raises(ValueError, match="zip"):
        rows.add_rows(BLOCK, KEYS, 2, [1, 1], [1.0, 1.0], [2.0, 2.0], [7, 7], [0, 1], digests=[])


def test_columns_count_as_the_rows_that_they_are() -> None:
    rows = RowBuffer()
    rows.add_columns(columns(BLOCK, [(number,) for number in range(30)]))
    assert len(rows) == 30
    batch = rows.take(None)
    assert len(rows) == 0
    rows.add_columns(columns(BLOCK, [(30,)]))
    rows.put_back(batch)
    assert len(rows) == 31
    assert [each.length for each in rows.take(None).columns] == [30, 1]


def test_a_batch_that_was_put_back_comes_before_what_is_newer() -> None:
    rows = RowBuffer()
    newer = PARTIAL._replace(folded=3)
    rows.add_fold(PARTIAL)
    assert len(rows) == 1
    batch = rows.take({"done": 1})
    assert (batch.folds, batch.summary, len(rows)) == ([PARTIAL], {"done": 1}, 0)
    rows.add_fold(newer)
    rows.put_back(batch)
    assert rows.take(None).folds == [PARTIAL, newer]
