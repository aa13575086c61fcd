"""Rows into a table of a database, by one of the policies: every adapter, one transaction, nothing half done.

append   the rows are staged, and added with the types of the table's columns
replace  a new table takes the place of the old one
fail     a new table, which must not be there
merge    rows with the same keys are set, others added; writers of one table wait for each other
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refold.errors import DatabaseError
from refold.io.databases.connection import Connection
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.databases.write_policy import WritePolicy

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 3
"""How many rows an error shows."""


def write(
    connection: Connection,
    table: TableName,
    rows: pa.Table,
    policy: WritePolicy,
    *,
    keys: Sequence[str] = (),
    update: bool = True,
    where: str | None = None,
) -> int:
    """Writes the rows within the connection's transaction, and returns how many rows were written.

    The table is made where it is not there, and its schema with it. Columns that the rows do not have are null, or what
    the table says. `keys` are for `merge`: the columns by which a row is known again; `update=False` leaves rows that
    are there as they are, and counts the new ones alone. `where` is for errors: whose rows they are.

    Raises DatabaseError when the table is there and the policy is `fail`; for columns that the table has not; for keys
    that the rows or the table have not, that are null, or that two rows share; and for what the database refuses. The
    caller then rolls back.
    """
    job = _Write(connection, table, rows, tuple(keys), where)
    if policy is WritePolicy.MERGE:
        job.check_keys()
    if table.schema is not None:
        connection.create_schema(table.schema)
    if policy is WritePolicy.REPLACE:
        connection.lock_for_writing(table)
        connection.replace(table, rows)
        return len(rows)
    there = connection.columns(table)
    if there is None or policy is not WritePolicy.APPEND or connection.one_writer:
        connection.lock_for_writing(table)
        there = connection.columns(table)  # another one may have made it meanwhile
    if there is None:
        connection.create(table, rows)
        return len(rows)
    if policy is WritePolicy.FAIL:
        raise DatabaseError(
            f"table `{table}` is there already, and the policy is `fail`",
            where=where,
            fix="Drop it, name another table, or choose `append`, `merge` or `replace`.",
        )
    return job.append(there) if policy is WritePolicy.APPEND else job.merge(there, update)


@dataclass(frozen=True, slots=True)
class _Write:
    """Rows for a table."""

    connection: Connection
    table: TableName
    rows: pa.Table
    keys: tuple[str, ...]
    where: str | None

    def append(self, there: Mapping[str, str]) -> int:
        """Adds all rows to the table, which has these columns."""
        columns = self._matched(there)
        with self._staged(self.rows) as staged:
            self._insert(staged, columns, there)
        return len(self.rows)

    def merge(self, there: Mapping[str, str], update: bool) -> int:
        """Sets the rows that are there, unless they are to be left alone, and adds the others."""
        import pyarrow as pa

        columns = self._matched(there)
        keys = tuple(columns[key] for key in self.keys)
        rest = tuple(each for each in columns.values() if each not in keys)
        quoted = self.connection.quoted
        place = _unused("place", columns.values())
        rows = self.rows.rename_columns(list(columns.values())).append_column(place, pa.array(range(len(self.rows))))
        with self._staged(rows, keys) as staged:
            if update:
                self.connection.update_from(self.table, staged, keys, rest)
            # The places of rows that are there are asked for, since every database finds them by an index or by
            # hashing; what is asked the other way round (NOT EXISTS) some look for row by row.
            target = self.table.sql(quoted)
            agree = " AND ".join(f"{target}.{quoted(key)} = {self._value(staged, key, there[key])}" for key in keys)
            text = f"SELECT DISTINCT {quoted(staged)}.{quoted(place)} FROM {target} JOIN {quoted(staged)} ON {agree}"
            found = self.connection.query(Statement.of(text))
            assert found is not None
            new = len(self.rows) - len(found)
            if new:
                places = pa.table({"place": found.column(0).cast(pa.int64())})
                with self._staged(places) as known:
                    unless = f" WHERE {quoted(place)} NOT IN (SELECT {quoted('place')} FROM {quoted(known)})"
                    self._insert(staged, {each: each for each in columns.values()}, there, unless)
        return len(self.rows) if update else new

    def _insert(self, staged: str, columns: Mapping[str, str], there: Mapping[str, str], unless: str = "") -> None:
        """Adds staged rows; `columns` has the table's names behind those of the staged."""
        quoted = self.connection.quoted
        values = [self._value(staged, name, there[other]) for name, other in columns.items()]
        names = ", ".join(map(quoted, columns.values()))
        into = f"INSERT INTO {self.table.sql(quoted)} ({names})"
        self.connection.query(Statement.of(f"{into} SELECT {', '.join(values)} FROM {quoted(staged)}{unless}"))

    def _value(self, staged: str, name: str, type_: str) -> str:
        """A staged column as a value for a column of this type."""
        value = f"{self.connection.quoted(staged)}.{self.connection.quoted(name)}"
        return f"CAST({value} AS {type_})" if self.connection.casts else value

    @contextmanager
    def _staged(self, rows: pa.Table, keys: Sequence[str] = ()) -> Iterator[str]:
        """The name under which statements find the rows."""
        name = f"refold_rows_{uuid.uuid4().hex[:12]}"
        self.connection.stage(name, rows, keys)
        yield name
        # Not after an error: the transaction takes no more statements then, and its end takes the rows away.
        self.connection.unstage(name)

    def _matched(self, there: Mapping[str, str]) -> dict[str, str]:
        """The table's column for each of the rows'. A name that differs by case alone is meant, if one alone does."""
        folded: dict[str, list[str]] = {}
        for name in there:
            folded.setdefault(name.lower(), []).append(name)
        found: dict[str, str] = {}
        for name in self.rows.column_names:
            alike = folded.get(name.lower(), [])
            if name in there:
                found[name] = name
            elif len(alike) == 1:
                found[name] = alike[0]
        missing = [name for name in self.rows.column_names if name not in found]
        if missing or len(set(found.values())) < len(found):
            raise DatabaseError(
                f"the rows have columns that table `{self.table}` has not: {_listed(missing or list(found))}; "
                f"its columns: {_listed(there)}",
                where=self.where,
                fix="Leave them out of the rows, add them to the table, or write with `replace`.",
            )
        return found

    def check_keys(self) -> None:
        """Raises DatabaseError unless the keys tell the rows apart."""
        import pyarrow.compute as pc

        names = self.rows.column_names
        unknown = [key for key in self.keys if key not in names]
        if unknown or not self.keys:
            raise DatabaseError(
                f"rows cannot be known again by {_listed(unknown)}: the rows have the columns {_listed(names)}"
                if unknown
                else "`merge` has no keys, the columns by which a row is known again",
                where=self.where,
                fix="Name columns of the rows in `unique_constraints`.",
            )
        for key in self.keys:
            nulls = self.rows.filter(pc.is_null(self.rows[key]))
            if nulls.num_rows:
                raise DatabaseError(
                    f"{nulls.num_rows} rows have no `{key}`, which is a key: {_shown(nulls)}",
                    where=self.where,
                    fix="Leave such rows out, or choose other keys.",
                )
        keys = self.rows.select(list(self.keys))
        counted = keys.group_by(list(self.keys)).aggregate([([], "count_all")])
        if counted.num_rows < self.rows.num_rows:
            repeated = counted.filter(pc.greater(counted["count_all"], 1)).select(list(self.keys))
            raise DatabaseError(
                f"several rows have the same {_listed(self.keys)}: {_shown(repeated)}",
                where=self.where,
                fix="Keep one row for each key, or choose keys that tell rows apart.",
            )


def _shown(found: pa.Table) -> str:
    """Some of the rows, for people."""
    some = ", ".join(
        "(" + ", ".join(f"{name}: {value!r}" for name, value in row.items()) + ")"
        for row in found.slice(0, _SHOWN).to_pylist()
    )
    return some + (f" and {found.num_rows - _SHOWN} more" if found.num_rows > _SHOWN else "")


def _listed(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _unused(name: str, names: Iterable[str]) -> str:
    """The name, with as much behind it as makes it another one than these."""
    taken = {each.lower() for each in names}
    while name in taken:
        name += "_"
    return name
