"""Every connection to a database keeps the promises of the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.io.adbc_connection import connect_postgres
from refold.io.duckdb_connection import connect_duckdb
from refold.testing.connection_contract import ConnectionContract, Open, opening
from refold.testing.database_servers import fresh_postgres

_ENDLESS_IN_DUCKDB = (
    "SELECT COUNT(*) FROM range(100000000000) AS a, range(100000000) AS b WHERE a.range % 7 = b.range % 5"
)


class TestEmbeddedDuckDb(ConnectionContract):
    shared = False
    endless = _ENDLESS_IN_DUCKDB

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with opening(connect_duckdb, tmp_path, {}) as open_connection:
            yield open_connection


class TestDuckDbFile(ConnectionContract):
    endless = _ENDLESS_IN_DUCKDB

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with opening(connect_duckdb, tmp_path, {"DUCKDB_DATABASE": str(tmp_path / "a.duckdb")}) as open_connection:
            yield open_connection


@pytest.mark.postgres
class TestPostgres(ConnectionContract):
    endless = "SELECT pg_sleep(600)"

    @pytest.fixture
    def open_connection(self, tmp_path: Path) -> Iterator[Open]:
        with fresh_postgres() as settings, opening(connect_postgres, tmp_path, settings) as open_connection:
            yield open_connection
