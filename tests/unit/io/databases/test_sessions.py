"""Sessions: many block runs, few connections; none that is broken, and nothing left of the one before."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refold.errors import DatabaseError
from refold.io.databases.adbc_connection import connect_postgres
from refold.io.databases.arrow_tables import to_arrow
from refold.io.databases.connection import Connection
from refold.io.databases.providers import Provider
from refold.io.databases.sessions import close_idle, session
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.testing.connection_contract import rows
from refold.testing.database_servers import fresh_postgres, profile_of

pytestmark = pytest.mark.postgres


class Counted:
    """PostgreSQL, with its connections counted."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.provider = Provider("counted", "PostgreSQL", self._connect)

    def _connect(self, config: ConfigFileLoader | None) -> Connection:
        self.made.append(connect_postgres(config))
        return self.made[-1]


@pytest.fixture
def server() -> Iterator[Mapping[str, object]]:
    """The settings of an empty schema."""
    with fresh_postgres() as settings:
        yield settings


@pytest.fixture
def profile(server: Mapping[str, object], tmp_path: Path) -> ConfigFileLoader:
    """A profile with them."""
    return profile_of(tmp_path, server)


@pytest.fixture
def database() -> Iterator[Counted]:
    """A kind of database whose connections are counted; those that are kept are closed in the end."""
    yield Counted()
    close_idle()


def process_of(connection: Connection) -> int:
    """The server's process of this connection."""
    return int(str(rows(connection, "SELECT pg_backend_pid() AS pid")[0]["pid"]))


def remaining(profile: ConfigFileLoader, processes: list[int], at_most: int) -> int:
    """How many of these the server still has, once it has noticed that others are closed."""
    watcher = connect_postgres(profile)
    listed = ", ".join(map(str, processes))
    count = len(processes) + 1
    for _ in range(2000):
        count = int(str(rows(watcher, f"SELECT COUNT(*) AS n FROM pg_stat_activity WHERE pid IN ({listed})")[0]["n"]))
        watcher.rollback()
        if count <= at_most:
            break
    watcher.close()
    return count


def terminate(profile: ConfigFileLoader, process: int) -> None:
    """Ends a session as a restart of the server would."""
    other = connect_postgres(profile)
    rows(other, f"SELECT pg_terminate_backend({process}, 5000)::text AS ended")
    other.close()


def test_a_thousand_sessions_make_one_connection(database: Counted, profile: ConfigFileLoader) -> None:
    for _ in range(1000):
        with session(database.provider, profile) as connection:
            process = process_of(connection)
        assert process_of(database.made[0]) == process
        database.made[0].rollback()
    assert len(database.made) == 1


def test_threads_make_as_many_as_there_are_at_once(database: Counted, profile: ConfigFileLoader) -> None:
    def work(_: int) -> None:
        with session(database.provider, profile) as connection:
            rows(connection, "SELECT 1 AS a")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(200)))
    assert len(database.made) <= 4


def test_more_sessions_at_once_than_are_kept_wait_for_nobody(database: Counted, profile: ConfigFileLoader) -> None:
    together = threading.Barrier(24, timeout=60)

    def work(_: int) -> int:
        with session(database.provider, profile) as connection:
            together.wait()
            return process_of(connection)

    with ThreadPoolExecutor(24) as threads:
        processes = list(threads.map(work, range(24)))
    assert len(database.made) == 24
    assert remaining(profile, processes, at_most=16) <= 16


def test_logins_that_nobody_asks_for_again_are_closed(
    database: Counted, server: Mapping[str, object], tmp_path: Path
) -> None:
    processes = []
    for number in range(20):
        with session(
            database.provider, profile_of(tmp_path, {**server, "POSTGRES_SCHEMA": f"s{number}"})
        ) as connection:
            processes.append(process_of(connection))
    assert remaining(profile_of(tmp_path, server), processes, at_most=16) == 16


def test_a_session_within_another_is_another_connection(database: Counted, profile: ConfigFileLoader) -> None:
    with session(database.provider, profile) as one, session(database.provider, profile) as other:
        assert process_of(one) != process_of(other)


def test_a_session_commits(database: Counted, profile: ConfigFileLoader) -> None:
    with session(database.provider, profile) as connection:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
    with session(database.provider, profile) as connection:
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]


@pytest.mark.parametrize("error", [DatabaseError("no"), ValueError("no"), KeyboardInterrupt()])
def test_an_error_undoes_a_session(database: Counted, profile: ConfigFileLoader, error: BaseException) -> None:
    def fail() -> None:
        with session(database.provider, profile) as connection:
            connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
            raise error

    with pytest.raises(type(error)):
        fail()
    with session(database.provider, profile) as connection:
        assert connection.columns(TableName("t")) is None


def test_nothing_is_left_for_the_next_session(database: Counted, profile: ConfigFileLoader) -> None:
    with session(database.provider, profile) as connection:
        connection.stage("df_1", to_arrow({"a": 1}, "df_1"))
        connection.query(Statement.of("SET search_path = pg_catalog"))
    with session(database.provider, profile) as connection:
        assert connection.columns(TableName("df_1")) is None
        assert rows(connection, "SHOW search_path") != [{"search_path": "pg_catalog"}]
    assert len(database.made) == 1


def test_an_idle_connection_holds_no_temporary_tables(database: Counted, profile: ConfigFileLoader) -> None:
    with session(database.provider, profile) as connection:
        connection.stage("refold_idle_df_1", to_arrow({"a": 1}, "df_1"))
    other = connect_postgres(profile)
    assert rows(other, "SELECT COUNT(*) AS n FROM pg_class WHERE relname = 'refold_idle_df_1'") == [{"n": 0}]
    other.close()


def test_a_server_that_was_restarted_between_two_sessions_is_not_noticed(
    database: Counted, profile: ConfigFileLoader
) -> None:
    with session(database.provider, profile) as connection:
        process = process_of(connection)
    terminate(profile, process)
    with session(database.provider, profile) as connection:
        assert process_of(connection) != process


def test_a_connection_that_broke_is_not_given_to_the_next(database: Counted, profile: ConfigFileLoader) -> None:
    broken = pytest.raises(DatabaseError, match=r"terminating connection|closed")
    with broken, session(database.provider, profile) as connection:
        terminate(profile, process_of(connection))
        rows(connection, "SELECT 1 AS a")
    with session(database.provider, profile) as connection:
        assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]


def test_a_failed_statement_does_not_cost_the_connection(database: Counted, profile: ConfigFileLoader) -> None:
    for _ in range(3):
        with pytest.raises(DatabaseError, match="nowhere"), session(database.provider, profile) as connection:
            rows(connection, "SELECT * FROM nowhere")
    assert len(database.made) == 1


def test_other_settings_are_other_connections(
    database: Counted, server: Mapping[str, object], profile: ConfigFileLoader, tmp_path: Path
) -> None:
    other = profile_of(tmp_path, {**server, "POSTGRES_SCHEMA": "pg_catalog"})
    with session(database.provider, profile) as connection:
        first = rows(connection, "SHOW search_path")
    with session(database.provider, other) as connection:
        assert rows(connection, "SHOW search_path") != first


def test_a_forked_process_makes_its_own(database: Counted, profile: ConfigFileLoader) -> None:
    with session(database.provider, profile) as connection:
        process = process_of(connection)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with session(database.provider, profile) as connection:
                os.write(writing, str(process_of(connection)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        assert int(answer.read()) != process
    with session(database.provider, profile) as connection:
        assert process_of(connection) == process


def test_what_cannot_be_reached_says_so(database: Counted, server: Mapping[str, object], tmp_path: Path) -> None:
    profile = profile_of(tmp_path, {**server, "POSTGRES_PORT": 1})
    with pytest.raises(DatabaseError, match="port 1 failed: Connection refused"), session(database.provider, profile):
        pytest.fail("there is nobody there")
