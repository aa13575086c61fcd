"""Expressions in configurations and variables: what they give to a block, and what is told where they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from refold.api.reading import RunReader
from refold.api.run_setup import make_context, prepare
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.errors import PipelineError
from refold.io.secrets.store import SecretStore
from refold.languages.configuration import filled_configuration, filled_variables
from refold.languages.sql.settings import SqlSettings
from refold.model.block import BlockType, JsonValue
from refold.model.keys import BlockUuid, RunId
from refold.model.pipeline import Pipeline
from refold.testing.lab import Lab, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
SHOW = """
@data_loader
def show(*args, **kwargs):
    own = {key: value for key, value in kwargs["configuration"].items() if key.startswith("my_")}
    return {"got": [own, {key: kwargs.get(key) for key in ("schema", "table", "n")}]}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("REFOLD_TEST_SCHEMA", "sales")
    monkeypatch.delenv("REFOLD_TEST_UNSET", raising=False)
    return Lab(tmp_path)


def got(reader: RunReader) -> tuple[object, object]:
    """Configuration and variables that the block got."""
    (found,) = values(reader, "show").values()
    return cast("tuple[object, object]", found)


def set_variables(lab: Lab, **variables: JsonValue) -> None:
    lab.pipeline = lab.pipeline.update(variables=variables)


@KINDS
def test_a_block_gets_its_configuration_and_variables_filled_in(lab: Lab, kind: ExecutorKind) -> None:
    configuration: dict[str, JsonValue] = {
        "my_table": "{{ env_var('REFOLD_TEST_SCHEMA') }}.facts",
        "my_list": [{"deep": "{{ env_var('REFOLD_TEST_UNSET', 'none') }}"}, 5, None],
        "my_n": "{{ variables('n') }}",
        "my_plain": "no { { expression } }",
    }
    lab.add("show", SHOW, (), **configuration)
    set_variables(lab, schema="{{ env_var('REFOLD_TEST_SCHEMA') }}", table="{{ variables('schema') }}_x", n=5)
    own, variables = got(lab.run(kind))
    assert own == {
        "my_table": "sales.facts",
        "my_list": [{"deep": "none"}, 5, None],
        "my_n": 5,
        "my_plain": "no { { expression } }",
    }
    assert variables == {"schema": "sales", "table": "sales_x", "n": 5}


def test_what_was_filled_in_is_stored_nowhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_SCHEMA", "filled_in_text")
    code = (
        "@data_loader\ndef show(*args, **kwargs):\n    return len(kwargs['configuration']['my_x'] + kwargs['schema'])\n"
    )
    lab.add("show", code, my_x="{{ env_var('REFOLD_TEST_SCHEMA') }}")
    set_variables(lab, schema="{{ env_var('REFOLD_TEST_SCHEMA') }}")
    assert values(lab.run(ExecutorKind.PROCESSES), "show") == {"": 2 * len("filled_in_text")}
    for path in lab.project.path.rglob("*"):
        assert not path.is_file() or b"filled_in_text" not in path.read_bytes()


def test_global_variables_lie_under_those_of_the_run_which_are_data(lab: Lab) -> None:
    lab.add("show", SHOW, my_table="{{ variables('table') }}")
    set_variables(lab, schema="public", table="{{ env_var('REFOLD_TEST_SCHEMA') }}")
    own, variables = got(lab.run(table="{{ env_var('REFOLD_TEST_SCHEMA') }}"))
    assert variables == {"schema": "public", "table": "{{ env_var('REFOLD_TEST_SCHEMA') }}", "n": None}
    assert own == {"my_table": "{{ env_var('REFOLD_TEST_SCHEMA') }}"}


def test_a_secret_of_the_project_reaches_the_block_and_no_store(lab: Lab) -> None:
    SecretStore(lab.project.path).set("db", json.dumps({"user": "me", "password": "hunter22"}))
    code = """
@data_loader
def show(*args, **kwargs):
    print(kwargs["configuration"]["my_password"])
    return kwargs["configuration"]["my_password"] == kwargs["schema"] == "hunter" + "22"
"""
    password = "{{ json_value(mage_secret_var('db'), 'password') }}"
    lab.add("show", code, my_password=password)
    set_variables(lab, schema=password)
    reader = lab.run(ExecutorKind.PROCESSES)
    assert values(reader, "show") == {"": True}
    assert [line.text for line in reader.logs("show")] == ["***"]
    for path in lab.project.path.rglob("*"):
        assert not path.is_file() or b"hunter22" not in path.read_bytes()


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("{{ variables('n') }}", 7),
        (" {{ variables('n') }}", " 7"),
        ("{{ variables('n') }}{{ variables('n') }}", "77"),
        ("{{ env_var('REFOLD_TEST_SCHEMA') }}", "sales"),
        ("{{ '12' | int }}", 12),
        ("{{ env_var('REFOLD_TEST_UNSET', none) }}", None),
        ("{{ env_var('REFOLD_TEST_UNSET') | default('x') }}", "x"),
        ("{{ mage_secret_var('nowhere') | default('x') }}", "x"),
        ("{{ variables('none', 3) }}", 3),
        ("{{ env_var('REFOLD_TEST_SCHEMA') | upper | replace('A', 'b') }}", "SbLES"),
        ("{% if variables('n') > 5 %}many{% else %}few{% endif %}", "many"),
        ("{{ 'a' if variables('n') == 7 else 'b' }}", "a"),
        ("{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
        ("""{{ json_value('{"a": {"b": [1, null]}}', 'a') }}""", {"b": [1, None]}),
        ("{{ json_value('{\"a\": 1}', 'a') }}", 1),
        ("{{ variables('deep').x }}", [1, 2]),
    ],
)
def test_what_an_expression_gives(lab: Lab, expression: str, given: JsonValue) -> None:
    lab.add("show", SHOW, my_x=expression)
    set_variables(lab, n=7, deep={"x": [1, 2]})
    own, _ = got(lab.run())
    assert own == {"my_x": given}


def refused(lab: Lab, expression: str) -> str:
    """What is said of an expression in a block's configuration."""
    lab.add("show", SHOW, my_x=[0, expression])
    pipeline = Pipeline.get("lab", lab.project)
    context = make_context(prepare(pipeline), RunId("run"), {}, 0.0, True)
    with pytest.raises(PipelineError) as caught:
        filled_configuration(BlockUuid("show"), pipeline.block("show").configuration, context, {})
    file = lab.project.path / "pipelines" / "lab" / "metadata.yaml"
    line = 1 + next(at for at, line in enumerate(file.read_text().splitlines()) if "{" in line and "blocks" not in line)
    assert caught.value.where == f"{file}:{line}"
    assert caught.value.message.startswith("block `show`, `configuration.my_x.1`: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("{{ env_var('REFOLD_TEST_UNSET') }}", "the environment variable REFOLD_TEST_UNSET is not set"),
        ("{{ mage_secret_var('none') }}", "there is no secret `none`"),
        ("{{ variables('none') }}", "there is no variable `none`"),
        ("{{ nowhere('x') }}", "'nowhere' is undefined"),
        ("{{ nowhere }}", "'nowhere' is undefined"),
        ("{{ env_var }}", "a function stands where its value is wanted"),
        ("{{ env_var('x' }}", "template error"),
        ("{{ env_var() }}", "missing 1 required positional argument"),
        ("{{ json_value('no json', 'x') }}", "no JSON object"),
        ("{{ json_value('{}', 'x') }}", "has no key `x`"),
        ("{{ 1 | nothing }}", "No filter named 'nothing'"),
        ("{{ aws_secret_var('x') }}", "pip install boto3"),
        ("{{ azure_secret_var('x') }}", "pip install azure-identity azure-keyvault-secrets"),
    ],
)
def test_an_expression_that_gives_nothing_is_told_with_file_line_and_key(lab: Lab, expression: str, said: str) -> None:
    assert said in refused(lab, expression)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ env_var.__globals__ }}",
        "{{ env_var.__globals__['os'].system('true') }}",
        "{{ env_var('REFOLD_TEST_SCHEMA').upper() }}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ ('a' * 1000) | replace('a', 'b') }}",
        "{{ 'aaaaaaaaaa'" + " | replace('a', 'aaaaaaaaaa')" * 20 + " }}",
        "{% for a in [1, 2] %}{% endfor %}",
        "{% set a = 1 %}{{ a }}",
        "{% macro m() %}{% endmacro %}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{{ range(1000000000) }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{{ self }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ [" + "[" * 300 + "]" * 300 + "] | tojson | attr('x') }}",
    ],
    ids=range(23),
)
def test_an_expression_that_would_reach_out_or_run_long_is_refused(lab: Lab, expression: str) -> None:
    lab.add("show", SHOW, my_x=expression)
    (failure,) = lab.run().failures()
    assert failure.error.startswith("PipelineError: block `show`, `configuration.my_x`: ")


def test_variables_that_need_each_other_are_told(lab: Lab) -> None:
    lab.add("show", SHOW)
    set_variables(lab, a="{{ variables('b') }}", b="{{ variables('a') }}")
    context = make_context(prepare(lab.pipeline), RunId("run"), {}, 0.0, True)
    with pytest.raises(PipelineError, match="variables that need each other: a -> b -> a"):
        filled_variables(context)


def test_the_runs_fail_and_not_the_plan(lab: Lab) -> None:
    lab.add("show", SHOW, my_x="{{ env_var('REFOLD_TEST_UNSET') }}")
    lab.add("other", "@data_loader\ndef other(*args):\n    return 5\n")
    reader = lab.run(ExecutorKind.PROCESSES)
    (failure,) = reader.failures()
    assert "REFOLD_TEST_UNSET is not set" in failure.error
    assert values(reader, "other") == {"": 5}


def test_a_cached_result_is_not_used_where_an_expression_gives_something_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "@data_loader\ndef show(*args, **kwargs):\n    return kwargs['configuration']['my_x']\n"
    lab.add("show", code, my_x="{{ env_var('REFOLD_TEST_SCHEMA') }}", cache=True)

    def run() -> object:
        record = run_pipeline(lab.pipeline, RunOptions(executor=ExecutorKind.INLINE))
        return values(lab.read(record.id), "show")[""]

    assert run() == "sales"
    monkeypatch.setenv("REFOLD_TEST_SCHEMA", "stock")
    assert run() == "stock"


def test_settings_of_a_sql_block_may_be_expressions(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_LIMIT", "2")
    lab.pipeline = lab.pipeline.add_block(
        "rows",
        "data_loader",
        language="sql",
        configuration={
            "limit_in_pipeline_run": "{{ env_var('REFOLD_TEST_LIMIT') | int }}",
            "use_raw_sql": "{{ env_var('REFOLD_TEST_UNSET', false) }}",
        },
        content="SELECT * FROM range(5)",
    )
    prepare(lab.pipeline)
    settings = SqlSettings.read(
        filled_configuration(
            BlockUuid("rows"),
            lab.pipeline.block("rows").configuration,
            make_context(prepare(lab.pipeline), RunId("run"), {}, 0.0, True),
            {},
        ),
        BlockType.DATA_LOADER,
        "here",
    )
    assert (settings.limit, settings.raw) == (2, False)
