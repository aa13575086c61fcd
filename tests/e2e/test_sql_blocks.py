"""SQL blocks in pipelines: they unfold and fold, fail and are skipped, as blocks of Python do; and what they write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from refold.api.reading import RunReader
from refold.api.wiring import ExecutorKind
from refold.io.databases.providers import find_provider
from refold.io.databases.sessions import session
from refold.io.databases.statement import Statement
from refold.io.settings.config import ConfigFileLoader
from refold.model.block import JsonValue
from refold.testing.database_servers import fresh_postgres
from refold.testing.documented_project import mage
from refold.testing.lab import ALL, Lab, load, statuses, values

FRAME = "import pandas as pd\n\n@data_loader\ndef load(*args):\n    return pd.DataFrame({frame})\n"


class SqlLab(Lab):
    """A pipeline with SQL in it; its databases are files in the project's folder."""

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        super().__init__(folder)
        self.use(settings or {"DUCKDB_DATABASE": str(folder / "lab.duckdb"), "SQLITE_DATABASE": str(folder / "lab.db")})

    def use(self, settings: Mapping[str, object]) -> None:
        """Has the default profile be these."""
        self.profile = self.project.path / "io_config.yaml"
        self.profile.write_text(json.dumps({"version": "0.1.1", "default": settings}), encoding="utf-8")

    def sql(
        self,
        uuid: str,
        text: str,
        upstream: Sequence[str] = (),
        kind: str = "transformer",
        **configuration: JsonValue,
    ) -> None:
        """A SQL block more."""
        self.pipeline = self.pipeline.add_block(
            uuid, kind, language="sql", upstream=list(upstream), configuration=configuration, content=text
        )

    def ask(self, provider: str, *statements: str) -> list[dict[str, object]]:
        """What the last of these statements gives, asked of the database itself."""
        rows = None
        with session(find_provider(provider, "test"), ConfigFileLoader(self.profile)) as connection:
            for statement in statements:
                rows = connection.query(Statement.of(statement))
        return [] if rows is None else cast("list[dict[str, object]]", rows.to_pylist())


@pytest.fixture
def lab(tmp_path: Path) -> SqlLab:
    return SqlLab(tmp_path)


def rows(reader: RunReader, block_run_uuid: str) -> list[dict[str, object]]:
    frame = cast("pd.DataFrame", reader.output(block_run_uuid))
    return cast("list[dict[str, object]]", frame.to_dict("records"))


def error(reader: RunReader, block_run_uuid: str) -> str:
    [found] = [each for each in reader.block_runs() if each.block_run_uuid == block_run_uuid]
    return str(found.error)


# Unfolding and folding


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES])
def test_sql_children_run_once_for_each_item_and_fold_back(lab: SqlLab, kind: ExecutorKind) -> None:
    lab.add("load", load("[[{'id': n} for n in range(3)], [{'block_uuid': f'n{n}', 'tag': n * 10} for n in range(3)]]"),
            dynamic=True)  # fmt: skip
    lab.sql("double", "SELECT id * 2 AS twice, {{ tag }} AS tag FROM {{ df_1 }}", ["load"], reduce_output=True)
    lab.sql("total", "SELECT sum(twice) AS total, sum(tag) AS tags, count(*) AS n FROM {{ df_1 }}", ["double"])
    reader = lab.run(kind)
    assert statuses(reader, "double") == {"n0": "completed", "n1": "completed", "n2": "completed"}
    assert rows(reader, "total") == [{"total": 6.0, "tags": 30.0, "n": 3}]


def test_a_dynamic_sql_block_gives_an_item_for_each_row(lab: SqlLab) -> None:
    lab.sql("days", "SELECT x AS id, 'd' || x AS name FROM range(3) t(x)", kind="data_loader", dynamic=True)
    lab.add("child", "@transformer\ndef transform(row: dict, *args):\n    return row\n", ["days"])
    found = values(lab.run(), "child")
    assert found == {"0": {"id": 0, "name": "d0"}, "1": {"id": 1, "name": "d1"}, "2": {"id": 2, "name": "d2"}}


def test_a_dynamic_sql_block_without_rows_has_no_children(lab: SqlLab) -> None:
    lab.sql("days", "SELECT 1 AS id WHERE false", kind="data_loader", dynamic=True)
    lab.sql("child", "SELECT * FROM {{ df_1 }}", ["days"], reduce_output=True)
    lab.add("end", ALL, ["child"])
    reader = lab.run()
    assert statuses(reader, "child") == {}
    assert values(reader, "end") == {"": [[]]}


def test_sql_children_of_sql_children_carry_both_labels(lab: SqlLab) -> None:
    lab.sql("a", "SELECT x FROM range(2) t(x)", kind="data_loader", dynamic=True)
    lab.sql("b", "SELECT x, y FROM {{ df_1 }}, range(2) t(y)", ["a"], dynamic=True)
    lab.sql("c", "SELECT x * 10 + y AS z FROM {{ df_1 }}", ["b"], reduce_output=True)
    lab.sql("end", "SELECT list(z ORDER BY z) AS zs FROM {{ df_1 }}", ["c"])
    reader = lab.run()
    assert list(statuses(reader, "c")) == ["0:0", "0:1", "1:0", "1:1"]
    assert [list(cast("list[int]", each["zs"])) for each in rows(reader, "end")] == [[0, 1, 10, 11]]


def test_upstreams_are_joined_in_their_order(lab: SqlLab) -> None:
    lab.add("customers", FRAME.format(frame="{'id': [1, 2], 'name': ['a', 'b']}"))
    lab.sql("orders", "SELECT 1 AS customer, 5 AS amount UNION ALL SELECT 1, 7", kind="data_loader")
    lab.sql(
        "joined",
        "SELECT name, sum(amount) AS total FROM {{ df_1 }} AS c JOIN {{ df_2 }} AS o ON c.id = o.customer GROUP BY 1",
        ["customers", "orders"],
    )
    assert rows(lab.run(), "joined") == [{"name": "a", "total": 12.0}]


def test_an_item_is_joined_with_what_is_the_same_for_all(lab: SqlLab) -> None:
    lab.add("ids", load("[1, 2, 3]"), dynamic=True)
    lab.add("names", FRAME.format(frame="{'id': [1, 2], 'name': ['a', 'b']}"))
    lab.sql("child", "SELECT name FROM {{ df_1 }} AS i JOIN {{ df_2 }} AS n ON n.id = i.value", ["ids", "names"])
    reader = lab.run()
    assert [rows(reader, f"child:{n}") for n in range(3)] == [[{"name": "a"}], [{"name": "b"}], []]


def test_several_outputs_of_an_upstream_are_told_apart_by_number(lab: SqlLab) -> None:
    lab.add("two", "import pandas as pd\n\n@data_loader\ndef load(*args):\n"
            "    return pd.DataFrame({'a': [1, 2]}), pd.DataFrame({'b': [3]})\n")  # fmt: skip
    lab.sql("both", "SELECT a, b FROM {{ df_1[0] }}, {{ df_1[1] }} ORDER BY a", ["two"])
    assert rows(lab.run(), "both") == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]


def test_a_custom_block_can_be_sql(lab: SqlLab) -> None:
    lab.sql("own", "SELECT {{ pipeline_uuid }} AS pipeline, {{ block_uuid }} AS block", kind="custom")
    assert rows(lab.run(), "own") == [{"pipeline": "lab", "block": "own"}]


def test_children_on_threads_have_a_connection_each(lab: SqlLab) -> None:
    lab.add("ids", load("list(range(40))"), dynamic=True)
    lab.sql("child", "SELECT value * 2 AS v FROM {{ df_1 }}", ["ids"], executor={"threads": 4}, reduce_output=True)
    lab.sql("end", "SELECT sum(v) AS s FROM {{ df_1 }}", ["child"])
    assert rows(lab.run(ExecutorKind.PROCESSES), "end") == [{"s": 1560.0}]


# What a template can say


def test_a_template_knows_variables_metadata_and_built_ins(lab: SqlLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_REGION", "nörth'")
    lab.add("load", load("[['a'], [{'block_uuid': 'first', 'size': 7}]]"), dynamic=True)
    lab.sql(
        "child",
        "SELECT {{ city }} AS bare, {{ variables('city') }} AS called, '{{ env_var('REFOLD_TEST_REGION') }}' AS env, "
        "{{ size }} AS metadata, {{ dynamic_block_index }} AS i, {{ block_run_uuid }} AS run, {{ env }} AS stage",
        ["load"],
    )
    [row] = rows(lab.run(city="Köln; --"), "child:first")
    assert row == {
        "bare": "Köln; --",
        "called": "Köln; --",
        "env": "nörth'",
        "metadata": 7,
        "i": 0,
        "run": "child:first",
        "stage": "dev",
    }


def test_block_output_gives_what_an_upstream_gave(lab: SqlLab) -> None:
    lab.add("settings", load("{'ids': [1, 3], 'factor': 10}"))
    lab.add("frame", FRAME.format(frame="{'id': [1, 2, 3]}"))
    lab.sql(
        "query",
        """SELECT id * {{ block_output("settings")["factor"] }} AS v,
          {{ block_output("frame", parse=lambda data: len(data)) }} AS n
        FROM {{ block_output("frame") }}
        WHERE id IN (
          {{ block_output("settings", parse=lambda data, vars: [i for i in data["ids"] if i > vars["least"]]) }}
        )""",
        ["settings", "frame"],
    )  # fmt: skip
    assert rows(lab.run(least=1), "query") == [{"v": 30, "n": 3}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT\n  {{ citty }}", "'citty' is undefined; the names there are: "),
        ("SELECT\n  {{ block_output('nobody') }}", "`block_output` asks for `nobody`, which is no upstream block"),
        ("SELECT\n  {{ city | }}", "template error: "),
        ("SELECT 1;\nSELECT 2", "there are 2 statements in the block's file"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(lab: SqlLab, text: str, said: str) -> None:
    lab.sql("query", text, kind="data_loader")
    found = error(lab.run(city="x"), "query")
    assert said in found
    assert "data_loaders/query.sql:2" in found


def test_the_database_s_complaint_names_statement_and_line_and_no_value(lab: SqlLab) -> None:
    lab.sql("query", "\n\nSELECT nothing, {{ secret }} FROM nowhere", kind="data_loader")
    reader = lab.run(secret="hush hush")
    said = error(reader, "query")
    assert said.startswith("DatabaseError: ")
    assert "in the statement `SELECT nothing, ? FROM nowhere`" in said
    assert "hush" not in said


def test_without_preprocessing_braces_are_braces(lab: SqlLab) -> None:
    lab.add("load", FRAME.format(frame="{'a': [1]}"))
    lab.sql("query", "SELECT '{{ x }}' AS t, a FROM df_1", ["load"], disable_query_preprocessing=True)
    assert rows(lab.run(), "query") == [{"t": "{{ x }}", "a": 1}]


def test_an_upstream_s_rows_can_have_a_name_of_their_own(lab: SqlLab) -> None:
    lab.add("load", FRAME.format(frame="{'a': [1]}"))
    lab.sql(
        "query",
        "SELECT o.a, p.a AS b FROM {{ df_1 }} AS o JOIN my_orders AS p USING (a)",
        ["load"],
        upstream_block_configuration={"load": {"table_name": "my_orders"}},
    )
    assert rows(lab.run(), "query") == [{"a": 1, "b": 1}]


def test_so_many_rows_are_kept(lab: SqlLab) -> None:
    lab.sql("query", "SELECT x FROM range(100) t(x) ORDER BY x DESC", kind="data_loader", limit_in_pipeline_run=2)
    assert rows(lab.run(), "query") == [{"x": 99}, {"x": 98}]


def test_more_than_ten_million_rows_are_not_taken_unasked(lab: SqlLab) -> None:
    lab.sql("query", "SELECT x::utinyint AS x FROM (SELECT 1 AS x FROM range(10000001))", kind="data_loader")
    assert "more than 10,000,000 rows" in error(lab.run(), "query")


# Statements as they are


def test_raw_statements_run_in_order_and_the_last_rows_are_the_output(lab: SqlLab) -> None:
    lab.add("load", FRAME.format(frame="{'a': [1, 2]}"))
    lab.sql(
        "query",
        "CREATE TABLE kept AS SELECT a FROM {{ df_1 }} WHERE a > {{ least }};\nINSERT INTO kept VALUES ({{ extra }});\n"
        "SELECT * FROM kept ORDER BY a; -- done\nDELETE FROM kept WHERE a = {{ extra }};",
        ["load"],
        use_raw_sql=True,
        data_provider="sqlite",
    )
    reader = lab.run(least=1, extra=9)
    assert rows(reader, "query") == [{"a": 2}, {"a": 9}]
    assert lab.ask("sqlite", "SELECT * FROM kept") == [{"a": 2}]


@pytest.mark.parametrize("provider", ["duckdb", "sqlite"])
def test_raw_statements_are_one_transaction(lab: SqlLab, provider: str) -> None:
    lab.ask(provider, "CREATE TABLE kept (a INTEGER)")
    lab.sql(
        "query",
        "INSERT INTO kept VALUES (1);\n\nSELECT nothing FROM nowhere;",
        kind="custom",
        use_raw_sql=True,
        data_provider=provider,
    )
    reader = lab.run()
    assert "in the statement `SELECT nothing FROM nowhere`" in error(reader, "query")
    assert lab.ask(provider, "SELECT * FROM kept") == []


def test_raw_statements_without_rows_have_no_output(lab: SqlLab) -> None:
    lab.sql("query", "CREATE TABLE a (b INTEGER);", kind="custom", use_raw_sql=True)
    assert lab.run().output("query") is None


# Writing


@pytest.mark.parametrize("provider", ["duckdb", "sqlite"])
def test_an_exporter_writes_a_table_of_its_own(lab: SqlLab, provider: str) -> None:
    lab.add("load", FRAME.format(frame="{'a': [1, 2]}"))
    lab.sql("save", "SELECT a + 1 AS b FROM {{ df_1 }}", ["load"], "data_exporter", data_provider=provider)
    assert rows(lab.run(env="prod"), "save") == [{"b": 2}, {"b": 3}]
    lab.run()
    assert lab.ask(provider, "SELECT b FROM lab_save_v1 ORDER BY b") == [{"b": 2}, {"b": 3}]
    assert lab.ask(provider, "SELECT b FROM dev_lab_save_v1 ORDER BY b") == [{"b": 2}, {"b": 3}]


def test_each_child_writes_a_table_of_its_own_or_all_append_to_one(lab: SqlLab) -> None:
    lab.add("load", load("[1, 2]"), dynamic=True)
    lab.sql("own", "SELECT value AS v FROM {{ df_1 }}", ["load"], "data_exporter", data_provider="duckdb")
    lab.sql(
        "all",
        "SELECT value AS v FROM {{ df_1 }}",
        ["load"],
        data_provider="duckdb",
        data_provider_table="everything",
        data_provider_schema="reports",
    )
    reader = lab.run(ExecutorKind.PROCESSES, env="prod")
    assert reader.record.status.value == "completed"
    assert lab.ask("duckdb", "SELECT v FROM lab_own_v1__dynamic_0") == [{"v": 1}]
    assert lab.ask("duckdb", "SELECT v FROM lab_own_v1__dynamic_1") == [{"v": 2}]
    assert lab.ask("duckdb", "SELECT v FROM reports.everything ORDER BY v") == [{"v": 1}, {"v": 2}]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("append", [{"id": 1, "v": "old"}, {"id": 1, "v": "new"}, {"id": 2, "v": "new"}]),
        ("replace", [{"id": 1, "v": "new"}, {"id": 2, "v": "new"}]),
        ("merge", [{"id": 1, "v": "new"}, {"id": 2, "v": "new"}]),
        ("fail", [{"id": 1, "v": "old"}]),
    ],
)
@pytest.mark.parametrize("provider", ["duckdb", "sqlite"])
def test_the_policy_says_what_becomes_of_a_table(
    lab: SqlLab, provider: str, policy: str, kept: list[dict[str, object]]
) -> None:
    lab.ask(provider, "CREATE TABLE t (id BIGINT, v TEXT)", "INSERT INTO t VALUES (1, 'old')")
    lab.sql(
        "save",
        "SELECT 1 AS id, 'new' AS v UNION ALL SELECT 2, 'new'",
        kind="data_loader",
        data_provider=provider,
        data_provider_table="t",
        export_write_policy=policy,
        unique_constraints=["id"],
    )
    reader = lab.run()
    assert statuses(reader, "save") == {"": "failed" if policy == "fail" else "completed"}
    assert lab.ask(provider, "SELECT id, v FROM t ORDER BY id, v DESC") == kept


def test_children_cannot_replace_each_other_s_rows(lab: SqlLab) -> None:
    lab.add("load", load("[1, 2]"), dynamic=True)
    lab.sql("save", "SELECT 1 AS a", ["load"], data_provider="duckdb", data_provider_table="t",
            export_write_policy="replace")  # fmt: skip
    assert "would write the table `t` with the policy `replace`" in error(lab.run(), "save:0")


@pytest.mark.parametrize("provider", [{}, {"data_provider": "duckdb"}])
def test_a_table_without_a_database_that_keeps_it_is_an_error(lab: SqlLab, provider: Mapping[str, str]) -> None:
    lab.use({})
    lab.sql("save", "SELECT 1 AS a", kind="data_exporter", **provider)
    assert "no database is named that would keep it" in error(lab.run(), "save")


# Around the block


def test_conditions_and_callbacks_get_what_the_block_gets(lab: SqlLab, tmp_path: Path) -> None:
    lab.add("load", load("[1, 2]"), dynamic=True)
    lab.sql("child", "SELECT value AS v FROM {{ df_1 }}", ["load"])
    lab.pipeline = lab.pipeline.add_block(
        "odd",
        "conditional",
        upstream=["child"],
        content="@condition\ndef odd(value):\n    return value % 2 == 1\n",
    )
    told = tmp_path / "told"
    callback = (
        "from pathlib import Path\n\n@callback('success')\n"
        f"def tell(frame, **kwargs):\n    Path({str(told)!r}).write_text(str(frame['v'][0]))\n"
    )
    lab.pipeline = lab.pipeline.add_block("tell", "callback", upstream=["child"], content=callback)
    assert statuses(lab.run(), "child") == {"0": "completed", "1": "condition_failed"}
    assert told.read_text() == "1"


def test_results_are_cached_as_any_block_s(lab: SqlLab) -> None:
    lab.sql("query", "SELECT random() AS r", kind="data_loader", cache=True)
    assert rows(lab.run(), "query") == rows(lab.run(), "query")
    lab.edit("query", "SELECT random() + 1 AS r")
    assert cast("float", rows(lab.run(), "query")[0]["r"]) >= 1


def test_a_failed_child_is_retried_alone(lab: SqlLab) -> None:
    lab.add("load", load("[1, 0]"), dynamic=True)
    lab.sql("child", "SELECT error('no') AS v FROM {{ df_1 }} WHERE value = 0 UNION ALL SELECT random() AS v", ["load"])
    reader = lab.run()
    assert statuses(reader, "child") == {"0": "completed", "1": "failed"}
    before = rows(reader, "child:0")
    lab.edit("child", "SELECT 2 AS v")
    again = lab.retry(reader)
    assert (rows(again, "child:0"), rows(again, "child:1")) == (before, [{"v": 2}])


def test_a_block_alone_reads_what_its_upstreams_gave(lab: SqlLab) -> None:
    lab.add("load", FRAME.format(frame="{'a': [1, 2]}"))
    lab.sql("query", "SELECT sum(a) AS s FROM {{ df_1 }}", ["load"])
    lab.run()
    done = mage("run", str(lab.project.path), "lab", "--block-uuid", "query", cwd=lab.project.path)
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(lab.project.path / ".mage_data" / "lab" / "query" / "output_0.parquet")
    assert frame.to_dict("records") == [{"s": 3.0}]


# Many

MANY = pytest.mark.parametrize("many", [100, pytest.param(1000, marks=pytest.mark.soak)])


@MANY
def test_many_partitions_are_as_many_children(lab: SqlLab, many: int) -> None:
    lab.sql("parts", f"SELECT n AS part FROM range({many}) t(n)", kind="data_loader", dynamic=True)
    lab.sql(
        "child",
        f"SELECT {{{{ df_1.part }}}} AS part, sum(n) AS total FROM range({5 * many}) t(n) "
        f"WHERE n % {many} = {{{{ df_1.part }}}}",
        ["parts"],
        reduce_output=True,
    )
    lab.sql("end", "SELECT count(*) AS n, sum(total) AS total, max(total) AS most FROM {{ df_1 }}", ["child"])
    reader = lab.run(ExecutorKind.PROCESSES)
    total, most = sum(range(5 * many)), sum(range(many - 1, 5 * many, many))
    assert rows(reader, "end") == [{"n": many, "total": float(total), "most": float(most)}]
    assert rows(reader, "child:7") == [{"part": 7, "total": float(sum(range(7, 5 * many, many)))}]


@MANY
def test_many_children_share_a_few_connections(tmp_path: Path, many: int) -> None:
    with fresh_postgres() as settings:
        lab = SqlLab(tmp_path, settings)
        lab.ask(
            "postgres",
            f"CREATE TABLE sales AS SELECT n % {many} AS part, n AS amount FROM generate_series(0, {5 * many - 1}) n",
        )
        lab.add("parts", load(f"list(range({many}))"), dynamic=True)
        lab.sql(
            "child",
            "SELECT sum(amount) AS total, pg_backend_pid() AS pid FROM sales WHERE part = {{ df_1.value }}",
            ["parts"],
            reduce_output=True,
            data_provider="postgres",
        )
        lab.sql(
            "end", "SELECT count(*) AS n, sum(total) AS total, count(DISTINCT pid) AS pids FROM {{ df_1 }}", ["child"]
        )
        [row] = rows(lab.run(ExecutorKind.PROCESSES), "end")
    assert (row["n"], row["total"]) == (many, float(sum(range(5 * many))))
    assert cast("int", row["pids"]) <= 4  # one or two for each of two workers


# Being interrupted

SLOW = {
    "duckdb": "SELECT count(*) AS n FROM range(100000000000) t(a) WHERE hash(a) % 7 = {{ marker | length }} + 100",
    "postgres": "SELECT pg_sleep(613), {{ marker }} AS m",
}


@pytest.fixture(params=["duckdb", "postgres"])
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SqlLab, str]]:
    if request.param == "postgres":
        with fresh_postgres() as settings:
            yield SqlLab(tmp_path, settings), "postgres"
    else:
        yield SqlLab(tmp_path), "duckdb"


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES])
def test_a_query_that_takes_too_long_is_interrupted_and_undone(slow: tuple[SqlLab, str], kind: ExecutorKind) -> None:
    lab, provider = slow
    lab.ask(provider, "CREATE TABLE t (a INTEGER)")
    seconds = 613 + len(kind)  # tells this test's query from another's beside it
    text = f"INSERT INTO t VALUES (1);\n{SLOW[provider].replace('613', str(seconds))};"
    lab.sql("query", text, kind="custom", use_raw_sql=True, data_provider=provider)
    lab.pipeline = lab.pipeline.update_block("query", timeout=1)
    reader = lab.run(kind, marker="x")
    assert error(reader, "query").startswith("BlockTimeoutError")
    assert lab.ask(provider, "SELECT * FROM t") == []
    if provider == "postgres":
        asleep = (
            f"SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%sleep({seconds})%' AND state = 'active'"
        )
        asleep += " AND pid <> pg_backend_pid()"
        assert lab.ask(provider, asleep) == [{"n": 0}]
    lab.edit("query", "SELECT 1 AS one")
    lab.pipeline = lab.pipeline.update_block("query", timeout=60)
    assert rows(lab.run(kind, marker="x"), "query") == [{"one": 1}]
