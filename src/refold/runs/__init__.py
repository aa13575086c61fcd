"""The run store's adapters: memory, SQLite and PostgreSQL, behind `refold.ports.run_store.RunStore`.

Opening a store that is up to date and writing to it imports neither SQLAlchemy nor Alembic: together they take longer
to import than many a pipeline takes to run.
"""

from __future__ import annotations

from pathlib import Path

from refold.errors import BadInputError
from refold.ports.run_store import RunStore
from refold.runs.memory import MemoryRunStore
from refold.runs.postgres import PostgresDatabase
from refold.runs.sql import SqlRunStore
from refold.runs.sqlite import SqliteDatabase

__all__ = ["MemoryRunStore", "open_run_store"]


def open_run_store(where: str | Path, *, durable: bool = False) -> RunStore:
    """The run store at a path or URL; its tables are made, or brought up to date, if need be.

    A path, or `sqlite:///path`, is an SQLite file (its folder is made too); `postgresql://...` is a PostgreSQL
    database, its tables in the connection's current schema (`?options=-csearch_path%3Dname` chooses one). `durable`
    makes SQLite wait for the disk at each transaction, so that power loss loses nothing (`durability: power`);
    PostgreSQL always does.

    Raises StoreError when the store cannot be opened, BadInputError for any other kind of URL.
    """
    text = str(where)
    scheme, separator, rest = text.partition("://")
    if not separator or isinstance(where, Path):
        return SqlRunStore(SqliteDatabase(Path(where), durable=durable))
    kind, _, driver = scheme.partition("+")
    if kind == "sqlite" and rest.startswith("/") and not driver:
        return SqlRunStore(SqliteDatabase(Path(rest[1:]), durable=durable))
    if kind in {"postgresql", "postgres"} and driver in {"", "psycopg"}:
        return SqlRunStore(PostgresDatabase(f"postgresql://{rest}"))
    raise BadInputError(
        f"runs cannot be stored at a {scheme}:// URL",
        fix="Give the path of a file (SQLite), sqlite:///path, or postgresql://user@host/database.",
    )
