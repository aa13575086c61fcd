"""Every connection to a database keeps the promises of the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.io.databases.adbc_connection import connect_postgres
from refold.io.databases.duckdb_connection import connect_duckdb
from refold.io.databases.mysql_connection import connect_mysql
from refold.io.databases.sqlite_connection import connect_sqlite
from refold.testing.connection_contract import ConnectionContract, Open, opening
from refold.testing.database_servers import fresh_mariadb, fresh_postgres

_ENDLESS_IN_DUCKDB = (
    "SELECT COUNT(*) FROM range(100000000000) AS a, range(100000000) AS b WHERE a.range % 7 = b.range % 5"
)
_MANY_OF_DUCKDB = "SELECT range AS i FROM range(1000000000000)"


class TestEmbeddedDuckDb(ConnectionContract):
    shared = False
    endless, many = _ENDLESS_IN_DUCKDB, _MANY_OF_DUCKDB

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with opening(connect_duckdb, tmp_path, {}) as open_connection:
            yield open_connection


class TestDuckDbFile(ConnectionContract):
    endless, many = _ENDLESS_IN_DUCKDB, _MANY_OF_DUCKDB

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with opening(connect_duckdb, tmp_path, {"DUCKDB_DATABASE": str(tmp_path / "a.duckdb")}) as open_connection:
            yield open_connection


@pytest.mark.postgres
class TestPostgres(ConnectionContract):
    endless, many = "SELECT pg_sleep(600)", "SELECT generate_series(1, 1000000000000) AS i"

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with fresh_postgres() as settings, opening(connect_postgres, tmp_path, settings) as open_connection:
            yield open_connection


class TestMariaDb(ConnectionContract):
    transactional_ddl = False
    endless = "SELECT COUNT(*) FROM seq_1_to_1000000000 AS a, seq_1_to_1000000000 AS b WHERE a.seq % 7 = b.seq % 5"
    many = "SELECT a.seq AS i FROM seq_1_to_1000000000 AS a, seq_1_to_1000000000 AS b"

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with fresh_mariadb() as settings, opening(connect_mysql, tmp_path, settings) as open_connection:
            yield open_connection


class TestSqlite(ConnectionContract):
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000) SELECT COUNT(*) FROM n"
    )
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000) SELECT i FROM n"

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with opening(connect_sqlite, tmp_path, {"SQLITE_DATABASE": str(tmp_path / "a.db")}) as open_connection:
            yield open_connection
