"""DuckDB: in this process, and Arrow tables are relations of it without being copied."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from refold.errors import DatabaseError
from refold.io.databases.database_file import file_in_project
from refold.io.databases.duckdb_opening import PATIENCE, Embedded, Wait, connect, open_file
from refold.io.databases.limited_query import unended
from refold.io.databases.plain_columns import for_duckdb, plain
from refold.io.databases.shared_values import numbers_of
from refold.io.databases.sql_text import dialect_of
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName
from refold.io.databases.update_statement import update_from
from refold.io.settings.config import ConfigFileLoader

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_WITHOUT_ROWS = frozenset(
    {"CREATE", "CREATE_FUNC", "ALTER", "DROP", "TRANSACTION", "SET", "VARIABLE_SET", "LOAD", "EXTENSION", "ATTACH",
     "DETACH", "PREPARE", "COPY", "EXPORT", "COPY_DATABASE", "VACUUM", "ANALYZE"}
)  # fmt: skip
_COUNTING = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE_INTO"})
_READING = frozenset({"SELECT", "EXPLAIN"})
_AS_TEXT = re.compile(r"^(BIT|BIGNUM|UNION|TIME WITH TIME ZONE|VARIANT|GEOMETRY)\b")
"""Types that Arrow has no word for."""
_REMOTE = "md:"


def connect_duckdb(config: ConfigFileLoader | None, wait: Wait = time.sleep) -> DuckDbConnection:
    """A connection to DUCKDB_DATABASE, whose path is relative to the project; without one, to an empty one in memory.

    Unqualified names are those of DUCKDB_SCHEMA, which is made where it is not there. `wait` waits while another
    process has the file. Raises DatabaseError when it cannot be opened.
    """
    database = None if config is None else config["DUCKDB_DATABASE"]
    if config is None or database is None or str(database) in {"", ":memory:"}:
        connection = DuckDbConnection(Embedded())
    elif str(database).startswith(_REMOTE):
        connection = DuckDbConnection(_Remote(str(database), config["MOTHERDUCK_TOKEN"]))
    else:
        connection = DuckDbConnection(_File(str(file_in_project(str(database))), wait))
    schema = None if config is None else config["DUCKDB_SCHEMA"]
    if schema:
        try:
            connection.look_in(str(schema))
        except BaseException:
            connection.close()
            raise
    return connection


class _Home(Protocol):
    """What a connection is made to."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The one to use now."""

    def prepare_for(self, kinds: Sequence[str], text: str) -> bool:
        """As `Embedded.prepare_for`."""

    def close(self) -> None:
        """Ends the session."""


class DuckDbConnection:
    """As `refold.io.databases.connection.Connection`."""

    name = "DuckDB"
    casts = True
    one_writer = False

    def __init__(self, home: _Home) -> None:
        """A session of this database; closing it closes the database's part too."""
        self._home = home
        self._staged: dict[str, pa.Table] = {}
        self._begun = False
        self._wrote = False
        """Whether this transaction has done more than read."""
        self._failed = False
        self._locks: list[threading.Lock] = []

    def quoted(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        # Values that are equal are one parameter: to DuckDB `$1` and `$2` would make two expressions of one.
        places, values = numbers_of(statement.values)
        text = statement.text(lambda number: f"${places[number - 1]}")
        with self._errors():
            kinds = [each.type.name for each in self._home.connection.extract_statements(text)]
        if not kinds:
            return None
        if len(kinds) > 1:
            raise DatabaseError(f"there are {len(kinds)} statements where one is expected", fix="Run them one by one.")
        if self._home.prepare_for(kinds, text):
            for name, rows in self._staged.items():
                self._home.connection.register(name, rows)
        with self._errors():
            self._begin(kinds[0])
            if kinds[0] in _READING:
                text = unended(text, dialect_of("duckdb"))  # other queries may be put around it
            return _rows(_run(self._home.connection, text, values), kinds[0], text, limit)

    def stage(self, name: str, rows: pa.Table, keys: Sequence[str] = ()) -> None:
        del keys  # it joins by hashing
        with self._errors():
            self._staged[name] = for_duckdb(rows)
            self._home.connection.register(name, self._staged[name])

    def unstage(self, name: str) -> None:
        self._staged.pop(name, None)
        with self._errors():
            self._home.connection.unregister(name)

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        found = self._ask(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE lower(table_name) = lower(",
            ") AND lower(schema_name) = lower(coalesce(",
            ", current_schema())) AND lower(database_name) = lower(coalesce(",
            ", current_database())) ORDER BY column_index",
            values=(table.table, table.schema, table.database),
        )
        return {str(name): str(kind) for name, kind in found} or None

    def create(self, table: TableName, rows: pa.Table) -> None:
        self._make("CREATE TABLE", table, rows)

    def replace(self, table: TableName, rows: pa.Table) -> None:
        self._make("CREATE OR REPLACE TABLE", table, rows)

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        if columns:
            self.query(update_from(self, table, staged, keys, columns))

    def create_schema(self, schema: str) -> None:
        there = self._ask(
            "SELECT 1 FROM duckdb_schemas() WHERE database_name = current_database() AND lower(schema_name) = lower(",
            ")",
            values=(schema,),
        )
        if not there:
            self.query(Statement.of(f"CREATE SCHEMA IF NOT EXISTS {self.quoted(schema)}"))

    def look_in(self, schema: str) -> None:
        """Makes this schema the one of names without one."""
        self.create_schema(schema)
        self.commit()
        self.query(Statement.of(f"SET schema = '{schema.replace(chr(39), 2 * chr(39))}'"))
        self.commit()

    def lock_for_writing(self, table: TableName) -> None:
        if not isinstance(self._home, _File):
            return
        lock = _lock_of(self._home.path, table)
        if lock in self._locks:
            return
        if not lock.acquire(timeout=PATIENCE):
            raise DatabaseError(f"another thread has been writing `{table}` for {PATIENCE:.0f} seconds")
        self._locks.append(lock)
        if self._begun and not self._wrote:
            # What this transaction sees is from before the lock.
            with self._errors():
                self._home.connection.rollback()
                self._home.connection.begin()
                for name, rows in self._staged.items():
                    self._home.connection.register(name, rows)

    def commit(self) -> None:
        failed = self._failed
        if failed:
            self.rollback()
            raise DatabaseError(
                "nothing was committed: a statement before had failed", fix="Call `rollback` after a failure to go on."
            )
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def interrupt(self) -> None:
        import duckdb

        with suppress(duckdb.ConnectionException):  # closed already
            self._home.connection.interrupt()

    def reset(self) -> None:
        self.rollback()
        for name in tuple(self._staged):
            self.unstage(name)

    def close(self) -> None:
        if self._begun:
            self.rollback()
        self._home.close()

    def _ask(self, *texts: str, values: tuple[SqlValue, ...]) -> list[tuple[object, ...]]:
        found = self.query(Statement(texts, values))
        return [] if found is None else [tuple(row.values()) for row in found.to_pylist()]

    def _make(self, verb: str, table: TableName, rows: pa.Table) -> None:
        staged = f"rows of {table}"
        self.stage(staged, _with_typed_nulls(rows))
        try:
            text = f"{verb} {table.sql(self.quoted)} AS SELECT * FROM {self.quoted(staged)}"
            self.query(Statement.of(text))
        finally:
            self._staged.pop(staged, None)
            if not self._failed:
                self.unstage(staged)

    def _begin(self, kind: str) -> None:
        reads = kind in _READING
        if not self._begun and not (reads and isinstance(self._home, Embedded)) and kind not in {"SET", "TRANSACTION"}:
            self._home.connection.begin()
            self._begun = True
        self._wrote = self._wrote or not reads

    def _end(self, how: str) -> None:
        import duckdb

        try:
            if self._begun:
                with self._errors():
                    getattr(self._home.connection, how)()
        except DatabaseError as error:
            # A script may have ended the transaction by itself.
            if not isinstance(error.__cause__, duckdb.TransactionException) or "no transaction" not in str(error):
                raise
        finally:
            self._begun = self._wrote = self._failed = False
            while self._locks:
                self._locks.pop().release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            self._failed = self._begun
            raise DatabaseError(str(error)) from error


class _File:
    """A database file."""

    def __init__(self, path: str, wait: Wait) -> None:
        self.path = path
        self.connection = open_file(path, wait)

    def prepare_for(self, kinds: Sequence[str], text: str) -> bool:
        del kinds, text
        return False

    def close(self) -> None:
        self.connection.close()


class _Remote(_File):
    """A database of MotherDuck."""

    def __init__(self, address: str, token: object) -> None:
        import duckdb

        self.path = address
        try:
            self.connection = connect(address, {"motherduck_token": str(token)} if token else None)
        except duckdb.Error as error:
            raise DatabaseError(str(error), where=address) from error


_table_locks: dict[tuple[str, str], threading.Lock] = {}
_table_locks_guard = threading.Lock()


def _lock_of(path: str, table: TableName) -> threading.Lock:
    """The lock of a table among the threads of this process: others cannot have the file open at all."""
    with _table_locks_guard:
        return _table_locks.setdefault((path, str(table).lower()), threading.Lock())


def _run(
    connection: duckdb.DuckDBPyConnection, text: str, values: Sequence[SqlValue]
) -> duckdb.DuckDBPyRelation | None:
    # Apart, since DuckDB takes variables around the call for tables.
    return connection.sql(text, params=list(values)) if values else connection.sql(text)


def _rows(relation: duckdb.DuckDBPyRelation | None, kind: str, text: str, limit: int | None) -> pa.Table | None:
    if relation is None or kind in _WITHOUT_ROWS:
        return None
    if kind in _COUNTING and not re.search(r"\breturning\b", text, re.IGNORECASE):
        return None
    names = relation.columns
    if limit is not None and kind in _READING:
        relation = relation.limit(limit)
    types = [str(each) for each in relation.types]
    if any(_AS_TEXT.match(each) for each in types):
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        relation = relation.project(
            ", ".join(
                f"CAST(#{number} AS VARCHAR) AS {name}" if _AS_TEXT.match(kind) else f"#{number} AS {name}"
                for number, (kind, name) in enumerate(zip(types, quoted, strict=True), start=1)
            )
        )
    # A relation of a relation has other names where two are the same.
    rows = plain(relation.to_arrow_table().rename_columns(names))
    return rows if limit is None else rows.slice(0, limit)


def _with_typed_nulls(rows: pa.Table) -> pa.Table:
    """A column of nothing but nulls becomes text, so that a table can be made of it."""
    import pyarrow as pa

    return rows.cast(
        pa.schema([(field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in rows.schema])
    )
