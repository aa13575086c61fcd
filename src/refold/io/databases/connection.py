"""A connection to a database, as a port: three adapters stand behind it, and one suite tests them all.

Rows go in and out as Arrow tables. A connection has one transaction at a time: the first statement begins it, `commit`
and `rollback` end it. It is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName

if TYPE_CHECKING:
    import pyarrow as pa


class Connection(Protocol):
    """A session with a database. Whatever it raises of a database's own accord is a DatabaseError."""

    @property
    def name(self) -> str:
        """The kind of database, for messages: `PostgreSQL`, `DuckDB`."""

    @property
    def casts(self) -> bool:
        """Whether `INSERT .. SELECT` from staged rows must cast them to the types of the table's columns (PostgreSQL,
        DuckDB: true); false where the database does that by itself."""

    @property
    def one_writer(self) -> bool:
        """Whether only one transaction at a time can write, so that even who only adds rows asks for the lock first."""

    def quoted(self, identifier: str) -> str:
        """The identifier as a statement writes it, whatever characters it has."""

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        """Runs one statement; the rows that it gives, None for one that gives none.

        Of a query that gives more than `limit` rows the first so many: others are not fetched, and may never be made.
        What a statement does besides is done in any case.

        Types are the nearest that Arrow has: exact numbers are decimals, JSON and what else has no Arrow type is text.
        """

    def stage(self, name: str, rows: pa.Table, keys: Sequence[str] = ()) -> None:
        """Lets statements read these rows under this name, which nothing else sees, until `unstage`: a temporary table,
        on DuckDB the Arrow table itself. A relation that was staged under that name before is replaced. A rollback may
        take it too. `keys`: columns by which statements look for rows, for databases that need an index to find any."""

    def unstage(self, name: str) -> None:
        """Takes the name back."""

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        """The table's columns and their types, in order and as the database writes them; None where it is not there."""

    def create(self, table: TableName, rows: pa.Table) -> None:
        """Makes the table, with the columns of the rows, and fills it. The table must not be there.

        Where the database cannot take a new table back, a failure leaves none.
        """

    def replace(self, table: TableName, rows: pa.Table) -> None:
        """As `create`, in the place of the table that may be there; who reads meanwhile sees all of the old or all of
        the new one. Where the database cannot take a new table back, it is there at once."""

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        """In rows of the table that agree with a staged row in the keys, sets these columns to what the staged has."""

    def create_schema(self, schema: str) -> None:
        """Makes the schema unless it is there."""

    def lock_for_writing(self, table: TableName) -> None:
        """Keeps others from writing the table, or from making it where it is not there, until the transaction ends.

        What others committed before is seen afterwards. Does nothing where no two could write."""

    def commit(self) -> None:
        """Ends the transaction; what it did is there to stay."""

    def rollback(self) -> None:
        """Ends the transaction; what it did is undone, as far as the database can."""

    def interrupt(self) -> None:
        """Asks the database to give up what it is doing. May be called from another thread, or a signal handler."""

    def reset(self) -> None:
        """Makes the session as good as new, for another block run: what is not committed is undone, and of temporary
        tables, settings and locks nothing is left. Raises DatabaseError where the connection is broken."""

    def close(self) -> None:
        """Ends the session."""
