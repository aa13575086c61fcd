"""What a SQL block's run does with a database, in one session: it stages rows, runs statements, writes the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refold.errors import BlockError, DatabaseError
from refold.io.databases.connection import Connection
from refold.io.databases.providers import Provider
from refold.io.databases.sessions import session
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.databases.write_policy import WritePolicy
from refold.io.databases.writing import write
from refold.io.settings.config import ConfigFileLoader
from refold.languages.sql.pieces import Filled
from refold.languages.sql.placing import PlacedStatement
from refold.languages.sql.query_thread import Work
from refold.languages.sql.relation import Relation, name_of, rows_of
from refold.languages.sql.settings import SqlSettings

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Query:
    """The statements of one run, with their values, and the rows that they read."""

    statements: Sequence[tuple[PlacedStatement, Filled]]
    staged: Mapping[str, pa.Table]
    """By the name that they are read by."""
    settings: SqlSettings
    provider: Provider
    config: ConfigFileLoader | None
    table: TableName | None
    """Where the result is written."""
    where: str
    """The block's file."""

    def run(self, work: Work[pa.Table | None]) -> pa.Table | None:
        """The rows of the last statement that gave some, None where none did. Raises DatabaseError, with the line."""
        try:
            with session(self.provider, self.config) as connection:
                work.reached(connection)
                rows = self._rows(connection, work)
                if self.table is not None and rows is not None:
                    policy = self.settings.policy or WritePolicy.APPEND
                    write(connection, self.table, rows, policy, keys=self.settings.keys, where=self.where)
                work.go_on()
        finally:
            work.leave()
        return rows

    def _rows(self, connection: Connection, work: Work[pa.Table | None]) -> pa.Table | None:
        for name, table in self.staged.items():
            work.go_on()
            connection.stage(name, table)
        last: pa.Table | None = None
        for placed, filled in self.statements:
            work.go_on()
            rows = _ask(connection, placed, filled.statement(connection.quoted), self._wanted)
            last = last if rows is None else rows
        return None if last is None else self._kept(last)

    @property
    def _wanted(self) -> int:
        """How many rows are fetched."""
        return _MOST_ROWS + 1 if self.settings.limit is None else self.settings.limit

    def _kept(self, rows: pa.Table) -> pa.Table:
        if self.settings.limit is None and rows.num_rows > _MOST_ROWS:
            raise BlockError(
                f"the query gives more than {_MOST_ROWS:,} rows, which are not taken unasked",
                where=self.where,
                fix="Set `limit_in_pipeline_run` to how many are to be kept, or write them with a statement of the "
                "database (`use_raw_sql: true`).",
            )
        return rows


def staged(statements: Sequence[tuple[PlacedStatement, Filled]], known: Sequence[Relation]) -> dict[str, pa.Table]:
    """The rows that the statements read: those that expressions stand for, and upstreams' whose names they have."""
    relations = {name: relation for _, filled in statements for name, relation in filled.relations.items()}
    for relation in known:
        name = name_of(relation)
        if any(name.lower() in placed.names for placed, _ in statements):
            relations[name] = relation
    return {name: rows_of(relation) for name, relation in relations.items()}


def _ask(connection: Connection, placed: PlacedStatement, statement: Statement, limit: int) -> pa.Table | None:
    try:
        return connection.query(statement, limit)
    except DatabaseError as error:
        raise DatabaseError(
            f"{error.message.rstrip()}; in the statement `{placed.beginning}`", where=placed.where, fix=error.fix
        ) from error
