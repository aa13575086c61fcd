"""What every connection to a database promises: a suite that the tests of an adapter inherit.

    class TestMyConnection(ConnectionContract):
        @pytest.fixture
        def open_connection(self, tmp_path: Path) -> Iterator[Open]:
            with fresh_mydatabase() as settings, opening(connect_mydatabase, tmp_path, settings) as open_connection:
                yield open_connection

The attributes of the class say where a database differs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import DatabaseError
from refold.io.databases.arrow_tables import to_arrow, to_pandas
from refold.io.databases.connection import Connection
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.testing.database_servers import profile_of

if TYPE_CHECKING:
    import pyarrow as pa

Open = Callable[[], Connection]
"""Opens a connection to the test's database, whose first one finds it empty."""

VALUES: Mapping[str, SqlValue] = {
    "whole number": 7,
    "negative number": -3,
    "large number": 2**40,
    "float": 1.5,
    "decimal": Decimal("1.25"),
    "text": "it's",
    "no ascii": "žluť 🐎",
    "bytes": b"\x00\xff'",
    "date": date(2024, 2, 29),
    "moment": datetime(2024, 2, 29, 12, 30, 15, 250000),
    "moment of a zone": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    "time": time(23, 59, 1),
    "span": timedelta(days=1, hours=2, seconds=3),
    "uuid": UUID("00112233-4455-6677-8899-aabbccddeeff"),
    "true": True,
}
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
COLUMNS: Mapping[str, st.SearchStrategy[object]] = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, width=64),
    "truth": st.booleans(),
    "text": _TEXT,
    "bytes": st.binary(max_size=20),
    "date": st.dates(date(1000, 1, 1), date(9999, 12, 31)),
    "moment": st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)),
    "decimal": st.decimals(-(10**9), 10**9, places=4),
}
"""Kinds of columns, and values for them."""


@contextmanager
def opening(
    connect: Callable[[ConfigFileLoader | None], Connection], folder: Path, given_settings: Mapping[str, object]
) -> Iterator[Open]:
    """Opens connections with these settings, and closes them all in the end."""
    profile = profile_of(folder, given_settings)
    opened: list[Connection] = []

    def open_connection() -> Connection:
        opened.append(connect(profile))
        return opened[-1]

    try:
        yield open_connection
    finally:
        for connection in opened:
            connection.close()


class ConnectionContract:
    """Inherit, override the fixture, and the promises are tested."""

    shared: ClassVar[bool] = True
    """Whether two connections see what the other committed."""
    transactional_ddl: ClassVar[bool] = True
    """Whether a table that was made is gone after a rollback."""
    endless: ClassVar[str]
    """A query that nobody waits for."""
    many: ClassVar[str]
    """A query of a number `i` in so many rows that nobody waits for them."""
    not_kept: ClassVar[frozenset[str]] = frozenset()
    """Of VALUES and COLUMNS what the database keeps as another type."""

    @pytest.fixture
    def open_connection(self) -> Open:
        """Opens connections to the test's database."""
        raise NotImplementedError("the adapter's tests say how its connections are made")

    @pytest.fixture
    def connection(self, open_connection: Open) -> Connection:
        """One of them."""
        return open_connection()

    def test_a_query_gives_its_rows(self, connection: Connection) -> None:
        assert rows(connection, "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, 'y' ORDER BY a") == [
            {"a": 1, "b": "x"},
            {"a": 2, "b": "y"},
        ]

    def test_a_query_without_rows_has_its_columns(self, connection: Connection) -> None:
        found = connection.query(Statement.of("SELECT 1 AS a, 'x' AS b WHERE 1 = 0"))
        assert found is not None
        assert (found.column_names, found.num_rows) == (["a", "b"], 0)

    def test_columns_of_one_name_are_all_there(self, connection: Connection) -> None:
        found = connection.query(Statement.of("SELECT 1 AS a, 2 AS a"))
        assert found is not None
        assert to_pandas(found).iloc[0].tolist() == [1, 2]

    def test_of_very_many_rows_no_more_are_fetched_than_asked_for(self, connection: Connection) -> None:
        for limit in (5, 0):
            found = connection.query(Statement.of(f"-- many\n{self.many}; -- ended\n"), limit=limit)
            assert found is not None
            assert (found.num_rows, found.column_names) == (limit, ["i"])
            assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]
        found = connection.query(Statement((f"SELECT m.i, m.i AS i FROM ({self.many}) AS m WHERE m.i > ", ""), (3,)), 2)
        assert found is not None
        assert (found.num_rows, found.column_names) == (2, ["i", "i"])

    def test_the_first_rows_are_those_of_the_querys_order(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"n": n} for n in range(30)], "rows"))
        for limit, expected in ((2, [29, 28]), (30, [*range(29, -1, -1)]), (31, [*range(29, -1, -1)])):
            for _ in range(5):
                found = connection.query(Statement.of("SELECT n FROM t ORDER BY n DESC"), limit)
                assert found is not None
                assert found["n"].to_pylist() == expected

    def test_a_statement_does_all_it_does_whatever_number_of_rows_is_asked_for(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"n": n} for n in range(3_000)], "rows"))
        connection.create(TableName("u"), to_arrow([{"n": -1}], "rows"))
        connection.commit()
        found = connection.query(Statement.of("INSERT INTO u SELECT n FROM t RETURNING n"), limit=2)
        assert found is not None
        assert found.num_rows == 2
        connection.commit()
        assert rows(connection, "SELECT COUNT(*) AS k FROM u") == [{"k": 3_001}]

    def test_a_statement_that_gives_no_rows_gives_none(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        for text in ("INSERT INTO t VALUES (2)", "UPDATE t SET a = a + 1", "CREATE TABLE u (a INTEGER)"):
            assert connection.query(Statement.of(text)) is None
        assert rows(connection, "SELECT a FROM t ORDER BY a") == [{"a": 2}, {"a": 3}]

    def test_comments_and_an_ending_semicolon_are_no_statements(self, connection: Connection) -> None:
        assert rows(connection, "-- one\n/* two */ SELECT 1 AS a; \n") == [{"a": 1}]

    @pytest.mark.parametrize("kind", VALUES)
    def test_a_value_is_found_by_itself(self, connection: Connection, kind: str) -> None:
        if kind in self.not_kept:
            pytest.skip(f"{connection.name} keeps no {kind}")
        connection.create(TableName("t"), to_arrow([{"v": VALUES[kind]}, {"v": None}], "rows"))
        found = connection.query(Statement(("SELECT v FROM t WHERE v = ", ""), (VALUES[kind],)))
        assert found is not None
        assert found.num_rows == 1

    @pytest.mark.parametrize("text", ["'; DROP TABLE t; --", '"', "\\", "%s", "%", ":a", "?", "$1", "{}", "\n", ""])
    def test_text_is_a_value_whatever_it_says(self, connection: Connection, text: str) -> None:
        connection.create(TableName("t"), to_arrow({"v": text}, "rows"))
        found = connection.query(Statement(("SELECT v, '%s ? :a $1 \"' AS literal FROM t WHERE v = ", ""), (text,)))
        assert found is not None
        assert found.to_pylist() == [{"v": text, "literal": '%s ? :a $1 "'}]

    def test_a_value_given_as_text_compares_as_its_column_does(self, connection: Connection) -> None:
        day = date(2024, 3, 1)
        connection.create(TableName("t"), to_arrow([{"n": 5, "d": day}, {"n": 50, "d": day}], "rows"))
        found = connection.query(Statement(("SELECT n FROM t WHERE n = ", " AND d > ", ""), ("5", "2024-02-29")))
        assert found is not None
        assert found.to_pylist() == [{"n": 5}]

    def test_a_number_is_one_where_no_column_asks_for_it(self, connection: Connection) -> None:
        found = connection.query(Statement(("SELECT ", " AS n, ", " AS t"), (5, "x")))
        assert found is not None
        assert found.to_pylist() == [{"n": 5, "t": "x"}]

    def test_a_fraction_is_not_rounded_to_a_column_of_whole_numbers(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"n": 1}, {"n": 2}], "rows"))
        found = connection.query(Statement(("SELECT n FROM t WHERE n > ", ""), (1.5,)))
        assert found is not None
        assert found.to_pylist() == [{"n": 2}]

    def test_no_value_is_null(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"n": 1, "s": "x"}], "rows"))
        connection.query(Statement(("INSERT INTO t (n, s) VALUES (2, ", ")"), (None,)))
        assert rows(connection, "SELECT n FROM t WHERE s IS NULL") == [{"n": 2}]

    def test_an_expression_with_a_value_can_be_grouped_by(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"n": 1}, {"n": 1}, {"n": 2}], "rows"))
        found = connection.query(
            Statement(("SELECT n + ", " AS m, COUNT(*) AS k FROM t GROUP BY n + ", " ORDER BY 1"), (10, 10))
        )
        assert found is not None
        assert [(int(row["m"]), row["k"]) for row in found.to_pylist()] == [(11, 2), (12, 1)]

    def test_what_the_database_refuses_is_told_in_its_words(self, connection: Connection) -> None:
        with pytest.raises(DatabaseError, match="nowhere"):
            connection.query(Statement.of("SELECT * FROM nowhere"))

    def test_after_an_error_and_a_rollback_it_can_be_used(self, connection: Connection) -> None:
        for statement in (
            Statement.of("SELECT * FROM nowhere"),
            Statement(("SELECT * FROM nowhere WHERE a = ", ""), (1,)),
        ):
            with pytest.raises(DatabaseError):
                connection.query(statement)
            connection.rollback()
            assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]

    def test_staged_rows_can_be_read_until_they_are_taken_back(self, connection: Connection) -> None:
        connection.stage("df_1", to_arrow([{"a": 1}, {"a": 2}], "df_1"))
        assert rows(connection, "SELECT COUNT(*) AS n FROM df_1") == [{"n": 2}]
        connection.stage("df_1", to_arrow([{"b": "x"}], "df_1"))
        assert rows(connection, "SELECT b FROM df_1") == [{"b": "x"}]
        connection.unstage("df_1")
        connection.commit()
        with pytest.raises(DatabaseError, match="df_1"):
            connection.query(Statement.of("SELECT * FROM df_1"))

    def test_staged_rows_are_there_after_a_commit(self, connection: Connection) -> None:
        connection.stage("df_1", to_arrow({"a": 1}, "df_1"))
        connection.commit()
        assert rows(connection, "SELECT a FROM df_1") == [{"a": 1}]

    def test_no_other_connection_sees_staged_rows(self, open_connection: Open) -> None:
        one, other = open_connection(), open_connection()
        one.stage("df_1", to_arrow({"a": 1}, "df_1"))
        one.commit()
        with pytest.raises(DatabaseError, match="df_1"):
            other.query(Statement.of("SELECT * FROM df_1"))

    def test_no_rows_can_be_staged_and_made_a_table_of(self, connection: Connection) -> None:
        nothing = to_arrow([{"a": 1, "b": "x"}], "rows").slice(0, 0)
        connection.stage("df_1", nothing)
        connection.create(TableName("t"), nothing)
        assert rows(connection, "SELECT * FROM df_1") == rows(connection, "SELECT * FROM t") == []
        assert list(connection.columns(TableName("t")) or ()) == ["a", "b"]

    def test_names_are_taken_as_they_are(self, connection: Connection) -> None:
        table, column = TableName('Odd "name"; é`'), 'Col "1" %s'
        connection.create(table, to_arrow([{column: 1, "Ab": 2}], "rows"))
        text = f"SELECT {connection.quoted(column)} AS v FROM {table.sql(connection.quoted)}"
        assert rows(connection, text) == [{"v": 1}]
        assert list(connection.columns(table) or ()) == [column, "Ab"]

    def test_a_table_that_is_not_there_has_no_columns(self, connection: Connection) -> None:
        assert connection.columns(TableName("nowhere")) is None

    def test_a_table_cannot_be_made_twice(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        connection.commit()
        with pytest.raises(DatabaseError, match="t"):
            connection.create(TableName("t"), to_arrow({"a": 2}, "rows"))
        connection.rollback()
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]

    def test_nothing_but_nulls_makes_a_column_all_the_same(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"a": 1, "b": None}], "rows"))
        connection.query(Statement.of("INSERT INTO t VALUES (2, 'later')"))
        assert rows(connection, "SELECT b FROM t ORDER BY a") == [{"b": None}, {"b": "later"}]

    def test_values_within_values_are_kept(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"a": {"k": [1, 2]}, "b": [{"x": "é"}]}], "rows"))
        text = str(rows(connection, "SELECT a, b FROM t"))
        assert all(part in text for part in ("k", "1, 2", "x", "é"))

    def test_a_table_is_replaced_by_one_of_other_columns(self, connection: Connection) -> None:
        for expected in ({"a": 1}, {"b": "x", "c": 2}):
            connection.replace(TableName("t"), to_arrow(expected, "rows"))
            connection.commit()
            assert rows(connection, "SELECT * FROM t") == [expected]

    def test_a_rollback_takes_the_rows_back(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        connection.commit()
        connection.query(Statement.of("INSERT INTO t VALUES (2)"))
        connection.rollback()
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]

    def test_a_rollback_takes_tables_back_too(self, connection: Connection) -> None:
        if not self.transactional_ddl:
            pytest.skip(f"{connection.name} cannot take a table back")
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        connection.commit()
        connection.replace(TableName("t"), to_arrow({"a": 2}, "rows"))
        connection.create(TableName("u"), to_arrow({"a": 2}, "rows"))
        connection.rollback()
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]
        assert connection.columns(TableName("u")) is None

    def test_what_is_committed_others_see_and_nothing_else(self, open_connection: Open) -> None:
        if not self.shared:
            pytest.skip("nobody else sees this database")
        one, other = open_connection(), open_connection()
        one.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        one.commit()
        one.query(Statement.of("INSERT INTO t VALUES (2)"))
        assert rows(other, "SELECT COUNT(*) AS n FROM t") == [{"n": 1}]
        other.rollback()
        one.commit()
        assert rows(other, "SELECT COUNT(*) AS n FROM t") == [{"n": 2}]

    def test_a_closed_connection_commits_nothing(self, open_connection: Open) -> None:
        if not self.shared:
            pytest.skip("nobody else sees this database")
        one, other = open_connection(), open_connection()
        one.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        one.commit()
        one.query(Statement.of("INSERT INTO t VALUES (2)"))
        one.close()
        assert rows(other, "SELECT COUNT(*) AS n FROM t") == [{"n": 1}]

    def test_rows_that_agree_in_the_keys_are_set(self, connection: Connection) -> None:
        table = TableName("t")
        before = [{"id": 1, "part": "x", "n": 1, "d": date(2024, 1, 1)}, {"id": 1, "part": "y", "n": 2, "d": None}]
        connection.create(table, to_arrow(before, "rows"))
        connection.stage("news", to_arrow([{"id": 1, "part": "y", "n": 20, "d": date(2024, 2, 2)}], "rows"))
        connection.update_from(table, "news", ("id", "part"), ("n", "d"))
        connection.update_from(table, "news", ("id", "part"), ())
        found = rows(connection, "SELECT n, d FROM t ORDER BY n")
        assert [(row["n"], str(row["d"])) for row in found] == [(1, "2024-01-01"), (20, "2024-02-02")]

    def test_staged_text_is_cast_to_what_the_table_has(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow([{"id": 1, "n": 5}], "rows"))
        connection.stage("news", to_arrow([{"id": "1", "n": "6"}], "rows"))
        connection.update_from(TableName("t"), "news", ("id",), ("n",))
        assert rows(connection, "SELECT n FROM t") == [{"n": 6}]

    def test_a_lock_keeps_writers_apart(self, open_connection: Open) -> None:
        if not self.shared:
            pytest.skip("nobody else writes this database")
        first = open_connection()
        first.create(TableName("t"), to_arrow({"n": 0}, "rows"))
        first.commit()
        connections = [open_connection() for _ in range(4)]

        def add(connection: Connection) -> None:
            for _ in range(5):
                connection.columns(TableName("t"))
                connection.lock_for_writing(TableName("t"))
                connection.query(Statement.of("INSERT INTO t SELECT MAX(n) + 1 FROM t"))
                connection.commit()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add, connections))
        assert rows(first, "SELECT COUNT(*) AS k, MAX(n) AS m FROM t") == [{"k": 21, "m": 20}]

    def test_one_of_many_makes_a_table_that_is_not_there(self, open_connection: Open) -> None:
        if not self.shared:
            pytest.skip("nobody else writes this database")
        connections = [open_connection() for _ in range(4)]

        def add(connection: Connection) -> None:
            connection.columns(TableName("t"))
            connection.lock_for_writing(TableName("t"))
            if connection.columns(TableName("t")) is None:
                connection.create(TableName("t"), to_arrow({"n": 0}, "rows"))
            else:
                connection.query(Statement.of("INSERT INTO t VALUES (1)"))
            connection.commit()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add, connections))
        assert rows(connections[0], "SELECT COUNT(*) AS k, MIN(n) AS m FROM t") == [{"k": 4, "m": 0}]

    def test_a_reset_leaves_nothing_but_what_was_committed(self, connection: Connection) -> None:
        connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        connection.stage("df_1", to_arrow({"a": 1}, "df_1"))
        connection.commit()
        connection.query(Statement.of("INSERT INTO t VALUES (2)"))
        connection.reset()
        with pytest.raises(DatabaseError, match="df_1"):
            connection.query(Statement.of("SELECT * FROM df_1"))
        connection.rollback()
        assert rows(connection, "SELECT a FROM t") == [{"a": 1}]

    def test_another_thread_interrupts_a_statement(self, connection: Connection) -> None:
        rows(connection, "SELECT 1 AS a")
        over = threading.Event()

        def interrupt() -> None:
            while not over.wait(0.02):
                connection.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(DatabaseError):
                connection.query(Statement.of(self.endless))
        finally:
            over.set()
            thread.join()
        connection.rollback()
        assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]

    def test_to_interrupt_what_is_idle_does_nothing(self, connection: Connection) -> None:
        connection.interrupt()
        assert rows(connection, "SELECT 1 AS a") == [{"a": 1}]

    def test_rows_survive_the_way_there_and_back(self, connection: Connection) -> None:
        @settings(max_examples=15, deadline=None)
        @given(given_rows=_tables(sorted(set(COLUMNS) - self.not_kept)))
        def survive(given_rows: pa.Table) -> None:
            connection.stage("df_1", given_rows)
            staged = rows(connection, "SELECT * FROM df_1 ORDER BY place")
            connection.replace(TableName("t"), given_rows)
            connection.commit()
            assert staged == rows(connection, "SELECT * FROM t ORDER BY place") == given_rows.to_pylist()

        survive()


@st.composite
def _tables(draw: st.DrawFn, kinds: Sequence[str]) -> pa.Table:
    """Rows that are numbered in `place`, with columns of these kinds."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    height = draw(st.integers(1, 5))
    drawn = [draw(st.lists(st.none() | COLUMNS[kind], min_size=height, max_size=height)) for kind in chosen]
    names = ["place", *(f"{kind} {number}" for number, kind in enumerate(chosen))]
    return to_arrow([dict(zip(names, row, strict=True)) for row in zip(range(height), *drawn, strict=True)], "rows")


def rows(connection: Connection, text: str) -> list[dict[str, object]]:
    """The rows of a query, each a dict."""
    found: pa.Table | None = connection.query(Statement.of(text))
    assert found is not None
    listed: list[dict[str, object]] = found.to_pylist()
    return listed
