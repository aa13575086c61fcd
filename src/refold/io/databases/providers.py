"""The kinds of databases: a table of what each is called, what it needs, and how a connection to it is made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from refold.errors import DatabaseError, PipelineError, ProjectError
from refold.io.databases.adbc_connection import connect_postgres
from refold.io.databases.connection import Connection
from refold.io.databases.duckdb_connection import connect_duckdb
from refold.io.databases.mysql_connection import connect_mysql
from refold.io.databases.sqlalchemy_connection import SqlAlchemyConnection
from refold.io.databases.sqlite_connection import connect_sqlite
from refold.io.databases.warehouses import BIGQUERY, CLICKHOUSE, MSSQL, REDSHIFT, SNOWFLAKE, TRINO, Warehouse
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.profile_settings import ProfileSettings
from refold.model.suggestion import suggestion


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of database."""

    word: str
    """What `data_provider` calls it."""
    name: str
    """For people."""
    connector: Callable[[ConfigFileLoader | None], Connection]
    """Makes a connection with a profile of io_config.yaml; None: with no settings at all."""
    other_words: tuple[str, ...] = ()
    pooled: bool = True
    """Whether connections are kept for the next block run; not where one costs nothing, or keeps others out."""
    schema_key: str | None = None
    """The key of io_config.yaml that names the schema for tables that name none."""
    transactional_ddl: bool = True
    """Whether a table that was made or dropped in a transaction comes back with it. Where not, `replace` fills another
    table, which then takes its place in one statement."""
    tested: bool = True
    """Whether tests run against a server of its kind."""

    def connect(self, config: ConfigFileLoader | None) -> Connection:
        """A connection with a profile of io_config.yaml; None: with no settings at all.

        Raises ProjectError when the driver is not installed or a key is missing, DatabaseError when the database cannot
        be reached or refuses.
        """
        try:
            return self.connector(config)
        except DatabaseError as error:
            if config is None:
                raise
            raise DatabaseError(
                f"no connection with profile `{config.profile}` of {config.path.name}: {error.message.rstrip()}",
                where=str(config.path),
                fix=error.fix or "Is it up, and are host, port, database, user and password those of the profile?",
            ) from error


@dataclass(frozen=True, slots=True)
class _Driver:
    """What must be installed."""

    name: str
    extra: str
    """Of `pip install 'refold[...]'`."""
    modules: tuple[str, ...]

    def check(self) -> None:
        """Raises ProjectError when a module is not there."""
        for module in self.modules:
            if not _is_there(module):
                raise ProjectError(
                    f"{self.name} cannot be reached: its driver is not installed (no module `{module}`)",
                    fix=f"Install it: pip install 'refold[{self.extra}]'",
                )

    def before(self, connect: Callable[[ConfigFileLoader | None], Connection]) -> Callable[..., Connection]:
        """The function, with the driver looked for first."""

        def checked(config: ConfigFileLoader | None) -> Connection:
            self.check()
            return connect(config)

        return checked


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def _warehouse(warehouse: Warehouse, driver: _Driver, *other_words: str, schema_key: str | None = None) -> Provider:
    """A database by its dialect; what nobody has tried with a server."""

    def connect(config: ConfigFileLoader | None) -> Connection:
        settings = ProfileSettings(config, driver.name)
        url, arguments = warehouse.url(settings), warehouse.arguments(settings)
        return SqlAlchemyConnection(url, driver.name, warehouse.traits, arguments)

    return Provider(
        driver.extra,
        driver.name,
        driver.before(connect),
        other_words,
        pooled=False,
        schema_key=schema_key,
        transactional_ddl=warehouse.traits.swap is None,
        tested=False,
    )


_MYSQL = _Driver("MySQL", "mysql", ("pymysql",))
_POSTGRES = _Driver("PostgreSQL", "postgres", ("adbc_driver_postgresql",))

_PROVIDERS = (
    Provider("duckdb", "DuckDB", connect_duckdb, pooled=False, schema_key="DUCKDB_SCHEMA"),
    Provider(
        "postgres",
        "PostgreSQL",
        _POSTGRES.before(connect_postgres),
        other_words=("postgresql",),
        schema_key="POSTGRES_SCHEMA",
    ),
    Provider("mysql", "MySQL", _MYSQL.before(connect_mysql), other_words=("mariadb",), transactional_ddl=False),
    Provider("sqlite", "SQLite", connect_sqlite, pooled=False),
    _warehouse(BIGQUERY, _Driver("BigQuery", "bigquery", ("sqlalchemy_bigquery",))),
    _warehouse(CLICKHOUSE, _Driver("ClickHouse", "clickhouse", ("clickhouse_connect",))),
    _warehouse(MSSQL, _Driver("SQL Server", "mssql", ("pymssql",)), "sqlserver", schema_key="MSSQL_SCHEMA"),
    _warehouse(
        REDSHIFT,
        _Driver("Redshift", "redshift", ("sqlalchemy_redshift", "redshift_connector")),
        schema_key="REDSHIFT_SCHEMA",
    ),
    _warehouse(
        SNOWFLAKE, _Driver("Snowflake", "snowflake", ("snowflake.sqlalchemy",)), schema_key="SNOWFLAKE_DEFAULT_SCHEMA"
    ),
    _warehouse(TRINO, _Driver("Trino", "trino", ("trino.sqlalchemy",)), schema_key="TRINO_SCHEMA"),
)
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


def providers() -> tuple[Provider, ...]:
    """All that there are."""
    return _PROVIDERS
