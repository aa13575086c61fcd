"""PostgreSQL: types arrive as what they are, values take the types of their places, errors are in its own words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest

from refold.errors import DatabaseError
from refold.io.databases.adbc_connection import AdbcConnection, connect_postgres
from refold.io.databases.arrow_tables import to_arrow, to_pandas
from refold.io.databases.statement import SqlValue, Statement
from refold.io.databases.table_name import TableName
from refold.testing.connection_contract import Open, opening, rows
from refold.testing.database_servers import fresh_postgres, profile_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[Mapping[str, object]]:
    """The settings of an empty schema."""
    with fresh_postgres() as settings:
        yield settings


@pytest.fixture
def open_connection(server: Mapping[str, object], tmp_path: Path) -> Iterator[Open]:
    """Opens connections to it."""
    with opening(connect_postgres, tmp_path, server) as open_connection:
        yield open_connection


@pytest.fixture
def connection(open_connection: Open) -> AdbcConnection:
    """One of them."""
    found = open_connection()
    assert isinstance(found, AdbcConnection)
    return found


def value_of(connection: AdbcConnection, expression: str) -> tuple[pa.DataType, object]:
    """The type and the value of an expression."""
    found = connection.query(Statement.of(f"SELECT {expression} AS v"))
    assert found is not None
    return found.schema.field("v").type, found["v"][0].as_py()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1.25::numeric(10, 2)", (pa.decimal128(10, 2), Decimal("1.25"))),
        ("12::numeric(3)", (pa.decimal128(3, 0), Decimal(12))),
        ("(-0.125)::numeric", (pa.decimal128(38, 3), Decimal("-0.125"))),
        ("NULL::numeric", (pa.decimal128(38, 0), None)),
        ("(10::numeric ^ 45)", (pa.string(), "1" + "0" * 45 + "." + "0" * 16)),
        ("'NaN'::numeric(5, 2)", (pa.float64(), pytest.approx(float("nan"), nan_ok=True))),
        ("'12.5'::money", (pa.decimal128(38, 2), Decimal("12.50"))),
        ("""'{"a": [1]}'::jsonb""", (pa.string(), '{"a": [1]}')),
        ("'[1]'::json", (pa.string(), "[1]")),
        ("'00112233-4455-6677-8899-aabbccddeeff'::uuid", (pa.string(), "00112233-4455-6677-8899-aabbccddeeff")),
        ("interval '1 day 2 hours'", (pa.duration("us"), timedelta(days=1, hours=2))),
        ("interval '1 year 2 months 3 days'", (pa.string(), "P14M3D")),
        ("ARRAY[1, NULL]", (pa.list_(pa.int32()), [1, None])),
        ("ARRAY[1.5, 2.25]", (pa.list_(pa.decimal128(38, 2)), [Decimal("1.50"), Decimal("2.25")])),
        ("ARRAY['x']::varchar[]", (pa.list_(pa.string()), ["x"])),
        ("ARRAY[inet '::1']", (pa.list_(pa.string()), ["::1/128"])),
        ("ARRAY[ROW(1, 'x')]", (pa.string(), '[{"f1":1,"f2":"x"}]')),
        ("ROW(1, 'x')", (pa.string(), '{"f1":1,"f2":"x"}')),
        ("'\\x00ff'::bytea", (pa.binary(), b"\x00\xff")),
        ("timestamptz '2024-02-29 12:00+02'", (pa.timestamp("us", "UTC"), datetime(2024, 2, 29, 10, tzinfo=UTC))),
        ("timestamp '2024-02-29 12:00'", (pa.timestamp("us"), datetime(2024, 2, 29, 12))),
        ("date '2024-02-29'", (pa.date32(), date(2024, 2, 29))),
        ("time '12:30'", (pa.time64("us"), time(12, 30))),
        ("timetz '12:30+02'", (pa.string(), "12:30:00+02")),
        ("inet '10.0.0.1/8'", (pa.string(), "10.0.0.1/8")),
        ("int4range(1, 5)", (pa.string(), "[1,5)")),
        ("B'101'", (pa.string(), "101")),
        ("xml '<a/>'", (pa.string(), "<a/>")),
        ("point(1, 2)", (pa.string(), "(1,2)")),
        ("'x'::name", (pa.string(), "x")),
        ("1::oid", (pa.int32(), 1)),
    ],
)
def test_a_type_arrives_as_what_it_is(
    connection: AdbcConnection, expression: str, expected: tuple[pa.DataType, object]
) -> None:
    assert value_of(connection, expression) == expected


def test_an_array_of_arrays_says_that_it_cannot_be_read(connection: AdbcConnection) -> None:
    with pytest.raises(DatabaseError, match="column `pairs` holds arrays of more than one dimension"):
        connection.query(Statement.of("SELECT 1 AS n, ARRAY[[1, 2], [3, 4]] AS pairs"))


def test_types_of_the_database_itself_are_text(connection: AdbcConnection, open_connection: Open) -> None:
    connection.query(Statement.of("CREATE TYPE mood AS ENUM ('so so', 'well')"))
    connection.query(Statement.of("CREATE TABLE t (m mood, ms mood[])"))
    connection.commit()
    for one in (connection, open_connection()):
        one.query(Statement(("INSERT INTO t VALUES (", ", ARRAY['well'::mood])"), ("so so",)))
        found = one.query(Statement(("SELECT m, ms FROM t WHERE m = ", ""), ("so so",)))
        assert found is not None
        assert found.to_pylist()[0] == {"m": "so so", "ms": ["well"]}


def test_rows_that_a_statement_returns_are_its_rows(connection: AdbcConnection) -> None:
    connection.query(Statement.of("CREATE TABLE t (a integer, i inet)"))
    text = "INSERT INTO t VALUES (1, '::1') RETURNING a, i"
    assert rows(connection, text) == [{"a": 1, "i": "::1/128"}]
    assert rows(connection, "WITH new AS (INSERT INTO t VALUES (2, '::2') RETURNING a) SELECT a FROM new") == [{"a": 2}]
    assert rows(connection, "SELECT COUNT(*) AS n FROM t") == [{"n": 2}]


@pytest.mark.parametrize("text", ["SHOW search_path", "EXPLAIN SELECT 1", "VALUES (1)", "TABLE pg_am", "(SELECT 1)"])
def test_whatever_gives_rows_gives_them(connection: AdbcConnection, text: str) -> None:
    assert rows(connection, text)


@pytest.mark.parametrize(
    "text", ["", " ; ", "SELECT 1 AS a INTO u", "SET search_path = pg_catalog", "DO $$BEGIN END$$"]
)
def test_what_gives_no_rows_gives_none(connection: AdbcConnection, text: str) -> None:
    assert connection.query(Statement.of(text)) is None


def test_a_semicolon_within_text_is_text(connection: AdbcConnection) -> None:
    assert rows(connection, "SELECT ';' AS v -- and; no more") == [{"v": ";"}]


@pytest.mark.parametrize(
    ("texts", "values", "expected"),
    [
        (("SELECT ", ""), (5,), 5),
        (("SELECT ", " + 1"), (2**40,), 2**40 + 1),
        (("SELECT ", ""), (Decimal("1.5"),), Decimal("1.5")),
        (("SELECT ", ""), (2**70,), Decimal(2**70)),
        (("SELECT ", ""), (None,), None),
        (("SELECT ", " IS NULL"), (None,), True),
        (("SELECT ", " IS NULL"), ("x",), False),
        (("SELECT upper(", ")"), ("x",), "X"),
        (("SELECT upper(", ")"), (5,), "5"),
        (("SELECT 'a' || ", ""), (5,), "a5"),
        (("SELECT to_jsonb(", ")"), (5,), "5"),
        (("SELECT coalesce(", ", 'x'::text)"), (5,), "5"),
        (("SELECT 3 IN (", ", ", ")"), (3, "4"), True),
        (("SELECT n FROM generate_series(1, 5) AS n LIMIT ", " OFFSET ", ""), (1, 1), 2),
        (("SELECT 3000000000 = ", ""), (3_000_000_000,), True),
        (("SELECT 1::smallint < ", ""), (3_000_000_000,), True),
        (("SELECT 1 < ", ""), (1.5,), True),
        (("SELECT date '2024-02-29' < ", ""), (datetime(2024, 2, 29, 12),), True),
        (("SELECT timestamptz '2024-02-29 12:00+00' = ", ""), (datetime(2024, 2, 29, 12, tzinfo=UTC),), True),
        (("SELECT interval '26 hours' = ", ""), (timedelta(hours=26),), True),
        (("SELECT ", ""), (timedelta(days=-1, microseconds=5),), timedelta(days=-1, microseconds=5)),
        (("SELECT '\\xff'::bytea = ", ""), (b"\xff",), True),
        (("SELECT uuid '00112233-4455-6677-8899-aabbccddeeff' = ", ""), ("00112233445566778899AABBCCDDEEFF",), True),
        (("SELECT ", "::text"), (UUID(int=5),), str(UUID(int=5))),
        (("SELECT 5 = ANY (", ")"), ("{4,5}",), True),
        (("SELECT ", " = 1 AND ", " = '1'::text"), (1, 1), True),
    ],
)
def test_a_value_takes_the_type_of_its_place(
    connection: AdbcConnection, texts: tuple[str, ...], values: tuple[SqlValue, ...], expected: object
) -> None:
    found = connection.query(Statement(texts, values))
    assert found is not None
    assert found.column(0)[0].as_py() == expected


def test_an_error_names_the_line_and_what_to_do(connection: AdbcConnection) -> None:
    with pytest.raises(DatabaseError) as caught:
        connection.query(Statement.of("SELECT 1\nFROM pg_class\nWHERE oid = ARRAY[1]"))
    assert caught.value.message.startswith("operator does not exist")
    assert caught.value.where == "line 3 of the statement, `WHERE oid = ARRAY[1]`"
    assert "explicit type casts" in (caught.value.fix or "")


def test_details_are_part_of_an_error(connection: AdbcConnection) -> None:
    connection.query(Statement.of("CREATE TABLE t (a integer PRIMARY KEY)"))
    with pytest.raises(DatabaseError, match=r"duplicate key value .*Key \(a\)=\(1\) already exists"):
        connection.query(Statement.of("INSERT INTO t VALUES (1), (1)"))


def test_a_value_that_cannot_be_is_the_servers_error(connection: AdbcConnection) -> None:
    with pytest.raises(DatabaseError, match='invalid input syntax for type integer: "x"'):
        connection.query(Statement(("SELECT 1 = ", ""), ("x",)))


def test_a_commit_after_a_failure_says_that_there_was_none(connection: AdbcConnection) -> None:
    connection.create(TableName("t"), to_arrow({"a": 1}, "rows"))
    with pytest.raises(DatabaseError, match="nowhere"):
        connection.query(Statement(("SELECT * FROM nowhere WHERE a = ", ""), (1,)))
    with pytest.raises(DatabaseError, match="nothing was committed"):
        connection.commit()
    assert connection.columns(TableName("t")) is None


def test_columns_are_as_the_server_writes_them(connection: AdbcConnection) -> None:
    connection.query(Statement.of("CREATE TABLE t (a varchar(5), gone int, b numeric(8, 2)[], c timestamptz(3))"))
    connection.query(Statement.of("ALTER TABLE t DROP COLUMN gone"))
    assert connection.columns(TableName("t")) == {
        "a": "character varying(5)",
        "b": "numeric(8,2)[]",
        "c": "timestamp(3) with time zone",
    }


def test_a_new_table_has_types_that_later_rows_fit_in(connection: AdbcConnection) -> None:
    given = {
        "n": Decimal("1.5"),
        "j": {"k": 1},
        "l": ["x"],
        "z": None,
        "i": 1,
        "f": 1.5,
        "u": UUID(int=1),
        "t": datetime(2024, 1, 1, tzinfo=UTC),
        "d": timedelta(1),
    }
    connection.create(TableName("t"), to_arrow(given, "rows"))
    assert list((connection.columns(TableName("t")) or {}).values()) == [
        "numeric",
        "jsonb",
        "text[]",
        "text",
        "bigint",
        "double precision",
        "text",
        "timestamp with time zone",
        "interval",
    ]


def test_readers_of_a_replaced_table_see_all_of_one(connection: AdbcConnection, open_connection: Open) -> None:
    table = TableName("t")
    connection.create(table, to_arrow([{"a": 0}] * 10, "rows"))
    connection.commit()
    reader = open_connection()
    over: list[bool] = []

    def read() -> set[tuple[int, int]]:
        seen = set()
        while not over:
            found = rows(reader, "SELECT MIN(a) AS a, COUNT(*) AS n FROM t")[0]
            seen.add((int(str(found["a"])), int(str(found["n"]))))
            reader.rollback()
        return seen

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        for number in range(1, 20):
            connection.replace(table, to_arrow([{"a": number}] * 10, "rows"))
            connection.commit()
        over.append(True)
        assert all(count == 10 for _, count in reading.result())


def test_a_schema_is_made_by_one_of_many(server: Mapping[str, object], open_connection: Open) -> None:
    schema = f"{server['POSTGRES_SCHEMA']}_b"
    connections = [open_connection() for _ in range(4)]

    def make(connection: AdbcConnection) -> None:
        connection.create_schema(schema)
        connection.commit()

    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(make, connections))
    finally:
        connections[0].query(Statement.of(f'DROP SCHEMA "{schema}"'))
        connections[0].commit()


def test_a_schema_that_is_not_there_cannot_hold_a_table(server: Mapping[str, object], tmp_path: Path) -> None:
    lost = connect_postgres(profile_of(tmp_path, {**server, "POSTGRES_SCHEMA": 'no such "schema" \\ here'}))
    try:
        with pytest.raises(DatabaseError, match="there is no schema to make `t` in") as caught:
            lost.create(TableName("t"), to_arrow({"a": 1}, "rows"))
        assert "POSTGRES_SCHEMA" in str(caught.value)
        lost.rollback()
        assert rows(lost, "SHOW search_path") == [{"search_path": '"no such ""schema"" \\ here"'}]
    finally:
        lost.close()


def test_settings_of_a_session_end_with_a_reset(connection: AdbcConnection) -> None:
    before = rows(connection, "SHOW search_path")
    for text in ("SET search_path = pg_catalog", "SET TimeZone = 'Asia/Tokyo'", "SELECT pg_advisory_lock(5)::text"):
        connection.query(Statement.of(text))
    connection.commit()
    connection.reset()
    assert rows(connection, "SHOW search_path") == before
    held = "SELECT COUNT(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert rows(connection, held) == [{"n": 0}]


def test_a_password_is_in_no_error(server: Mapping[str, object], tmp_path: Path) -> None:
    for wrong in ({"POSTGRES_PORT": 1}, {"POSTGRES_DBNAME": "no such"}, {"POSTGRES_SSLMODE": "no such hunter2"}):
        profile = profile_of(tmp_path, {**server, "POSTGRES_PASSWORD": "hunter2", **wrong})
        with pytest.raises(DatabaseError) as caught:
            connect_postgres(profile)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(DatabaseError, match=r"refold\[postgres\]"):
        connect_postgres(None)


def test_a_date_of_infinity_is_named(connection: AdbcConnection) -> None:
    found = connection.query(Statement.of("SELECT date 'infinity' AS until"))
    assert found is not None
    with pytest.raises(Exception, match="column `until`"):
        to_pandas(found)


def test_to_interrupt_what_is_closed_does_nothing(connection: AdbcConnection) -> None:
    connection.close()
    connection.interrupt()


def test_while_backslashes_escape_in_every_literal_a_statement_with_one_is_refused(connection: AdbcConnection) -> None:
    text = Statement.of("SELECT '\\' AS value")
    rows = connection.query(text)
    assert rows is not None
    assert rows.to_pylist() == [{"value": "\\"}]
    connection.query(Statement.of("SET standard_conforming_strings = off"))
    with pytest.raises(DatabaseError, match="standard_conforming_strings"):
        connection.query(text)
