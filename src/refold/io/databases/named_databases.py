"""The kinds of databases by the names that blocks import: `Postgres`, `MySQL`, each a row of the table of providers."""

from __future__ import annotations

from refold.io.databases.database import Database
from refold.io.databases.providers import find_provider
from refold.io.databases.table_name import TableName


class Postgres(Database):
    """PostgreSQL: `dbname`, `user`, `password`, `host`, `port`, `schema`."""

    provider = find_provider("postgres", "")


class DuckDB(Database):
    """DuckDB: `database` (a file, relative to the project), `schema`."""

    provider = find_provider("duckdb", "")


class MySQL(Database):
    """MySQL and MariaDB: `database`, `user`, `password`, `host`, `port`. `schema_name` is another database."""

    provider = find_provider("mysql", "")


class SQLite(Database):
    """SQLite: `database` (a file, relative to the project)."""

    provider = find_provider("sqlite", "")


class BigQuery(Database):
    """BigQuery, not tested against the service: `export(df, "dataset.table")`."""

    provider = find_provider("bigquery", "")
    places = ("table_id", "database")

    def _named(
        self, schema: str | None, table: str, database: str | None = None, case_sensitive: bool = False
    ) -> TableName:
        if schema is None and "." in table:
            rest, _, table = table.rpartition(".")
            project, _, schema = rest.rpartition(".")
            database = project or database
        return super()._named(schema, table, database, case_sensitive)


class ClickHouse(Database):
    """ClickHouse, not tested against a server: `export(df, table_name, database)`."""

    provider = find_provider("clickhouse", "")
    places = ("table_name", "database")


class MSSQL(Database):
    """SQL Server, not tested against a server."""

    provider = find_provider("mssql", "")


class Redshift(Database):
    """Redshift, not tested against the service."""

    provider = find_provider("redshift", "")


class Snowflake(Database):
    """Snowflake, not tested against the service: `export(df, table_name, database, schema)`."""

    provider = find_provider("snowflake", "")
    places = ("table_name", "database", "schema")


class Trino(Database):
    """Trino, not tested against a server."""

    provider = find_provider("trino", "")
