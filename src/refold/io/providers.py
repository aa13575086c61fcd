"""The kinds of databases: a table of what each is called, what it needs, and how a connection to it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refold.errors import PipelineError
from refold.io.config import ConfigFileLoader
from refold.io.connection import Connection
from refold.io.duckdb_connection import connect_duckdb
from refold.model.suggestion import suggestion


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of database."""

    word: str
    """What `data_provider` calls it."""
    name: str
    """For people."""
    connect: Callable[[ConfigFileLoader | None], Connection]
    """Makes a connection with a profile of io_config.yaml; None: with no settings at all."""
    other_words: tuple[str, ...] = ()
    pooled: bool = True
    """Whether connections are kept for the next block run; not where one costs nothing, or keeps others out."""


_PROVIDERS = (Provider("duckdb", "DuckDB", connect_duckdb, pooled=False),)
EMBEDDED = _PROVIDERS[0]


def find_provider(word: str, where: str) -> Provider:
    """The kind of database that this word names. Raises PipelineError when there is none."""
    for provider in _PROVIDERS:
        if word.lower() in {provider.word, *provider.other_words}:
            return provider
    raise PipelineError(
        f"there is no provider `{word}`",
        where=where,
        fix=suggestion(word, [each.word for each in _PROVIDERS], "providers"),
    )
