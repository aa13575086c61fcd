"""Which files a `FileIO` reaches, and which paths it refuses."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refold.errors import FileStoreError
from refold.io.files.files import FileIO
from refold.io.files.local_paths import LocalPaths

FRAME = pd.DataFrame({"id": [1]})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process works for this folder, in another one; beside it lies what is not the project's."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data/in.csv").write_text("id\n1\n")
    (tmp_path / "project-secrets").mkdir()
    (tmp_path / "project-secrets/out.csv").write_text("id\n666\n")
    (folder / "link").symlink_to(tmp_path / "project-secrets")
    (folder / "data/link.csv").symlink_to(tmp_path / "project-secrets/out.csv")
    monkeypatch.chdir(tmp_path / "project-secrets")
    monkeypatch.setattr("refold.languages.project_context._current", [str(folder)])
    return folder


OUTSIDE = ["../project-secrets/out.csv", "data/../../project-secrets/out.csv", "link/out.csv", "data/link.csv"]


def test_relative_paths_are_the_projects(project: Path) -> None:
    assert FileIO().load("data/in.csv")["id"].tolist() == [1]
    FileIO().export(FRAME, "new/folder/out.csv")
    assert (project / "new/folder/out.csv").read_text() == "id\n1\n"


def test_relative_paths_without_a_project_are_the_working_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refold.languages.project_context._current", [])
    assert FileIO().load("out.csv")["id"].tolist() == [666]
    with pytest.raises(FileStoreError, match="leads out of"):
        FileIO().load("../project/data/in.csv")


def test_a_relative_path_may_wander_inside_the_project() -> None:
    assert FileIO().load("data/../data/./in.csv")["id"].tolist() == [1]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_relative_path_does_not_leave_the_project(path: str, project: Path) -> None:
    before = (project.parent / "project-secrets/out.csv").read_text()
    for attempt in (
        lambda: FileIO().load(path),
        lambda: FileIO().export(FRAME, path),
        lambda: FileIO().exists(path),
        lambda: FileIO().sample(path),
    ):
        with pytest.raises(FileStoreError, match="leads out of") as failure:
            attempt()
        assert path in str(failure.value)
        assert "allow_outside=True" in str(failure.value)
    assert (project.parent / "project-secrets/out.csv").read_text() == before


@pytest.mark.parametrize("path", OUTSIDE)
def test_it_does_where_that_is_said(path: str) -> None:
    assert FileIO(allow_outside=True).load(path)["id"].tolist() == [666]


@pytest.mark.parametrize("pattern", ["../project-secrets/*.csv", "link/*.csv", "data/*.csv", "*/*.csv"])
def test_neither_do_the_files_that_a_pattern_matches(pattern: str) -> None:
    with pytest.raises(FileStoreError, match="leads out of"):
        FileIO().load(pattern)


def test_neither_do_the_files_of_a_folder() -> None:
    with pytest.raises(FileStoreError, match="leads out of"):
        FileIO().load("data")


def test_absolute_paths_are_the_blocks_decision(project: Path) -> None:
    outside = project.parent / "project-secrets/out.csv"
    assert FileIO().load(outside)["id"].tolist() == [666]
    assert FileIO().load(str(outside.parent / "*.csv"))["id"].tolist() == [666]
    assert FileIO().load(project / "link/out.csv")["id"].tolist() == [666]
    FileIO().export(FRAME, outside)
    assert outside.read_text() == "id\n1\n"


def test_writing_through_a_link_writes_the_file_it_points_to(project: Path) -> None:
    (project / "latest.csv").symlink_to(project / "data/in.csv")
    FileIO().export(pd.DataFrame({"id": [2]}), "latest.csv")
    assert (project / "latest.csv").is_symlink()
    assert (project / "data/in.csv").read_text() == "id\n2\n"


class TestConfined:
    @pytest.mark.parametrize("path", ["../in.csv", "/etc/passwd", "sub/../../data/in.csv", "out/x.csv", "leak.csv"])
    def test_nothing_outside_the_root_is_reached(self, path: str, project: Path) -> None:
        root = project / "uploads"
        root.mkdir()
        (root / "out").symlink_to(project.parent / "project-secrets")
        (root / "leak.csv").symlink_to(project / "data/in.csv")
        files = FileIO(root=root)
        for attempt in (lambda: files.load(path, "csv"), lambda: files.export(FRAME, path, "csv")):
            with pytest.raises(FileStoreError, match="is confined"):
                attempt()
        assert not (project.parent / "project-secrets/x.csv").exists()

    def test_what_lies_inside_is_reached_also_by_an_absolute_path(self, project: Path) -> None:
        files = FileIO(root="uploads")
        files.export(FRAME, "a/b.csv")
        assert (project / "uploads/a/b.csv").exists()
        assert len(files.load(project / "uploads/a/b.csv")) == 1
        assert len(files.load("a")) == 1

    def test_the_root_may_itself_be_a_link(self, project: Path) -> None:
        assert FileIO(root="link").load("out.csv")["id"].tolist() == [666]

    def test_wildcards_are_characters_of_a_name(self) -> None:
        files = FileIO(root="uploads")
        files.export(FRAME, "a.csv")
        with pytest.raises(FileStoreError, match="no such file"):
            files.load("*.csv")
        files.export(pd.DataFrame({"id": [2]}), "*.csv")
        assert files.load("*.csv")["id"].tolist() == [2]

    @pytest.mark.parametrize("path", [".", "a/..", "./"])
    def test_the_root_itself_is_no_file_of_it(self, path: str) -> None:
        FileIO(root="uploads").export(FRAME, "a/b.csv")
        with pytest.raises(FileStoreError, match="names no file"):
            FileIO(root="uploads").load(path)

    def test_links_in_a_folder_do_not_leave_it(self, project: Path) -> None:
        FileIO(root="uploads").export(FRAME, "mine/a.csv")
        (project / "uploads/mine/b.csv").symlink_to(project / "data/in.csv")
        with pytest.raises(FileStoreError, match="is confined"):
            FileIO(root="uploads").load("mine")

    def test_to_confine_and_to_allow_exclude_each_other(self) -> None:
        with pytest.raises(FileStoreError, match="only one of the two"):
            FileIO(root="uploads", allow_outside=True)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://bucket/a.csv", "S3.with_config"),
        ("S3A://bucket/a.csv", "S3.with_config"),
        ("gs://bucket/a.csv", "GoogleCloudStorage.with_config"),
        ("abfss://container/a.csv", "AzureBlobStorage.with_config"),
        ("file:///data/a.csv", "`/data/a.csv`"),
        ("https://example.com/a.csv", "requests"),
        ("ftp://example.com/a.csv", "is a URL"),
        ("simplecache::s3://bucket/a.csv", "is a URL"),
        ("memory://a.csv", "is a URL"),
        ("~/a.csv", "expanduser"),
        ("a\0.csv", "null character"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("\ud800.csv", "characters"),
    ],
)
def test_what_is_not_a_path_is_refused(path: str, words: str) -> None:
    for attempt in (
        lambda: FileIO().load(path),
        lambda: FileIO().export(FRAME, path),
        lambda: FileIO().exists(path),
        lambda: FileIO(allow_outside=True).load(path),
        lambda: FileIO(root="data").load(path),
    ):
        with pytest.raises(FileStoreError) as failure:
            attempt()
        assert words in str(failure.value)


@pytest.mark.parametrize("path", [None, b"a.csv", 3, ["a.csv"]])
def test_what_is_not_text_is_refused(path: object) -> None:
    with pytest.raises(FileStoreError, match="a path is text"):
        FileIO().load(path)  # type: ignore[arg-type]


def test_colons_and_odd_characters_are_ordinary(project: Path) -> None:
    for name in ("2024-01-01T00:00:00.csv", "a b%2F..csv", "~x.csv", "-.csv", "é\n.csv", "c:\\x.csv"):
        FileIO().export(FRAME, name)
        assert len(FileIO().load(name)) == 1
        assert (project / name).is_file()


def test_a_name_that_is_too_long_is_told() -> None:
    for attempt in (lambda: FileIO().load("x" * 300 + ".csv"), lambda: FileIO().export(FRAME, "x" * 300 + ".csv")):
        with pytest.raises(FileStoreError, match="too long"):
            attempt()


parts = st.sampled_from(["..", ".", "", "a", "out", "leak.csv", "b.csv", "~", "*", "/", "etc", "\0", "s3:"]) | st.text()


@given(st.lists(parts, max_size=6))
@example(["..", "..", "etc", "passwd"])
@example(["/", "etc", "passwd"])
def test_no_name_leads_out_of_a_root(names: list[str]) -> None:
    root = Path("../project/uploads").resolve()
    root.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (root / "out").symlink_to(root.parent / "data")
    with suppress(FileStoreError):
        path = LocalPaths("uploads", allow_outside=False).real("/".join(names))
        assert os.path.realpath(path).startswith(f"{root}/")
