"""MySQL and MariaDB, by pymysql.

DDL cannot be undone there, so a table is filled under another name and takes its place by one RENAME. What a writer
that was killed leaves behind is found by its name, and known to be nobody's because its lock is free: the server gives
a lock back when a session ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, cast

from refold.errors import DatabaseError
from refold.io.databases.column_types import storable
from refold.io.databases.fetched_rows import Cursor
from refold.io.databases.sqlalchemy_connection import SqlAlchemyConnection, TableSwap, Traits
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.profile_settings import ProfileSettings

if TYPE_CHECKING:
    import pyarrow as pa
    import pymysql
    from sqlalchemy.engine import URL, Engine

_TRAITS = Traits(
    swap=TableSwap(put=("RENAME TABLE {new} TO {table}",), swap=("RENAME TABLE {table} TO {old}, {new} TO {table}",))
)
_LEFTOVER = re.compile(r"_refold_(?:new|old)_([0-9a-f]{12})")
_PATIENCE = 24 * 3600
"""Seconds to wait for another writer; whoever has less of it interrupts."""
_engines: dict[URL, Engine] = {}
"""Of this process; connections are not kept in them."""
_RESET_CONNECTION = 0x1F
"""COM_RESET_CONNECTION of MySQL's protocol: since MySQL 5.7 and MariaDB 10.2."""
_READS = re.compile(
    r"(?:\s|--\s[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*.*?\*/|\()*(?:SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL
)
_AT_ONCE = 1_000
_PACKET = 2**20
"""Bytes of a statement that inserts rows: more are not faster."""


def connect_mysql(config: ConfigFileLoader | None) -> MySqlConnection:
    """A connection to the server that the profile names.

    Raises ProjectError for a key that is missing, DatabaseError when the server cannot be reached.
    """
    from sqlalchemy import URL

    settings = ProfileSettings(config, "MySQL")
    return MySqlConnection(
        URL.create(
            "mysql+pymysql",
            username=settings.text("MYSQL_USER"),
            password=settings.text("MYSQL_PASSWORD"),
            host=settings.need("MYSQL_HOST"),
            port=settings.number("MYSQL_PORT"),
            database=settings.need("MYSQL_DATABASE"),
            query={"charset": "utf8mb4"},
        )
    )


class MySqlConnection(SqlAlchemyConnection):
    """As `refold.io.databases.connection.Connection`."""

    def __init__(self, url: URL) -> None:
        """Connects. Raises DatabaseError when that cannot be done."""
        from pymysql.cursors import SSCursor

        self._locks: list[str] = []
        self._schema_at_first = url.database
        super().__init__(url, "MySQL", _TRAITS, {"conv": _converters(), "cursorclass": SSCursor})
        self._begin_session()

    def _make_engine(self, url: URL, connect_args: Mapping[str, object]) -> Engine:
        # An engine asks each new server a dozen things, which stay as they are.
        made = _engines.get(url)
        if made is None:
            made = _engines[url] = super()._make_engine(url, connect_args)
        return made

    def _begin_session(self) -> None:
        with self._own_words():
            (self._id, packet) = self._one("SELECT CONNECTION_ID(), @@max_allowed_packet")
            self._connection.rollback()
        self._packet = min(_PACKET, int(str(packet)) // 2)

    def reset(self) -> None:
        """By the server, which forgets all that statements can leave in a session but the schema, and how text is told.

        A server that does not know how refuses it.
        """
        self._locks.clear()
        if self._connection.invalidated:
            super().reset()
            self._begin_session()
            return
        with self._own_words():
            self._connection.rollback()
            session = cast("pymysql.Connection", self._connection.connection.dbapi_connection)
            # The driver has no name for the command; all others go this way too.
            session._execute_command(_RESET_CONNECTION, b"")
            session._read_ok_packet()
            session.select_db(self._schema_at_first)
            session.set_character_set(session.charset, session.collation)
            session.autocommit(False)

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        if any("\\" in text for text in statement.texts) and self._without_escapes():
            raise DatabaseError(
                "a statement with a backslash is not run in the sql_mode NO_BACKSLASH_ESCAPES: its literals would end "
                "elsewhere than they seem to, and values could become part of the statement",
                fix="Take that mode out of `sql_mode`, or the backslash out of the statement.",
            )
        return super().query(statement, limit)

    def _without_escapes(self) -> bool:
        """Whether a backslash means nothing in literals now; the server says so with each answer."""
        from pymysql.constants import SERVER_STATUS

        session = cast("pymysql.Connection", self._connection.connection.dbapi_connection)
        return bool(session.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES)

    def _leave(self, cursor: Cursor, statement: Statement) -> None:
        # The server sends the rest otherwise, however much it is; what does more than read is let come to its end.
        if _READS.match(statement.texts[0]):
            self.interrupt()
        with contextlib.suppress(self._dialect.loaded_dbapi.OperationalError):  # interrupted
            while cursor.fetchmany(_AT_ONCE):
                pass

    def _schema(self, table: TableName) -> str | None:
        return table.schema or table.database

    def _expected(self, description: Sequence[object]) -> pa.DataType | None:
        _, code, _, length, _, scale, *_ = description
        return _types(int(str(code)), int(str(length)), int(str(scale)))

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        import sqlalchemy as sa

        with self._own_words():
            try:
                text = f"SHOW COLUMNS FROM {table.sql(self.quoted)}"
                found = self._rows(text)
            except sa.exc.ProgrammingError as error:
                if error.orig is not None and error.orig.args[0] in {1146, 1049}:  # no such table, no such schema
                    return None
                raise
        return {str(name): str(kind) for name, kind, *_ in found}

    def _drop_staged(self, quoted: str) -> None:
        self._execute(f"DROP TEMPORARY TABLE IF EXISTS {quoted}")

    def _index(self, table: TableName, schema: pa.Schema, keys: Sequence[str]) -> None:
        """By making the table once more: to add an index to it would end the transaction."""
        import pyarrow as pa

        def part(key: str) -> str:
            kind = schema.field(key).type
            long = not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind))
            return self.quoted(key) + ("(100)" if long else "")

        name, first = self.quoted(table.table), self.quoted(f"{table.table}_first")
        parts = ", ".join(map(part, keys))
        self._execute(f"CREATE TEMPORARY TABLE {first} SELECT * FROM {name}")
        self._drop_staged(name)
        self._execute(f"CREATE TEMPORARY TABLE {name} (INDEX ({parts})) SELECT * FROM {first}")
        self._drop_staged(first)

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        if not columns:
            return
        name, other = table.sql(self.quoted), self.quoted(staged)
        sets = ", ".join(f"{name}.{self.quoted(each)} = {other}.{self.quoted(each)}" for each in columns)
        agree = " AND ".join(f"{name}.{self.quoted(key)} = {other}.{self.quoted(key)}" for key in keys)
        with self._own_words():
            self._execute(f"UPDATE {name} JOIN {other} ON {agree} SET {sets}")

    def lock_for_writing(self, table: TableName) -> None:
        """By a lock of the server's that all writers of Refold ask for; other clients it does not keep out."""
        with self._own_words():
            (schema,) = self._one("SELECT DATABASE()")
            whole = f"{self._schema(table) or schema}.{table.table}"
            self._lock("refold:" + hashlib.sha256(whole.encode()).hexdigest()[:40], str(table))

    def _lock(self, lock: str, what: str) -> None:
        if lock in self._locks:
            return
        (got,) = self._one(f"SELECT GET_LOCK('{lock}', {_PATIENCE})")
        if got != 1:
            raise DatabaseError(f"MySQL: {what} is being written by another session, which does not end")
        self._locks.append(lock)

    def _unlock(self) -> None:
        while self._locks:
            self._execute(f"DO RELEASE_LOCK('{self._locks.pop()}')")

    def commit(self) -> None:
        super().commit()
        self._end_locks()

    def rollback(self) -> None:
        super().rollback()
        self._end_locks()

    def _end_locks(self) -> None:
        if self._locks:
            with self._own_words():
                self._unlock()
                self._connection.rollback()

    @contextlib.contextmanager
    def _claimed(self, token: str, table: TableName) -> Iterator[None]:
        self._remove_leftovers(table)
        lock = f"refold:{token}"
        self._one(f"SELECT GET_LOCK('{lock}', 0)")
        try:
            yield
        finally:
            self._execute(f"DO RELEASE_LOCK('{lock}')")

    def _remove_leftovers(self, table: TableName) -> None:
        schema = self._schema(table)
        within = "" if schema is None else f" FROM {self.quoted(schema)}"
        text = f"SHOW TABLES{within} LIKE '\\_refold\\_%'"
        listed = self._rows(text)
        for name in (str(each) for (each,) in listed):
            token = _LEFTOVER.fullmatch(name)
            if token is not None and self._one(f"SELECT IS_FREE_LOCK('refold:{token[1]}')") == (1,):
                self._execute(f"DROP TABLE IF EXISTS {table._replace(table=name).sql(self.quoted)}")

    def interrupt(self) -> None:
        """By another connection, since this one is busy."""
        with self._own_words(), self._engine.connect() as other:
            other.exec_driver_sql(f"KILL QUERY {self._id}")

    def _fill(self, table: TableName, rows: pa.Table) -> None:
        names = ", ".join(map(self.quoted, rows.column_names))
        head = f"INSERT INTO {table.sql(self.quoted)} ({names}) VALUES ".encode()
        (mode,) = self._one("SELECT @@sql_mode")
        backslashes = "NO_BACKSLASH_ESCAPES" not in str(mode)
        dbapi = self._connection.connection.cursor()
        try:
            for part in rows.to_batches(max_chunksize=50_000):
                for packet in self._packets(part, backslashes):
                    dbapi.execute(head + packet)
        finally:
            dbapi.close()

    def _packets(self, rows: pa.RecordBatch, backslashes: bool) -> Iterator[bytes]:
        """The rows as literals, `(1,'a'),(2,'b')`, as many at a time as a statement should have."""
        import pyarrow as pa
        import pyarrow.compute as pc

        literals = [
            _literals(name, each, backslashes) for name, each in zip(rows.schema.names, rows.columns, strict=True)
        ]
        comma = pa.scalar(b",", pa.binary())
        texts = pc.binary_join_element_wise(*literals, comma, null_handling="replace", null_replacement=b"NULL")
        packet: list[bytes] = []
        size = 0
        for text in texts.to_pylist():
            if packet and size + len(text) > self._packet:
                yield b"(" + b"),(".join(packet) + b")"
                packet, size = [], 0
            packet.append(text)
            size += len(text) + 3
        if packet:
            yield b"(" + b"),(".join(packet) + b")"


def _literals(name: str, found: pa.Array, backslashes: bool) -> pa.Array:
    """Each value as MySQL reads it in a statement; null for null, and for a float that is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_a = pa.types
    column = storable(pa.chunked_array([found])).combine_chunks()
    if is_a.is_boolean(column.type):
        column = column.cast(pa.int8())
    if is_a.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        if pc.any(pc.is_inf(column)).as_py():
            raise DatabaseError(f"MySQL: column `{name}` holds an infinite number, which MySQL has not")
    if is_a.is_duration(column.type):
        spans = [None if value is None else _span(value) for value in column.to_pylist()]
        column = pa.array(spans, pa.string())
    if is_a.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    bare = is_a.is_integer(column.type) or is_a.is_floating(column.type) or is_a.is_decimal(column.type)
    if is_a.is_large_binary(column.type):
        column = column.cast(pa.binary())
    is_binary = is_a.is_binary(column.type)
    texts = column if is_binary else column.cast(pa.string()).cast(pa.binary())
    if bare:
        return texts
    if backslashes:
        texts = pc.replace_substring(texts, b"\\", b"\\\\")
    texts = pc.replace_substring(texts, b"'", b"''")
    start = pa.scalar(b"_binary'" if is_binary else b"'", pa.binary())
    quote = pa.scalar(b"'", pa.binary())
    return pc.binary_join_element_wise(start, texts, quote, pa.scalar(b"", pa.binary()))


def _span(value: timedelta) -> str:
    """A duration as MySQL's TIME is written."""
    total = abs(value) // timedelta(microseconds=1)
    seconds, micros = divmod(total, 1_000_000)
    sign = "-" if value < timedelta(0) else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"


@cache
def _converters() -> dict[object, object]:
    """pymysql's, but that dates and decimals stay the text that they come as: Arrow reads a column of them at once."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    texts = {
        FIELD_TYPE.DATE,
        FIELD_TYPE.DATETIME,
        FIELD_TYPE.TIMESTAMP,
        FIELD_TYPE.DECIMAL,
        FIELD_TYPE.NEWDECIMAL,
    }
    kept = {key: convert for key, convert in conversions.items() if key not in texts}
    return {**kept, FIELD_TYPE.BIT: lambda bits: int.from_bytes(bits, "big")}


def _types(code: int, length: int, scale: int) -> pa.DataType | None:
    """What the server says that a column is.

    What has no such type keeps its own: `0000-00-00` makes a column text, a TIME of more than a day durations.
    """
    import pyarrow as pa
    from pymysql.constants import FIELD_TYPE

    if code in {FIELD_TYPE.TINY, FIELD_TYPE.BIT} and length == 1:
        return pa.bool_()
    if code in {FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL}:
        digits = length - 1 - (scale > 0)
        return pa.decimal128(min(max(digits, scale + 1), 38), min(scale, 37))
    known: dict[int, pa.DataType] = {
        **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG), pa.int64()),
        **dict.fromkeys((FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR, FIELD_TYPE.BIT), pa.int64()),
        FIELD_TYPE.FLOAT: pa.float32(),
        FIELD_TYPE.DOUBLE: pa.float64(),
        FIELD_TYPE.DATE: pa.date32(),
        FIELD_TYPE.DATETIME: pa.timestamp("us"),
        FIELD_TYPE.TIMESTAMP: pa.timestamp("us"),
        FIELD_TYPE.TIME: pa.time64("us"),
    }
    return known.get(code)
