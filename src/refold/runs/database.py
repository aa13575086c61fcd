"""What `SqlRunStore` needs of a database: SQLite and PostgreSQL differ here, and nowhere else.

Statements are text with `?` for parameters, the same for every database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from refold.ports.run_store import BlockRunColumns, BlockRunRow

Value = None | int | float | str | bytes
Parameters = Sequence[Value] | Mapping[str, Value]
Record = tuple[Any, ...]
"""A row as a driver gives it: its types follow from the statement, which no type checker reads."""
T = TypeVar("T")

BLOCK_RUN_KEY = ("run", "block", "key")
BLOCK_RUN_COLUMNS = (
    "status",
    "attempts",
    "started_at",
    "completed_at",
    "chunk",
    "position",
    "digest",
    "fingerprint",
    "kept",
)
"""What a row of `block_run` has after its key, in the order of `BlockRunRow`; the last ones have defaults, and may be
left out of it."""


def upsert(table: str, key: Sequence[str], columns: Sequence[str]) -> str:
    """The statement that stores a row, or replaces the one of the same key; a parameter a column."""
    names = (*key, *columns)
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) {replacing(key, columns)}"


def replacing(key: Sequence[str], columns: Sequence[str]) -> str:
    """The end of a statement that inserts rows: one whose key is there replaces these columns.

    Columns that are not inserted get their defaults.
    """
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"


class Reading(Protocol):
    """Reads one state of the database, whatever others write meanwhile."""

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        """All rows of a small result."""

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Record]:
        """The rows of a result of any size, a few at a time."""


class Transaction(Protocol):
    """Writes that are kept together, or not at all."""

    again: bool
    """Whether this is a second attempt: the first was cut off, and may even have been kept."""

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Executes a statement; how many rows it changed."""

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        """All rows of a small result."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Executes a statement for each of the rows."""

    def put_block_runs(
        self, run: int, columns: Mapping[int, Sequence[BlockRunColumns]], rows: Mapping[int, Sequence[BlockRunRow]]
    ) -> None:
        """Stores rows of `block_run` by block number, each in place of what is stored for its key: the hot path.

        Those that come as columns are stored first. Rows may leave out their last columns; those get their defaults, at
        no cost.
        """

    def remove(self, table: str, run: int, block: int, keys: Sequence[bytes]) -> None:
        """Deletes the rows of these keys from `block_run`, `failure` or `items`."""


class Database(Protocol):
    """A database with the tables of `refold.runs.schema`, open. Its errors are StoreErrors that name it."""

    dialect: str
    """SQLAlchemy's name of it."""
    not_completed: str
    """How a statement names `block_run` that is to read it through the index of what is not completed."""

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once all that it wrote is kept; nothing is kept if it raises.

        `work` is called a second time where a lost connection could be replaced.
        """

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[Record]:
        """All rows of a small result, outside of transactions."""

    def fetch_each(self, sql: str, values: Iterable[bytes], parameters: Sequence[Value]) -> list[Record]:
        """All rows that the statement finds for each of any number of values: its first parameter, before the others.

        Outside of transactions.
        """

    def reading(self) -> AbstractContextManager[Reading]:
        """A connection of its own, to read one state of the database."""

    def close(self) -> None:
        """Closes connections. Harmless when done twice."""
