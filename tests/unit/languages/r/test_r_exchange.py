"""What goes into R and comes back: every type, exactly, with missing values told from empty ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refold.errors import BlockError
from refold.languages.r.block_file import RFile

Run = Callable[..., object]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory, make_file: Callable[..., RFile]) -> Run:
    """What R makes of an expression of `x`, the value that it is given."""
    code = "transform <- function(x) eval(parse(text = global_vars$code))\n"
    function = make_file(tmp_path_factory.mktemp("r"), code).main.function
    return lambda code, value=None: function(value, code=code)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7, "integer"), (-(2**31) + 1, "integer"), (2**31, "double"), (2**53, "double"), (2**53 + 1, "character"),
        (1.5, "double"), (True, "logical"), ("tree", "character"), ([1, 2], "integer"), ([1, 2.5], "double"),
        ([1, None], "integer"), (["a", None, ""], "character"), ([True, None], "logical"), ([1, "a"], "list"),
        ([], "list"), ([[1], [2]], "list"), (b"\x00\x01", "raw"), (None, "NULL"), (Decimal("1.5"), "double"),
        (np.int64(3), "integer"), (np.float32(0.5), "double"), (np.array([1, 2]), "integer"), (time(1, 2), "character"),
    ],
)  # fmt: skip
def test_a_value_arrives_as_the_type_that_r_has_for_it(evaluate: Run, value: object, kind: str) -> None:
    assert evaluate("typeof(x)", value) == kind


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2024, 2, 29), "Date 2024-02-29"),
        (datetime(2024, 2, 29, 1, 2, 3), "POSIXct 2024-02-29 01:02:03"),
        (datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), "POSIXct 2024-02-29 01:02:03"),
        (pd.Timestamp("2024-02-29 01:02:03", tz="Asia/Tokyo"), "POSIXct 2024-02-29 01:02:03"),
        (timedelta(minutes=2), "difftime 120"),
        (UUID(int=1), "character 00000000-0000-0000-0000-000000000001"),
    ],
)
def test_dates_times_and_durations_keep_their_classes(evaluate: Run, value: object, expected: str) -> None:
    assert evaluate("paste(class(x)[1], format(x))", value).removesuffix(" secs") == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NULL", None), ("5L", 5), ("2.5", 2.5), ("TRUE", True), ("'a'", "a"), ("NA", None), ("NA_character_", None),
        ("c(1L, NA)", [1, None]), ("c('a', NA, '')", ["a", None, ""]), ("c(TRUE, NA)", [True, None]), ("list()", []),
        ("character()", []), ("1:3", [1, 2, 3]), ("I(5L)", [5]), ("list(5L)", [5]),
        ("list(1L, 'a', NULL)", [1, "a", None]),
        ("list(a = 1L, b = list(c = 'd'))", {"a": 1, "b": {"c": "d"}}), ("c(a = 1L, b = 2L)", {"a": 1, "b": 2}),
        ("factor(c('u', 'v', 'u'))", ["u", "v", "u"]), ("as.Date('2024-02-29')", date(2024, 2, 29)),
        ("as.POSIXct('2024-02-29 01:02:03')", datetime(2024, 2, 29, 1, 2, 3)),
        ("as.POSIXlt('2024-02-29 01:02:03')", datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)),
        ("as.difftime(2, units = 'mins')", timedelta(minutes=2)), ("as.raw(c(1, 0))", b"\x01\x00"), ("Inf", math.inf),
    ],
)  # fmt: skip
def test_what_r_returns_is_a_value_as_json_has_it(evaluate: Run, code: str, expected: object) -> None:
    found = evaluate(code)
    assert (found, type(found)) == (expected, type(expected))


def test_nan_is_told_from_na(evaluate: Run) -> None:
    nan, missing = cast("list[float | None]", evaluate("c(NaN, NA)"))
    assert nan is not None
    assert math.isnan(nan)
    assert missing is None


def test_a_dict_is_a_frame_of_one_row_and_a_list_of_dicts_one_of_several(evaluate: Run) -> None:
    shape = "paste(class(x), nrow(x), paste(names(x), collapse = ' '))"
    assert evaluate(shape, {"id": 1, "name": "a"}) == "data.frame 1 id name"
    assert evaluate(shape, [{"id": 1, "name": "a"}, {"id": 2, "name": None}]) == "data.frame 2 id name"
    assert evaluate(shape, pd.Series({"id": 1, "name": "a"})) == "data.frame 1 id name"
    assert evaluate(shape, {}) == "data.frame 1 "


def test_what_is_missing_in_a_frames_row_is_na_of_no_type(evaluate: Run) -> None:
    """In a row of several types pandas has NaN for a missing text: as a number it would make a column of text one."""
    row = pd.DataFrame({"id": [1], "name": pd.Series([None], dtype="str")}).iloc[0]
    assert evaluate("paste(typeof(x$name), is.nan(x$name))", row) == "logical FALSE"


def test_frames_in_a_list_are_one_frame_with_the_rows_of_all(evaluate: Run) -> None:
    assert evaluate("x$n", [pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": [3]})]) == [1, 2, 3]


def test_a_dict_deeper_down_is_a_named_list(evaluate: Run) -> None:
    assert evaluate("x$user[[1]]$tags", {"user": {"name": "a", "tags": ["p", "q"]}}) == ["p", "q"]


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": pd.array([1, None, -3], dtype="Int64"),
            "big": [2**40, 1, 2],
            "huge": [2**60 + 1, 1, 2],
            "real": [0.1, math.nan, -1e300],
            "text": ["", None, 'a "quoted",\nline\r\tü 漢 😀'],
            "truth": pd.array([True, None, False], dtype="boolean"),
            "kind": pd.Categorical(["x", None, "y"], categories=["y", "x"]),
            "day": [date(2024, 2, 29), None, date(1900, 1, 1)],
            "at": pd.to_datetime(pd.Series(["2024-02-29 01:02:03.123456", None, "1969-12-31 23:59:59.500000"])),
            "zoned": pd.to_datetime(pd.Series(["2024-02-29 01:02:03", None, "2024-07-01 00:00:00"])).dt.tz_localize(
                "Europe/Berlin"
            ),
            "took": pd.to_timedelta([1500, None, -1], unit="ms"),
        }
    )


def test_columns_have_the_classes_of_r(evaluate: Run) -> None:
    assert evaluate("vapply(x, function(each) class(each)[[1]], '')", frame()) == {
        "whole": "integer", "big": "numeric", "huge": "character", "real": "numeric", "text": "character",
        "truth": "logical", "kind": "factor", "day": "Date", "at": "POSIXct", "zoned": "POSIXct", "took": "difftime",
    }  # fmt: skip
    assert evaluate("vapply(x, function(each) sum(is.na(each)), 0L)", frame())["text"] == 1  # type: ignore[index]
    assert evaluate("levels(x$kind)", frame()) == ["y", "x"]


def test_a_frame_comes_back_as_it_went(evaluate: Run) -> None:
    sent = frame()
    found = evaluate("x", sent)
    assert isinstance(found, pd.DataFrame)
    assert [*found.columns] == [*sent.columns]
    for name in ("whole", "big", "real", "text", "truth", "kind", "day", "at", "zoned", "took"):
        before, after = sent[name].tolist(), found[name].tolist()
        assert [None if pd.isna(v) else v for v in after] == [None if pd.isna(v) else v for v in before], name
    assert found["huge"].tolist() == [str(2**60 + 1), "1", "2"]
    assert str(found["zoned"].dtype).endswith("Europe/Berlin]")
    assert found["kind"].cat.categories.tolist() == ["y", "x"]


def test_frames_without_rows_or_columns_are_frames(evaluate: Run) -> None:
    empty = evaluate("x", pd.DataFrame({"n": pd.Series([], dtype="int64"), "s": pd.Series([], dtype="str")}))
    assert isinstance(empty, pd.DataFrame)
    assert (empty.shape, [*empty.columns]) == ((0, 2), ["n", "s"])
    bare = evaluate("data.frame()")
    assert isinstance(bare, pd.DataFrame)
    assert bare.shape == (0, 0)


def test_matrices_and_tables_become_frames(evaluate: Run) -> None:
    assert evaluate("matrix(1:4, 2)").to_dict("list") == {"V1": [1, 2], "V2": [3, 4]}  # type: ignore[attr-defined]
    counted = evaluate("table(c('a', 'b', 'a'))")
    assert counted["Freq"].tolist() == [2, 1]  # type: ignore[index]


def test_list_columns_go_both_ways(evaluate: Run) -> None:
    found = evaluate("x", pd.DataFrame({"n": [1, 2], "tags": [["a", "b"], []]}))
    assert [list(each) for each in found["tags"]] == [["a", "b"], []]  # type: ignore[index]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("function(y) y", r"transform\(\) is a function, which is no data"),
        ("list(a = 1, b = list(globalenv()))", r"transform\(\)\$b\[\[1\]\] is a environment, which is no data"),
        ("lm(1 ~ 1)", "which is no data"),
        ("1i", "is a complex, which is no data"),
        ("list(a = 1, a = 2)", "two elements are called `a`"),
        ("list(a = 1, 2)", "some elements have names and others have none"),
        ("setNames(data.frame(1, 2), c('a', 'a'))", "two columns `a`"),
    ],
)
def test_what_is_no_data_is_refused_with_its_place(evaluate: Run, code: str, said: str) -> None:
    with pytest.raises(BlockError, match=said):
        evaluate(code)


@pytest.mark.parametrize("value", ["a\0b", ["a", "\0"], {"text": "a\0"}, pd.DataFrame({"text": ["a", "b\0"]})])
def test_a_text_that_r_cannot_hold_is_refused_before_it_is_asked(evaluate: Run, value: object) -> None:
    with pytest.raises(BlockError, match="NUL"):
        evaluate("x", value)


def test_an_object_that_is_no_data_is_refused_with_the_upstream_that_gave_it(evaluate: Run) -> None:
    with pytest.raises(BlockError, match="what `upstream_0` gives holds a object, which R has nothing like"):
        evaluate("x", object())


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**31) + 1, 2**31 - 1) | st.floats(allow_nan=False) | TEXT | st.dates()
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(SCALARS, min_size=2) | st.dictionaries(TEXT.filter(bool), st.lists(SCALARS, min_size=2), min_size=1)
)
def test_lists_and_dicts_of_any_values_come_back_as_they_went(evaluate: Run, values: object) -> None:
    assert evaluate("x$it[[1]]", {"it": values}) == values


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | TEXT, min_size=1),
    seed=st.integers(0, 2**32),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
)
def test_columns_of_any_text_and_numbers_come_back_as_they_went(
    evaluate: Run, texts: list[str | None], seed: int, kind: pa.DataType
) -> None:
    from refold.languages.r.arrow_columns import frame_of  # the seam at which chunks and slices can be given
    from refold.languages.r.xdr_writer import NULL

    bits = np.random.default_rng(seed).integers(0, 2**63, len(texts), dtype=np.uint64)
    numbers = bits.view(np.float64)
    half = len(texts) // 2
    table = pa.table({"text": pa.array(["", *texts], kind).slice(1), "number": numbers})
    chunked = pa.concat_tables([table.slice(0, half), table.slice(half)])
    assert frame_of(chunked, lambda _: NULL)
    found = evaluate("x", chunked.to_pandas())
    assert [None if pd.isna(each) else each for each in found["text"]] == texts  # type: ignore[index]
    assert np.array_equal(found["number"].to_numpy(), numbers, equal_nan=True)  # type: ignore[index]
