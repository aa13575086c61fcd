"""Databases, files and secrets, from blocks and from anywhere else.

    from refold.io import ConfigFileLoader, Postgres
    with Postgres.with_config(ConfigFileLoader()) as database:
        users = database.load("SELECT * FROM users")

What is named here is loaded when it is first used; types are in `__init__.pyi`.
"""

from __future__ import annotations

from importlib import import_module

_DATABASES = "refold.io.databases.named_databases"
_STORES = "refold.io.files.object_stores"
_HOMES = {
    "AzureBlobStorage": _STORES,
    "BigQuery": _DATABASES,
    "ClickHouse": _DATABASES,
    "ConfigFileLoader": "refold.io.settings.config",
    "ConfigKey": "refold.io.settings.config_keys",
    "DuckDB": _DATABASES,
    "FileFormat": "refold.io.files.file_formats",
    "FileIO": "refold.io.files.files",
    "GoogleCloudStorage": _STORES,
    "MSSQL": _DATABASES,
    "MongoDB": "refold.io.databases.mongodb",
    "MySQL": _DATABASES,
    "Postgres": _DATABASES,
    "Redshift": _DATABASES,
    "S3": _STORES,
    "SQLite": _DATABASES,
    "Snowflake": _DATABASES,
    "Trino": _DATABASES,
    "WritePolicy": "refold.io.databases.write_policy",
    "get_secret_value": "refold.io.secrets.lookup",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
