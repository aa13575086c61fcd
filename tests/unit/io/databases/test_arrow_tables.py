"""Values of blocks as Arrow tables and back: what has rows has them by name, and what has none says why."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import overload

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import BlockError
from refold.io.databases.arrow_tables import to_arrow, to_pandas
from refold.io.databases.plain_columns import for_database, for_duckdb, plain
from refold.ports.output_store import StoredElements

_DAY = date(2024, 2, 29)


class _Stored(StoredElements, Sequence[object]):
    """A list that lies in a store."""

    __slots__ = ("_elements",)

    def __init__(self, *elements: object) -> None:
        self._elements = elements

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[object]:
        return iter(self._elements)

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        return self._elements[index]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pl.DataFrame({"a": [1], "b": ["x"]}), [{"a": 1, "b": "x"}]),
        (pa.table({"a": [1]}), [{"a": 1}]),
        (pa.record_batch({"a": [1]}), [{"a": 1}]),
        (pd.DataFrame({"a": [1, 2]}, index=[7, 8]), [{"a": 1}, {"a": 2}]),
        (pd.DataFrame({0: [1], 1: [2]}), [{"0": 1, "1": 2}]),
        (pd.DataFrame({("total", "sum"): [1], ("id", ""): [2]}), [{"total_sum": 1, "id": 2}]),
        (pd.Series({"a": 1, "b": "x"}), [{"a": 1, "b": "x"}]),
        (pd.Series([1, 2], name="a"), [{"a": 1}, {"a": 2}]),
        (pd.Series([1, 2]), [{"value": 1}, {"value": 2}]),
        (pl.Series("a", [1, 2]), [{"a": 1}, {"a": 2}]),
        ({"a": 1, "b": [1, 2]}, [{"a": 1, "b": [1, 2]}]),
        ([{"a": 1}, {"b": "x"}], [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        (({"a": 1}, {"a": 2}), [{"a": 1}, {"a": 2}]),
        ([pd.Series({"a": 1, "b": "x"}), {"a": 2, "b": "y"}], [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (_Stored({"a": 1}, {"a": 2}), [{"a": 1}, {"a": 2}]),
        ([{"a": 1}, None], [{"a": 1}]),
        ([1, None, 3], [{"value": 1}, {"value": None}, {"value": 3}]),
        ([1, 2.5], [{"value": 1}, {"value": 2.5}]),
        ([[1], [2, 3]], [{"value": [1]}, {"value": [2, 3]}]),
        ("text", [{"value": "text"}]),
        (5, [{"value": 5}]),
        (_DAY, [{"value": _DAY}]),
        (np.array([1, 2]), [{"value": 1}, {"value": 2}]),
        (np.array([[1, 2], [3, 4]]), [{"value_0": 1, "value_1": 2}, {"value_0": 3, "value_1": 4}]),
        (np.array([(1, "x")], dtype=[("a", "i8"), ("b", "U1")]), [{"a": 1, "b": "x"}]),
        (np.float64(1.5), [{"value": 1.5}]),
        ({"a": float("nan"), "b": pd.NaT, "c": pd.NA}, [{"a": None, "b": None, "c": None}]),
        ({"id": uuid.UUID(int=5)}, [{"id": "00000000-0000-0000-0000-000000000005"}]),
        ([2**70, 1], [{"value": Decimal(2**70)}, {"value": Decimal(1)}]),
        (pd.DataFrame({"m": pd.period_range("2024-01", periods=1, freq="M")}), [{"m": "2024-01"}]),
        (pd.DataFrame({"c": pd.Categorical(["x", "y"])}), [{"c": "x"}, {"c": "y"}]),
    ],
)
def test_a_value_is_its_rows(value: object, expected: list[dict[str, object]]) -> None:
    assert to_arrow(value, "rows").to_pylist() == expected


def test_frames_follow_one_another_by_column_name() -> None:
    frames = [
        pd.DataFrame({"a": [1], "b": ["x"]}),
        pl.DataFrame({"b": ["y"], "a": [2.5]}),
        pd.DataFrame(),
        None,
        pd.DataFrame({"a": [None], "b": ["z"]}),
    ]
    assert to_arrow(frames, "rows").to_pylist() == [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}, {"a": None, "b": "z"}]


def test_a_frame_without_rows_has_its_columns() -> None:
    assert to_arrow(pd.DataFrame({"a": [1]}).head(0), "rows").column_names == ["a"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "df_1: is an empty list, which has no columns"),
        (None, "it returned nothing"),
        ({}, "has no columns"),
        (pd.DataFrame(), "pandas DataFrame of 0 rows has no columns"),
        (pd.DataFrame({0: [1], "0": [2]}), "more than one column `0`"),
        (
            pd.DataFrame({"ok": [1, 2], "bad": [1, "x"]}),
            r"column `bad` mixes types: int \(1 values\), str \(1 values\)",
        ),
        ([{"bad": 1}, {"bad": "x"}], "column `bad` mixes types: int"),
        ([1, "x"], "column `value` mixes types"),
        ({"bad": object()}, r"column `bad` holds what a database has no type for: object"),
        ([{"a": 1}, pd.DataFrame({"a": [1]})], "element 0 is dict of 1 key, element 1 is pandas DataFrame of 1 row"),
        ([pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})], "element 1 has no column `a`, which element 0 has"),
        (
            [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1], "b": [1]})],
            "element 0 has no column `b`, which element 1 has",
        ),
        (
            [pd.DataFrame({"a": [1]}), None, pd.DataFrame({"a": ["x"]})],
            "column `a` is int64 in element 0, large_string in element 2",
        ),
        (np.zeros((2, 2, 2)), "has 3 dimensions"),
    ],
)
def test_what_cannot_be_rows_says_why(value: object, message: str) -> None:
    with pytest.raises(BlockError, match=message):
        to_arrow(value, "df_1")


def test_decimals_of_python_leave_room_for_larger_ones() -> None:
    frame = pd.DataFrame({"n": [Decimal("1.25")]})
    assert to_arrow(frame, "rows").schema.field("n").type == pa.decimal128(38, 2)


_COLUMNS = {
    "whole": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2),
    "float": st.lists(st.floats(allow_nan=False), min_size=2, max_size=2),
    "text": st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2),
    "truth": st.lists(st.booleans(), min_size=2, max_size=2),
    "moment": st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), min_size=2, max_size=2),
}


@given(st.fixed_dictionaries({}, optional=_COLUMNS).filter(bool))
def test_a_frame_comes_back_as_it_was(columns: dict[str, list[object]]) -> None:
    frame = pd.DataFrame(columns)
    pd.testing.assert_frame_equal(to_pandas(to_arrow(frame, "rows")), frame, check_dtype=False)


def test_numbers_are_floats_for_blocks_and_dates_dates() -> None:
    frame = to_pandas(
        pa.table({"n": [Decimal("1.25"), None], "d": [_DAY, None], "t": [datetime(2024, 1, 1, tzinfo=UTC), None]})
    )
    assert frame["n"].dtype == "float64"
    assert frame["d"].tolist() == [_DAY, None]
    assert isinstance(frame["t"].dtype, pd.DatetimeTZDtype)


def test_lists_and_dicts_are_lists_and_dicts_for_blocks() -> None:
    frame = to_pandas(pa.table({"l": [[1, 2], None], "d": [{"k": 1}, {"k": 2}], "n": [[Decimal("1.5")], []]}))
    assert frame["l"].tolist() == [[1, 2], None]
    assert frame["d"].tolist() == [{"k": 1}, {"k": 2}]
    assert frame["n"].tolist() == [[1.5], []]


def test_columns_may_have_one_name_for_blocks() -> None:
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    frame = to_pandas(rows)
    assert (list(frame.columns), frame.iloc[0].tolist()) == (["a", "a"], [1, 2])


def test_a_date_beyond_those_of_python_is_named() -> None:
    rows = pa.table({"ok": [1], "until": pa.array([2**31 - 1], pa.int32()).cast(pa.date32())})
    with pytest.raises(BlockError, match="column `until` holds a date outside"):
        to_pandas(rows)


def test_uuids_become_text_wherever_they_are() -> None:
    ids = [uuid.UUID(int=number) for number in (1, 2**127, 3)]
    stored = pa.array([ids[0].bytes, None, ids[1].bytes, ids[2].bytes], pa.uuid())
    column = pa.chunked_array([stored.slice(1), stored.slice(0, 1), stored.slice(0, 0)])
    assert plain(pa.table({"id": column}))["id"].to_pylist() == [None, str(ids[1]), str(ids[2]), str(ids[0])]
    lists = pa.array([[ids[0].bytes], None, []], pa.list_(pa.binary(16))).cast(pa.list_(pa.uuid()))
    assert plain(pa.table({"ids": lists.slice(0, 2)}))["ids"].to_pylist() == [[str(ids[0])], None]


def test_an_interval_is_a_duration_unless_it_counts_months() -> None:
    intervals = pa.array([(0, 1, 2_000_000_000), None], pa.month_day_nano_interval())
    assert plain(pa.table({"i": intervals}))["i"].to_pylist() == [timedelta(days=1, seconds=2), None]
    with_months = pa.array([(14, 3, -1_500_000_000), (0, 1, 0)], pa.month_day_nano_interval())
    assert plain(pa.table({"i": with_months}))["i"].to_pylist() == ["P14M3DT-1.5S", "P0M1D"]


def test_nested_columns_are_json_for_databases() -> None:
    rows = pa.table(
        {
            "struct": [{"k": "é", "n": Decimal("1.50"), "d": _DAY, "f": float("nan"), "b": b"\x01"}],
            "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "deep": [[[1], [2]]],
            "list": [[1, 2]],
        }
    )
    stored = for_database(rows, lists=True).to_pylist()[0]
    assert stored["struct"] == '{"k": "é", "n": "1.50", "d": "2024-02-29", "f": null, "b": "01"}'
    assert (stored["map"], stored["deep"], stored["list"]) == ('{"a": 1}', "[[1], [2]]", [1, 2])
    assert for_database(rows, lists=False).to_pylist()[0]["list"] == "[1, 2]"


def test_numbers_too_wide_for_databases_are_decimals_or_text() -> None:
    wide = pa.table(
        {
            "u": pa.array([2**64 - 1], pa.uint64()),
            "d": pa.array([Decimal("1.5")], pa.decimal256(50, 2)),
            "t": pa.array([Decimal(10**45)], pa.decimal256(50, 2)),
        }
    )
    stored = for_database(wide, lists=True).to_pylist()[0]
    assert (stored["u"], stored["d"]) == (Decimal(2**64 - 1), Decimal("1.5"))
    assert stored["t"] == f"{10**45}.00"
    assert for_duckdb(wide).schema.field("u").type == pa.uint64()


def test_whole_numbers_with_missing_ones_stay_whole() -> None:
    large = 2**53 + 1
    frame = to_pandas(pa.table({"id": pa.array([large, None], pa.int64()), "small": pa.array([1, None], pa.uint8())}))
    assert str(frame["id"].dtype) == "Int64"
    assert str(frame["small"].dtype) == "UInt8"
    assert to_arrow(frame, "rows").column("id").to_pylist() == [large, None]
