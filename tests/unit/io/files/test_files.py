"""`FileIO`: rows go into files of every format and come back, and what cannot be read is told."""

from __future__ import annotations

import gzip
import os
import zipfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import FileStoreError
from refold.io.files.files import FileIO

FRAME = pd.DataFrame(
    {
        "id": [1, 2**53 + 1, -3],
        "name": ["007", "=1+1", 'é, "x"\nnext'],
        "share": [0.1 + 0.2, None, 1e300],
    }
)
AT = pd.to_datetime(pd.Series(["2024-01-02 03:04:05.123456", "2024-06-01 00:00:00", None]), format="ISO8601")
EXACT = ["a.csv", "a.tsv", "a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zip", "a.csv.zst", "A.CSV.GZ", "a.json"]
EXACT += ["a.jsonl", "a.ndjson.gz", "a.json.zst", "a.parquet", "a.pq", "a.feather", "a.arrow", "a.xml.zip"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process works for this folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("refold.languages.project_context._current", [str(folder)])
    return folder


def refused(path: str, *words: str, **options: object) -> str:
    """Loading the path fails with all of the words; the message."""
    with pytest.raises(FileStoreError) as failure:
        FileIO().load(path, **options)  # type: ignore[arg-type]
    message = str(failure.value)
    for word in (path, *words):
        assert word in message
    return message


@pytest.mark.parametrize("name", EXACT)
def test_rows_come_back_exactly(name: str) -> None:
    FileIO().export(FRAME, name)
    pd.testing.assert_frame_equal(FileIO().load(name), FRAME)


@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_formats_with_types_keep_times(name: str) -> None:
    frame = FRAME.assign(at=AT)
    FileIO().export(frame, name)
    pd.testing.assert_frame_equal(FileIO().load(name), frame)


def test_excel_keeps_what_a_sheet_can_hold() -> None:
    frame = pd.DataFrame({"id": [1, 2], "name": ["a", "=HYPERLINK(1)"], "at": AT[:2].dt.floor("ms")})
    FileIO().export(frame, "a.xlsx")
    pd.testing.assert_frame_equal(FileIO().load("a.xlsx"), frame, check_dtype=False)


def test_excel_texts_never_become_formulas(project: Path) -> None:
    FileIO().export(pd.DataFrame({"=name": ["=1+1", "+1", "@x"]}), "a.xlsx")
    with zipfile.ZipFile(project / "a.xlsx") as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    assert FileIO().load("a.xlsx")["=name"].tolist() == ["=1+1", "+1", "@x"]


def test_options_go_to_pandas(project: Path) -> None:
    FileIO().export(FRAME, "semicolons.csv", sep=";", columns=["id", "name"])
    assert (project / "semicolons.csv").read_text().startswith("id;name\n")
    assert list(FileIO().load("semicolons.csv", sep=";", usecols=["id"]).columns) == ["id"]
    FileIO().export(FRAME, "a.parquet", compression="zstd")
    assert list(FileIO().load("a.parquet", columns=["name"]).columns) == ["name"]
    FileIO().export(FRAME, "columns.json", orient="columns")
    assert FileIO().load("columns.json")["name"].tolist() == FRAME["name"].tolist()


def test_csv_with_other_parsers_of_pandas(project: Path) -> None:
    (project / "a.csv").write_text("a||b\n1||2\n")
    assert FileIO().load("a.csv", sep=r"\|\|", engine="python").to_dict("list") == {"a": [1], "b": [2]}
    (project / "b.csv").write_text("a;b\n1;2\n")
    assert FileIO().load("b.csv", sep=None, engine="python").to_dict("list") == {"a": [1], "b": [2]}


def test_the_format_may_be_said_instead_of_an_ending() -> None:
    FileIO().export(FRAME, "rows", format="parquet")
    pd.testing.assert_frame_equal(FileIO().load("rows", "PARQUET"), FRAME)
    FileIO().export(FRAME, "rows.gz", format="csv")
    pd.testing.assert_frame_equal(FileIO().load("rows.gz", "csv"), FRAME)


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"a": [1, 2**60], "b": ["x", None]}),
        pa.table({"a": [1, 2**60], "b": ["x", None]}),
        [{"a": 1, "b": "x"}, {"a": 2**60, "b": None}],
    ],
    ids=["polars", "arrow", "dicts"],
)
@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.json"])
def test_other_kinds_of_rows_are_written_too(value: object, name: str) -> None:
    FileIO().export(value, name)
    assert FileIO().load(name).astype(object).where(lambda frame: frame.notna(), None).to_dict("list") == {
        "a": [1, 2**60],
        "b": ["x", None],
    }


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.parquet"])
def test_missing_whole_numbers_do_not_make_floats_of_the_others(name: str, project: Path) -> None:
    FileIO().export([{"a": 2**60 + 1}, {"a": None}], name)
    if name.endswith("parquet"):
        assert pa.parquet.read_table(project / name)["a"].to_pylist() == [2**60 + 1, None]
    else:
        assert str(2**60 + 1) in (project / name).read_text()


def test_a_value_without_columns_is_not_exported(project: Path) -> None:
    with pytest.raises(Exception, match="no columns"):
        FileIO().export(pd.DataFrame().to_dict("records"), "a.parquet")
    assert list(project.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.xlsx", "a.feather", "a.xml", "a.json"])
def test_sample_and_limit_give_the_first_rows(name: str) -> None:
    FileIO().export(pd.DataFrame({"id": range(70_000 if name.endswith("parquet") else 50)}), name)
    assert FileIO().sample(name, 3)["id"].tolist() == [0, 1, 2]
    assert FileIO().load(name, limit=2)["id"].tolist() == [0, 1]
    assert list(FileIO().load(name, limit=0).columns if not name.startswith("a.j") else ["id"]) == ["id"]
    with pytest.raises(FileStoreError, match="-1"):
        FileIO().load(name, limit=-1)


def test_a_sample_of_parquet_may_cross_batches() -> None:
    FileIO().export(pd.DataFrame({"id": range(200_000)}), "a.parquet")
    assert FileIO().sample("a.parquet", 150_000)["id"].tolist() == list(range(150_000))


def test_exists_tells_files_and_folders_from_what_is_not_there(project: Path) -> None:
    (project / "data").mkdir()
    (project / "a.csv").write_text("a\n")
    assert [FileIO().exists(name) for name in ("a.csv", "data", "b.csv")] == [True, True, False]


def test_a_context_and_a_configuration_are_taken() -> None:
    with FileIO() as files:
        files.export(FRAME, Path("a.csv"))
        assert len(files.load(Path("a.csv"))) == 3


class TestFolders:
    def test_files_of_a_folder_are_one_frame_in_order_of_names(self, project: Path) -> None:
        for name, ids in (("b.csv", [3]), ("a.csv", [1, 2]), ("deep/c.csv", [4])):
            FileIO().export(pd.DataFrame({"id": ids}), f"data/{name}")
        (project / "data/_SUCCESS").write_text("")
        (project / "data/.refold-1.tmp").write_text("half")
        (project / "data/_temporary").mkdir()
        (project / "data/_temporary/x.csv").write_text("id\n9\n")
        assert FileIO().load("data")["id"].tolist() == [1, 2, 3, 4]
        assert FileIO().load("data/")["id"].tolist() == [1, 2, 3, 4]
        assert FileIO().load("data", limit=2)["id"].tolist() == [1, 2]
        assert FileIO().load("data/?.csv")["id"].tolist() == [1, 2, 3]
        assert FileIO().load("data/**/*.csv")["id"].tolist() == [1, 2, 3, 4]

    def test_columns_may_stand_in_another_order_but_must_be_the_same(self, project: Path) -> None:
        (project / "a.csv").write_text("id,name\n1,x\n")
        (project / "b.csv").write_text("name,id\ny,2\n")
        assert FileIO().load("*.csv").to_dict("list") == {"id": [1, 2], "name": ["x", "y"]}
        (project / "c.csv").write_text("id,nam,extra\n3,z,1\n")
        with pytest.raises(FileStoreError) as failure:
            FileIO().load("*.csv")
        assert "c.csv" in str(failure.value)
        assert "it has `nam`, `extra` too and lacks `name`" in str(failure.value)

    def test_folders_named_after_values_are_columns(self) -> None:
        for year, month in ((2023, "01"), (2024, "02")):
            FileIO().export(pd.DataFrame({"id": [1]}), f"days/year={year}/month={month}/part-0.parquet")
        frame = FileIO().load("days")
        assert frame["year"].tolist() == [2023, 2024]
        assert frame["month"].tolist() == ["01", "02"]
        assert FileIO().load("days/*/*/*.parquet").equals(frame)
        assert FileIO().load("days/year=2024/*/*.parquet")["month"].tolist() == ["02"]

    def test_a_pattern_that_matches_one_folder_still_gives_its_columns(self) -> None:
        FileIO().export(pd.DataFrame({"id": [1]}), "days/year=2023/part-0.parquet")
        assert list(FileIO().load("days/*/*.parquet").columns) == ["id", "year"]

    def test_a_folder_that_names_a_column_of_its_files_is_refused(self) -> None:
        FileIO().export(pd.DataFrame({"id": [1], "year": [7]}), "days/year=2023/part-0.parquet")
        with pytest.raises(FileStoreError, match="`year` is both in the file"):
            FileIO().load("days")

    def test_a_file_without_rows_does_not_change_types(self, project: Path) -> None:
        (project / "a.csv").write_text("id\n")
        (project / "b.csv").write_text("id\n7\n")
        assert FileIO().load("*.csv")["id"].dtype == "int64"

    def test_several_formats_need_a_choice(self, project: Path) -> None:
        FileIO().export(FRAME, "data/a.csv")
        FileIO().export(FRAME, "data/b.json")
        refused("data", "several formats", "csv", "json")
        assert len(FileIO().load("data/*.json")) == 3

    def test_nothing_to_load_is_told(self, project: Path) -> None:
        (project / "empty").mkdir()
        refused("empty", "no file")
        refused("none/*.csv", "no file matches")

    def test_a_name_with_brackets_is_itself_first(self, project: Path) -> None:
        (project / "a[1].csv").write_text("id\n1\n")
        (project / "a1.csv").write_text("id\n2\n")
        assert FileIO().load("a[1].csv")["id"].tolist() == [1]


class TestWhatCannotBeRead:
    def test_a_missing_file(self, project: Path) -> None:
        refused("none.csv", "there is no such file", str(project / "none.csv"))

    @pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet", "a.xlsx", "a.xml", "a.feather", "a.csv.gz"])
    def test_an_empty_file(self, name: str, project: Path) -> None:
        (project / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
        refused(name, "is empty")

    @pytest.mark.parametrize(
        "name", ["a.json", "a.jsonl", "a.parquet", "a.xlsx", "a.xml", "a.feather", "a.csv.gz", "a.csv.zip", "a.csv.zst"]
    )
    def test_a_file_of_another_format(self, name: str, project: Path) -> None:
        (project / name).write_bytes(b"\x00\x01 neither this nor that")
        kind = {"jsonl": "json", "xlsx": "excel"}.get(name.split(".")[1], name.split(".")[1])
        refused(name, f"cannot be read as {kind}")

    def test_a_file_that_was_cut_off(self, project: Path) -> None:
        for name in ("a.parquet", "a.csv.gz", "a.json", "a.xlsx", "a.csv.xz", "a.csv.bz2"):
            FileIO().export(FRAME, name)
            data = (project / name).read_bytes()
            (project / name).write_bytes(data[: len(data) // 2])
            refused(name, "cannot be read as")

    def test_another_encoding(self, project: Path) -> None:
        (project / "a.csv").write_bytes("name\né\n".encode("latin-1"))
        refused("a.csv", "utf-8", "0xe9", "encoding='latin-1'")
        assert FileIO().load("a.csv", encoding="latin-1")["name"].tolist() == ["é"]

    def test_lines_of_json_in_a_json_file_point_to_the_option(self, project: Path) -> None:
        (project / "a.json").write_text('{"a": 1}\n{"a": 2}\n')
        refused("a.json", "lines=True")
        assert FileIO().load("a.json", lines=True)["a"].tolist() == [1, 2]
        (project / "b.jsonl").write_text('{"a": 1}\n\n{"a": \n')
        refused("b.jsonl", "line 3")

    @pytest.mark.parametrize("text", ["[1, 2]", "3", '"x"', '{"a": 1}', "[]x", '{"a": [1], "b": {"0": 2}}'])
    def test_json_without_columns(self, text: str, project: Path) -> None:
        (project / "a.json").write_text(text)
        refused("a.json", "cannot be read as json")

    def test_unknown_endings_and_formats_name_those_there_are(self, project: Path) -> None:
        refused("a.foo", "`.foo`", "format=", ".parquet")
        refused("a", "no ending", "format=")
        refused("a.gz", "format=")
        refused("a.csv", "no format `cvs`", "Did you mean `csv`?", format="cvs")
        refused("a.parquet.gz", "compressed", "without `.gz`")

    @pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.h5", "a.hdf5", "a.joblib", "a.pkl.gz"])
    def test_files_that_could_run_code_are_neither_read_nor_written(self, name: str, project: Path) -> None:
        refused(name, "run code", "Parquet")
        with pytest.raises(FileStoreError, match="run code"):
            FileIO().export(FRAME, name)
        refused("a", "run code", format="hdf5")

    def test_pipes_and_devices_are_not_waited_for(self, project: Path) -> None:
        os.mkfifo(project / "a.csv")
        refused("a.csv", "not a file")
        refused("/dev/null", "not a file", format="csv")

    def test_options_that_give_no_frame(self, project: Path) -> None:
        FileIO().export(FRAME, "a.csv")
        refused("a.csv", "TextFileReader", "chunksize", chunksize=2)
        refused("a.csv", "nonsense", nonsense=1)

    def test_an_archive_of_several_files(self, project: Path) -> None:
        with zipfile.ZipFile(project / "a.csv.zip", "w") as archive:
            archive.writestr("a.csv", "a\n1\n")
            archive.writestr("b.csv", "a\n2\n")
        refused("a.csv.zip", "2 files instead of one")


class TestWhatCannotBeWritten:
    @pytest.mark.parametrize(
        ("frame", "name", "words"),
        [
            (pd.DataFrame({"a b": [1]}), "a.xml", "XML cannot"),
            (pd.DataFrame({"a": ["\x00"]}), "a.xml", "XML cannot"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a.json", "`a` is there twice"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a.parquet", "cannot be written as parquet"),
            (pd.DataFrame({"a": [1, "x"]}, dtype=object), "a.parquet", "cannot be written as parquet"),
            (pd.DataFrame({"a": [object()]}), "a.json", "cannot be written as json"),
            (pd.DataFrame({"a": [1]}), "a.xls", "only read"),
        ],
    )
    def test_it_is_told_and_nothing_is_left(self, frame: pd.DataFrame, name: str, words: str, project: Path) -> None:
        with pytest.raises(FileStoreError, match=words):
            FileIO().export(frame, name)
        assert list(project.iterdir()) == []

    def test_a_folder_is_not_a_file(self, project: Path) -> None:
        (project / "a.csv").mkdir()
        for name in ("a.csv", "b/"):
            with pytest.raises(FileStoreError, match="folder"):
                FileIO().export(FRAME, name, format="csv")

    def test_json_says_null_where_it_has_no_word(self, project: Path) -> None:
        frame = pd.DataFrame({"a": [float("nan"), float("inf")], "b": [Decimal("NaN"), Decimal("1.10")]})
        FileIO().export(frame.assign(at=AT[1:].to_list()), "a.json")
        text = (project / "a.json").read_text()
        assert text == '[\n{"a":null,"b":null,"at":"2024-06-01T00:00:00"},\n{"a":null,"b":1.10,"at":null}\n]\n'


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
rows = st.lists(
    st.fixed_dictionaries({"i": st.integers(-(2**63), 2**63 - 1), "f": st.floats(allow_nan=False, allow_infinity=False),
                           "t": texts, "b": st.booleans()}),
    min_size=1, max_size=8,
)  # fmt: skip


@given(rows, st.sampled_from(["a.json", "a.jsonl", "a.json.gz", "a.parquet", "a.feather"]))
def test_any_rows_come_back_as_they_were(found: list[dict[str, object]], name: str) -> None:
    frame = pd.DataFrame(found)
    FileIO().export(frame, name)
    assert FileIO().load(name).to_dict("records") == frame.to_dict("records")


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["a.csv", "a.json", "a.jsonl", "a.xml", "a.csv.zip"]))
def test_any_bytes_are_rows_or_a_told_error(data: bytes, name: str) -> None:
    Path("project", name).write_bytes(data)
    with suppress(FileStoreError):
        assert isinstance(FileIO().load(name), pd.DataFrame)
