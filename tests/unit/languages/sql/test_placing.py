"""Where an expression stands says what becomes of its value: a parameter, a name in quotes, part of a literal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from refold.errors import BlockError, BlockFileError
from refold.io.databases.sql_text import dialect_of
from refold.languages.sql.pieces import Filled
from refold.languages.sql.placing import place
from refold.languages.sql.relation import Relation
from refold.languages.sql.rendering import SqlTemplate

NAMES = {
    "x": "it's",
    "n": 5,
    "t": "orders",
    "dotted": "raw.orders",
    "xs": [1, 2],
    "one": [7],
    "empty": [],
    "names": ["n'1", "n2"],
    "none": None,
    "truth": True,
    "ds": "2024-01-01",
    "day": date(2024, 1, 2),
    "moment": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    "amount": Decimal("1.50"),
    "uuid": UUID(int=1),
    "d": {"a": date(2024, 1, 2)},
    "df_1": Relation("df_1", [{"a": 1}], "an upstream"),
    "rows": [{"a": 1}],
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def fill(template: str, provider: str = "postgres") -> list[Filled]:
    rendered, values = SqlTemplate(template, "block.sql").render(NAMES)
    return [each.fill(values) for each in place(rendered, dialect_of(provider), "block.sql")]


def placed(template: str, provider: str = "postgres") -> tuple[str, tuple[object, ...]]:
    [filled] = fill(template, provider)
    statement = filled.statement(quoted)
    return statement.text(lambda number: f"${number}"), statement.values


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        # Values
        ("SELECT {{ x }}, {{x}}::text", "SELECT $1, $2::text", ("it's", "it's")),
        ("SELECT a={{ n }} AND b>{{n}}", "SELECT a=$1 AND b>$2", (5, 5)),
        ("SELECT {{ x | upper }}, {{ x ~ n }}, {{ 'c' }}", "SELECT $1, $2, $3", ("IT'S", "it's5", "c")),
        ("SELECT {{ none }}, {{ truth }}, {{ amount }}", "SELECT $1, $2, $3", (None, True, Decimal("1.50"))),
        ("SELECT {{ d }}, {{ d | tojson }}", "SELECT $1, $2", ('{"a": "2024-01-02"}', '{"a": "2024-01-02"}')),
        ("SELECT * FROM f({{ n }}, {{ xs }})", "SELECT * FROM f($1, $2, $3)", (5, 1, 2)),
        ("SELECT 1 LIMIT {{ n }} OFFSET {{ n }}", "SELECT 1 LIMIT $1 OFFSET $2", (5, 5)),
        ("SELECT extract(year FROM {{ day }})", "SELECT extract(year FROM $1)", (date(2024, 1, 2),)),
        ("SELECT trim(both ' ' FROM {{ x }})", "SELECT trim(both ' ' FROM $1)", ("it's",)),
        ("SELECT a IS NOT DISTINCT FROM {{ x }}", "SELECT a IS NOT DISTINCT FROM $1", ("it's",)),
        ("SELECT CAST({{ n }} AS text)", "SELECT CAST($1 AS text)", (5,)),
        ("SELECT * FROM t JOIN u ON a = {{ n }}, v", "SELECT * FROM t JOIN u ON a = $1, v", (5,)),
        ("SELECT 1 GROUP BY a HAVING b > {{ n }}", "SELECT 1 GROUP BY a HAVING b > $1", (5,)),
        ("INSERT INTO t VALUES ({{ x }}, {{ n }})", "INSERT INTO t VALUES ($1, $2)", ("it's", 5)),
        ("SELECT a = {{ one }}", "SELECT a = $1", (7,)),
        # Lists
        ("a IN ({{ xs }})", "a IN ($1, $2)", (1, 2)),
        ("a IN {{ xs }}", "a IN ($1, $2)", (1, 2)),
        ("a IN ({{ xs | join(', ') }})", "a IN ($1, $2)", (1, 2)),
        ("a IN ({% for v in xs %}{{ v }}{% if not loop.last %}, {% endif %}{% endfor %})", "a IN ($1, $2)", (1, 2)),
        ("""a IN ('{{ names | join("','") }}')""", "a IN ($1, $2)", ("n'1", "n2")),
        ("a IN ({{ n }}, {{ xs }})", "a IN ($1, $2, $3)", (5, 1, 2)),
        ("ARRAY[{{ xs }}]", "ARRAY[$1, $2]", (1, 2)),
        ("a IN ({{ empty }}) AND b", "a IN (NULL) IS TRUE AND b", ()),
        ("a NOT IN ({{ empty }})", "a NOT IN (NULL) IS NOT FALSE", ()),
        ("a NOT IN {{ empty }}", "a NOT IN (NULL) IS NOT FALSE", ()),
        ("a IN ({{ n }}) IS TRUE", "a IN ($1) IS TRUE", (5,)),
        # Literals
        ("SELECT '{{ x }}', 'a''{{ n }}b'", "SELECT $1, $2", ("it's", "a'5b")),
        ("a LIKE '%{{ x }}%'", "a LIKE $1", ("%it's%",)),
        ("SELECT '{{ none }}', '{{ truth }}'", "SELECT $1, $2", (None, "true")),
        ("SELECT '{{ day }}', '{{ moment }}'", "SELECT $1, $2", ("2024-01-02", "2024-01-02 03:04:05+00:00")),
        ("SELECT '{{ d }}'::jsonb", "SELECT $1::jsonb", ('{"a": "2024-01-02"}',)),
        ("SELECT DATE '{{ ds }}'", "SELECT CAST($1 AS DATE)", ("2024-01-01",)),
        ("SELECT timestamp with time zone '{{ ds }}'", "SELECT CAST($1 AS TIMESTAMP WITH TIME ZONE)", ("2024-01-01",)),
        ("SELECT INTERVAL '{{ n }} days'", "SELECT CAST($1 AS INTERVAL)", ("5 days",)),
        ("SELECT INTERVAL '{{ n }}' DAY, 1", "SELECT CAST($1 AS INTERVAL), 1", ("5 DAY",)),
        ("SELECT uuid '{{ uuid }}'", "SELECT CAST($1 AS UUID)", ("00000000-0000-0000-0000-000000000001",)),
        (r"SELECT E'\n{{ x }}'", "SELECT $1", ("\nit's",)),
        ("SELECT $q${{ x }}$q$", "SELECT $1", ("it's",)),
        # Names
        ('SELECT "{{ x }}", "a""{{ n }}"', 'SELECT "it\'s", "a""5"', ()),
        ("SELECT * FROM {{ t }}", 'SELECT * FROM "orders"', ()),
        ("SELECT * FROM {{ dotted }}", 'SELECT * FROM "raw"."orders"', ()),
        ("SELECT * FROM {{ dotted | identifier }}", 'SELECT * FROM "raw.orders"', ()),
        ("SELECT * FROM {{ t }}, {{ x }} WHERE a = {{ n }}", 'SELECT * FROM "orders", "it\'s" WHERE a = $1', (5,)),
        ("SELECT * FROM {{ x }}.{{ dotted }}", 'SELECT * FROM "it\'s"."raw.orders"', ()),
        ("SELECT t.{{ x }}, {{ x }}.id, {{ x }} . *", 'SELECT t."it\'s", "it\'s".id, "it\'s" . *', ()),
        ("SELECT * FROM sales_{{ n }}, {{ n }}_b", 'SELECT * FROM "sales_5", "5_b"', ()),
        ("SELECT Col_{{ n }} FROM a", 'SELECT "col_5" FROM a', ()),
        ("SELECT 1 AS {{ x }} ORDER BY {{ x }}, {{ n }} DESC", 'SELECT 1 AS "it\'s" ORDER BY "it\'s", 5 DESC', ()),
        ("SELECT 1 GROUP BY ROLLUP({{ x }}, {{ t }})", 'SELECT 1 GROUP BY ROLLUP("it\'s", "orders")', ()),
        ("SELECT f(a) OVER (PARTITION BY {{ x }})", 'SELECT f(a) OVER (PARTITION BY "it\'s")', ()),
        ("INSERT INTO {{ t }} ({{ names | identifier }})", 'INSERT INTO "orders" ("n\'1", "n2")', ()),
        ("SELECT {{ names | identifier }} FROM t", 'SELECT "n\'1", "n2" FROM t', ()),
        ("DROP TABLE IF EXISTS {{ t }}, {{ x }}", 'DROP TABLE IF EXISTS "orders", "it\'s"', ()),
        ("CREATE SCHEMA IF NOT EXISTS {{ x }}", 'CREATE SCHEMA IF NOT EXISTS "it\'s"', ()),
        ("ALTER TABLE {{ t }} ADD COLUMN {{ x }} int", 'ALTER TABLE "orders" ADD COLUMN "it\'s" int', ()),
        ("UPDATE {{ t }} SET a = {{ x }}", 'UPDATE "orders" SET a = $1', ("it's",)),
        ("WITH {{ t }} AS (SELECT {{ x }}) SELECT 1", 'WITH "orders" AS (SELECT $1) SELECT 1', ("it's",)),
        ("DELETE FROM {{ t }} WHERE a = {{ n }}", 'DELETE FROM "orders" WHERE a = $1', (5,)),
        # Rows
        ("SELECT * FROM {{ df_1 }} JOIN {{ rows }}", 'SELECT * FROM "df_1" JOIN "rows_2"', ()),
        ("SELECT {{ df_1 }}.a, '{{ df_1 }}'", 'SELECT "df_1".a, $1', ("df_1",)),
        ("a IN ({{ df_1 }})", 'a IN (SELECT * FROM "df_1")', ()),
        ("a IN ({{ df_1.a }}) AND b = {{ df_1['a'] }}", "a IN ($1) AND b = $2", (1, 1)),
        # Comments
        ("SELECT 1 -- {{ x }}\n/* {{ x }} */", "SELECT 1 -- \n/*  */", ()),
    ],
)  # fmt: skip
def test_what_stands_there(template: str, text: str, values: tuple[object, ...]) -> None:
    assert placed(template) == (text, values)


@pytest.mark.parametrize(
    ("provider", "template", "text", "values"),
    [
        ("mysql", 'SELECT "{{ x }}", `{{ x }}`', 'SELECT $1, "it\'s"', ("it's",)),
        ("mysql", r"SELECT 'a\'{{ x }}'", "SELECT $1", ("a'it's",)),
        ("mysql", "SELECT INTERVAL '{{ n }}' DAY", "SELECT INTERVAL $1 DAY", ("5",)),
        ("mysql", "SELECT TIMESTAMP '{{ ds }}'", "SELECT CAST($1 AS DATETIME)", ("2024-01-01",)),
        ("mysql", "SELECT 1 # {{ x }}", "SELECT 1 # ", ()),
        ("sqlite", "SELECT [{{ x }}]", 'SELECT "it\'s"', ()),
        ("duckdb", "SELECT Col_{{ n }}", 'SELECT "Col_5"', ()),
        ("duckdb", "SELECT {'a': {{ x }}}", "SELECT {'a': $1}", ("it's",)),
    ],
)  # fmt: skip
def test_each_database_reads_it_its_own_way(
    provider: str, template: str, text: str, values: tuple[object, ...]
) -> None:
    assert placed(template, provider) == (text, values)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("SELECT 1,\n {{ x }}{{ n }}", "touch each other"),
        ("SELECT 1,\n 1{{ n }}", "touch each other or a number"),
        ("SELECT 1,\n X'{{ n }}'", "this kind of literal: X'...'"),
        ("SELECT\n {{ xs }}", "a list of 2 elements stands where one value belongs"),
        ("SELECT\n a = {{ empty }}", "a list of 0 elements"),
        ("SELECT 1\n FROM {{ none }}", "the name of a table or a column is to stand there, and the value is None"),
        ("SELECT 1\n FROM {{ '' }}", "an empty text"),
        ("SELECT 1,\n {{ range }}", "a statement cannot take"),
        ("SELECT 1,\n {{ df_1['b'] }}", "has no column `b`; it has a"),
        ("SELECT 1,\n {{ df_1[3] }}", "none of the outputs"),
    ],
)  # fmt: skip
def test_what_cannot_stand_there_is_an_error_at_its_line(template: str, said: str) -> None:
    with pytest.raises(BlockError, match=said.replace("[", r"\[")) as raised:
        placed(template)
    assert raised.value.where == "block.sql:2"


def test_an_empty_list_is_an_error_where_a_condition_cannot_be_tested_for_truth() -> None:
    with pytest.raises(BlockError, match="an empty list stands after IN"):
        placed("a IN ({{ empty }})", "mssql")


def test_statements_have_their_own_values_and_lines() -> None:
    rendered, values = SqlTemplate("SELECT {{ x }};\n\n{# gone #}\nSELECT {{ n }}", "block.sql").render(NAMES)
    statements = place(rendered, dialect_of("postgres"), "block.sql")
    assert [each.where for each in statements] == ["block.sql:1", "block.sql:4"]
    assert [each.fill(values).statement(quoted).values for each in statements] == [("it's",), (5,)]


def test_the_line_is_that_of_the_file_however_much_a_loop_wrote() -> None:
    template = "{% for v in xs %}\nSELECT {{ v }};\n{% endfor %}\n\n{{ x }}{{ n }}"
    with pytest.raises(BlockFileError) as raised:
        placed(template)
    assert raised.value.where == "block.sql:5"


def test_messages_have_no_values() -> None:
    rendered, _ = SqlTemplate("SELECT '{{ x }}',\n  {{ x }}", "block.sql").render(NAMES)
    [statement] = place(rendered, dialect_of("postgres"), "block.sql")
    assert statement.beginning == "SELECT '?', ?"


@pytest.mark.parametrize("template", ["SELECT ${{ x }}", "SELECT {{ x }}$$a$$", "SELECT $a{{ x }}", "FROM {{ t }}$"])
def test_an_expression_does_not_open_a_literal_of_dollars(template: str) -> None:
    for provider in ("postgres", "duckdb"):
        with pytest.raises(BlockFileError, match=r"touches a `\$`"):
            fill(template, provider)
    assert placed("SELECT '${{ n }}', $${{ n }}$$")[1] == ("$5", "5")


def test_an_expression_is_not_left_out_of_a_comment_that_mysql_runs() -> None:
    for comment in ("/*! AND a = '{{ x }}' */", "/*!50000 {{ x }} */", "/*M! {{ x }} */"):
        with pytest.raises(BlockFileError, match="a comment that the database runs"):
            fill(f"SELECT 1 {comment}", "mysql")
    assert placed("SELECT 1 /*! {{ x }} */", "postgres") == ("SELECT 1 /*!  */", ())


@pytest.mark.parametrize("template", ["FROM {{ v }}", 'SELECT "{{ v }}"', "SELECT {{ v | identifier }}"])
def test_a_name_that_would_be_cut_off_is_refused(template: str) -> None:
    rendered, values = SqlTemplate(template, "block.sql").render({"v": "a\0b"})
    [statement] = place(rendered, dialect_of("postgres"), "block.sql")
    with pytest.raises(BlockError, match="NUL"):
        statement.fill(values)


@pytest.mark.parametrize(
    "template", ["FROM {{ v }}", "SELECT '{{ v }}'", "SELECT {{ v }}", "SELECT {{ v | identifier }}"]
)
def test_half_a_character_is_an_error_that_says_where(template: str) -> None:
    rendered, values = SqlTemplate(template, "block.sql").render({"v": "a\ud800"})
    [statement] = place(rendered, dialect_of("postgres"), "block.sql")
    with pytest.raises(BlockError, match=r"half a character \(U\+D800 at 1\)") as raised:
        statement.fill(values)
    assert raised.value.where == "block.sql:1"


class Pretender(str):
    """Text that says something else when it is asked."""

    def __str__(self) -> str:
        return self

    def replace(self, *_: object) -> str:
        return 'a"; DROP TABLE t'

    __html__ = replace


def test_text_of_a_class_of_its_own_is_the_text_that_it_is() -> None:
    rendered, values = SqlTemplate("SELECT {{ v }} FROM {{ v }}", "block.sql").render({"v": Pretender('it"s')})
    [statement] = place(rendered, dialect_of("postgres"), "block.sql")
    made = statement.fill(values).statement(quoted)
    assert made.texts == ("SELECT ", ' FROM "it""s"')
    assert [type(value) for value in made.values] == [str]
