"""`UPDATE ... FROM`, for the databases that have it."""

from __future__ import annotations

from refold.errors import DatabaseError
from refold.io.databases.connection import Connection
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName


def update_from(
    connection: Connection, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]
) -> Statement:
    """The statement for `Connection.update_from`: staged values are cast to what the table's columns are.

    Raises DatabaseError when the table is not there.
    """
    types, quoted = connection.columns(table), connection.quoted
    if types is None:
        raise DatabaseError(f"there is no table `{table}`")

    def cast(column: str) -> str:
        value = f"staged.{quoted(column)}"
        return f"CAST({value} AS {types[column]})" if column in types else value

    changes = ", ".join(f"{quoted(column)} = {cast(column)}" for column in columns)
    agreed = " AND ".join(f"target.{quoted(key)} = {cast(key)}" for key in keys)
    return Statement.of(
        f"UPDATE {table.sql(quoted)} AS target SET {changes} FROM {quoted(staged)} AS staged WHERE {agreed}"
    )
