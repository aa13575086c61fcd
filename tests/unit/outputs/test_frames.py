"""A DataFrame is Parquet wherever Parquet gives the same frame back."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal

import hypothesis.extra.pandas as hpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.outputs import frames
from refold.outputs.codecs import PANDAS, PICKLE, POLARS, decode, encode
from refold.outputs.large import LARGE

TWO = {"a": [1, 2]}

KEPT: dict[str, Callable[[], pd.DataFrame]] = {
    "numbers": lambda: pd.DataFrame({"i": [1, 2], "f": [0.5, np.nan], "b": [True, False]}),
    "text": lambda: pd.DataFrame({"s": ["x", None]}),
    "every int": lambda: pd.DataFrame({f"{k}{b}": np.array([1], f"{k}{b}") for k in ("int", "uint") for b in (8, 64)}),
    "nullable": lambda: pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "instants": lambda: pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "NaT"])}),
    "zoned instants": lambda: pd.DataFrame({"t": pd.to_datetime(["2020-01-01"]).tz_localize("Europe/Berlin")}),
    "categories": lambda: pd.DataFrame({"c": pd.Categorical(["x", "y"], categories=["y", "x", "z"], ordered=True)}),
    "an index": lambda: pd.DataFrame(TWO, index=pd.Index(["x", "y"], name="key")),
    "a stepping index": lambda: pd.DataFrame(TWO, index=pd.RangeIndex(3, 9, 3, name="r")),
    "a MultiIndex": lambda: pd.DataFrame(TWO, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["p", None])),
    "named columns": lambda: pd.DataFrame(TWO).rename_axis(columns="cols"),
    "no rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="int64"), "s": pd.Series([], dtype="str")}),
    "dates": lambda: pd.DataFrame({"d": [dt.date(2020, 1, 1), None]}),
    "decimals of one scale": lambda: pd.DataFrame({"d": [Decimal("1.10"), Decimal("2.20")]}),
    "attrs": lambda: _with_attrs({"source": ["s3", 1]}),
    "arrow": lambda: pd.DataFrame({"a": pd.Series([1, 2], dtype=pd.ArrowDtype(pa.int32()))}),
}
CHANGED: dict[str, Callable[[], pd.DataFrame]] = {
    "int column names": lambda: pd.DataFrame({0: [1]}),
    "mixed column names": lambda: pd.DataFrame({"a": [1], 0: [2]}),
    "columns twice": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "levels of columns": lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
    "no columns": lambda: pd.DataFrame(index=[1, 2]),
    "numbers as objects": lambda: pd.DataFrame({"a": pd.Series([1, 2], dtype=object)}),
    "lists": lambda: pd.DataFrame({"a": [[1], [2]]}),
    "dicts": lambda: pd.DataFrame({"a": [{"x": 1}, {"y": 2}]}),
    "mixed cells": lambda: pd.DataFrame({"a": pd.Series([1, "1", None, (1,)], dtype=object)}),
    "int categories": lambda: pd.DataFrame({"c": pd.Categorical([1, 2])}),
    "a daily index": lambda: pd.DataFrame(TWO, index=pd.date_range("2020", periods=2, freq="D")),
    "an int index name": lambda: pd.DataFrame(TWO, index=pd.Index([1, 2], name=7)),
    "seconds": lambda: pd.DataFrame({"t": pd.to_datetime(["2020-01-01"]).as_unit("s")}),
    "complex": lambda: pd.DataFrame({"c": [1j]}),
    "sparse": lambda: pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1])}),
    "decimals of two scales": lambda: pd.DataFrame({"d": [Decimal("1.1"), Decimal("2.20")]}),
    "attrs of any kind": lambda: _with_attrs({"when": (1, 2)}),
    "flags": lambda: pd.DataFrame(TWO).set_flags(allows_duplicate_labels=False),
}
if pd.Index(["a"]).dtype != object:
    CHANGED["object column names"] = lambda: pd.DataFrame([[1]], columns=pd.Index(["a"], dtype=object))


def _with_attrs(attrs: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(TWO)
    frame.attrs.update(attrs)
    return frame


def assert_same(back: object, frame: pd.DataFrame) -> None:
    assert isinstance(back, pd.DataFrame)
    assert type(back) is type(frame)
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_flags=True)
    assert back.attrs == frame.attrs
    assert [list(map(type, back[name])) for name in back] == [list(map(type, frame[name])) for name in frame]


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large frames are encoded in a room that is made for them, here too small a one, and decoded in batches, here of
    one row."""
    if request.param == "large":
        monkeypatch.setattr(frames, "LARGE", 1)
        monkeypatch.setattr(frames, "_BATCH", 1)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("name", KEPT)
def test_a_pandas_frame_that_survives_is_parquet_that_pandas_reads(name: str) -> None:
    frame = KEPT[name]()
    codec, data = encode(frame)
    assert codec == PANDAS
    assert_same(decode(codec, data), frame)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(data)), frame, check_freq=False)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("name", CHANGED)
def test_a_pandas_frame_that_parquet_would_change_is_pickled(name: str) -> None:
    frame = CHANGED[name]()
    codec, data = encode(frame)
    assert codec == PICKLE
    back = decode(codec, data)
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_flags=True)
    assert back.attrs == frame.attrs


class Special(pd.DataFrame):
    pass


def test_a_subclass_of_a_frame_stays_one() -> None:
    codec, data = encode(Special(TWO))
    assert codec == PICKLE
    assert type(decode(codec, data)) is Special


@pytest.mark.parametrize(
    "value", [pd.Series([1, 2], name="s"), pd.Index([1]), np.arange(3)], ids=["Series", "Index", "array"]
)
def test_other_values_of_the_frame_libraries_are_pickled(value: object) -> None:
    codec, data = encode(value)
    assert codec == PICKLE
    assert type(decode(codec, data)) is type(value)


@pytest.mark.usefixtures("size")
def test_a_frame_that_was_read_can_be_changed() -> None:
    back = decode(*encode(pd.DataFrame(TWO)))
    assert isinstance(back, pd.DataFrame)
    back.iloc[0, 0] = 99
    back["b"] = 1
    assert back["a"].tolist() == [99, 2]


@settings(max_examples=60, deadline=None)
@given(
    hpd.data_frames(
        columns=[
            hpd.column("i", dtype=np.int64),
            hpd.column("f", dtype=np.float64),
            hpd.column("t", dtype="datetime64[ns]"),
            hpd.column("o", elements=st.none() | st.integers() | st.text(st.characters(), max_size=3), dtype=object),
            hpd.column("s", elements=st.text(st.characters(), max_size=3), dtype=object),
        ],
        index=hpd.range_indexes(max_size=4) | hpd.indexes(elements=st.text(max_size=2), dtype=object, max_size=4),
    )
)
def test_any_frame_comes_back(frame: pd.DataFrame) -> None:
    for each in (frame, frame[["i", "f"]], frame[["i", "t"]], frame[["o"]], frame[["s"]]):
        assert_same(decode(*encode(each)), each)


def test_a_large_frame_comes_back() -> None:
    rows = 200_000
    frame = pd.DataFrame({"f": np.arange(rows) / 7, "text": [f"row {at % 1000}" for at in range(rows)]})
    frame = frame.assign(kind=pd.Categorical(np.where(frame["f"] > 1, "more", "less")))
    frame.index = pd.Index(np.arange(rows) * 3, name="f")
    codec, data = encode(frame)
    assert codec == PANDAS
    assert len(data) > LARGE
    back = decode(codec, data)
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame)
    back.iloc[0, 0] = 99.0
    assert back.iloc[0, 0] == 99.0


POLARS_KEPT: dict[str, Callable[[], pl.DataFrame]] = {
    "plain": lambda: pl.DataFrame({"i": [1, None], "s": ["x", None], "f": [float("nan"), None]}),
    "nested": lambda: pl.DataFrame({"l": [[1], []], "d": [{"x": 1}, {"x": None}]}),
    "instants": lambda: pl.DataFrame({"t": [dt.datetime(2020, 1, 1)], "d": [dt.timedelta(1)], "c": [dt.time(1)]}),
    "categories": lambda: pl.DataFrame({"c": ["x", "y"]}, schema={"c": pl.Enum(["y", "x"])}),
    "no rows": lambda: pl.DataFrame(schema={"a": pl.Int8, "b": pl.List(pl.String)}),
}


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("name", POLARS_KEPT)
def test_a_polars_frame_is_parquet_and_comes_back_as_polars(name: str) -> None:
    frame = POLARS_KEPT[name]()
    codec, data = encode(frame)
    assert codec == POLARS
    back = decode(codec, data)
    assert isinstance(back, pl.DataFrame)
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_a_polars_frame_without_columns_comes_back() -> None:
    back = decode(*encode(pl.DataFrame()))
    assert isinstance(back, pl.DataFrame)
    assert back.shape == (0, 0)
