"""MySQL's sessions: many block runs make few connections, and nothing of one is seen by the next."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refold.errors import DatabaseError
from refold.io.databases.arrow_tables import to_arrow
from refold.io.databases.connection import Connection
from refold.io.databases.providers import find_provider
from refold.io.databases.sessions import close_idle, session
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.testing.connection_contract import rows
from refold.testing.database_servers import fresh_mariadb, profile_of

MYSQL = find_provider("mysql", "a test")
STATE = """SELECT CONNECTION_ID() AS id, DATABASE() AS database_name, @left_over AS variable, @@sql_mode AS sql_mode,
@@tx_isolation AS isolation, @@autocommit AS autocommit, @@character_set_client AS charset, @@time_zone AS time_zone,
@@collation_connection AS collation_name, @@sql_select_limit AS select_limit, LAST_INSERT_ID() AS inserted"""
"""What a session is like."""


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[ConfigFileLoader]:
    """A profile with the settings of an empty database; connections that are kept are closed in the end."""
    with fresh_mariadb() as settings:
        yield profile_of(tmp_path, settings)
        close_idle()


def state(connection: Connection) -> dict[str, object]:
    return rows(connection, STATE)[0]


def test_two_hundred_sessions_make_few_connections(profile: ConfigFileLoader) -> None:
    def work(number: int) -> object:
        with session(MYSQL, profile) as connection:
            connection.stage("df_1", to_arrow({"a": number}, "df_1"))
            return rows(connection, "SELECT CONNECTION_ID() AS id, a FROM df_1")[0]["id"]

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(work, range(200)))) <= 4


@pytest.mark.parametrize(
    "texts",
    [
        ("SET @left_over = 1",),
        ("SELECT @left_over := 1 AS a",),
        ("SET SESSION sql_mode = ''",),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",),
        ("SET autocommit = 1",),
        ("SET NAMES latin1",),
        ("SET time_zone = '+05:00'",),
        ("SET sql_select_limit = 1",),
        ("USE information_schema",),
        ("CREATE TABLE counted (n INT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO counted VALUES (NULL)"),
        ("SET @left_over = 'it is ', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "USE mysql"),
    ],
)
def test_no_setting_is_left_for_the_next_session(profile: ConfigFileLoader, texts: tuple[str, ...]) -> None:
    with session(MYSQL, profile) as connection:
        before = state(connection)
    with session(MYSQL, profile) as connection:
        for text in texts:
            connection.query(Statement.of(text))
    with session(MYSQL, profile) as connection:
        assert state(connection) == before
        assert rows(connection, "SELECT 'ž\\\\🐎' AS a") == [{"a": "ž\\🐎"}]


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("CREATE TEMPORARY TABLE left_over AS SELECT 1 AS a", "SELECT * FROM left_over"),
        ("PREPARE left_over FROM 'SELECT 1'", "EXECUTE left_over"),
    ],
)
def test_no_name_is_left_for_the_next_session(profile: ConfigFileLoader, text: str, ask: str) -> None:
    with session(MYSQL, profile) as connection:
        number = state(connection)["id"]
        connection.query(Statement.of(text))
    with session(MYSQL, profile) as connection:
        assert state(connection)["id"] == number
        with pytest.raises(DatabaseError, match="left_over"):
            connection.query(Statement.of(ask))


def test_an_idle_connection_holds_nothing(profile: ConfigFileLoader) -> None:
    with session(MYSQL, profile) as connection:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
    with session(MYSQL, profile) as connection:
        rows(connection, "SELECT GET_LOCK('refold test of idle connections', 0) AS a")
        connection.lock_for_writing(TableName("t"))
        connection.query(Statement.of("LOCK TABLES t WRITE"))
    other = MYSQL.connect(profile)
    try:
        other.query(Statement.of("SET lock_wait_timeout = 1"))
        free = "SELECT IS_FREE_LOCK('refold test of idle connections') AS free, COUNT(*) AS n FROM t"
        assert rows(other, free) == [{"free": 1, "n": 1}]
    finally:
        other.close()


def test_an_error_undoes_a_session_and_keeps_its_connection(profile: ConfigFileLoader) -> None:
    numbers = set()
    with session(MYSQL, profile) as connection:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))

    def fail() -> None:
        with session(MYSQL, profile) as connection:
            numbers.add(state(connection)["id"])
            connection.query(Statement.of("INSERT INTO t VALUES (2)"))
            connection.query(Statement.of("SELECT * FROM nowhere"))

    for _ in range(3):
        with pytest.raises(DatabaseError, match="nowhere"):
            fail()
    with session(MYSQL, profile) as connection:
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]
    assert len(numbers) == 1


def test_a_connection_that_the_server_ended_is_not_noticed(profile: ConfigFileLoader) -> None:
    with session(MYSQL, profile) as connection:
        number = state(connection)["id"]
    other = MYSQL.connect(profile)
    other.query(Statement.of(f"KILL {number}"))
    other.close()
    with session(MYSQL, profile) as connection:
        assert state(connection)["id"] != number


def test_a_connection_that_broke_is_not_given_to_the_next(profile: ConfigFileLoader) -> None:
    numbers = []

    def fail() -> None:
        with session(MYSQL, profile) as connection:
            numbers.append(state(connection)["id"])
            other = MYSQL.connect(profile)
            other.query(Statement.of(f"KILL {numbers[0]}"))
            other.close()
            rows(connection, "SELECT 1 AS a")

    with pytest.raises(DatabaseError, match="MySQL"):
        fail()
    with session(MYSQL, profile) as connection:
        assert state(connection)["id"] != numbers[0]
        connection.interrupt()
        assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]


def test_where_backslashes_mean_nothing_a_statement_with_one_is_refused(profile: ConfigFileLoader) -> None:
    with session(MYSQL, profile) as connection:
        connection.query(Statement.of("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"))
        with pytest.raises(DatabaseError, match="NO_BACKSLASH_ESCAPES"):
            connection.query(Statement(("SELECT 1 FROM DUAL WHERE 'b' LIKE '%\\' AND 'b' = ", ""), ("x",)))
        rows = connection.query(Statement(("SELECT ", " AS value"), ("a'\\b",)))
        assert rows is not None
        assert rows.to_pylist() == [{"value": "a'\\b"}]
