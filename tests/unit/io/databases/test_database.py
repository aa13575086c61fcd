"""What blocks do with a database, on each that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from mage_ai.io.base import ExportWritePolicy
from refold.errors import DatabaseError, ProjectError
from refold.io.databases.database import Database
from refold.io.databases.named_databases import BigQuery, MySQL, Postgres, Snowflake, SQLite
from refold.io.databases.query_parameters import bound
from refold.io.databases.sql_text import dialect_of
from refold.io.databases.statement import Statement
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.testing.live_databases import LIVE, live_database

PEOPLE = pd.DataFrame(
    {"id": [1, 2, 3], "name": ["Ann", "Bob", None], "born": [date(1990, 5, 1), None, date(2001, 2, 3)]}
)


@pytest.fixture(params=[pytest.param(word, marks=pytest.mark.postgres if word == "postgres" else ()) for word in LIVE])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    with live_database(request.param, tmp_path) as make:
        yield make


@pytest.fixture
def db(make: Callable[[], Database]) -> Database:
    return make()


def names(db: Database) -> list[str | None]:
    found = db.load("SELECT name FROM people ORDER BY id")["name"]
    return [str(name) if isinstance(name, str) else None for name in found]


def test_rows_are_exported_and_loaded(db: Database) -> None:
    db.export(PEOPLE, None, "people")
    found = db.load("SELECT * FROM people ORDER BY id")
    assert found["id"].tolist() == [1, 2, 3]
    assert found["born"].tolist() == [date(1990, 5, 1), None, date(2001, 2, 3)]
    assert names(db) == ["Ann", "Bob", None]


def test_one_name_is_the_tables(db: Database) -> None:
    db.export(PEOPLE, "people")
    assert db.exists("people")
    assert db.table_exists(None, "people")
    assert not db.exists("nobody")


def test_a_table_in_a_schema_that_is_made(make: Callable[[], Database]) -> None:
    db = make()
    if isinstance(db, (SQLite, MySQL)):
        pytest.skip("has no schemas besides its databases")
    schema = "refold_" + Path(str(db._config.path)).parent.name.lower()[:40]
    try:
        db.export(PEOPLE, schema, "people")
        assert len(db.load(f"SELECT * FROM {schema}.people")) == 3
        assert db.table_exists(schema, "people")
        assert not db.table_exists(schema, "nobody")
        assert db.sample(schema, 2, "people").shape == (2, 3)
    finally:
        db.rollback()
        db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        db.commit()


def test_the_default_is_to_replace(db: Database) -> None:
    db.export(PEOPLE, "people")
    db.export(PEOPLE.head(1)[["name", "id"]], "people")
    assert list(db.load("SELECT * FROM people").columns) == ["name", "id"]
    assert names(db) == ["Ann"]


@pytest.mark.parametrize("policy", ["append", ExportWritePolicy.APPEND])
def test_append_keeps_what_is_there(db: Database, policy: str) -> None:
    db.export(PEOPLE, "people")
    db.export(pd.DataFrame({"name": ["Cid"], "id": ["4"]}), "people", if_exists=policy)
    assert names(db) == ["Ann", "Bob", None, "Cid"]


def test_fail_leaves_the_table_alone(db: Database) -> None:
    db.export(PEOPLE.head(1), "people", if_exists="fail")
    with pytest.raises(DatabaseError, match="`people` is there already"):
        db.export(PEOPLE, "people", if_exists="fail")
    assert names(db) == ["Ann"]


def test_conflicting_rows_are_set_or_left(db: Database) -> None:
    db.export(PEOPLE, "people")
    news = pd.DataFrame({"id": [2, 4], "name": ["Ben", "Dan"]})
    db.export(news, "people", if_exists="append", unique_constraints=["id"], unique_conflict_method="IGNORE")
    assert names(db) == ["Ann", "Bob", None, "Dan"]
    db.export(news, "people", if_exists="append", unique_constraints=["id"], unique_conflict_method="UPDATE")
    assert names(db) == ["Ann", "Ben", None, "Dan"]


def test_the_rows_of_a_query_become_a_table(db: Database) -> None:
    db.export(PEOPLE, "people")
    db.export(None, None, "adults", query_string="SELECT id FROM people WHERE id < 3", verbose=False)
    assert sorted(db.load("SELECT * FROM adults")["id"]) == [1, 2]


def test_names_of_columns_are_made_plain_unless_they_shall_not(db: Database) -> None:
    frame = pd.DataFrame({"Full name": ["Ann"], "2024": [1], "order": [2]})
    db.export(frame, "people")
    assert list(db.load("SELECT * FROM people").columns) == ["full_name", "letter_2024", "order"]
    db.export(frame, "people", auto_clean_name=False)
    assert list(db.load("SELECT * FROM people").columns) == ["Full name", "2024", "order"]
    with pytest.raises(DatabaseError, match="`A b` and `a_b` would both be `a_b`"):
        db.export(pd.DataFrame({"A b": [1], "a_b": [2]}), "people")


def test_the_index_becomes_a_column_when_asked_for(db: Database) -> None:
    db.export(PEOPLE.set_index("id"), "people", index=True)
    assert names(db) == ["Ann", "Bob", None]
    db.export(PEOPLE.set_index("id"), "people")
    assert list(db.load("SELECT * FROM people").columns) == ["name", "born"]


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("SELECT name FROM people WHERE id = :id AND name <> ':id'", {"id": 2}),
        ("SELECT name FROM people WHERE id = %(id)s -- :other", {"id": 2}),
        ("SELECT name FROM people WHERE id = ? AND name <> '?'", [2]),
        ("SELECT name FROM people WHERE id = %s", (2,)),
        ("SELECT name FROM people WHERE id IN (:ids) AND id > 1", {"ids": [1, 2]}),
    ],
)
def test_values_are_bound(db: Database, query: str, params: dict[str, object]) -> None:
    db.export(PEOPLE, "people")
    assert db.load(query, params=params)["name"].tolist() == ["Bob"]


def test_a_value_is_never_part_of_the_statement(db: Database) -> None:
    db.export(PEOPLE, "people")
    name = "x'; DROP TABLE people; --"
    db.execute("UPDATE people SET name = :name WHERE id = :id", name=name, id=1)
    assert db.load("SELECT name FROM people WHERE name = ?", params=[name])["name"].tolist() == [name]


def test_a_percent_sign_is_one(db: Database) -> None:
    assert db.load("SELECT '100%' AS a, 7 % 4 AS b").iloc[0].tolist() == ["100%", 3]
    assert db.load("SELECT '5%' AS a, 7 % 4 AS b, :c AS c", params={"c": "%s"}).iloc[0].tolist() == ["5%", 3, "%s"]


HOSTILE = (
    *("it's", "'", "''", '"', '"a"', 'said "it\'s"', "`", "\\", "a\\", "\\'", "'\\''", "\\\\", "\\0", "\\n"),
    *(
        "%s",
        "%(value)s",
        "%",
        "%%",
        ":value",
        ":a",
        "?",
        "$1",
        "$$",
        "{}",
        "{value}",
        "{{ value }}",
        "/*",
        "*/",
        "--",
        ";",
    ),
    *(
        "NULL",
        "1",
        "' OR '1' = '1",
        '" OR 1 = 1 --',
        "'; DROP TABLE people; --",
        "x' || 'y",
        "E'\\x41'",
        "\n",
        "é🐎",
        "",
    ),
)


def test_a_value_is_that_value_whatever_it_says(db: Database) -> None:
    named = "SELECT :value AS a, %(value)s AS b, ':value %s ?' AS c, :other AS d WHERE :value = %(value)s"
    in_order = "SELECT ? AS a, '? %s' AS b, %s AS c WHERE ? IN (%s)"
    for text in HOSTILE:
        found = db.load(named, params={"value": text, "other": f"<{text}>"})
        assert found.iloc[0].tolist() == [text, text, ":value %s ?", f"<{text}>"]
        listed = db.load(in_order, params=[text, f"{text}!", text, [text, "x"]])
        assert listed.iloc[0].tolist() == [text, "? %s", f"{text}!"]
        assert db.load("SELECT 1 AS a WHERE :value <> :value", params={"value": text}).empty


def test_a_name_of_something_is_no_name_as_a_value(db: Database) -> None:
    db.export(pd.DataFrame({"name": ["name", *HOSTILE], "place": range(len(HOSTILE) + 1)}), "people")
    query = "SELECT place FROM people WHERE name = :value"
    for place, text in enumerate(("name", *HOSTILE)):
        assert db.load(query, params={"value": text})["place"].tolist() == [place]
        assert db.load(query, params={"value": f"{text} nobody"}).empty
    for nothing in ('"name"', "`name`", "[name]", "people.name"):
        assert db.load(query, params={"value": nothing}).empty


@pytest.mark.parametrize("word", LIVE)
def test_no_value_is_in_the_text_of_its_statement(word: str) -> None:
    for text in HOSTILE:
        value = f"<{text}>"
        named = bound("SELECT :v, %(v)s, ':v'", {"v": value}, dialect_of(word))
        assert named == Statement(("SELECT ", ", ", ", ':v'"), (value, value))
        in_order = bound("SELECT ?, %s IN (?)", [value, value, [value, value]], dialect_of(word))
        assert in_order == Statement(("SELECT ", ", ", " IN (", ", ", ")"), (value,) * 4)


def test_values_hold_characters_that_no_text_of_a_query_does(db: Database) -> None:
    data = b"\x00'\"\\%s\xff"
    if isinstance(db, Postgres):
        with pytest.raises(DatabaseError):
            db.load("SELECT :value AS a", params={"value": "a\x00b"})
        db.rollback()
    else:
        assert db.load("SELECT :value AS a", params={"value": "a\x00'b"})["a"].tolist() == ["a\x00'b"]
    assert [bytes(each) for each in db.load("SELECT :value AS a", params={"value": data})["a"]] == [data]


@pytest.mark.parametrize(
    ("params", "message"),
    [({"a": 1}, "`:b`|a value `b`|b"), ({"a": 1, "b": 2, "c": 3}, "`:c`"), ({"a": 1, "b": object()}, "no value")],
)
def test_values_and_placeholders_must_match(db: Database, params: dict[str, object], message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        db.load("SELECT %(a)s AS a, %(b)s AS b", params=params)


def test_a_limit_keeps_the_first_rows_in_their_order(db: Database) -> None:
    db.export(PEOPLE, "people")
    query = "WITH p AS (SELECT * FROM people) SELECT id FROM p ORDER BY id DESC -- newest\n;"
    assert db.load(query, limit=2)["id"].tolist() == [3, 2]
    assert db.load(query, 2, "shown", True)["id"].tolist() == [3, 2]
    assert len(db.load(query, limit=0)) == 0


def test_a_statement_is_loaded_as_it_is(db: Database) -> None:
    assert db.load(Statement(("SELECT ", " AS a"), (5,)))["a"].tolist() == [5]


def test_statements_are_run_in_order_and_their_rows_given(db: Database) -> None:
    db.execute("CREATE TABLE t (a INTEGER)")
    queries = ["INSERT INTO t VALUES (:a)", "INSERT INTO t VALUES (:a)", "SELECT SUM(a) AS n FROM t"]
    found = db.execute_queries(queries, query_variables=[{"a": 1}, {"a": 2}, {}], commit=True)
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2]["n"].tolist() == [3]
    assert db.execute_queries(["SELECT 1 AS a", "SELECT 2 AS a"], fetch_query_at_indexes=[False, False]) == [None, None]
    second = db.execute_queries(["SELECT 1 AS a", "SELECT 2 AS a"], fetch_query_at_indexes=[1])
    assert (second[0], len(second[1] if second[1] is not None else ())) == (None, 1)


def test_of_statements_that_fail_none_is_committed(make: Callable[[], Database]) -> None:
    db = make()
    db.execute_query_raw("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);")
    with pytest.raises(DatabaseError):
        db.execute_queries(["INSERT INTO t VALUES (2)", "INSERT INTO nowhere VALUES (2)"], commit=True)
    with pytest.raises(DatabaseError):
        db.execute_query_raw("INSERT INTO t VALUES (3); INSERT INTO nowhere VALUES (3)")
    rows = db.execute_query_raw("-- first; second\nSELECT 'a;b' AS a; SELECT COUNT(*) AS n FROM t")
    assert rows is not None
    assert rows["n"].tolist() == [1]


def test_after_an_error_and_a_rollback_it_can_be_used(db: Database) -> None:
    with pytest.raises(DatabaseError, match="nowhere"):
        db.load("SELECT * FROM nowhere")
    db.rollback()
    assert db.load("SELECT 1 AS a")["a"].tolist() == [1]


def test_leaving_the_context_commits_and_an_error_rolls_back(make: Callable[[], Database]) -> None:
    with make() as db:
        db.execute("CREATE TABLE t (a INTEGER)")
        db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(ZeroDivisionError), make() as db:
        failing(db)
    closed = make()
    closed.execute("INSERT INTO t VALUES (3)")
    closed.close()
    with make() as db:
        assert db.load("SELECT a FROM t")["a"].tolist() == [1]


def test_a_failed_export_leaves_the_table_as_it_was(db: Database) -> None:
    db.export(PEOPLE, "people")
    for rows, options in (
        (PEOPLE.assign(more=1), {"if_exists": "append"}),
        (PEOPLE.assign(id="no number"), {"if_exists": "append"}),
        (PEOPLE.assign(id=1), {"if_exists": "append", "unique_constraints": ["id"]}),
        (PEOPLE, {"if_exists": "append", "unique_constraints": ["nothing"]}),
        (PEOPLE.assign(id=pd.Series([1, None, 3])), {"if_exists": "append", "unique_constraints": ["id"]}),
        (PEOPLE, {"if_exists": "maybe"}),
        (PEOPLE, {"overwrite_types": {"id": "TEXT"}}),
    ):
        if isinstance(db, SQLite) and rows["id"].tolist()[0] == "no number":
            continue  # SQLite keeps text in a column of numbers
        with pytest.raises(DatabaseError):
            db.export(rows, "people", **options)
    assert names(db) == ["Ann", "Bob", None]


def test_capitals_are_kept_when_asked_for(db: Database) -> None:
    db.export(pd.DataFrame({"Name": ["Ann"]}), "People", case_sensitive=True)
    assert list(db.sample(None, 5, "People").columns) == ["Name"]


@pytest.mark.postgres
def test_capitals_of_a_table_mean_nothing_to_postgresql(tmp_path: Path) -> None:
    with live_database("postgres", tmp_path) as make:
        db = make()
        db.export(PEOPLE, None, "People")
        assert len(db.load("SELECT * FROM People")) == 3
        assert db.exists("People")


def test_settings_are_keywords_too(tmp_path: Path) -> None:
    with SQLite(database=str(tmp_path / "a.db"), verbose=True) as db:
        db.export(PEOPLE, "people")
    with SQLite.with_config(ConfigFileLoader(written(tmp_path, {"SQLITE_DATABASE": str(tmp_path / "a.db")}))) as db:
        assert names(db) == ["Ann", "Bob", None]


def test_a_file_is_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "metadata.yaml").write_text("")
    (tmp_path / "io_config.yaml").write_text("default:\n  sqlite:\n    database: shop.db\n")
    monkeypatch.chdir(tmp_path / "pipelines")
    with SQLite.with_config(ConfigFileLoader()) as db:
        db.export(PEOPLE, "people")
    assert (tmp_path / "shop.db").is_file()


def test_a_missing_key_is_told_with_file_and_profile(tmp_path: Path) -> None:
    path = written(tmp_path, {"MYSQL_DATABASE": "shop"})
    with pytest.raises(ProjectError, match=r"io_config.yaml: profile `default` has no `MYSQL_HOST`, which MySQL needs"):
        MySQL.with_config(ConfigFileLoader(path)).open()
    with pytest.raises(ProjectError, match="has no `MYSQL_DATABASE`"):
        MySQL(host="127.0.0.1").open()


def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    with live_database("mysql", tmp_path) as make:
        config = make()._config
        password = "geheim-4711"
        db = MySQL(host=config["MYSQL_HOST"], port=config["MYSQL_PORT"], user="nobody", password=password, database="x")
        with pytest.raises(DatabaseError, match="Access denied") as caught:
            db.open()
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "names", "options", "expected"),
    [
        (Postgres, ("public", "t"), {}, TableName("t", "public")),
        (Postgres, (), {"schema_name": "public", "table_name": "t"}, TableName("t", "public")),
        (MySQL, (None, "t"), {}, TableName("t")),
        (MySQL, ("t",), {}, TableName("t")),
        (Snowflake, ("t", "db", "s"), {}, TableName("t", "s", "db")),
        (Snowflake, ("t",), {"database": "db"}, TableName("t", "mine", "db")),
        (BigQuery, ("project.set.t",), {}, TableName("t", "set", "project")),
        (BigQuery, ("set.t",), {}, TableName("t", "set")),
    ],
)
def test_arguments_of_export_are_in_the_order_of_each_class(
    kind: type[Database], names: tuple[str | None, ...], options: dict[str, object], expected: TableName
) -> None:
    db = kind(schema="mine")
    assert db._table(names, options, case_sensitive=False) == expected


def written(folder: Path, settings: dict[str, str]) -> Path:
    path = folder / "io_config.yaml"
    path.write_text("default:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
    return path


def failing(db: Database) -> None:
    db.execute("INSERT INTO t VALUES (2)")
    raise ZeroDivisionError
