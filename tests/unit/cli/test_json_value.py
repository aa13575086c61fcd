"""Outputs as JSON: what `refold output --json` promises for each type."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest

from refold.cli.json_value import JsonWriter


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}),
        (float("nan"), None),
        (float("inf"), None),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", 1}), ["b", 1]),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        ({1: "a", None: "b", date(2026, 1, 2): "c"}, {"1": "a", "null": "b", "2026-01-02": "c"}),
        (np.int8(3), 3),
        (np.float64("nan"), None),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.datetime64("NaT"), None),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series([1, 2]), [1, 2]),
        (pd.DataFrame({"a": [1], "b": ["x"]}).iloc[0], {"a": 1, "b": "x"}),
        (pd.DataFrame(), []),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), [{"a": 1, "a.1": 2}]),
        (pl.DataFrame({"a": [1, None], "b": [[1], [2]]}), [{"a": 1, "b": [1]}, {"a": None, "b": [2]}]),
        (pl.Series([1, 2]), [1, 2]),
    ],
)  # fmt: skip
def test_a_value_becomes_what_a_reader_expects(value: object, expected: object) -> None:
    writer = JsonWriter()
    converted = writer.convert(value)
    assert converted == expected
    assert json.loads(json.dumps(converted, allow_nan=False)) == expected
    assert writer.odd == {}


def test_a_frame_is_a_list_of_records_and_what_it_lacks_is_null() -> None:
    frame = pd.DataFrame(
        {
            "n": [1.5, None],
            "at": [pd.Timestamp("2026-01-02"), pd.NaT],
            "name": ["x", None],
            "i": pd.array([1, None], "Int64"),
        }
    )
    assert JsonWriter().convert(frame) == [
        {"n": 1.5, "at": "2026-01-02T00:00:00", "name": "x", "i": 1},
        {"n": None, "at": None, "name": None, "i": None},
    ]


def test_what_json_lacks_is_its_repr_and_is_counted() -> None:
    writer = JsonWriter()
    assert writer.convert([b"ab", {"c": b"d"}, complex(1, 2)]) == ["b'ab'", {"c": "b'd'"}, "(1+2j)"]
    assert writer.odd == {"bytes": 2, "complex": 1}


def test_a_list_that_holds_itself_ends() -> None:
    ring: list[object] = []
    ring.append(ring)
    writer = JsonWriter()
    assert writer.convert(ring) == "[[...]]"
    assert writer.odd


def test_keys_that_would_fall_together_lose_nothing_silently() -> None:
    writer = JsonWriter()
    assert writer.convert({1: "a", "1": "b"}) == "{1: 'a', '1': 'b'}"
    assert writer.odd
