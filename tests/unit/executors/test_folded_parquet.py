"""The Parquet file of a lazy `concat` holds what the eager one puts together, and is written once, whole, by one."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from multiprocessing.synchronize import Event
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.api.types import pandas_dtype

from refold.errors import ReduceError, StoreError
from refold.executors import folded_parquet
from refold.executors.capture import LogWriter
from refold.executors.folded_parquet import FoldedParquet
from refold.executors.folds import Folds
from refold.executors.interrupts import Cancelled, Interrupts
from refold.executors.open_run import OpenRun
from refold.languages.concatenation import concatenate
from refold.languages.frames import FrameLibrary
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.outputs import FileOutputStore
from refold.ports.executor import Folding, RunContext, Span, Spans
from refold.ports.output_store import Item, Output

OVER = "`concat` over `clean`"


class Desk:
    """Stores what runs returned, and folds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        context = RunContext(
            run=RunId("run-1"),
            pipeline_uuid=PipelineUuid("pipe"),
            project=folder,
            run_folder=folder / "run",
            latest_folder=folder / "latest",
            variables={},
            started_at=0.0,
        )
        self.opened = OpenRun(context, {}, FileOutputStore(folder / "run"), LogWriter(folder / "log"), "w")
        self._builder = self.opened.builder()

    def outputs(self, *returned: object) -> Spans:
        for value in returned:
            self._builder.add_output(Output.of(value))
        return (Span(self._builder.publish(), 0, len(returned)),) if returned else ()

    def items(self, *items: object) -> Spans:
        for value in items:
            self._builder.add_item(Item(value, {"block_uuid": str(len(self._builder))}))
        return (Span(self._builder.publish(), 0, len(items)),)

    def rows(self, frame: object) -> Spans:
        self._builder.add_rows(frame, None)
        return (Span(self._builder.publish(), 0, 1),)

    def path(self, spans: Spans, *, items: bool = False) -> Path:
        folding = Folding(BlockUuid("clean"), items, "concat", lazy=True)
        return FoldedParquet(self.opened, Folds(self.opened, Interrupts()), folding).path(spans)

    def of(self, *returned: object) -> Path:
        return self.path(self.outputs(*returned))

    def left(self) -> list[str]:
        """The names of all files beside the segments."""
        return sorted(path.name for path in (self.folder / "run" / "folded").iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def frame(**columns: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def typed(dtype: str, *values: object) -> pd.Series:
    column: pd.Series = pd.Series(values).astype(pandas_dtype(dtype))
    return column


COLUMNS = {
    "int8": typed("int8", 1, -2),
    "int64": typed("int64", 3, -(2**40)),
    "uint64": typed("uint64", 4),
    "float32": typed("float32", 0.5, None),
    "float64": typed("float64", 0.1, float("inf")),
    "bool": typed("bool", True, False),
    "Int64": typed("Int64", 5, None),
    "Float64": typed("Float64", 0.25, None),
    "boolean": typed("boolean", True, None),
    "text": pd.Series(["a", None]),
    "string": typed("string", "b", None),
    "day": typed("datetime64[ms]", "2024-05-01"),
    "moment": typed("datetime64[ns]", "2024-05-01T10:00:00.000000001", None),
    "berlin": typed("datetime64[us, Europe/Berlin]", "2024-05-01T10:00"),
    "span": typed("timedelta64[ns]", 7),
    "category": pd.Series(["x", "y"], dtype=pd.CategoricalDtype(["y", "x", "z"])),
}
OBJECTS = {
    "date": pd.Series([date(2024, 5, 1), None], dtype=object),
    "decimal": pd.Series([Decimal("1.50")], dtype=object),
    "bytes": pd.Series([b"raw"], dtype=object),
    "strings": pd.Series(["s", None], dtype=object),
}
HARMLESS = {name: pd.DataFrame({"c": column, "n": 1}) for name, column in {**COLUMNS, **OBJECTS}.items()}


def eager(*frames: pd.DataFrame) -> pd.DataFrame:
    joined = concatenate(frames, FrameLibrary.PANDAS)
    assert isinstance(joined, pd.DataFrame)
    return joined


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same values; dtypes too, where they are not `object`: a file may know better."""
    for name in expected.columns:
        if str(expected[name].dtype) == "object":
            expected = expected.assign(**{str(name): expected[name].astype(object).where(expected[name].notna(), None)})
            found = found.assign(**{str(name): found[name].astype(object).where(found[name].notna(), None)})
    pd.testing.assert_frame_equal(found, expected)


def _kind(cell: object) -> object:
    return type(cell), getattr(cell, "tzinfo", None)


@pytest.mark.parametrize("one", HARMLESS)
def test_types_are_those_that_the_eager_concat_finds(desk: Desk, one: str) -> None:
    for other in HARMLESS.values():
        frames = HARMLESS[one], other
        expected = eager(*frames)
        if str(expected["c"].dtype) == "object" and len({_kind(each) for each in expected["c"].dropna()}) > 1:
            with pytest.raises(ReduceError, match=f"{OVER}: column `c` is .* in frame 0 and .* in frame 1"):
                desk.of(*frames)
            continue
        assert_same(pd.read_parquet(desk.of(*frames)), expected)


@pytest.mark.parametrize("one", HARMLESS)
def test_a_column_that_only_some_frames_have_is_null_in_the_others(desk: Desk, one: str) -> None:
    frames = frame(n=[1], m=["first"]), HARMLESS[one], frame(z=[0.5])
    found = pd.read_parquet(desk.of(*frames))
    assert list(found.columns) == ["n", "m", "c", "z"]
    assert_same(found, eager(*frames))
    table = pq.read_table(desk.of(*frames))
    assert table["c"].is_null().to_pylist()[0]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(x=[1]).set_index("x").assign(y=2), frame(x=[3], y=[4])],
        [frame(x=[1, 2, 3]).iloc[1:], frame(x=[4]).set_axis(["label"])],
        [frame(x=[1], y=[2]).set_index(["x", "y"]).assign(v=["a"]), frame(v=["b"])],
        [frame(x=[]), frame(x=[])],
        [frame(x=[1]), frame(x=[]).astype({"x": "int64"})],
        [pd.DataFrame({0: [1], 1: [2]}), pd.DataFrame({1: [3], 2: [4]})],
        [pd.DataFrame(index=[1, 2]), frame(x=[1])],
        [frame(x=["a"]).assign(x=lambda it: it["x"].astype("category")), frame(x=["b"])],
        [frame(x=[[1, 2], []]), frame(x=[[3]])],
        [frame(x=[{"a": 1}]), frame(x=[{"a": 2}])],
        [frame(**{"a.b": [1], "a": [2]}), frame(a=[3])],
    ],
    ids=[
        "a named index",
        "other indices",
        "an index of two levels",
        "no rows",
        "some without rows",
        "numbered columns",
        "no columns",
        "a category and a text",
        "lists",
        "dicts",
        "dots in names",
    ],
)
def test_the_file_holds_what_the_eager_concat_makes(desk: Desk, frames: list[pd.DataFrame]) -> None:
    found, expected = pd.read_parquet(desk.of(*frames)), eager(*frames)
    assert found.columns.equals(expected.columns)
    assert isinstance(found.index, pd.RangeIndex)
    plain = [[getattr(cell, "tolist", lambda cell=cell: cell)() for cell in row] for row in found.itertuples()]
    assert str(plain).replace("nan", "None") == str([list(row) for row in expected.itertuples()]).replace("nan", "None")
    assert [str(each) for each in found.dtypes] == [str(each) for each in expected.dtypes]


POLARS = {
    "ints": pl.Series("c", [1, None], dtype=pl.Int32),
    "floats": pl.Series("c", [0.5]),
    "texts": pl.Series("c", ["a", None]),
    "bools": pl.Series("c", [True]),
    "days": pl.Series("c", [date(2024, 5, 1)]),
    "moments": pl.Series("c", ["2024-05-01"]).str.to_datetime(time_unit="us"),
    "decimals": pl.Series("c", [Decimal("1.5")]),
    "categories": pl.Series("c", ["a", "b"], dtype=pl.Categorical),
    "enums": pl.Series("c", ["a"], dtype=pl.Enum(["b", "a"])),
    "lists": pl.Series("c", [[1, 2], []]),
    "structs": pl.Series("c", [{"x": 1}]),
    "nulls": pl.Series("c", [None]),
}


@pytest.mark.parametrize(("one", "other"), list(product(POLARS, POLARS)))
def test_polars_frames_become_what_polars_makes_of_them(desk: Desk, one: str, other: str) -> None:
    frames = [pl.DataFrame({"a": [1], "c": POLARS[one].head(1)}), pl.DataFrame({"c": POLARS[other], "b": "last"})]
    try:
        expected = concatenate(frames, FrameLibrary.POLARS)
    except Exception:
        with pytest.raises(ReduceError, match=rf"{OVER}: (column `c` is|frame [01] is no table(.|\n)*col\(.c.\))"):
            desk.of(*frames)
        return
    assert isinstance(expected, pl.DataFrame)
    found = pl.read_parquet(desk.of(*frames))
    assert found.equals(expected)
    assert found.schema == expected.schema


def test_arrow_tables_become_what_arrow_makes_of_them(desk: Desk) -> None:
    tables = [pa.table({"x": [1], "y": ["a"]}), pa.table({"x": [0.5]}), pa.table({"z": [None]})]
    found = pq.read_table(desk.of(*tables))
    assert found.equals(pa.concat_tables(tables, promote_options="permissive"))
    with pytest.raises(ReduceError, match=f"{OVER}: column `x` is int64 in frame 0 and string in frame 1"):
        desk.of(pa.table({"x": [1]}), pa.table({"x": ["a"]}))


def test_lists_contribute_their_elements_and_none_is_passed_over(desk: Desk) -> None:
    path = desk.of([frame(n=[1]), None, frame(n=[2])], None, (), [], (frame(n=[3]),), frame(n=[4]), [None])
    assert pd.read_parquet(path)["n"].tolist() == [1, 2, 3, 4]
    assert pq.ParquetFile(path).num_row_groups == 4


def test_items_contribute_themselves(desk: Desk) -> None:
    spans = (*desk.items(frame(n=[1])), *desk.items(frame(n=[2]), None, frame(n=[3])))
    assert pd.read_parquet(desk.path(spans, items=True))["n"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("nothing", [[], [None], [[], None, ()]])
def test_of_nothing_there_is_a_file_without_columns(desk: Desk, nothing: list[object]) -> None:
    path = desk.of(*nothing)
    assert pd.read_parquet(path).equals(pd.DataFrame())
    assert (pq.ParquetFile(path).num_row_groups, pq.read_schema(path).names) == (0, [])


def test_frames_without_rows_leave_their_columns(desk: Desk) -> None:
    path = desk.of(frame(n=[1], t=["a"]).iloc[:0])
    assert pd.read_parquet(path).dtypes.astype(str).to_dict() == {"n": "int64", "t": "str"}
    assert pq.ParquetFile(path).num_row_groups == 0


@pytest.mark.filterwarnings("ignore:The DataFrame has column names of mixed type")
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"n": 1}, "takes data frames .* and met dict of 1 key: {'n': 1}"),
        ([frame(n=[1]), 5], "takes data frames .* and met int: 5"),
        (frame(n=[1])["n"], "takes data frames .* and met pandas Series of 1 value"),
        ([pl.DataFrame({"n": [1]})], "met polars DataFrame of 1 row among frames of pandas"),
        (frame(n=[object()]), "frame 1 is no table of a Parquet file: ArrowInvalid"),
        (frame(n=[1, "a"]), "frame 1 is no table of a Parquet file: ArrowInvalid"),
        (frame(n=["a"]), "column `n` is int64 in frame 0 and large_string in frame 1"),
        (pd.DataFrame([[1, 2]], columns=["n", "n"]), "frame 1 is no table of a Parquet file: ValueError"),
        (pd.DataFrame({"0": [1], 0: [2]}), "two columns are named `0`"),
    ],
)
def test_what_makes_no_file_is_an_error_that_leaves_nothing(desk: Desk, returned: object, message: str) -> None:
    with pytest.raises(ReduceError, match=f"{OVER}:? {message}"):
        desk.of(frame(n=[1]), returned)
    assert desk.left() == []


def test_large_frames_are_written_as_small_ones_are(desk: Desk) -> None:
    """The index, which is stored among the columns, stays away from a frame of many batches too."""
    rows = 200_000
    large = frame(x=range(rows), t=[str(each) for each in range(rows)], f=[0.5] * rows).set_index("x").assign(y=1)
    frames = [large, large.rename(columns={"y": "x"})]
    path = desk.of(*frames)
    assert_same(pd.read_parquet(path), eager(*frames))
    assert [pq.ParquetFile(path).metadata.row_group(at).num_rows for at in (0, 1)] == [rows, rows]


def test_small_frames_share_row_groups_when_there_are_very_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded_parquet, "MOST_OWN_GROUPS", 3)
    path = desk.of(*(frame(n=[each]) for each in range(10)))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [1, 1, 1, 7]
    assert file.read()["n"].to_pylist() == list(range(10))


# Once, whole, by one


def test_it_is_written_once_however_the_records_are_named(desk: Desk) -> None:
    [span] = desk.outputs(frame(n=[1]), frame(n=[2]), frame(n=[3]))
    path = desk.path((span,))
    written = path.stat()
    absolute = span.chunk._replace(segment=str(desk.folder / "run" / span.chunk.segment))
    assert desk.path((span._replace(stop=1), span._replace(start=1))) == path
    assert desk.path((span._replace(chunk=absolute),)) == path
    assert path.stat() == written
    assert desk.path((span._replace(stop=2),)) != path


def test_readers_cannot_write_to_it(desk: Desk) -> None:
    assert desk.of(frame(n=[1])).stat().st_mode & 0o222 == 0


def test_a_harmed_file_is_written_anew(desk: Desk) -> None:
    spans = desk.outputs(frame(n=[1]))
    path = desk.path(spans)
    whole = path.read_bytes()
    for harm in (b"", whole[:-5], b"other"):
        path.chmod(0o600)
        path.write_bytes(harm)
        assert desk.path(spans) == path
        assert path.read_bytes() == whole


def test_an_interrupted_one_leaves_nothing_and_is_written_by_who_comes_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = desk.outputs(*(frame(n=[each]) for each in range(5)))
    calls = iter(range(100))

    def explained(self: Folds, folding: Folding, work: Callable[[], object]) -> object:
        if next(calls) == 8:
            raise Cancelled
        return work()

    with monkeypatch.context() as patch:
        patch.setattr(Folds, "explained", explained)
        with pytest.raises(Cancelled):
            desk.path(spans)
    assert desk.left() == []
    assert pd.read_parquet(desk.path(spans))["n"].tolist() == [0, 1, 2, 3, 4]


def _write_and_die(folder: Path, spans: Spans, begun: Event) -> None:
    def die(_self: object, _writer: object, _waiting: object) -> None:
        begun.set()
        os.kill(os.getpid(), 9)

    FoldedParquet._write_group = die  # type: ignore[method-assign,assignment] # no group is ever written
    Desk(folder).path(spans)


def test_who_is_killed_while_writing_leaves_no_file_of_that_name(desk: Desk) -> None:
    spans = desk.outputs(frame(n=[1]), frame(n=[2]))
    spawning = multiprocessing.get_context("spawn")
    begun = spawning.Event()
    process = spawning.Process(target=_write_and_die, args=(desk.folder, spans, begun))
    process.start()
    process.join(60)
    assert begun.is_set()
    [half] = desk.left()
    assert half.startswith(".")
    path = desk.path(spans)
    assert desk.left() == [path.name]
    assert pd.read_parquet(path)["n"].tolist() == [1, 2]


def _write(folder: Path, spans: Spans, go: Event, queue: multiprocessing.Queue[tuple[str, int]]) -> None:
    desk = Desk(folder)
    go.wait(60)
    path = desk.path(spans)
    queue.put((str(path), len(pd.read_parquet(path))))


def test_of_many_who_come_at_once_each_finds_the_whole_file(desk: Desk) -> None:
    spans = desk.outputs(*(frame(n=range(50_000)) for _ in range(6)))
    spawning = multiprocessing.get_context("spawn")
    go, queue = spawning.Event(), spawning.Queue()
    processes = [spawning.Process(target=_write, args=(desk.folder, spans, go, queue)) for _ in range(4)]
    for process in processes:
        process.start()
    go.set()
    found = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert found == {(str(desk.path(spans)), 300_000)}
    assert len(desk.left()) == 1


def test_a_file_that_does_not_fit_is_said_and_leaves_nothing(desk: Desk) -> None:
    spans = desk.outputs(*(frame(n=range(at, 20_000 + at)) for at in range(5)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match="the frames of `clean` could not be written to one file: File too large"):
            desk.path(spans)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert desk.left() == []
    assert len(pd.read_parquet(desk.path(spans))) == 100_000


def test_a_place_that_cannot_be_written_to_is_said(desk: Desk) -> None:
    spans = desk.outputs(frame(n=[1]))
    (desk.folder / "run" / "folded").write_text("in the way")
    with pytest.raises(StoreError, match=r"the frames of `clean` could not be written to one file") as raised:
        desk.path(spans)
    assert "folded" in str(raised.value)
