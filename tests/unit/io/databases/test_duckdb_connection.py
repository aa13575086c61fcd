"""DuckDB: sessions on the embedded database never meet, and a file is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from refold.errors import DatabaseError
from refold.io.databases.arrow_tables import to_arrow
from refold.io.databases.duckdb_connection import DuckDbConnection, connect_duckdb
from refold.io.databases.duckdb_opening import PATIENCE, open_file
from refold.io.databases.providers import EMBEDDED
from refold.io.databases.sessions import session
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.languages.project_context import set_repo_path
from refold.testing.connection_contract import rows
from refold.testing.database_servers import profile_of


def run(connection: DuckDbConnection, text: str) -> None:
    connection.query(Statement.of(text))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE left_over AS SELECT 1 AS a",
        "CREATE TABLE memory.main.left_over AS SELECT 1 AS a",
        "CREATE TEMP TABLE left_over AS SELECT 1 AS a",
        "CREATE VIEW left_over AS SELECT 1 AS a",
        "ATTACH ':memory:' AS left_over",
        "CREATE SECRET left_over (TYPE http, BEARER_TOKEN 'a')",
        "SET threads = 1",
        "SET VARIABLE left_over = 1",
        "CREATE MACRO left_over() AS 1",
        "PREPARE left_over AS SELECT 1",
        "CREATE TABLE t (a INT); SET default_null_order = 'nulls_first'; ATTACH ':memory:' AS left_over",
    ],
)
def test_nothing_of_a_session_is_seen_by_the_next_or_beside_it(text: str) -> None:
    looks = (
        "SELECT COUNT(*) AS n FROM duckdb_tables() UNION ALL SELECT COUNT(*) FROM duckdb_views() WHERE NOT internal",
        "SELECT database_name FROM duckdb_databases() ORDER BY 1",
        "SELECT value FROM duckdb_settings() WHERE name IN ('threads', 'default_null_order') ORDER BY name",
        "SELECT COUNT(*) AS n FROM duckdb_secrets()",
        "SELECT COUNT(*) AS n FROM duckdb_functions() WHERE function_name = 'left_over'",
        "SELECT getvariable('left_over') AS v",
        "SELECT COUNT(*) AS n FROM duckdb_prepared_statements()",
    )
    beside = connect_duckdb(None)
    try:
        before = [rows(beside, look) for look in looks]
        with session(EMBEDDED, None) as connection:
            for statement in text.split(";"):
                connection.query(Statement.of(statement))
            with pytest.raises(DatabaseError, match="left_over"):
                beside.query(Statement.of("SELECT * FROM left_over"))
        with session(EMBEDDED, None) as connection:
            assert [rows(connection, look) for look in looks] == before
    finally:
        beside.close()


def test_staged_rows_follow_a_session_to_a_database_of_its_own() -> None:
    with session(EMBEDDED, None) as connection:
        connection.stage("df_1", to_arrow({"a": 1}, "df_1"))
        connection.query(Statement.of("SET threads = 1"))
        assert rows(connection, "SELECT a FROM df_1") == [{"a": 1}]


def test_many_threads_make_tables_of_one_name() -> None:
    found: list[object] = []

    def work(number: int) -> None:
        with session(EMBEDDED, None) as connection:
            connection.query(Statement.of(f"CREATE TABLE t AS SELECT {number} AS a"))
            found.append(rows(connection, "SELECT a FROM t") == [{"a": number}])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_threads_that_open_a_file_at_once_all_read_arrow_tables(tmp_path: Path) -> None:
    mine = to_arrow({"a": 1}, "rows")

    def work(_: int) -> object:
        connection = open_file(str(tmp_path / "a.duckdb"))
        connection.begin()
        connection.register("mine", mine)
        try:
            return connection.sql("SELECT a FROM mine").fetchall()
        finally:
            connection.close()

    for _ in range(20):
        with ThreadPoolExecutor(6) as threads:
            assert list(threads.map(work, range(6))) == [[(1,)]] * 6


def test_variables_of_the_program_are_no_tables() -> None:
    rows_of_mine = to_arrow({"a": 1}, "rows")
    with pytest.raises(DatabaseError, match="rows_of_mine"), session(EMBEDDED, None) as connection:
        connection.query(Statement.of("SELECT * FROM rows_of_mine"))
    del rows_of_mine


def test_types_that_arrow_has_not_are_text() -> None:
    with session(EMBEDDED, None) as connection:
        found = connection.query(
            Statement.of(
                "SELECT '101'::BIT AS a, TIMETZ '10:00:00' AS a, 'x'::ENUM ('x') AS e, 1.5::DECIMAL(4, 2) AS d"
            )
        )
    assert found is not None
    assert [column[0].as_py() for column in found.columns] == ["101", "10:00:00+00", "x", Decimal("1.50")]


def test_two_statements_are_not_one() -> None:
    with pytest.raises(DatabaseError, match="there are 2 statements"), session(EMBEDDED, None) as connection:
        connection.query(Statement.of("SELECT 1; SELECT 2"))


def test_rows_that_an_insert_returns_are_its_rows() -> None:
    with session(EMBEDDED, None) as connection:
        connection.query(Statement.of("CREATE TABLE t (a INTEGER)"))
        assert rows(connection, "INSERT INTO t VALUES (1), (2) RETURNING a") == [{"a": 1}, {"a": 2}]


def test_a_script_may_end_its_transaction(tmp_path: Path) -> None:
    connection = connect_duckdb(profile_of(tmp_path, {"DUCKDB_DATABASE": str(tmp_path / "a.duckdb")}))
    try:
        for text in ("CREATE TABLE t (a INTEGER)", "COMMIT", "INSERT INTO t VALUES (1)"):
            run(connection, text)
        connection.commit()
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]
    finally:
        connection.close()


def test_a_commit_after_a_failure_says_that_there_was_none(tmp_path: Path) -> None:
    connection = connect_duckdb(profile_of(tmp_path, {"DUCKDB_DATABASE": str(tmp_path / "a.duckdb")}))
    try:
        run(connection, "CREATE TABLE t (a INTEGER)")
        with pytest.raises(DatabaseError, match="nowhere"):
            run(connection, "SELECT * FROM nowhere")
        with pytest.raises(DatabaseError, match="nothing was committed"):
            connection.commit()
        assert connection.columns(TableName("t")) is None
    finally:
        connection.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project that this process works for."""
    set_repo_path(tmp_path)
    yield tmp_path
    set_repo_path(None)


def test_the_path_is_relative_to_the_project(project: Path) -> None:
    connect_duckdb(profile_of(project, {"DUCKDB_DATABASE": "data.duckdb"})).close()
    assert (project / "data.duckdb").is_file()


def test_names_without_a_schema_are_those_of_the_setting(project: Path) -> None:
    profile = profile_of(project, {"DUCKDB_DATABASE": "data.duckdb", "DUCKDB_SCHEMA": "my schema"})
    connection = connect_duckdb(profile)
    connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
    connection.commit()
    connection.close()
    again = connect_duckdb(profile)
    assert again.columns(TableName("t", "my schema")) == again.columns(TableName("t")) == {"a": "BIGINT"}
    assert again.columns(TableName("t", "main")) is None
    again.close()


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A database file that another process has open until its input ends."""
    path = tmp_path / "taken.duckdb"
    program = f"import duckdb, sys; held = duckdb.connect({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield path, process
        process.kill()


def test_a_file_of_another_process_is_waited_for(tmp_path: Path, taken: tuple[Path, subprocess.Popen[bytes]]) -> None:
    path, process = taken
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            process.communicate()

    connection = connect_duckdb(profile_of(tmp_path, {"DUCKDB_DATABASE": str(path)}), wait)
    assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]
    assert len(waits) == 3
    connection.close()


def test_patience_with_another_process_has_an_end(tmp_path: Path, taken: tuple[Path, subprocess.Popen[bytes]]) -> None:
    path, _ = taken
    waits: list[float] = []
    with pytest.raises(DatabaseError, match="another process has had this DuckDB file open") as caught:
        connect_duckdb(profile_of(tmp_path, {"DUCKDB_DATABASE": str(path)}), waits.append)
    assert caught.value.where == str(path)
    assert PATIENCE <= sum(waits) <= PATIENCE + 1


def test_a_file_that_is_no_database_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("this is no database" * 1000)
    with pytest.raises(DatabaseError, match="valid DuckDB"):
        connect_duckdb(
            profile_of(tmp_path, {"DUCKDB_DATABASE": str(tmp_path / "text.duckdb")}), lambda _: pytest.fail("waited")
        )


def test_a_session_leaves_the_file_to_others(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    profile = profile_of(tmp_path, {"DUCKDB_DATABASE": str(path)})
    with session(EMBEDDED, profile) as connection:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
    program = f"import duckdb; print(duckdb.connect({str(path)!r}).sql('SELECT a FROM t').fetchall())"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[(1,)]\n"
    )


def test_to_interrupt_what_is_closed_does_nothing() -> None:
    connection = connect_duckdb(None)
    connection.close()
    connection.interrupt()
