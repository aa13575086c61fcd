"""Opens DuckDB databases: the embedded one, which each session finds empty, and files, which one process has at a time.

A database of its own for each session would cost 20 ms. One is therefore shared by the sessions of a process: a query
changes nothing in it, statements that make or change tables get a catalog in memory beside it (0.7 ms), and what
reaches further, such as settings and attached databases, gets a database of its own after all.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from refold.errors import DatabaseError

if TYPE_CHECKING:
    import duckdb

Wait = Callable[[float], None]
"""Waits so many seconds."""

PATIENCE = 60.0
"""Seconds that a session waits for a file that another process has open, or a table that another thread writes."""
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.1

_HARMLESS = frozenset({"SELECT", "EXPLAIN"})
_WITHIN_A_CATALOG = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "ALTER", "DROP", "TRANSACTION", "PREPARE", "EXECUTE", "COPY",
     "MULTI", "ANALYZE", "VACUUM"}
)  # fmt: skip
_REACHES_FURTHER = re.compile(r"\b(memory|secret|database)\b", re.IGNORECASE)
"""Words of statements that name the shared catalog, or make what a whole database has."""


_connecting = threading.Lock()


def connect(database: str, config: Mapping[str, str | bool] | None = None) -> duckdb.DuckDBPyConnection:
    """As `duckdb.connect`, by one thread at a time.

    Connections of a process to one file share a database, which DuckDB hands to a second thread before the first one
    has put the functions into it that read Arrow tables. Raises duckdb.Error.
    """
    import duckdb

    with _connecting:
        return duckdb.connect(database, config=dict(config or {}))


def open_file(path: str, wait: Wait = time.sleep) -> duckdb.DuckDBPyConnection:
    """The database of this file, made where it is not there. Waits while another process has it.

    Raises DatabaseError when the file cannot be opened, and when PATIENCE is at an end.
    """
    import duckdb

    waited, pause = 0.0, _FIRST_WAIT
    while True:
        try:
            return connect(path)
        except duckdb.Error as error:
            if "lock" not in str(error).lower() or not isinstance(error, duckdb.IOException):
                raise DatabaseError(str(error), where=path) from error
            if waited >= PATIENCE:
                raise DatabaseError(
                    f"another process has had this DuckDB file open for {PATIENCE:.0f} seconds: {error}",
                    where=path,
                    fix="DuckDB lets one process at a time have a file. Close it there, or take a database server.",
                ) from error
        wait(pause)
        waited, pause = waited + pause, min(pause * 2, _LONGEST_WAIT)


class Embedded:
    """A session's part of the process's database in memory."""

    def __init__(self) -> None:
        """Finds it empty. Made in a fraction of a millisecond, but for the first one of a process."""
        self._shared = _shared_database()
        self.connection = self._shared.cursor()
        self._catalog: str | None = None
        self._own = False

    def prepare_for(self, kinds: Sequence[str], text: str) -> bool:
        """Makes room for a statement of these kinds, so that no other session sees what it does.

        True where `connection` is another one now: nothing that was registered with the old one is in it.
        """
        if self._own or _HARMLESS.issuperset(kinds):
            return False
        if _WITHIN_A_CATALOG.issuperset(kinds) and not _REACHES_FURTHER.search(text):
            if self._catalog is None:
                self._catalog = f"session_{next(_numbers)}"
                self._shared.attach(self._catalog)
                self.connection.execute(f"USE {self._catalog}")
            return False
        if self._catalog is not None:
            # The tables made so far cannot move; whoever comes next gets another database.
            _forget(self._shared)
            return False
        self.connection.close()
        self.connection, self._own = _in_memory(), True
        return True

    def close(self) -> None:
        """Ends the session; nothing is left of it."""
        self.connection.close()
        if self._catalog is not None:
            self._shared.detach(self._catalog)


class _Shared:
    """The database in memory that the sessions of a process share."""

    def __init__(self) -> None:
        self._root = _in_memory()
        self._lock = threading.Lock()
        self.process = os.getpid()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            return self._root.cursor()

    def attach(self, catalog: str) -> None:
        with self._lock:
            self._root.execute(f"ATTACH ':memory:' AS {catalog}")

    def detach(self, catalog: str) -> None:
        with self._lock:
            self._root.execute(f"DETACH DATABASE IF EXISTS {catalog}")


_numbers = itertools.count(1)
_guard = threading.Lock()
_current: list[_Shared] = []
_inherited: list[_Shared] = []
"""Those of the process that this one was forked from: not ours to close."""


def _shared_database() -> _Shared:
    with _guard:
        if _current and _current[0].process != os.getpid():
            _inherited.append(_current.pop())
        if not _current:
            _current.append(_Shared())
        return _current[0]


def _forget(shared: _Shared) -> None:
    with _guard:
        if shared in _current:
            _current.remove(shared)


def _in_memory() -> duckdb.DuckDBPyConnection:
    # Variables of this program are not tables.
    return connect(":memory:", {"python_enable_replacements": False})
