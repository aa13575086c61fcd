"""Databases as block code uses them: `with Postgres.with_config(ConfigFileLoader()) as db: db.load(query)`.

One class does it for every kind of database; `named_databases` has the names that blocks import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from refold.errors import DatabaseError
from refold.io.databases.arrow_tables import to_arrow, to_pandas
from refold.io.databases.connection import Connection
from refold.io.databases.exported_names import cleaned
from refold.io.databases.providers import Provider
from refold.io.databases.query_parameters import Parameters, bound
from refold.io.databases.sql_text import dialect_of, statements, tokens
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.databases.write_policy import WritePolicy
from refold.io.databases.writing import write
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.given_settings import GivenSettings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_FOLD_NAMES = frozenset({"postgres", "redshift"})
"""Databases in which `Users` without quotes is `users`."""
_SAMPLE = 10_000_000


class Database:
    """A session with one database. It is opened when it is first asked for something.

    Statements belong to one transaction until `commit` or `rollback`; `export` commits by itself. Leaving the context
    commits too, or rolls back an error. After an error a rollback makes the session usable again. Values are bound,
    names are quoted: neither can become part of a statement. Errors are DatabaseErrors with the database's own words.
    """

    provider: ClassVar[Provider]
    """Which kind it is."""
    places: ClassVar[tuple[str, ...]] = ("schema_name", "table_name")
    """What positional arguments of `export` are, after the rows."""

    def __init__(self, config: ConfigFileLoader | None = None, *, verbose: bool = False, **settings: object) -> None:
        """With a profile of io_config.yaml, or with its fields as keywords: `Postgres(dbname=..., user=..., host=...)`.

        `verbose` changes nothing.
        """
        del verbose
        if config is None:
            given = {name: value for name, value in settings.items() if value is not None}
            config = GivenSettings(f"{type(self).__name__}(...)", self.provider.word, given)
        self._config = config
        self._connection: Connection | None = None

    @classmethod
    def with_config(cls, config: ConfigFileLoader, **_options: object) -> Self:
        """With a profile of io_config.yaml. Other options that released Mage knows change nothing."""
        return cls(config)

    def open(self) -> None:
        """Connects, unless that is done. Raises ProjectError for a missing key or driver, DatabaseError else."""
        if self._connection is None:
            self._connection = self.provider.connect(self._config)

    def close(self) -> None:
        """Ends the session; what is not committed is undone. It may be opened again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.rollback()
            finally:
                connection.close()

    def __enter__(self) -> Self:
        """Opens it."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, or rolls back an error, and closes it."""
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    @property
    def conn(self) -> Connection:
        """The connection, open."""
        self.open()
        assert self._connection is not None
        return self._connection

    def commit(self) -> None:
        """What was done is there to stay."""
        self.conn.commit()

    def rollback(self) -> None:
        """What was done since the last commit is undone, as far as the database can."""
        self.conn.rollback()

    def load(
        self,
        query: str | Statement,
        limit: int | None = None,
        display_query: str | None = None,
        verbose: bool = False,
        params: Parameters | None = None,
        **_options: object,
    ) -> pd.DataFrame:
        """The rows that the query gives, the first `limit` of them; an empty frame for a statement that gives none.

        `params` are values for `:name` or `%(name)s`, or in order for `?` or `%s`. `display_query`, `verbose` and other
        options that released Mage knows change nothing.
        """
        import pandas as pd

        del display_query, verbose
        rows = self.conn.query(self._statement(query, params), limit)
        return pd.DataFrame() if rows is None else to_pandas(rows)

    def _statement(self, query: str | Statement, parameters: Parameters | None) -> Statement:
        if isinstance(query, Statement):
            return query
        return bound(query, parameters, dialect_of(self.provider.word))

    def execute(self, query: str | Statement, **params: object) -> pd.DataFrame | None:
        """Runs one statement, with values for `:name` or `%(name)s`; the rows that it gives, None for none."""
        rows = self.conn.query(self._statement(query, params))
        return None if rows is None else to_pandas(rows)

    def execute_queries(
        self,
        queries: Sequence[str | Statement],
        query_variables: Sequence[Mapping[str, object]] | None = None,
        commit: bool = False,
        fetch_query_at_indexes: Sequence[bool | int] | None = None,
        **_options: object,
    ) -> list[pd.DataFrame | None]:
        """Runs the statements in order, each with its variables; what they gave.

        `fetch_query_at_indexes` says whose rows are wanted: `[False, True]`, or positions `[1]`; without it, all. With
        `commit` they are committed together; when one fails, none is.
        """
        variables = [*(query_variables or ()), *({} for _ in queries)]
        wanted = _wanted(fetch_query_at_indexes, len(queries))
        found: list[pd.DataFrame | None] = []
        try:
            for at, query in enumerate(queries):
                rows = self.execute(query, **variables[at])
                found.append(rows if at in wanted else None)
        except BaseException:
            if commit:
                self.rollback()
            raise
        if commit:
            self.commit()
        return found

    def execute_query_raw(self, query: str, **_options: object) -> pd.DataFrame | None:
        """Runs all statements of the text and commits them together; the rows of the last one that gave some.

        When one fails, none is committed.
        """
        dialect = dialect_of(self.provider.word)
        found: pa.Table | None = None
        try:
            for pieces in statements(tokens(query, dialect)):
                rows = self.conn.query(Statement.of("".join(piece.text for piece in pieces)))
                found = found if rows is None else rows
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return None if found is None else to_pandas(found)

    def export(
        self,
        df: object,
        *names: str | None,
        if_exists: WritePolicy | str = WritePolicy.REPLACE,
        index: bool = False,
        unique_conflict_method: str | None = None,
        unique_constraints: Sequence[str] | None = None,
        query_string: str | None = None,
        overwrite_types: Mapping[str, str] | None = None,
        auto_clean_name: bool = True,
        case_sensitive: bool = False,
        **options: object,
    ) -> None:
        """Writes rows into a table, and commits: all of them, or none.

        `df` is a frame, a list of dicts, or what else has rows; None where `query_string`, a query, gives them.
        `names` are those that `places` lists; a single one is the table's. They may be keywords as well.

        `if_exists`: `replace` puts a new table in the place of the one that is there, `append` adds to it, `fail` is an
        error if it is there. `append` with `unique_constraints` sets rows that have the same values in these columns
        (`unique_conflict_method="IGNORE"`: leaves them) and adds the others.

        `index`: whether a frame's index becomes columns. Names of columns are made plain (`First name`: `first_name`),
        unless `auto_clean_name=False`; `case_sensitive` keeps capitals, those of the table too. Other options that
        released Mage knows (`verbose`, `drop_table_on_replace`, `cascade_on_drop`, `allow_reserved_words` ...) change
        nothing: a replaced table is always a new one, and reserved words are quoted.

        Raises DatabaseError for what cannot be written, and BlockError for what has no rows.
        """
        if overwrite_types:
            raise DatabaseError(
                "`overwrite_types` is not known here",
                fix="Convert the columns in the frame, or create the table first and export with `append`.",
            )
        table = self._table(names, options, case_sensitive)
        policy, update = _policy(if_exists, unique_conflict_method, unique_constraints)
        try:
            rows = self._rows(df, index, query_string)
            keys = tuple(unique_constraints or ())
            if auto_clean_name:
                rows = rows.rename_columns(cleaned(rows.column_names, case_sensitive))
                keys = tuple(cleaned(keys, case_sensitive))
            write(self.conn, table, rows, policy, keys=keys, update=update, where=f"export to `{table}`")
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def _rows(self, df: object, index: bool, query: str | None) -> pa.Table:
        if query is not None:
            rows = self.conn.query(Statement.of(query))
            if rows is None:
                raise DatabaseError("`query_string` gives no rows that could be written", fix="Give a SELECT.")
            return rows
        if index:
            import pandas as pd

            df = df.reset_index() if isinstance(df, pd.DataFrame) else df
        return to_arrow(df, "the rows to export")

    def _table(self, names: Sequence[str | None], options: Mapping[str, object], case_sensitive: bool) -> TableName:
        """The table that positional names, or keywords, mean."""
        places = self.places
        if len(names) > len(places):
            raise DatabaseError(f"export takes {', '.join(places)}; given are {len(names)} names")
        found = dict(zip(places, names, strict=False))
        found.update({place: str(options[place]) for place in _PLACES if options.get(place) is not None})
        parts = {_PLACES[place]: name for place, name in found.items() if name}
        if "table" not in parts and set(parts) == {"schema"} and len(names) == 1:
            parts = {"table": parts["schema"]}
        if "table" not in parts:
            raise DatabaseError("no table is named", fix=f"Name one: `table_name=...` ({', '.join(places)}).")
        return self._named(parts.get("schema"), parts["table"], parts.get("database"), case_sensitive)

    def _named(
        self, schema: str | None, table: str, database: str | None = None, case_sensitive: bool = False
    ) -> TableName:
        if self.provider.word in _FOLD_NAMES and not case_sensitive:
            schema, table = None if schema is None else schema.lower(), table.lower()
        if schema is None and not self.provider.tested and self.provider.schema_key is not None:
            default = self._config[self.provider.schema_key]
            schema = None if default in {None, ""} else str(default)
        return TableName(table, schema, database)

    def table_exists(self, schema_name: str | None, table_name: str | None = None, **_options: object) -> bool:
        """Whether the table is there; one name alone is the table's."""
        return self.conn.columns(self._chosen(schema_name, table_name)) is not None

    exists = table_exists

    def _chosen(self, schema: str | None, table: str | None) -> TableName:
        """The table as it is written, where one is so called; else as the database folds its name."""
        if table is None:
            schema, table = None, str(schema)
        exact = self._named(schema, table, case_sensitive=True)
        return exact if self.conn.columns(exact) is not None else self._named(schema, table)

    def sample(
        self, schema: str | None, size: int = _SAMPLE, table: str | None = None, **_options: object
    ) -> pd.DataFrame:
        """The first `size` rows of the table, in no order."""
        name = self._chosen(schema, table)
        return self.load(Statement.of(f"SELECT * FROM {name.sql(self.conn.quoted)}"), limit=size)


_PLACES: Mapping[str, str] = {
    "database": "database",
    "schema": "schema",
    "schema_name": "schema",
    "table": "table",
    "table_id": "table",
    "table_name": "table",
}
"""Which part of a table's name an argument of `export` is."""


def _wanted(indexes: Sequence[bool | int] | None, count: int) -> frozenset[int]:
    if indexes is None:
        return frozenset(range(count))
    flags = all(isinstance(each, bool) for each in indexes)
    return frozenset(at for at, each in enumerate(indexes) if each) if flags else frozenset(map(int, indexes))


def _policy(word: WritePolicy | str, conflict: str | None, keys: Sequence[str] | None) -> tuple[WritePolicy, bool]:
    """The policy, and whether rows that are there are set."""
    try:
        policy = WritePolicy(str(getattr(word, "value", word)).lower())
    except ValueError:
        raise DatabaseError(
            f"`if_exists` is {word!r}; expected is one of {', '.join(f'`{each.value}`' for each in WritePolicy)}"
        ) from None
    method = (conflict or "UPDATE").upper()
    if method not in {"UPDATE", "IGNORE"}:
        raise DatabaseError(f"`unique_conflict_method` is {conflict!r}; expected is `UPDATE` or `IGNORE`")
    if keys and policy is WritePolicy.APPEND:
        policy = WritePolicy.MERGE
    return policy, method == "UPDATE"
