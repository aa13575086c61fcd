"""Runs in an SQLite file.

Its write-ahead log lets the engine write while other processes read, and neither waits for the other.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from itertools import chain, groupby, islice, repeat
from pathlib import Path

from refold.errors import StoreError
from refold.ports.run_store import BlockRunColumns, BlockRunRow
from refold.runs.database import BLOCK_RUN_COLUMNS, BLOCK_RUN_KEY, Parameters, Record, T, Transaction, Value, replacing
from refold.runs.upgrade import HEAD, is_current, migrate

_PATIENCE = 10.0  # seconds to wait for another process's transaction
_STREAMED = 1000  # rows read at a time
_TOGETHER = 16  # rows stored by one statement: its start costs as much as a row, and old SQLites take 999 parameters
_PORTIONS = (64, 8, 1)  # the same of columns, as large as can be

_FIXES = {
    "FULL": "Free some disk space, then start the run again: what had been stored is kept.",
    "IOERR": "Check the disk and its free space, then start the run again: what had been stored is kept.",
    "READONLY": "Make the file and its folder writable: SQLite writes a log beside the file.",
    "CANTOPEN": "Check that the folder exists and is writable: SQLite writes a log beside the file.",
    "PERM": "Make the file and its folder writable.",
    "NOTADB": "Name another file, or move this one away: a new one is made in its place.",
    "CORRUPT": "Move the file away, with the files -wal and -shm beside it: a new one is made in its place.",
    "BUSY": f"Another process has held the file for {_PATIENCE:.0f} seconds: see which one, and end it.",
}
"""What to do about an error, by the first word of SQLite's name for it."""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns the driver's errors into StoreErrors that name the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
        fix = _FIXES.get(name.split("_")[1])
        raise StoreError(f"the runs cannot be read or written: {error}", where=str(path), fix=fix) from error
    except UnicodeEncodeError as error:
        raise StoreError(f"{error.object!r} cannot be stored: it is not Unicode text", where=str(path)) from error


class SqliteDatabase:
    """An SQLite file, made when it is not there and brought up to date when it is old."""

    dialect = "sqlite"
    not_completed = "block_run INDEXED BY block_run_not_completed"  # on its own SQLite would read every row of a block

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Opens the file; `durable` waits for the disk at each commit. Raises StoreError when that cannot be done."""
        self._path = path.absolute()
        self._durable = durable
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder of the runs cannot be made: {error.strerror}",
                where=str(self._path.parent),
                fix="Make the folder above it one that you may write to, or move away the file that is in its place.",
            ) from error
        if self._path.is_dir():
            raise StoreError(
                "is a folder, and the runs are kept in a file",
                where=str(self._path),
                fix="Move it away, or name another file.",
            )
        with _explained(self._path):
            self._connection = self._connect()
            try:
                _use_log(self._connection)
                if not is_current(self._revision(), str(self._path)):
                    self._bring_up_to_date()
            except BaseException:
                self._connection.close()
                raise

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once all that it wrote is kept. Raises StoreError; nothing is kept then."""
        with _explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(_SqliteTransaction(self._connection))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back on a full disk
                    self._connection.execute("ROLLBACK")
                raise
            return result

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        """All rows of a small result."""
        with _explained(self._path):
            return self._connection.execute(sql, parameters).fetchall()

    def fetch_each(self, sql: str, values: Iterable[bytes], parameters: Sequence[Value]) -> list[Record]:
        """All rows that the statement finds for each of the values, its first parameter."""
        connection = self._connection
        with _explained(self._path):
            connection.execute("BEGIN")  # else each of the statements locks the file
            try:
                return [row for value in values for row in connection.execute(sql, (value, *parameters))]
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[_SqliteReading]:
        """A connection of its own, to read one state of the file."""
        with _explained(self._path):
            connection = self._connect()
        with closing(connection):
            connection.execute("BEGIN")
            yield _SqliteReading(connection, self._path)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        # Any one thread at a time: a store may be opened by one thread and then handed to another.
        connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        return connection

    def _revision(self) -> str | None:
        """The tables' revision; None when nothing says."""
        if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall():
            return None
        rows = self._connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return str(rows[0][0]) if rows else None

    def _bring_up_to_date(self) -> None:
        """Makes the tables from their text where the file is empty; migrates where they are old."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            if not tables:
                for statement in _ddl():
                    connection.execute(statement)
                connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (HEAD,))
                return
        if "alembic_version" not in tables:
            raise StoreError(
                f"is another program's database: it has tables {', '.join(sorted(tables)[:5])}",
                where=str(self._path),
                fix="Name another file.",
            )
        if not is_current(self._revision(), str(self._path)):  # another process may have been faster
            migrate("sqlite", self._connect, "BEGIN IMMEDIATE", str(self._path))


class _SqliteReading:
    """Reads within one read transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        with _explained(self._path):
            return self._connection.execute(sql, parameters).fetchall()

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Record]:
        with _explained(self._path):
            cursor = self._connection.execute(sql, parameters)
            while rows := cursor.fetchmany(_STREAMED):
                yield from rows


class _SqliteTransaction:
    """Writes within the transaction that `SqliteDatabase.transact` began."""

    again = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        return self._connection.execute(sql, parameters).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, rows)

    def put_block_runs(
        self, run: int, columns: Mapping[int, Sequence[BlockRunColumns]], rows: Mapping[int, Sequence[BlockRunRow]]
    ) -> None:
        for block, block_columns in columns.items():
            for each in block_columns:
                self._put_columns(run, block, each)
        for block, block_rows in rows.items():
            for width, alike in groupby(block_rows, len):
                self._put_rows(run, block, width, list(alike))

    def _put_columns(self, run: int, block: int, columns: BlockRunColumns) -> None:
        _, keys, count, status, attempts, started, ended, chunk, first = columns
        width = len(keys) // count
        shape = (width, isinstance(started, Sequence), isinstance(ended, Sequence))
        done = 0
        for together in _PORTIONS:
            until = count - (count - done) % together
            self._connection.executemany(
                _put_columns_statement(together, *shape),
                (
                    (
                        *(run, block, int(status), attempts, chunk, None if first is None else first + at),
                        bytearray(keys[width * at : width * (at + together)]),
                        *(started[at : at + together] if isinstance(started, Sequence) else (started,)),
                        *(ended[at : at + together] if isinstance(ended, Sequence) else (ended,)),
                    )
                    for at in range(done, until, together)
                ),
            )
            done = until

    def _put_rows(self, run: int, block: int, width: int, rows: list[BlockRunRow]) -> None:
        _, keys, *others = zip(*rows, strict=True)
        # Of `bytes` the driver asks each time who could adapt them, which costs more than storing the row.
        columns = (repeat(run, len(rows)), repeat(block, len(rows)), map(bytearray, keys), *others)
        values = chain.from_iterable(zip(*columns, strict=True))
        whole = len(rows) - len(rows) % _TOGETHER
        together = zip(*[islice(values, (width + 1) * whole)] * ((width + 1) * _TOGETHER), strict=True)
        self._connection.executemany(_put_rows_statement(width, _TOGETHER), together)
        self._connection.executemany(_put_rows_statement(width, 1), zip(*[values] * (width + 1), strict=True))

    def remove(self, table: str, run: int, block: int, keys: Sequence[bytes]) -> None:
        done = 0
        for together in _PORTIONS:
            until = len(keys) - (len(keys) - done) % together
            sql = f"DELETE FROM {table} WHERE run = ? AND block = ? AND key IN ({', '.join('?' * together)})"
            portions = (map(bytearray, keys[at : at + together]) for at in range(done, until, together))
            self._connection.executemany(sql, ((run, block, *portion) for portion in portions))
            done = until


@cache
def _put_columns_statement(count: int, width: int, started_each: bool, ended_each: bool) -> str:
    """The statement that stores so many block runs with keys of so many bytes.

    Its parameters: run, block, status, attempts, chunk, the first one's position, all keys in one, then when they
    started and when they completed, one for each or one for all. What all rows share is bound once: binding costs as
    much as storing.
    """
    starts = [f"?{8 + (row if started_each else 0)}" for row in range(count)]
    first_end = 8 + (count if started_each else 1)
    ends = [f"?{first_end + (row if ended_each else 0)}" for row in range(count)]
    keys = [f"substr(?7, {1 + row * width}, {width})" if width else "x''" for row in range(count)]
    rows = (f"(?1, ?2, {keys[row]}, ?3, ?4, {starts[row]}, {ends[row]}, ?5, ?6 + {row})" for row in range(count))
    return _storing(9, ", ".join(rows))


@cache
def _put_rows_statement(width: int, count: int) -> str:
    """The statement that stores so many rows of so many columns each; run and block stand before each row's key."""
    row = f"({', '.join('?' * (width + 1))})"
    return _storing(width + 1, ", ".join([row] * count))


def _storing(columns: int, values: str) -> str:
    """The statement that stores rows of so many of the table's columns, in place of those of the same keys."""
    names = (*BLOCK_RUN_KEY, *BLOCK_RUN_COLUMNS)[:columns]
    insert = f"INSERT INTO block_run ({', '.join(names)}) VALUES {values}"
    return f"{insert} {replacing(BLOCK_RUN_KEY, BLOCK_RUN_COLUMNS)}"


def _ddl() -> list[str]:
    """The statements that make the tables, Alembic's own among them."""
    text = Path(__file__).with_name("schema.sqlite.sql").read_text(encoding="utf-8")
    return [statement for statement in text.split(";\n") if statement.strip()]


def _use_log(connection: sqlite3.Connection) -> None:
    """Switches the file to the write-ahead log, for good.

    SQLite does not wait when two processes switch a new file at the same time: the slower one asks again.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.split("_")[1] != "BUSY" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
