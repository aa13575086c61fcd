"""Each database that tests run against, empty, for one test: PostgreSQL, MariaDB, DuckDB, SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from refold.io.databases.database import Database
from refold.io.databases.named_databases import DuckDB, MySQL, Postgres, SQLite
from refold.testing.database_servers import fresh_mariadb, fresh_postgres, profile_of

LIVE = ("postgres", "mysql", "duckdb", "sqlite")
"""Their words."""
_KINDS: Mapping[str, type[Database]] = {"postgres": Postgres, "mysql": MySQL, "duckdb": DuckDB, "sqlite": SQLite}


@contextmanager
def live_database(word: str, folder: Path) -> Iterator[Callable[[], Database]]:
    """Makes sessions with an empty database of this kind, whose io_config.yaml and file are in the folder.

    Skips the test, by name, where its server is not there. Sessions that are open in the end are closed.
    """
    opened: list[Database] = []
    with _settings(word, folder) as settings:
        config = profile_of(folder, settings)

        def make() -> Database:
            opened.append(_KINDS[word].with_config(config))
            return opened[-1]

        try:
            yield make
        finally:
            for each in opened:
                each.close()


def _settings(word: str, folder: Path) -> AbstractContextManager[Mapping[str, object]]:
    if word == "postgres":
        return fresh_postgres()
    return fresh_mariadb() if word == "mysql" else _in_file(f"{word.upper()}_DATABASE", folder / f"live.{word}")


@contextmanager
def _in_file(key: str, path: Path) -> Iterator[Mapping[str, object]]:
    yield {key: str(path)}
