"""The keys of io_config.yaml: flat ones, and where the fields of its nested sections belong among them.

POSTGRES_HOST: localhost        PostgreSQL:
POSTGRES_DBNAME: analytics        host: localhost
                                  database: analytics
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ConfigKey(StrEnum):
    """The usual keys of a profile; a profile may hold any others."""

    AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
    AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"
    AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN"
    AWS_REGION = "AWS_REGION"
    AWS_ENDPOINT = "AWS_ENDPOINT"
    AZURE_CLIENT_ID = "AZURE_CLIENT_ID"
    AZURE_CLIENT_SECRET = "AZURE_CLIENT_SECRET"
    AZURE_STORAGE_ACCOUNT_NAME = "AZURE_STORAGE_ACCOUNT_NAME"
    AZURE_TENANT_ID = "AZURE_TENANT_ID"
    CLICKHOUSE_DATABASE = "CLICKHOUSE_DATABASE"
    CLICKHOUSE_HOST = "CLICKHOUSE_HOST"
    CLICKHOUSE_INTERFACE = "CLICKHOUSE_INTERFACE"
    CLICKHOUSE_PASSWORD = "CLICKHOUSE_PASSWORD"
    CLICKHOUSE_PORT = "CLICKHOUSE_PORT"
    CLICKHOUSE_USERNAME = "CLICKHOUSE_USERNAME"
    DUCKDB_DATABASE = "DUCKDB_DATABASE"
    DUCKDB_SCHEMA = "DUCKDB_SCHEMA"
    MOTHERDUCK_TOKEN = "MOTHERDUCK_TOKEN"
    GOOGLE_LOCATION = "GOOGLE_LOCATION"
    GOOGLE_SERVICE_ACC_KEY = "GOOGLE_SERVICE_ACC_KEY"
    GOOGLE_SERVICE_ACC_KEY_FILEPATH = "GOOGLE_SERVICE_ACC_KEY_FILEPATH"
    MONGODB_COLLECTION = "MONGODB_COLLECTION"
    MONGODB_CONNECTION_STRING = "MONGODB_CONNECTION_STRING"
    MONGODB_DATABASE = "MONGODB_DATABASE"
    MONGODB_HOST = "MONGODB_HOST"
    MONGODB_PASSWORD = "MONGODB_PASSWORD"
    MONGODB_PORT = "MONGODB_PORT"
    MONGODB_USER = "MONGODB_USER"
    MSSQL_DATABASE = "MSSQL_DATABASE"
    MSSQL_DRIVER = "MSSQL_DRIVER"
    MSSQL_HOST = "MSSQL_HOST"
    MSSQL_PASSWORD = "MSSQL_PASSWORD"
    MSSQL_PORT = "MSSQL_PORT"
    MSSQL_SCHEMA = "MSSQL_SCHEMA"
    MSSQL_USER = "MSSQL_USER"
    MYSQL_DATABASE = "MYSQL_DATABASE"
    MYSQL_HOST = "MYSQL_HOST"
    MYSQL_PASSWORD = "MYSQL_PASSWORD"
    MYSQL_PORT = "MYSQL_PORT"
    MYSQL_USER = "MYSQL_USER"
    POSTGRES_CONNECT_TIMEOUT = "POSTGRES_CONNECT_TIMEOUT"
    POSTGRES_DBNAME = "POSTGRES_DBNAME"
    POSTGRES_HOST = "POSTGRES_HOST"
    POSTGRES_PASSWORD = "POSTGRES_PASSWORD"
    POSTGRES_PORT = "POSTGRES_PORT"
    POSTGRES_SCHEMA = "POSTGRES_SCHEMA"
    POSTGRES_SSLMODE = "POSTGRES_SSLMODE"
    POSTGRES_USER = "POSTGRES_USER"
    REDSHIFT_CLUSTER_ID = "REDSHIFT_CLUSTER_ID"
    REDSHIFT_DBNAME = "REDSHIFT_DBNAME"
    REDSHIFT_DBUSER = "REDSHIFT_DBUSER"
    REDSHIFT_HOST = "REDSHIFT_HOST"
    REDSHIFT_IAM_PROFILE = "REDSHIFT_IAM_PROFILE"
    REDSHIFT_PORT = "REDSHIFT_PORT"
    REDSHIFT_SCHEMA = "REDSHIFT_SCHEMA"
    REDSHIFT_TEMP_CRED_PASSWORD = "REDSHIFT_TEMP_CRED_PASSWORD"
    REDSHIFT_TEMP_CRED_USER = "REDSHIFT_TEMP_CRED_USER"
    SNOWFLAKE_ACCOUNT = "SNOWFLAKE_ACCOUNT"
    SNOWFLAKE_DEFAULT_DB = "SNOWFLAKE_DEFAULT_DB"
    SNOWFLAKE_DEFAULT_SCHEMA = "SNOWFLAKE_DEFAULT_SCHEMA"
    SNOWFLAKE_DEFAULT_WH = "SNOWFLAKE_DEFAULT_WH"
    SNOWFLAKE_PASSWORD = "SNOWFLAKE_PASSWORD"
    SNOWFLAKE_PRIVATE_KEY_PASSPHRASE = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"
    SNOWFLAKE_PRIVATE_KEY_PATH = "SNOWFLAKE_PRIVATE_KEY_PATH"
    SNOWFLAKE_ROLE = "SNOWFLAKE_ROLE"
    SNOWFLAKE_USER = "SNOWFLAKE_USER"
    SQLITE_DATABASE = "SQLITE_DATABASE"
    TRINO_CATALOG = "TRINO_CATALOG"
    TRINO_HOST = "TRINO_HOST"
    TRINO_PASSWORD = "TRINO_PASSWORD"
    TRINO_PORT = "TRINO_PORT"
    TRINO_SCHEMA = "TRINO_SCHEMA"
    TRINO_USER = "TRINO_USER"


@dataclass(frozen=True, slots=True)
class _Section:
    """A nested section: its fields are keys under a prefix, some by another name."""

    prefix: str
    renamed: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        return f"{self.prefix}_{self.renamed.get(name, name).upper()}"


_POSTGRES = _Section("POSTGRES", {"database": "DBNAME", "db": "DBNAME", "username": "USER"})
_GOOGLE = _Section(
    "GOOGLE",
    {"service_account_key": "SERVICE_ACC_KEY", "service_account_key_filepath": "SERVICE_ACC_KEY_FILEPATH"},
)
_SECTIONS: Mapping[str, _Section] = {
    "aws": _Section("AWS"),
    "azure": _Section("AZURE"),
    "bigquery": _GOOGLE,
    "clickhouse": _Section("CLICKHOUSE", {"user": "USERNAME"}),
    "duckdb": _Section("DUCKDB"),
    "google": _GOOGLE,
    "mongodb": _Section("MONGODB", {"username": "USER"}),
    "mssql": _Section("MSSQL", {"username": "USER"}),
    "mysql": _Section("MYSQL", {"username": "USER"}),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "redshift": _Section(
        "REDSHIFT",
        {
            "cluster_identifier": "CLUSTER_ID",
            "database": "DBNAME",
            "password": "TEMP_CRED_PASSWORD",
            "user": "TEMP_CRED_USER",
        },
    ),
    "snowflake": _Section(
        "SNOWFLAKE",
        {"database": "DEFAULT_DB", "schema": "DEFAULT_SCHEMA", "username": "USER", "warehouse": "DEFAULT_WH"},
    ),
    "sqlite": _Section("SQLITE"),
    "trino": _Section("TRINO", {"username": "USER"}),
}

_SPELLINGS: Mapping[str, str] = {"POSTGRES_DBNAME": "POSTGRES_DB", "POSTGRES_DB": "POSTGRES_DBNAME"}


def flatten(profile: Mapping[str, object]) -> dict[str, object]:
    """The profile with the fields of its nested sections as flat keys too; what is written flat wins."""
    flat: dict[str, object] = {}
    for name, value in profile.items():
        section = _SECTIONS.get(name.lower())
        if section is not None and isinstance(value, Mapping):
            flat.update({section.key(str(inner)): each for inner, each in value.items()})
    flat.update(profile)
    return flat


def other_spelling(key: str) -> str | None:
    """Another name of the same setting that files use, or None."""
    return _SPELLINGS.get(key)
