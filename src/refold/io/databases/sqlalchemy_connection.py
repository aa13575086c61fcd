"""Any database that SQLAlchemy has a dialect for, behind the port; what differs is told by `Traits` and by subclasses.

Statements go to the driver as they are: SQLAlchemy gives quoting, types, DDL and the driver's way of placeholders.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from refold.errors import DatabaseError
from refold.io.databases.column_types import column_type, python_rows
from refold.io.databases.fetched_rows import Cursor, fetched
from refold.io.databases.plain_columns import for_database
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa
    from sqlalchemy.engine import URL

_AT_ONCE = 10_000
"""How many rows an `executemany` is given."""
_AS_IT_IS = {"no_parameters": True}
"""Of a statement that the driver shall not format values into: its percent signs are its own."""


@dataclass(frozen=True, slots=True)
class TableSwap:
    """Statements by which a filled table takes its place at once, where DDL cannot be undone.

    They name the `{table}`, the `{new}` one, and where the `{old}` one may go.
    """

    put: tuple[str, ...]
    """Where there is no table."""
    swap: tuple[str, ...]
    """Where there is one. What it leaves under the other names is dropped."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a database can do."""

    swap: TableSwap | None = None
    """None: tables are made, filled and dropped within a transaction."""
    temporary_tables: bool = True
    """Whether staged rows can be in a table that nobody else sees; else they are in a table that must not be there."""


class SqlAlchemyConnection:
    """As `refold.io.databases.connection.Connection`."""

    casts = False
    one_writer = False

    def __init__(
        self,
        url: URL,
        name: str,
        traits: Traits | None = None,
        connect_args: Mapping[str, object] | None = None,
    ) -> None:
        """Connects. Raises DatabaseError when that cannot be done."""
        self.name = name
        self._traits = traits or Traits()
        self._password = url.password
        self._engine = self._make_engine(url, connect_args or {})
        self._dialect = self._engine.dialect
        self._prepare_engine()
        with self._own_words():
            self._connection = self._engine.connect()

    def _make_engine(self, url: URL, connect_args: Mapping[str, object]) -> sa.Engine:
        import sqlalchemy as sa

        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=dict(connect_args))

    def _prepare_engine(self) -> None:
        """For what must be said before the first connection."""

    def quoted(self, identifier: str) -> str:
        preparer = self._dialect.identifier_preparer
        # A database that folds unquoted names to upper case knows what is written in lower case by its folded name.
        folds = self._dialect.requires_name_normalize
        found = preparer.quote(identifier) if folds else preparer.quote_identifier(identifier)
        return found.replace("%%", "%") if self._formats else found

    @property
    def _formats(self) -> bool:
        """Whether the driver formats values into `%s`, so that other percent signs are doubled."""
        return self._dialect.paramstyle in {"format", "pyformat"}

    def query(self, statement: Statement, limit: int | None = None) -> pa.Table | None:
        with self._own_words():
            result = self._run(statement)
            try:
                if not result.returns_rows:
                    return None
                cursor = cast(Cursor, result.cursor)
                rows = fetched(cursor, [self._expected(each) for each in cursor.description or ()], limit)
                if rows.num_rows == limit:
                    self._leave(cursor, statement)
                return rows
            finally:
                result.close()

    def _leave(self, cursor: Cursor, statement: Statement) -> None:
        """Rows that the cursor still has, nobody wants: it is closed next."""

    def _run(self, statement: Statement) -> sa.CursorResult[tuple[object, ...]]:
        if not statement.values:
            return self._connection.exec_driver_sql(statement.text(lambda _: ""), execution_options=_AS_IT_IS)
        values = [self._bound(value) for value in statement.values]
        text = statement.text(self._placeholder, (lambda part: part.replace("%", "%%")) if self._formats else str)
        return self._connection.exec_driver_sql(text, self._parameters(values))

    def _placeholder(self, number: int) -> str:
        """The driver's, for the value of this number, counted from 1."""
        styles = {
            "qmark": "?",
            "format": "%s",
            "pyformat": f"%(v{number})s",
            "named": f":v{number}",
            "numeric": f":{number}",
            "numeric_dollar": f"${number}",
        }
        return styles[self._dialect.paramstyle]

    def _parameters(self, values: Sequence[object]) -> dict[str, object] | tuple[object, ...]:
        """The values as those placeholders have them."""
        if self._dialect.paramstyle in {"pyformat", "named"}:
            return {f"v{number}": value for number, value in enumerate(values, start=1)}
        return tuple(values)

    def _bound(self, value: SqlValue) -> object:
        """The value as the driver takes it."""
        return str(value) if isinstance(value, uuid.UUID) else value

    def _expected(self, description: Sequence[object]) -> pa.DataType | None:
        """The type that the cursor says a column has, if it says so."""
        del description
        return None

    def _execute(self, text: str) -> None:
        """Runs a statement of our own that gives no rows."""
        self._connection.exec_driver_sql(text, execution_options=_AS_IT_IS)

    def _rows(self, text: str) -> Sequence[Sequence[object]]:
        """The rows of a query of our own."""
        return [tuple(row) for row in self._connection.exec_driver_sql(text, execution_options=_AS_IT_IS).all()]

    def _one(self, text: str) -> Sequence[object]:
        """The only row of a query of our own."""
        (row,) = self._rows(text)
        return row

    def stage(self, name: str, rows: pa.Table, keys: Sequence[str] = ()) -> None:
        self.unstage(name)
        with self._own_words():
            self._make(TableName(name), rows, ["TEMPORARY"] if self._traits.temporary_tables else [], keys)

    def unstage(self, name: str) -> None:
        with self._own_words():
            self._drop_staged(self.quoted(name))

    def _drop_staged(self, quoted: str) -> None:
        self._execute(f"DROP TABLE IF EXISTS {quoted}")

    def columns(self, table: TableName) -> Mapping[str, str] | None:
        import sqlalchemy as sa

        with self._own_words():
            try:
                found = sa.inspect(self._connection).get_columns(table.table, schema=self._schema(table))
            except sa.exc.NoSuchTableError:
                return None
        return {each["name"]: each["type"].compile(self._dialect) for each in found} or None

    def _schema(self, table: TableName) -> str | None:
        """The table's schema as SQLAlchemy names it."""
        return ".".join(part for part in (table.database, table.schema) if part) or None

    def create(self, table: TableName, rows: pa.Table) -> None:
        with self._own_words():
            if self._traits.swap is None:
                self._make(table, rows)
            else:
                self._put_in_place(table, rows, self._traits.swap.put)

    def replace(self, table: TableName, rows: pa.Table) -> None:
        with self._own_words():
            if self._traits.swap is None:
                self._execute(f"DROP TABLE IF EXISTS {table.sql(self.quoted)}")
                self._make(table, rows)
            else:
                there = self.columns(table) is not None
                self._put_in_place(table, rows, self._traits.swap.swap if there else self._traits.swap.put)

    def _put_in_place(self, table: TableName, rows: pa.Table, statements: Sequence[str]) -> None:
        """Fills a table of another name, which then takes this one's."""
        token = uuid.uuid4().hex[:12]
        new, old = (table._replace(table=f"_refold_{word}_{token}") for word in ("new", "old"))
        texts = {word: each.sql(self.quoted) for word, each in (("table", table), ("new", new), ("old", old))}
        with self._claimed(token, table):
            try:
                self._make(new, rows)
                self._connection.commit()
                for statement in statements:
                    self._execute(statement.format_map(texts))
            finally:
                # Whatever became of it, these two are nobody's tables now.
                self._connection.rollback()
                self._execute(f"DROP TABLE IF EXISTS {texts['new']}")
                self._execute(f"DROP TABLE IF EXISTS {texts['old']}")
                self._connection.commit()

    def _claimed(self, token: str, table: TableName) -> contextlib.AbstractContextManager[None]:
        """Says for the duration of the context that the tables of this token are in use."""
        del token, table
        return contextlib.nullcontext()

    def _make(self, table: TableName, rows: pa.Table, prefixes: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        import sqlalchemy as sa
        from sqlalchemy.schema import CreateTable

        rows = for_database(rows, lists=False)
        columns = [
            sa.Column(field.name, column_type(field.type, self._dialect), autoincrement=False) for field in rows.schema
        ]
        made = sa.Table(table.table, sa.MetaData(), *columns, prefixes=list(prefixes), schema=self._schema(table))
        self._connection.execute(CreateTable(made))
        if keys:
            self._index(table, rows.schema, keys)
        if rows.num_rows:
            self._fill(table, rows)

    def _index(self, table: TableName, schema: pa.Schema, keys: Sequence[str]) -> None:
        """Adds an index to a staged table, where that helps."""

    def _fill(self, table: TableName, rows: pa.Table) -> None:
        """Adds the rows to the table, which has just these columns."""
        names = ", ".join(map(self.quoted, rows.column_names))
        marks = ", ".join(self._placeholder(number) for number in range(1, rows.num_columns + 1))
        head = f"INSERT INTO {table.sql(self.quoted)} ({names}) VALUES "
        text = (head.replace("%", "%%") if self._formats else head) + f"({marks})"
        for start in range(0, rows.num_rows, _AT_ONCE):
            batch = python_rows(rows.slice(start, _AT_ONCE))
            self._connection.exec_driver_sql(text, [self._parameters(row) for row in batch])

    def update_from(self, table: TableName, staged: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        if not columns:
            return
        name, other = table.sql(self.quoted), self.quoted(staged)
        sets = ", ".join(f"{self.quoted(each)} = {other}.{self.quoted(each)}" for each in columns)
        agree = " AND ".join(f"{name}.{self.quoted(key)} = {other}.{self.quoted(key)}" for key in keys)
        with self._own_words():
            self._execute(f"UPDATE {name} SET {sets} FROM {other} WHERE {agree}")

    def create_schema(self, schema: str) -> None:
        import sqlalchemy as sa
        from sqlalchemy.schema import CreateSchema

        with self._own_words():
            if not sa.inspect(self._connection).has_schema(schema):
                self._connection.execute(CreateSchema(schema))

    def lock_for_writing(self, table: TableName) -> None:
        """Untested databases: their own isolation has to do."""

    def commit(self) -> None:
        with self._own_words():
            self._connection.commit()

    def rollback(self) -> None:
        with self._own_words():
            self._connection.rollback()

    def interrupt(self) -> None:
        """Asks the driver, where it can be asked."""
        cancel = getattr(self._connection.connection.dbapi_connection, "cancel", None)
        if callable(cancel):
            cancel()

    def reset(self) -> None:
        """By a new session: drivers have no word for making one as good as new."""
        with self._own_words():
            self._connection.close()
            self._connection = self._engine.connect()

    def close(self) -> None:
        with self._own_words():
            self._connection.close()
            self._engine.dispose()

    @contextlib.contextmanager
    def _own_words(self) -> Iterator[None]:
        """What the database or its driver raises becomes a DatabaseError with the words that it has for it."""
        import sqlalchemy as sa

        driver = self._dialect.loaded_dbapi.Error
        try:
            yield
        except (sa.exc.SQLAlchemyError, driver, OverflowError) as error:
            raise DatabaseError(self._words(error)) from error

    def _words(self, error: BaseException) -> str:
        import sqlalchemy as sa

        cause: BaseException = error
        if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
            cause = error.orig
        # pymysql's errors are a number and a text.
        number, *texts = cause.args or ("",)
        text = f"{texts[0]} (error {number})" if texts and isinstance(number, int) else str(cause)
        text = f"{self.name}: {text}"
        return text.replace(self._password, "***") if self._password else text
