"""Runs in a PostgreSQL database: rows come by COPY, and a lost connection is replaced once, in the middle of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from refold.errors import StoreError
from refold.ports.run_store import BlockRunColumns, BlockRunRow
from refold.runs.database import BLOCK_RUN_COLUMNS, BLOCK_RUN_KEY, Parameters, Record, T, Transaction, Value, replacing
from refold.runs.upgrade import is_current, migrate

if TYPE_CHECKING:
    import psycopg

_PATIENCE = 10.0  # seconds to wait for a server that restarts
_STREAMED = 1000  # rows read at a time
_ASKED = 10_000  # values looked up at a time
_LOCK = "SELECT pg_advisory_xact_lock(7305126481339)"  # any number that nobody else uses
_BLOCK_RUN = (*BLOCK_RUN_KEY, *BLOCK_RUN_COLUMNS)
_BLOCK_RUN_TYPES = [
    "int4",
    "int4",
    "bytea",
    "int2",
    "int4",
    "float8",
    "float8",
    "int4",
    "int4",
    "bytea",
    "bytea",
    "bool",
]
_STAGE = """
CREATE TEMP TABLE IF NOT EXISTS block_run_stage (LIKE block_run INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
"""
_UNSTAGE = f"""
INSERT INTO block_run ({", ".join(_BLOCK_RUN)}) SELECT {", ".join(_BLOCK_RUN)} FROM block_run_stage
{replacing(BLOCK_RUN_KEY, BLOCK_RUN_COLUMNS)}
"""


class PostgresDatabase:
    """A PostgreSQL database, its tables in the connection's current schema."""

    dialect = "postgresql"
    not_completed = "block_run"

    def __init__(self, url: str, *, patience: float = _PATIENCE) -> None:
        """Connects; makes or migrates the tables if need be. Raises StoreError when that cannot be done.

        `patience` is how many seconds a lost connection may take to come back.
        """
        try:
            import psycopg
        except ImportError as error:
            raise StoreError(
                "runs in PostgreSQL need psycopg, which is not installed",
                fix="pip install 'refold[postgres]'",
            ) from error
        self._url = url
        self._patience = patience
        self._where = _without_secrets(url)
        self._closed = False
        self._repeated: set[int] = set()
        """Runs whose rows were met twice (a retry): theirs go by the staging table."""
        with self._explained():
            self._connection = self._connect()
            try:
                if not is_current(self._revision(), self._where):
                    migrate("postgresql+psycopg", lambda: psycopg.connect(url), _LOCK, self._where)
            except BaseException:
                self._connection.close()
                raise

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once all that it wrote is kept. Raises StoreError; nothing is kept then."""
        return self._persistently(lambda again: self._attempt(work, again))

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        """All rows of a small result."""
        return self._fetch(sql, parameters)

    def fetch_each(self, sql: str, values: Iterable[bytes], parameters: Sequence[Value]) -> list[Record]:
        """All rows that the statement finds for each of the values, its first parameter."""
        for_each = sql.replace("?", "wanted.value", 1)
        sql = f"SELECT found.* FROM unnest(?::bytea[]) AS wanted(value) CROSS JOIN LATERAL ({for_each}) AS found"
        asked = list(values)
        found: list[Record] = []
        for start in range(0, len(asked), _ASKED):
            found += self._fetch(sql, (asked[start : start + _ASKED], *parameters))
        return found

    @contextmanager
    def reading(self) -> Iterator[_PostgresReading]:
        """A connection of its own, to read one state of the database."""
        with self._explained():
            connection = self._connect()
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield _PostgresReading(connection, self._explained)
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        self._connection.close()

    def _fetch(self, sql: str, parameters: Sequence[object] | Mapping[str, object]) -> list[Record]:
        return self._persistently(lambda _: self._connection.execute(_adapted(sql), parameters).fetchall())

    def _attempt(self, work: Callable[[Transaction], T], again: bool) -> T:
        with self._connection.transaction():
            return work(_PostgresTransaction(self._connection, self._repeated, again))

    def _persistently(self, attempt: Callable[[bool], T]) -> T:
        """What the attempt returns; a second attempt, over a new connection, where the first one lost its own."""
        import psycopg

        with self._explained():
            try:
                return attempt(False)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if self._closed or not self._connection.closed:
                    raise
            self._reconnect()
            return attempt(True)

    def _reconnect(self) -> None:
        import psycopg

        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._connection = self._connect()
                return
            except psycopg.OperationalError:  # a server that restarts refuses connections for a moment
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.1)

    def _connect(self) -> psycopg.Connection:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        given = conninfo_to_dict(self._url)
        url = make_conninfo(
            self._url,
            connect_timeout=given.get("connect_timeout", 10),
            application_name=given.get("application_name", "refold"),
            client_encoding="utf8",
        )
        connection = psycopg.connect(url, autocommit=True)
        connection.add_notice_handler(_nothing)
        return connection

    def _revision(self) -> str | None:
        """The tables' revision; None when nothing says."""
        table = "to_regclass(quote_ident(current_schema()) || '.alembic_version')"
        [(schema, found)] = self.fetch(f"SELECT current_schema(), {table}::text")
        if schema is None:
            raise StoreError(
                "the connection has no schema to put tables into",
                where=self._where,
                fix="Create the schema that search_path names, or grant USAGE on it.",
            )
        rows = self.fetch("SELECT version_num FROM alembic_version") if found else []
        return str(rows[0][0]) if rows else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns the driver's errors into StoreErrors that name the database and what to do."""
        import psycopg

        try:
            yield
        except psycopg.OperationalError as error:
            raise StoreError(
                f"PostgreSQL cannot be reached, or gave up: {str(error).strip()}",
                where=self._where,
                fix="Check that the server runs and has free disk space, then start the run again: "
                "what had been stored is kept.",
            ) from error
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL refused: {str(error).strip()}", where=self._where) from error
        except UnicodeEncodeError as error:
            raise StoreError(f"{error.object!r} cannot be stored: it is not Unicode text", where=self._where) from error


class _PostgresReading:
    """Reads within one read transaction."""

    def __init__(self, connection: psycopg.Connection, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._explained = explained

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        with self._explained():
            return self._connection.execute(_adapted(sql), parameters).fetchall()

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Record]:
        with self._explained(), self._connection.cursor(name="refold") as cursor:
            cursor.execute(_adapted(sql), parameters)
            while rows := cursor.fetchmany(_STREAMED):
                yield from rows


class _PostgresTransaction:
    """Writes within the transaction that `PostgresDatabase.transact` began."""

    def __init__(self, connection: psycopg.Connection, repeated: set[int], again: bool) -> None:
        self.again = again
        self._connection = connection
        self._repeated = repeated

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        return self._connection.execute(_adapted(sql), parameters).rowcount

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        return self._connection.execute(_adapted(sql), parameters).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._connection.cursor().executemany(_adapted(sql), rows)

    def put_block_runs(
        self, run: int, columns: Mapping[int, Sequence[BlockRunColumns]], rows: Mapping[int, Sequence[BlockRunRow]]
    ) -> None:
        """COPY into the table itself, which is fastest and fails when a key is there; then by a staging table.

        Keys are there when a run is retried; its later batches are staged from the start.
        """
        from psycopg.errors import UniqueViolation

        rows = {
            block: [row for each in columns.get(block, ()) for row in each.rows()] + list(rows.get(block, ()))
            for block in columns.keys() | rows.keys()
        }
        if run not in self._repeated:
            try:
                with self._connection.transaction():  # a savepoint
                    self._copy("block_run", run, rows)
                    return
            except UniqueViolation:
                self._repeated.add(run)
        last = {block: {row[1]: row for row in block_rows}.values() for block, block_rows in rows.items()}
        self._connection.execute(_STAGE)
        self._copy("block_run_stage", run, last)
        self._connection.execute(_adapted(_UNSTAGE))

    def remove(self, table: str, run: int, block: int, keys: Sequence[bytes]) -> None:
        sql = f"DELETE FROM {table} WHERE run = %s AND block = %s AND key = ANY(%s)".encode()
        self._connection.execute(sql, (run, block, list(keys)))

    def _copy(self, table: str, run: int, rows: Mapping[int, Iterable[BlockRunRow]]) -> None:
        for width in {len(row) for block_rows in rows.values() for row in block_rows}:
            sql = f"COPY {table} ({', '.join(_BLOCK_RUN[: width + 1])}) FROM STDIN (FORMAT BINARY)"
            with self._connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
                copy.set_types(_BLOCK_RUN_TYPES[: width + 1])
                write = copy.write_row
                for block, block_rows in rows.items():
                    place = (run, block)
                    for row in block_rows:
                        if len(row) == width:
                            write(place + row[1:])


@lru_cache(maxsize=256)
def _adapted(sql: str) -> bytes:
    """The statement with psycopg's marks for parameters."""
    return sql.replace("?", "%s").encode()


def _without_secrets(url: str) -> str:
    """The URL's user, host and database, for messages."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise StoreError(
            f"the PostgreSQL URL cannot be read: {str(error).strip()}",
            fix="Write it as postgresql://user:password@host:5432/database.",
        ) from error
    user, host, port, name = (given.get(word) for word in ("user", "host", "port", "dbname"))
    return f"postgresql://{f'{user}@' if user else ''}{host or ''}{f':{port}' if port else ''}/{name or ''}"


def _nothing(_: object) -> None:
    """Notices (a table exists already) are for nobody."""
