"""SQLite, by Python's own driver: transactions hold DDL too, and dates are the text that they are declared to be.

A value's type is its own there, not the column's. So a column of a result takes the type that its table declares, where
all its values can (booleans, dates, times, decimals), and else the one that they have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from refold.io.databases.column_types import storable
from refold.io.databases.database_file import file_in_project
from refold.io.databases.fetched_rows import as_expected
from refold.io.databases.sqlalchemy_connection import SqlAlchemyConnection
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.profile_settings import ProfileSettings

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

_PATIENCE = 60
"""Seconds to wait for another writer of the file."""
_READS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|VALUES|EXPLAIN|PRAGMA)\b", re.IGNORECASE | re.DOTALL
)
_VIEW = "_refold_declared"
_LARGEST = 2**63


def connect_sqlite(config: ConfigFileLoader | None) -> SqliteConnection:
    """A connection to the file SQLITE_DATABASE, relative to the project; `:memory:` is an empty database.

    Raises ProjectError where the profile has no such key, DatabaseError when the file cannot be opened.
    """
    named = ProfileSettings(config, "SQLite").need("SQLITE_DATABASE")
    return SqliteConnection(None if named == ":memory:" else file_in_project(named))


class SqliteConnection(SqlAlchemyConnection):
    """As `refold.io.databases.connection.Connection`."""

    one_writer = True

    def __init__(self, path: Path | None) -> None:
        """Opens the file, which is made if it is not there; None: an empty database in memory."""
        import sqlalchemy as sa

        self._begin = "BEGIN"
        url = sa.URL.create("sqlite", database=":memory:" if path is None else str(path))
        super().__init__(url, "SQLite", connect_args={"check_same_thread": False, "timeout": _PATIENCE})

    def _prepare_engine(self) -> None:
        from sqlalchemy import event

        # As SQLAlchemy has it for transactions that hold everything: the driver begins none, SQLAlchemy's event does.
        @event.listens_for(self._engine, "connect")
        def begin_nothing(connection: object, _record: object) -> None:
            connection.isolation_level = None  # type: ignore[attr-defined]

        @event.listens_for(self._engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(self._begin)

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        import pyarrow as pa

        if not _READS.match(statement.texts[0]):
            self._begin_writing()
        rows = super().query(statement, limit)
        if rows is None:
            return None
        columns = [
            as_expected(found, wanted)
            for found, wanted in zip(rows.columns, self._declared(statement, rows.num_columns), strict=True)
        ]
        return pa.Table.from_arrays(columns, names=rows.column_names)

    def _declared(self, statement: Statement, count: int) -> Sequence[pa.DataType | None]:
        """What the tables declare the columns of a query as, None where they are computed.

        Only a view of the query tells.
        """
        import sqlalchemy as sa

        nothing: list[pa.DataType | None] = [None] * count
        try:
            self._execute(f"DROP VIEW IF EXISTS temp.{_VIEW}")
            self._execute(f"CREATE TEMP VIEW {_VIEW} AS {statement.text(lambda _: 'NULL')}")
        except sa.exc.DBAPIError:
            return nothing  # not a query that a view can be of
        try:
            declared = self._rows(f"PRAGMA temp.table_info({_VIEW})")
        except sa.exc.DBAPIError:
            return nothing
        finally:
            self._execute(f"DROP VIEW temp.{_VIEW}")
        found = [_type(str(kind)) for _, _, kind, *_ in declared]
        return found if len(found) == count else nothing

    def _bound(self, value: SqlValue) -> object:
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() and abs(value) < _LARGEST else float(value)
        if isinstance(value, datetime):
            return value.isoformat(" ", "microseconds")
        if isinstance(value, time):
            return value.isoformat("microseconds")
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value // timedelta(microseconds=1)
        return super()._bound(value)

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        within = table.schema or table.database
        start = "" if within is None else f"{self.quoted(within)}."
        with self._own_words():
            text = f"PRAGMA {start}table_info({self.quoted(table.table)})"
            found = self._rows(text)
        return {str(name): str(kind) for _, name, kind, *_ in found} or None

    def _schema(self, table: TableName) -> str | None:
        return table.schema or table.database

    def _drop_staged(self, quoted: str) -> None:
        self._execute(f"DROP TABLE IF EXISTS temp.{quoted}")

    def _index(self, table: TableName, schema: pa.Schema, keys: Sequence[str]) -> None:
        del schema
        name = self.quoted(f"{table.table}_keys")
        self._execute(f"CREATE INDEX temp.{name} ON {self.quoted(table.table)} ({', '.join(map(self.quoted, keys))})")

    def create(self, table: TableName, rows: pa.Table) -> None:
        self.lock_for_writing(table)
        super().create(table, rows)

    def replace(self, table: TableName, rows: pa.Table) -> None:
        self.lock_for_writing(table)
        super().replace(table, rows)

    def create_schema(self, schema: str) -> None:
        """Schemas are attached files: there is nothing to be made."""

    def lock_for_writing(self, table: TableName) -> None:
        """The whole file. A transaction that has read before another one wrote cannot write any more; it has written
        nothing then, so it is ended, and a new one begun."""
        import sqlalchemy as sa

        del table
        with self._own_words():
            if self._begin_writing():
                return
            self._execute("SAVEPOINT refold_lock")
            try:
                # Something that writes, and is taken back: the lock stays.
                self._execute("CREATE TABLE main._refold_lock (lock)")
            except sa.exc.OperationalError as error:
                if not _is_busy(error):
                    raise
                self._connection.commit()
                self._begin_writing()
                return
            self._execute("ROLLBACK TO refold_lock")
            self._execute("RELEASE refold_lock")

    def _begin_writing(self) -> bool:
        """Begins a transaction that may write, unless there is a transaction."""
        if self._connection.in_transaction():
            return False
        with self._own_words():
            self._begin = "BEGIN IMMEDIATE"
            try:
                self._connection.begin()
            finally:
                self._begin = "BEGIN"
        return True

    def interrupt(self) -> None:
        with contextlib.suppress(Exception):  # closed meanwhile: there is nothing to give up
            self._connection.connection.dbapi_connection.interrupt()  # type: ignore[union-attr]

    def _fill(self, table: TableName, rows: pa.Table) -> None:
        import pyarrow as pa

        texts = [_text(storable(column)) for column in rows.columns]
        super()._fill(table, pa.Table.from_arrays(texts, names=rows.column_names))


def _is_busy(error: sa.exc.OperationalError) -> bool:
    """Whether another transaction writes, so that this one cannot."""
    import sqlite3

    return isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with dates, times and decimals as the text that SQLite's functions read."""
    import pyarrow as pa

    is_a, kind = pa.types, column.type
    if is_a.is_timestamp(kind) and kind.tz is not None:
        import pyarrow.compute as pc

        plain = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")).cast(pa.string())
        return pc.binary_join_element_wise(plain, "+00:00", "")
    if is_a.is_temporal(kind) and not is_a.is_duration(kind):
        return column.cast(pa.string())
    return column.cast(pa.string()) if is_a.is_decimal(kind) else column


def _type(declared: str) -> pa.DataType | None:
    """What a declared type asks of values, None: nothing."""
    import pyarrow as pa

    name, _, rest = declared.upper().partition("(")
    known: dict[str, pa.DataType] = {
        "BOOLEAN": pa.bool_(),
        "BOOL": pa.bool_(),
        "DATE": pa.date32(),
        "DATETIME": pa.timestamp("us"),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
        "TIME": pa.time64("us"),
        "REAL": pa.float64(),
        "FLOAT": pa.float64(),
        "DOUBLE": pa.float64(),
        "INTEGER": pa.int64(),
        "BIGINT": pa.int64(),
        "BLOB": pa.binary(),
    }
    if name.strip() in {"DECIMAL", "NUMERIC", "DECIMAL_TEXT"} and rest:
        digits, _, scale = rest.rstrip(") ").partition(",")
        if digits.strip().isdecimal() and 0 < int(digits) <= 38 and scale.strip("0123456789 ") == "":
            return pa.decimal128(int(digits), int(scale or 0))
    return known.get(name.strip())
