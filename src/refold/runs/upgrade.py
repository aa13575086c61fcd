"""The revision of a store's tables: checked at every opening, migrated by Alembic when it is behind.

Alembic's own table `alembic_version` is read through the driver, so that a store which is up to date costs one query
and no import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refold.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

    import psycopg

    Connect = Callable[[], sqlite3.Connection] | Callable[[], psycopg.Connection]

HEAD = "0002"
"""The revision that this code reads and writes: the last one in `migrations/versions`. Revisions are numbered."""


def is_current(revision: str | None, where: str) -> bool:
    """Whether tables of this revision can be used as they are; None: there is no revision yet.

    Raises StoreError for a revision that this code does not know.
    """
    if revision is not None and revision > HEAD:
        raise StoreError(
            f"its tables are of revision {revision}, and this Refold knows revisions up to {HEAD}",
            where=where,
            fix="Upgrade Refold (pip install --upgrade refold), or name another database: a newer Refold or another "
            "program made this one.",
        )
    return revision == HEAD


def migrate(dialect: str, connect: Connect, lock: str, where: str) -> None:
    """Brings the tables to `HEAD` in one transaction.

    `dialect` is SQLAlchemy's name, `connect` opens a connection of the driver, and `lock` is a statement that keeps
    other processes from migrating at the same time. Raises StoreError when the database refuses.
    """
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={})
    config.set_main_option("script_location", "refold.runs:migrations")
    engine = sa.create_engine(f"{dialect}://", creator=connect, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(lock)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (sa.exc.SQLAlchemyError, CommandError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(
            f"its tables cannot be brought to revision {HEAD}: {str(cause).strip()}",
            where=where,
            fix="Nothing was changed. Give Refold a file, or a schema, of its own that it may write to.",
        ) from error
    finally:
        engine.dispose()
