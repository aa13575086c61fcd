"""Connections of this process: block runs borrow them, so that a thousand runs make a few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from refold.io.config import ConfigFileLoader
from refold.io.connection import Connection
from refold.io.providers import Provider


@contextmanager
def session(provider: Provider, config: ConfigFileLoader | None) -> Iterator[Connection]:
    """A connection for the duration of the context, which ends its transaction: by commit, or rollback of an error."""
    connection = provider.connect(config)
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.close()
