"""The file of a database is found, and its folder made where the project is the one to say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refold.errors import DatabaseError
from refold.io.databases.connection import Connection
from refold.io.databases.database_file import file_in_project
from refold.io.databases.duckdb_connection import connect_duckdb
from refold.io.databases.sqlite_connection import connect_sqlite
from refold.io.settings.config import ConfigFileLoader
from refold.languages.project_context import set_repo_path
from refold.testing.connection_contract import rows
from refold.testing.database_servers import profile_of

Connect = Callable[[ConfigFileLoader | None], Connection]
both = pytest.mark.parametrize(
    ("key", "connect"), [("DUCKDB_DATABASE", connect_duckdb), ("SQLITE_DATABASE", connect_sqlite)]
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "project"
    folder.mkdir()
    set_repo_path(folder)
    yield folder
    set_repo_path(None)


@both
def test_a_folder_in_the_project_is_made(key: str, connect: Connect, project: Path) -> None:
    connection = connect(profile_of(project, {key: "results/of/today/a.db"}))
    try:
        assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]
    finally:
        connection.close()
    assert (project / "results/of/today/a.db").is_file()


@both
@pytest.mark.parametrize("named", ["../elsewhere/a.db", "{outside}/elsewhere/a.db", "results/../../elsewhere/a.db"])
def test_a_folder_outside_of_it_is_to_be_made_by_hand(key: str, connect: Connect, project: Path, named: str) -> None:
    profile = profile_of(project, {key: named.format(outside=project.parent)})
    with pytest.raises(DatabaseError, match=r"(?s)no folder .*elsewhere.*mkdir -p .*elsewhere"):
        connect(profile)
    assert not (project.parent / "elsewhere").exists()


def test_a_file_where_a_folder_should_be_is_told(project: Path) -> None:
    (project / "results").write_text("")
    with pytest.raises(DatabaseError, match="cannot be made"):
        file_in_project("results/a.db")


def test_a_folder_that_is_there_may_be_anywhere(tmp_path: Path) -> None:
    assert file_in_project(str(tmp_path / "a.db")) == tmp_path / "a.db"
