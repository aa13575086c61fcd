"""Connections of this process: block runs borrow them, so that a thousand runs make a few.

A pool for each database and login keeps connections that nobody uses. What is borrowed is as good as new, and answers:
a server that was restarted meanwhile costs a new connection, not a failure. There is no limit that a thread would wait
at.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from refold.errors import DatabaseError
from refold.io.databases.connection import Connection
from refold.io.databases.providers import Provider
from refold.io.settings.config import ConfigFileLoader

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import QueuePool
    from sqlalchemy.pool.base import ConnectionPoolEntry, PoolProxiedConnection

_KEPT = 16
"""Connections to one database that are kept for the next who asks; more are closed when they are given back."""
_DATABASES = 16
"""Databases and logins that connections are kept to."""

_Key = tuple[int, str, tuple[tuple[str, str], ...]]
_pools: OrderedDict[_Key, QueuePool] = OrderedDict()
"""Those asked for last come last. Those of a process that this one was forked from stay untouched."""
_guard = threading.Lock()


@contextmanager
def session(provider: Provider, config: ConfigFileLoader | None) -> Iterator[Connection]:
    """A connection for the duration of the context, which ends its transaction: by commit, or rollback of an error.

    Raises DatabaseError when the database cannot be reached.
    """
    if not provider.pooled:
        connection = provider.connect(config)
        try:
            with _transaction(connection):
                yield connection
        finally:
            connection.close()
        return
    key = (os.getpid(), provider.word, () if config is None else tuple((name, repr(config[name])) for name in config))
    pool = _pool_of(key, provider, config)
    borrowed = pool.connect()
    try:
        connection = cast(Connection, borrowed.dbapi_connection)
        with _transaction(connection):
            yield connection
    except DatabaseError:
        _give_back(key, pool, borrowed)
        raise
    except BaseException:
        # Stopped who knows where, by a timeout perhaps: nobody shall find out by using it.
        borrowed.invalidate()
        raise
    _give_back(key, pool, borrowed)


def close_idle() -> None:
    """Closes the connections that this process keeps; those that are borrowed are closed when they are given back."""
    with _guard:
        for key in [key for key in _pools if key[0] == os.getpid()]:
            _pools.pop(key).dispose()


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    try:
        yield
        connection.commit()
    except BaseException:
        # What went wrong before is what is told; without a rollback the database undoes it when it is closed.
        with suppress(DatabaseError):
            connection.rollback()
        raise


def _give_back(key: _Key, pool: QueuePool, borrowed: PoolProxiedConnection) -> None:
    """Gives a connection back as good as new, so that it holds nothing while it waits; closes one that is broken."""
    try:
        cast(Connection, borrowed.dbapi_connection).reset()
        good = True
    except DatabaseError:
        good = False
    if good and _pools.get(key) is pool:
        borrowed.close()
    else:
        borrowed.invalidate()


def _pool_of(key: _Key, provider: Provider, config: ConfigFileLoader | None) -> QueuePool:
    with _guard:
        pool = _pools.get(key)
        if pool is None:
            pool = _pools[key] = _new_pool(provider, config)
        _pools.move_to_end(key)
        if len(_pools) > _DATABASES:
            oldest = next(iter(_pools))
            if oldest[0] == os.getpid():
                _pools.pop(oldest).dispose()
        return pool


def _new_pool(provider: Provider, config: ConfigFileLoader | None) -> QueuePool:
    from sqlalchemy import event
    from sqlalchemy.exc import DisconnectionError
    from sqlalchemy.pool import QueuePool

    def connect() -> DBAPIConnection:
        # Of all that a driver's connection has, the pool asks for `close` alone.
        return cast("DBAPIConnection", provider.connect(config))

    pool = QueuePool(connect, pool_size=_KEPT, max_overflow=-1, reset_on_return=None, use_lifo=True)

    def check(connection: Connection, entry: ConnectionPoolEntry, borrowed: PoolProxiedConnection) -> None:
        del borrowed
        if not entry.info.get("used"):
            entry.info["used"] = True
            return
        try:
            connection.reset()
        except DatabaseError as error:
            raise DisconnectionError(str(error)) from error

    event.listen(pool, "checkout", check)
    return pool


atexit.register(close_idle)
