"""Rows of frames: cut on demand, told apart by their fingerprints."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import polars as pl
import pytest

from refold.errors import StoreError
from refold.outputs.rows import count_rows, row_digests, row_reader

SAME: dict[str, Callable[[], object]] = {
    "numbers": lambda: pd.DataFrame({"a": [1, 2, 3]}),
    "objects": lambda: pd.DataFrame({"a": pd.Series([1, "1", None], dtype=object)}),
    "lists": lambda: pd.DataFrame({"a": [[1], [2], [1, 2]]}),
    "categories": lambda: pd.DataFrame({"a": pd.Categorical(["x", "y", "z"])}),
    "a MultiIndex": lambda: pd.DataFrame({"a": [1, 1, 1]}, index=pd.MultiIndex.from_product([[1], [2, 3, 4]])),
    "an index": lambda: pd.DataFrame({"a": [1, 1, 1]}, index=[4, 5, 6]),
    "polars": lambda: pl.DataFrame({"a": [1, None, 3], "l": [[1], [], None]}),
}


@pytest.mark.parametrize("name", SAME)
def test_digests_are_the_same_each_time_and_differ_between_rows(name: str) -> None:
    digests = list(row_digests(SAME[name]()))
    assert digests == list(row_digests(SAME[name]()))
    assert len(set(digests)) == 3
    assert {len(digest) for digest in digests} == {8}


@pytest.mark.parametrize(
    "other",
    [
        pd.DataFrame({"b": [1]}),
        pd.DataFrame({"a": [1.0]}),
        pd.DataFrame({"a": ["1"]}),
        pd.DataFrame({"a": pd.Series([1], dtype=object)}),
        pd.DataFrame({"a": pd.Categorical([1])}),
        pd.DataFrame({"a": [1]}, index=[7]),
        pd.DataFrame({"a": [1]}, index=pd.Index([0], name="n")),
        pl.DataFrame({"a": [1]}),
    ],
    ids=["name", "float", "text", "object", "category", "index", "index name", "polars"],
)
def test_a_row_of_another_kind_has_another_digest(other: object) -> None:
    assert list(row_digests(pd.DataFrame({"a": [1]}))) != list(row_digests(other))


def test_a_row_keeps_its_digest_when_rows_are_added_before_it() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    assert list(row_digests(frame))[1] == next(iter(row_digests(frame.loc[["y"]])))


def test_empty_frames_have_no_rows() -> None:
    for frame in (pd.DataFrame({"a": []}), pl.DataFrame({"a": []})):
        assert count_rows(frame) == 0
        assert list(row_digests(frame)) == []


def test_only_frames_have_rows() -> None:
    for ask in (count_rows, row_reader, row_digests):
        with pytest.raises(StoreError, match="list"):
            ask([1, 2])
