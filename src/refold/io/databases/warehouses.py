"""Databases by the SQLAlchemy dialects that others publish: the URL of each, from the keys of io_config.yaml.

None of these is tested against a server of its kind.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from refold.io.databases.sqlalchemy_connection import TableSwap, Traits
from refold.io.settings.profile_settings import ProfileSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


@dataclass(frozen=True, slots=True)
class Warehouse:
    """How a database is reached through a dialect."""

    url: Callable[[ProfileSettings], URL]
    traits: Traits
    arguments: Callable[[ProfileSettings], Mapping[str, object]] = field(default=lambda _: {})
    """What the driver is told besides."""


def _without_nothing(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def _path(*parts: str | None) -> str | None:
    """The parts as the `database` of a URL: a schema behind the database that it is in."""
    return "/".join(part for part in parts if part) or None


def _bigquery(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    key = None if settings.config is None else settings.config["GOOGLE_SERVICE_ACC_KEY"]
    key = json.loads(key) if isinstance(key, str) and key.strip() else key
    fields = key if isinstance(key, dict) else {}
    encoded = base64.b64encode(json.dumps(fields).encode()).decode() if fields else None
    path = None if fields else settings.text("GOOGLE_SERVICE_ACC_KEY_FILEPATH")
    query = {"credentials_base64": encoded, "credentials_path": path, "location": settings.text("GOOGLE_LOCATION")}
    return URL.create("bigquery", host=fields.get("project_id"), query=_without_nothing(query))


def _clickhouse(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    interface = settings.text("CLICKHOUSE_INTERFACE")
    return URL.create(
        "clickhousedb",
        username=settings.text("CLICKHOUSE_USERNAME"),
        password=settings.text("CLICKHOUSE_PASSWORD"),
        host=settings.need("CLICKHOUSE_HOST"),
        port=settings.number("CLICKHOUSE_PORT"),
        database=settings.text("CLICKHOUSE_DATABASE"),
        query={"interface": interface} if interface in {"http", "https"} else {},
    )


def _mssql(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    return URL.create(
        "mssql+pymssql",
        username=settings.text("MSSQL_USER"),
        password=settings.text("MSSQL_PASSWORD"),
        host=settings.need("MSSQL_HOST"),
        port=settings.number("MSSQL_PORT"),
        database=settings.text("MSSQL_DATABASE"),
    )


def _redshift(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    by_cluster = settings.text("REDSHIFT_CLUSTER_ID") is not None
    return URL.create(
        "redshift+redshift_connector",
        username=settings.text("REDSHIFT_TEMP_CRED_USER"),
        password=settings.text("REDSHIFT_TEMP_CRED_PASSWORD"),
        host=settings.text("REDSHIFT_HOST") if by_cluster else settings.need("REDSHIFT_HOST"),
        port=settings.number("REDSHIFT_PORT"),
        database=settings.need("REDSHIFT_DBNAME"),
    )


def _redshift_arguments(settings: ProfileSettings) -> Mapping[str, object]:
    if settings.text("REDSHIFT_CLUSTER_ID") is None or settings.text("REDSHIFT_TEMP_CRED_PASSWORD") is not None:
        return {}
    keys = {
        "cluster_identifier": "REDSHIFT_CLUSTER_ID",
        "db_user": "REDSHIFT_DBUSER",
        "profile": "REDSHIFT_IAM_PROFILE",
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
        "region": "AWS_REGION",
    }
    return {"iam": True, **_without_nothing({name: settings.text(key) for name, key in keys.items()})}


def _snowflake(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    query = {"warehouse": settings.text("SNOWFLAKE_DEFAULT_WH"), "role": settings.text("SNOWFLAKE_ROLE")}
    return URL.create(
        "snowflake",
        username=settings.need("SNOWFLAKE_USER"),
        password=settings.text("SNOWFLAKE_PASSWORD"),
        host=settings.need("SNOWFLAKE_ACCOUNT"),
        database=_path(settings.text("SNOWFLAKE_DEFAULT_DB"), settings.text("SNOWFLAKE_DEFAULT_SCHEMA")),
        query=_without_nothing(query),
    )


def _snowflake_arguments(settings: ProfileSettings) -> Mapping[str, object]:
    keys = {
        "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
        "private_key_file_pwd": "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE",
    }
    return _without_nothing({name: settings.text(key) for name, key in keys.items()})


def _trino(settings: ProfileSettings) -> URL:
    from sqlalchemy import URL

    return URL.create(
        "trino",
        username=settings.need("TRINO_USER"),
        password=settings.text("TRINO_PASSWORD"),
        host=settings.need("TRINO_HOST"),
        port=settings.number("TRINO_PORT") or 8080,
        database=_path(settings.need("TRINO_CATALOG"), settings.text("TRINO_SCHEMA")),
    )


_RENAME = ("ALTER TABLE {new} RENAME TO {table}",)
_COPY = ("CREATE OR REPLACE TABLE {table} AS SELECT * FROM {new}",)

BIGQUERY = Warehouse(
    _bigquery, Traits(TableSwap(("CREATE TABLE {table} AS SELECT * FROM {new}",), _COPY), temporary_tables=False)
)
CLICKHOUSE = Warehouse(
    _clickhouse, Traits(TableSwap(("RENAME TABLE {new} TO {table}",), ("EXCHANGE TABLES {table} AND {new}",)))
)
MSSQL = Warehouse(_mssql, Traits(temporary_tables=False))
REDSHIFT = Warehouse(_redshift, Traits(), _redshift_arguments)
SNOWFLAKE = Warehouse(
    _snowflake, Traits(TableSwap(_RENAME, ("ALTER TABLE {table} SWAP WITH {new}",))), _snowflake_arguments
)
TRINO = Warehouse(_trino, Traits(TableSwap(_RENAME, _COPY), temporary_tables=False))
