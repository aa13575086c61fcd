"""The table that a SQL block writes: its name, and what may be done to it."""

from __future__ import annotations

from hashlib import sha256

from refold.errors import BlockError
from refold.io.databases.providers import EMBEDDED
from refold.io.databases.table_name import TableName
from refold.io.databases.write_policy import WritePolicy
from refold.io.settings.config import ConfigFileLoader
from refold.languages.sql.settings import SqlSettings

_LONGEST = 63
"""Bytes of a table's name: PostgreSQL cuts off what is more, so that two names could become one."""
_PREFIXED = frozenset({"dev", "test"})


def table_of(settings: SqlSettings, pipeline: str, block: str, env: object, key: tuple[int, ...]) -> TableName:
    """`data_provider_table`, else `<pipeline>_<block>_v1`, which each run of a dynamic child (`key`) has for itself.

    Raises BlockError where one named table would be replaced by each of a dynamic child's runs.
    """
    if settings.table is None:
        return TableName(_own_name(pipeline, block, env, key), settings.schema, settings.database)
    if key and settings.policy in {WritePolicy.REPLACE, WritePolicy.FAIL}:
        raise BlockError(
            f"each run of the dynamic child `{block}` would write the table `{settings.table}` with the policy "
            f"`{settings.policy.value}`, so that only one run's rows could be there in the end",
            fix="Write with `export_write_policy: append` or `merge`; or leave `data_provider_table` out for a table "
            "each; or write in a block behind `reduce_output: true`.",
        )
    return TableName(settings.table, settings.schema, settings.database)


def _own_name(pipeline: str, block: str, env: object, key: tuple[int, ...]) -> str:
    prefix = f"{env}_" if env in _PREFIXED else ""
    suffix = "__dynamic_" + "_".join(map(str, key)) if key else ""
    stem = f"{prefix}{pipeline}_{block}_v1"
    room = _LONGEST - len(suffix)
    if len(stem.encode()) > room:
        digest = sha256(stem.encode()).hexdigest()[:8]
        stem = stem.encode()[: room - 9].decode(errors="ignore") + f"_{digest}"
    return stem + suffix


def require_database(settings: SqlSettings, config: ConfigFileLoader | None, block: str) -> None:
    """Raises BlockError where the table would be written to the embedded DuckDB, of which nothing stays."""
    embedded = settings.provider is None or settings.provider.lower() == EMBEDDED.word
    if embedded and (config is None or not config.get("DUCKDB_DATABASE")):
        raise BlockError(
            f"block `{block}` writes a table, and no database is named that would keep it",
            fix="Name one, `data_provider: postgres` in the block's configuration; or `data_provider: duckdb`, with "
            "`DUCKDB_DATABASE: file.duckdb` in io_config.yaml.",
        )
