"""PostgreSQL, through ADBC: rows come and go in Arrow columns, by COPY, in the one session that statements run in too.

Transactions are begun and ended by statements of our own: the driver would keep one open on a connection that idles.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from refold.errors import DatabaseError
from refold.io.databases.limited_query import limited
from refold.io.databases.plain_columns import for_database, is_list, plain
from refold.io.databases.postgres_errors import database_error
from refold.io.databases.postgres_parameters import Expected, numbered, typed, typings
from refold.io.databases.postgres_settings import postgres_address
from refold.io.databases.postgres_types import column_type, made_readable, unknown_types, with_decimals, without_depths
from refold.io.databases.shared_values import numbers_of
from refold.io.databases.sql_text import dialect_of
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName
from refold.io.databases.update_statement import update_from
from refold.io.settings.config import ConfigFileLoader

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager import dbapi

_COPYABLE = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*(select|with|values|table|insert|update|delete)\b", re.IGNORECASE | re.DOTALL
)
"""What statements begin with whose rows COPY can give."""
_NO_COPY = {"adbc.postgresql.use_copy": "false"}
_SAVEPOINT = "refold"
_UNDETERMINED = frozenset({"42P18", "42P08"})
"""What the server says where a value may be of any type."""


def connect_postgres(config: ConfigFileLoader | None) -> AdbcConnection:
    """A connection to the server of the POSTGRES_ settings. Raises DatabaseError when it cannot be reached."""
    try:
        from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]
    except ImportError as error:
        raise DatabaseError(
            "the driver for PostgreSQL is not installed", fix="Install it: `pip install 'refold[postgres]'`."
        ) from error
    try:
        return AdbcConnection(dbapi.connect(postgres_address(config), autocommit=True))
    except dbapi.Error as error:
        # From None: what the driver was given has the password in it.
        password = None if config is None else config["POSTGRES_PASSWORD"]
        raise database_error(error, hidden="" if password is None else str(password)) from None


class AdbcConnection:
    """As `refold.io.databases.connection.Connection`."""

    name = "PostgreSQL"
    casts = True
    one_writer = False

    def __init__(self, connection: dbapi.Connection) -> None:
        """A session of this connection, which commits by itself outside of transactions."""
        self._connection = connection
        self._running: dbapi.Cursor | None = None
        self._cancelling = threading.RLock()
        """Held while a cursor is cancelled, or taken away from those who would: it must not be freed meanwhile."""
        self._staged: set[str] = set()
        self._begun = False
        self._failed = False

    def quoted(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        self._begin()
        if any("\\" in text for text in statement.texts):
            self._require_plain_literals()
        if limit is not None:
            statement = limited(statement, limit, dialect_of("postgres")) or statement
        if not statement.values:
            return self._rows(statement.text(lambda number: f"${number}"), None, limit)
        text, values = self._typed(statement)
        return self._rows(text, _one_row(values), limit)

    def _require_plain_literals(self) -> None:
        """Raises DatabaseError where a backslash would end a literal elsewhere than it was taken to end."""
        found = self._rows("SHOW standard_conforming_strings", None, None)
        if found is not None and found.column(0).to_pylist() != ["on"]:
            raise DatabaseError(
                "a statement with a backslash is not run while `standard_conforming_strings` is off: its literals "
                "would end elsewhere than they seem to, and values could become part of the statement",
                fix="Leave that setting on, and write literals with escapes as `E'...'`.",
            )

    def stage(self, name: str, rows: pa.Table, keys: Sequence[str] = ()) -> None:
        del keys  # it joins by hashing
        self._begin()
        if name in self._staged:
            self.unstage(name)
        self._fill(f"TEMPORARY TABLE {self.quoted(name)}", TableName(name, "pg_temp"), rows)
        self._staged.add(name)

    def unstage(self, name: str) -> None:
        self._staged.discard(name)
        self._do(f"DROP TABLE IF EXISTS pg_temp.{self.quoted(name)}")

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        name = table.sql(self.quoted)
        found = self._ask(
            "SELECT to_regclass(", ")::text, attname, format_type(atttypid, atttypmod) FROM (SELECT to_regclass(",
            ") AS relation) AS found LEFT JOIN pg_attribute ON attrelid = relation AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum",
            values=(name, name),
        )  # fmt: skip
        if not found or found[0][0] is None:
            return None
        return {str(column): str(kind) for _, column, kind in found if column is not None}

    def create(self, table: TableName, rows: pa.Table) -> None:
        self._begin()
        there = self._in_its_schema(table)
        self._fill(f"TABLE {there.sql(self.quoted)}", there, rows)

    def replace(self, table: TableName, rows: pa.Table) -> None:
        # Filled under another name first: who reads the old one need not wait for that.
        self._begin()
        there = self._in_its_schema(table)
        fresh = there._replace(table=f"refold_{secrets.token_hex(8)}")
        self._fill(f"TABLE {fresh.sql(self.quoted)}", fresh, rows)
        self._do(f"DROP TABLE IF EXISTS {there.sql(self.quoted)}")
        self._do(f"ALTER TABLE {fresh.sql(self.quoted)} RENAME TO {self.quoted(there.table)}")

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        if columns:
            self.query(update_from(self, table, staged, keys, columns))

    def create_schema(self, schema: str) -> None:
        if self._ask("SELECT 1 FROM pg_namespace WHERE nspname = ", "", values=(schema,)):
            return
        # Two that make it at once would be one too many; the lock is that of its name.
        self._lock_name(f"schema {schema}")
        self._do(f"CREATE SCHEMA IF NOT EXISTS {self.quoted(schema)}")

    def lock_for_writing(self, table: TableName) -> None:
        if self.columns(table) is None:
            self._lock_name(f"table {self._in_its_schema(table)}")
        if self.columns(table) is not None:
            self._do(f"LOCK TABLE {table.sql(self.quoted)} IN SHARE ROW EXCLUSIVE MODE")

    def commit(self) -> None:
        if self._failed:
            self.rollback()
            raise DatabaseError(
                "nothing was committed: a statement before had failed", fix="Call `rollback` after a failure to go on."
            )
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def interrupt(self) -> None:
        from adbc_driver_manager import dbapi

        with self._cancelling, suppress(dbapi.Error):  # it may be over before the server hears of it
            if self._running is not None:
                self._running.adbc_cancel()

    def reset(self) -> None:
        self.rollback()
        self._staged.clear()
        self._do("DISCARD ALL", within=False)

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        if not self._begun:
            self._do("BEGIN", within=False)
            self._begun = True

    def _end(self, how: str) -> None:
        try:
            if self._begun:
                self._do(how, within=False)
        finally:
            self._begun = self._failed = False

    @contextmanager
    def _cursor(self, text: str | None = None) -> Iterator[dbapi.Cursor]:
        """A cursor for this statement, which `interrupt` interrupts; the driver's errors become ours."""
        from adbc_driver_manager import dbapi

        try:
            cursor = self._connection.cursor()
            try:
                self._running = cursor
                yield cursor
            finally:
                with self._cancelling:
                    self._running = None
                cursor.close()
        except dbapi.Error as error:
            self._failed = self._begun
            raise database_error(error, text=text) from error

    def _do(self, text: str, *, within: bool = True) -> None:
        """Runs a statement of ours; `within` a transaction."""
        if within:
            self._begin()
        with self._cursor() as cursor:
            cursor.execute(text)

    def _ask(self, *texts: str, values: tuple[SqlValue, ...]) -> list[tuple[object, ...]]:
        """The rows of a query of ours, whose values are texts."""
        self._begin()
        text, bound = typed(Statement(texts, values), [None] * len(values))
        with self._cursor() as cursor:
            cursor.execute(text, _one_row(bound) if bound else None)
            return cursor.fetchall()

    def _rows(self, text: str, bound: pa.Table | None, limit: int | None) -> pa.Table | None:
        """Runs the statement, with these values for its parameters; its rows, the first `limit` of them."""
        text = re.sub(r"[\s;]+$", "", text)
        if not text:
            return None
        with self._cursor(text) as cursor:
            schema = cursor.adbc_execute_schema(text)
        readable = made_readable(text, schema, self._arrays(unknown_types(schema)))
        if readable is not None and self._refused_apart(readable) is None:
            text = readable
        with self._cursor(text) as cursor:
            # The driver copies whatever gives rows; COPY takes queries alone, and nothing behind their end.
            copyable = _COPYABLE.match(text) is not None and ";" not in text
            if bool(len(schema)) != copyable:
                cursor.adbc_statement.set_options(**_NO_COPY)
            cursor.execute(text, bound)
            if not len(schema):
                return None
            rows = cursor.fetch_arrow_table() if limit is None else _first(cursor.fetch_record_batch(), limit)
        rows = with_decimals(rows)
        return plain(without_depths(rows, schema.names) if text is readable else rows)

    def _typed(self, statement: Statement) -> tuple[str, Sequence[str | None]]:
        """The statement with its values typed as the server expects, and their texts; nothing has been run."""
        self._do(f"SAVEPOINT {_SAVEPOINT}")
        expected, problem = self._expected(statement)
        ways = list(typings(statement.values, expected))
        for way in ways:
            text, values = typed(statement, way)
            refused = None if expected is not None and way is ways[-1] else self._refused(text)
            if refused is None:
                self._do(f"RELEASE SAVEPOINT {_SAVEPOINT}")
                return text, values
            problem = problem or refused
        self._failed = True
        raise problem or DatabaseError("the server took no type for the values")

    def _expected(self, statement: Statement) -> tuple[Sequence[Expected] | None, DatabaseError | None]:
        """What the server expects in the place of each value; None where it cannot say, and why unless that is all."""
        problem: DatabaseError | None = None
        repeated = len(numbers_of(statement.values)[1]) < len(statement.values)
        for shared in (True, False) if repeated else (False,):
            text, values = numbered(statement, shared=shared)
            problem = self._refused(text)
            if problem is None:
                with self._cursor(text) as cursor:
                    found = [self._type(field) for field in cursor.adbc_prepare(text) or ()]
                if len(found) == len(values):
                    places = numbers_of(statement.values)[0] if shared else range(1, len(found) + 1)
                    return [found[place - 1] for place in places], None
        unsaid = problem is not None and getattr(problem.__cause__, "sqlstate", None) in _UNDETERMINED
        return None, None if unsaid else problem

    def _type(self, field: pa.Field) -> Expected:
        name = (field.metadata or {}).get(b"POSTGRESQL:type", b"text").decode()
        number = re.search(r"<oid:(\d+)>", name)
        if number is None:
            return Expected.of(name)
        return Expected("", str(self._ask(f"SELECT format_type({number[1]}, NULL)", values=())[0][0]))

    def _arrays(self, types: Sequence[int]) -> set[int]:
        """Those of the types that are arrays."""
        if not types:
            return set()
        listed = ", ".join(map(str, types))
        found = self._ask(f"SELECT oid::int8 FROM pg_type WHERE typcategory = 'A' AND oid IN ({listed})", values=())
        return {int(str(number)) for (number,) in found}

    def _refused(self, text: str) -> DatabaseError | None:
        """Why the server does not take the statement, if so; the transaction goes on from the savepoint."""
        try:
            with self._cursor(text) as cursor:
                cursor.adbc_prepare(text)
        except DatabaseError as error:
            self._failed = False
            self._do(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            return error
        return None

    def _refused_apart(self, text: str) -> DatabaseError | None:
        self._do(f"SAVEPOINT {_SAVEPOINT}")
        refused = self._refused(text)
        self._do(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        return refused

    def _fill(self, what: str, table: TableName, rows: pa.Table) -> None:
        """Makes the table of these columns (`CREATE <what>`), and copies the rows into it."""
        import pyarrow as pa

        rows = _with_known_types(for_database(rows, lists=True, json_type=pa.json_()))
        columns = ", ".join(f"{self.quoted(field.name)} {column_type(field.type)}" for field in rows.schema)
        self._do(f"CREATE {what} ({columns})")
        if rows.num_rows:
            with self._cursor() as cursor:
                cursor.adbc_ingest(table.table, rows, mode="append", db_schema_name=table.schema)

    def _in_its_schema(self, table: TableName) -> TableName:
        """The table, with the schema that it is made in. Raises DatabaseError where there is none."""
        if table.schema is not None:
            return table
        schema = self._ask("SELECT current_schema()", values=())[0][0]
        if schema is None:
            raise DatabaseError(
                f"there is no schema to make `{table}` in: the one that is looked in first is not there",
                fix="Make the schema, or name another: `POSTGRES_SCHEMA` in io_config.yaml.",
            )
        return table._replace(schema=str(schema))

    def _lock_name(self, name: str) -> None:
        """Waits for whoever makes something of this name in the database, until the transaction ends."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._ask(f"SELECT pg_advisory_xact_lock({number})::text", values=())


def _first(reader: pa.RecordBatchReader, limit: int) -> pa.Table:
    """The first rows. The others are read too, and dropped: to cancel a statement would undo what it does."""
    import pyarrow as pa

    kept: list[pa.RecordBatch] = []
    missing = limit
    for batch in reader:
        if missing > 0:
            kept.append(batch.slice(0, missing))
            missing -= kept[-1].num_rows
    return pa.Table.from_batches(kept, reader.schema)


def _one_row(texts: Sequence[str | None]) -> pa.Table:
    import pyarrow as pa

    return pa.table({str(number): pa.array([text], pa.string()) for number, text in enumerate(texts)})


def _with_known_types(rows: pa.Table) -> pa.Table:
    """A column, or lists, of nothing but nulls become text, so that a table can be made of them."""
    import pyarrow as pa

    def known(found: pa.DataType) -> pa.DataType:
        if pa.types.is_null(found):
            return pa.string()
        return pa.list_(known(found.value_type)) if is_list(found) else found

    return rows.cast(pa.schema([(field.name, known(field.type)) for field in rows.schema]))
