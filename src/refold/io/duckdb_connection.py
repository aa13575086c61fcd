"""DuckDB: in this process, and Arrow tables are relations of it without being copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refold.errors import DatabaseError
from refold.io.config import ConfigFileLoader
from refold.io.statement import Statement
from refold.io.table_name import TableName

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def connect_duckdb(config: ConfigFileLoader | None) -> DuckDbConnection:
    """A connection to DUCKDB_DATABASE, or to an empty database in memory."""
    import duckdb

    path = None if config is None else config["DUCKDB_DATABASE"]
    return DuckDbConnection(duckdb.connect(":memory:" if path is None else str(path)))


class DuckDbConnection:
    """As `refold.io.connection.Connection`."""

    name = "DuckDB"
    casts = True

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def quoted(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def query(self, statement: Statement) -> pa.Table | None:
        import duckdb

        try:
            relation = self._connection.sql(statement.text(lambda number: f"${number}"), params=list(statement.values))
            return None if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            raise DatabaseError(str(error)) from error

    def stage(self, name: str, rows: pa.Table) -> None:
        self._connection.register(name, rows)

    def unstage(self, name: str) -> None:
        self._connection.unregister(name)

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        raise NotImplementedError

    def create(self, table: TableName, rows: pa.Table) -> None:
        raise NotImplementedError

    def replace(self, table: TableName, rows: pa.Table) -> None:
        raise NotImplementedError

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        raise NotImplementedError

    def create_schema(self, schema: str) -> None:
        raise NotImplementedError

    def lock_for_writing(self, table: TableName) -> None:
        raise NotImplementedError

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        pass

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()
