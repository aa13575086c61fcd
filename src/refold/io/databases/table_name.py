"""Where a table is: its name, and the schema that it is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class TableName(NamedTuple):
    """A table's name, as it is: not quoted, case kept."""

    table: str
    schema: str | None = None
    """None: the one that the connection looks in first."""
    database: str | None = None
    """None: the one that the connection is made to."""

    def sql(self, quoted: Callable[[str], str]) -> str:
        """The name in a statement; `quoted` quotes an identifier for the database."""
        return ".".join(quoted(part) for part in (self.database, self.schema, self.table) if part)

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.schema, self.table) if part)
