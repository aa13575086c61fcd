"""Columns of what drivers fetch, and SQLite's, whose values have types of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.io.databases.fetched_rows import column, one_type
from refold.io.databases.sqlite_connection import SqliteConnection
from refold.io.databases.statement import Statement


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], pa.int64()),
        ([2**63, 1], pa.uint64()),
        ([1, 2.5], pa.float64()),
        (["a", None], pa.string()),
        ([b"a"], pa.binary()),
        ([True], pa.bool_()),
        ([date(2024, 1, 1)], pa.date32()),
        ([datetime(2024, 1, 1)], pa.timestamp("us")),
        ([Decimal("1.50"), 2], pa.decimal128(3, 2)),
        ([None], pa.null()),
        ([1, "a"], pa.string()),
        ([{"a": 1}], pa.string()),
    ],
)
def test_a_column_has_the_type_that_its_values_have(values: Sequence[object], expected: pa.DataType) -> None:
    assert column(values).type == expected


def test_what_has_several_types_is_text() -> None:
    assert column([1, 2.5, "a", b"\x01\xff", None]).to_pylist() == ["1", "2.5", "a", "01ff", None]
    assert column([{"a": [1]}]).to_pylist() == ['{"a": [1]}']
    assert one_type([column([1]), column(["a"]), column([None])]).to_pylist() == ["1", "a", None]


def test_chunks_of_numbers_are_numbers() -> None:
    assert one_type([column([1]), column([2.5])]).to_pylist() == [1.0, 2.5]
    assert one_type([column([Decimal("1.5")]), column([Decimal("10.25")])]).to_pylist() == [
        Decimal("1.50"),
        Decimal("10.25"),
    ]


@given(st.lists(st.lists(st.none() | st.integers(-(2**40), 2**40) | st.text(max_size=3), max_size=4), max_size=4))
def test_the_result_does_not_depend_on_where_chunks_end(chunks: list[list[int | str | None]]) -> None:
    together = one_type([column([value for chunk in chunks for value in chunk])]).to_pylist()
    assert one_type([column(chunk) for chunk in chunks]).to_pylist() == together


@pytest.mark.parametrize(
    ("declared", "literal", "expected"),
    [
        ("BOOLEAN", "1", True),
        ("BOOLEAN", "7", 7),
        ("DATE", "'2024-02-29'", date(2024, 2, 29)),
        ("DATE", "'soon'", "soon"),
        ("DATETIME", "'2024-02-29 01:02:03'", datetime(2024, 2, 29, 1, 2, 3)),
        ("DECIMAL(10,2)", "1.5", Decimal("1.50")),
        ("REAL", "1", 1.0),
        ("TEXT", "1", "1"),
    ],
)
def test_sqlites_columns_are_what_they_are_declared_if_all_values_can_be(
    declared: str, literal: str, expected: object
) -> None:
    connection = SqliteConnection(None)
    connection.query(Statement.of(f"CREATE TABLE t (v {declared})"))
    connection.query(Statement.of(f"INSERT INTO t VALUES ({literal}), (NULL)"))
    rows = connection.query(Statement(("SELECT v FROM t WHERE ", " = 1 ORDER BY v IS NULL"), (1,)))
    connection.close()
    assert rows is not None
    assert rows["v"].to_pylist() == [expected, None]
