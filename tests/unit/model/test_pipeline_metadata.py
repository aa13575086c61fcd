"""Pipelines' metadata: what is understood, what is tolerated, and what errors say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refold.errors import PipelineError, RefoldError
from refold.model.block import Block, BlockType, JsonValue, Language, RetryPolicy
from refold.model.pipeline import Pipeline
from refold.model.pipeline_metadata import PipelineType
from refold.model.project import Project

DOCUMENTED = """\
blocks:
- uuid: load_data
  type: data_loader
  upstream_blocks: []
  downstream_blocks: [transform_data]
- uuid: transform_data
  type: transformer
  upstream_blocks: [load_data]
  downstream_blocks: [export_data]
- uuid: export_data
  type: data_exporter
  upstream_blocks: [transform_data]
  downstream_blocks: []
created_at: '2026-03-04 12:00:00.000000+00:00'
name: my_pipeline
type: python
uuid: my_pipeline
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines" / "p").mkdir(parents=True)
    (tmp_path / "metadata.yaml").write_text("project_type: standalone\n")
    return tmp_path


def read(folder: Path, text: str) -> Pipeline:
    (folder / "pipelines/p/metadata.yaml").write_text(text)
    return Pipeline.get("p", folder)


def block(folder: Path, extra: str, kind: str = "transformer") -> Block:
    """A block between `up` and `down` with these lines in its entry."""
    lines = "".join(f"  {line}\n" for line in extra.splitlines())
    return read(
        folder,
        f"blocks:\n- uuid: up\n  type: custom\n- uuid: b\n  type: {kind}\n  upstream_blocks: [up]\n{lines}"
        "- uuid: down\n  type: custom\n  upstream_blocks: [b]\n",
    ).block("b")


def refused(folder: Path, text: str) -> RefoldError:
    with pytest.raises(PipelineError) as caught:
        read(folder, text)
    return caught.value


def test_the_documents_minimal_metadata_loads(folder: Path) -> None:
    pipeline = read(folder, DOCUMENTED.replace("uuid: my_pipeline", "uuid: p"))
    assert [each.uuid for each in pipeline.running_blocks] == ["load_data", "transform_data", "export_data"]
    assert pipeline.type is PipelineType.PYTHON
    assert pipeline.created_at == "2026-03-04 12:00:00.000000+00:00"
    assert pipeline.warnings == ()
    load = pipeline.block("load_data")
    assert (load.name, load.language, load.file) == ("load_data", Language.PYTHON, folder / "data_loaders/load_data.py")
    assert pipeline.block("export_data").upstream_blocks == ("transform_data",)


REAL = """\
blocks:
- all_upstream_blocks_executed: true
  color: null
  configuration:
    data_provider: postgres
    file_source:
      path: /home/someone/mage/repo/transformers/sub/Clean Up.sql
  downstream_blocks:
  - b
  - b
  - b
  executor_config: null
  executor_type: k8s
  has_callback: false
  name: Load The Data
  retry_config: null
  status: updated
  timeout: null
  type: data_loader
  upstream_blocks: []
  uuid: Load The-Data
- uuid: b
  type: transformer
  language: sql
  configuration: {file_source: {path: "C:\\\\repo\\\\transformers\\\\sub\\\\b.sql"}}
  upstream_blocks: [Load The-Data, Load The-Data]
- {uuid: notes, type: markdown, upstream_blocks: [], downstream_blocks: []}
- {uuid: scratch, type: scratchpad, configuration: {dynamic: 9}, retry_config: x}
- {uuid: plot, type: chart, language: python, upstream_blocks: [b]}
callbacks: []
conditionals: []
widgets:
- {uuid: w, type: whatever}
concurrency_config: {}
variables: []
tags: null
type: python
executor_type: k8s
"""


def test_real_projects_are_tolerated(folder: Path) -> None:
    for name in ("data_loaders/load_the_data.py", "transformers/sub/b.sql"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    pipeline = read(folder, REAL)
    assert pipeline.order == ("Load The-Data", "b")
    assert pipeline.variables == {}
    assert pipeline.tags == ()
    assert pipeline.block("Load The-Data").file == folder / "data_loaders/load_the_data.py"
    assert pipeline.block("b").file == folder / "transformers/sub/b.sql"
    assert pipeline.block("b").upstream_blocks == ("Load The-Data",)
    assert pipeline.block("Load The-Data").configuration["data_provider"] == "postgres"
    assert len(pipeline.warnings) == 1
    assert "`Load The-Data` is listed 2 times" in pipeline.warnings[0]
    pipeline.check_files()


@pytest.mark.parametrize(
    ("files", "entry", "language", "expected"),
    [
        (["transformers/b.sql"], "", Language.SQL, "transformers/b.sql"),
        (["transformers/b.R"], "", Language.R, "transformers/b.R"),
        (["transformers/b.yaml"], "", Language.YAML, "transformers/b.yaml"),
        (["transformers/b.R"], "language: r", Language.R, "transformers/b.R"),
        (["transformers/b.sql"], "language: python", Language.PYTHON, "transformers/b.py"),
        ([], "", Language.PYTHON, "transformers/b.py"),
        ([], "language: R", Language.R, "transformers/b.r"),
        (["x/own.sql"], "configuration: {file_path: x/own.sql}", Language.SQL, "x/own.sql"),
        ([], "configuration: {file_source: {path: x/own.py}}", Language.PYTHON, "x/own.py"),
        (["transformers/b.py"], "configuration: {file_path: repo/x/own.py}", Language.PYTHON, "transformers/b.py"),
        ([], "configuration: {file_path: /other/own.py}", Language.PYTHON, "transformers/b.py"),
    ],
)
def test_the_file_that_is_there_tells_language_and_place(
    folder: Path, files: list[str], entry: str, language: Language, expected: str
) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found = block(folder, entry)
    assert (found.language, found.file) == (language, folder / expected)


def test_a_uuid_may_name_a_subfolder(folder: Path) -> None:
    pipeline = read(folder, "blocks: [{uuid: team/load, type: data_loader}]\n")
    assert pipeline.block("team/load").file == folder / "data_loaders/team/load.py"


def test_numbers_as_uuids_are_read_as_written(folder: Path) -> None:
    pipeline = read(
        folder, "blocks:\n- {uuid: 007, type: custom}\n- {uuid: on, type: custom, upstream_blocks: [007]}\n"
    )
    assert pipeline.order == ("007", "on")


def test_downstream_blocks_count_where_upstream_blocks_are_not_given(folder: Path) -> None:
    pipeline = read(
        folder,
        "blocks:\n- {uuid: a, type: custom, downstream_blocks: [c]}\n- {uuid: c, type: custom}\n"
        "- {uuid: b, type: custom, downstream_blocks: [c]}\n",
    )
    assert pipeline.block("c").upstream_blocks == ("a", "b")
    assert pipeline.warnings == ()


def test_upstream_blocks_win_over_downstream_blocks_with_a_warning(folder: Path) -> None:
    pipeline = read(
        folder,
        "blocks:\n- {uuid: a, type: custom, downstream_blocks: [c, gone]}\n"
        "- {uuid: b, type: custom, downstream_blocks: []}\n- {uuid: c, type: custom, upstream_blocks: [b]}\n",
    )
    assert pipeline.block("c").upstream_blocks == ("b",)
    first, second, third = pipeline.warnings
    assert "metadata.yaml:2 (blocks.a): its downstream `c`" in first
    assert "`gone`" in second
    assert "`c` lists it in `upstream_blocks`" in third


def test_an_upstream_that_never_runs_is_left_out_with_a_warning(folder: Path) -> None:
    pipeline = read(folder, "blocks:\n- {uuid: s, type: scratchpad}\n- {uuid: a, type: custom, upstream_blocks: [s]}\n")
    assert pipeline.block("a").upstream_blocks == ()
    assert "never runs" in pipeline.warnings[0]


def test_callbacks_and_conditionals_are_attached_to_their_parents(folder: Path) -> None:
    pipeline = read(
        folder,
        "blocks:\n- {uuid: a, type: custom}\n- {uuid: b, type: custom, upstream_blocks: [a]}\n"
        "callbacks:\n- {uuid: done, type: callback, upstream_blocks: [a, b]}\n- {uuid: more, upstream_blocks: [b]}\n"
        "conditionals:\n- {uuid: only_if, type: conditional, upstream_blocks: [b]}\n",
    )
    assert pipeline.block("a").callbacks == ("done",)
    assert pipeline.block("b").callbacks == ("done", "more")
    assert pipeline.block("b").conditionals == ("only_if",)
    assert pipeline.order == ("a", "b")
    assert pipeline.block("more").type is BlockType.CALLBACK
    assert pipeline.block("only_if").file == folder / "conditionals/only_if.py"


def test_retries_are_the_blocks_over_the_pipelines_over_the_projects(folder: Path) -> None:
    (folder / "metadata.yaml").write_text("project_type: main\nretry_config: {retries: 1, delay: 2, max_delay: 9}\n")
    pipeline = read(
        folder,
        "retry_config: {delay: 3, exponential_backoff: false}\nblocks:\n- {uuid: a, type: custom}\n"
        "- {uuid: b, type: custom, retry_config: {retries: '5'}}\n",
    )
    assert pipeline.block("a").retry == RetryPolicy(1, 3.0, 9.0, exponential_backoff=False)
    assert pipeline.block("b").retry == RetryPolicy(5, 3.0, 9.0, exponential_backoff=False)


def test_limits_are_the_blocks_over_the_pipelines_over_the_projects_over_the_environments(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limits(configuration: str = "", pipeline: str = "") -> tuple[int | None, bool, int | None]:
        found = (
            read(folder, f"blocks:\n- {{uuid: b, type: custom, configuration: {{{configuration}}}}}\n{pipeline}")
            .block("b")
            .dynamic
        )
        return found.max_child_block_runs, found.cut_children, found.max_concurrent_child_block_runs

    assert limits() == (None, False, None)
    monkeypatch.setenv("DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS", "1")
    monkeypatch.setenv("DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR", "limit")
    monkeypatch.setenv("DYNAMIC_BLOCKS_MAX_CONCURRENT_CHILD_BLOCKS", "2")
    assert limits() == (1, True, 2)
    (folder / "metadata.yaml").write_text(
        "project_type: main\ndynamic_blocks: {max_child_block_runs: 3, on_max_child_block_runs_exceeded: fail}\n"
    )
    assert limits() == (3, False, 2)
    of_pipeline = "dynamic_blocks: {max_child_block_runs: 5, max_concurrent_child_block_runs: 6}\n"
    assert limits(pipeline=of_pipeline) == (5, False, 6)
    assert limits("dynamic: {max_child_block_runs: 7}", of_pipeline) == (7, False, 6)
    assert limits("dynamic: {max_child_block_runs: 0}", of_pipeline) == (None, False, 6)


def test_settings_of_a_block_are_read(folder: Path) -> None:
    found = block(
        folder, "timeout: 90\nconfiguration: {run_tests: false, conditional: 'no', poll_interval: '5'}", kind="sensor"
    )
    assert (found.timeout, found.run_tests, found.conditional, found.sensor_interval) == (90.0, False, False, 5.0)
    assert block(folder, "configuration: {cache: true}").cache
    assert not block(folder, "").cache
    assert block(folder, "configuration: {timeout: '1.5'}").timeout == 1.5
    assert block(folder, "timeout: 0").timeout is None
    assert block(folder, "configuration: []").configuration == {}


def test_keys_that_are_not_known_are_kept(folder: Path) -> None:
    settings: dict[str, JsonValue] = {"dynamic": {"parent": True, "join": "align", "tolerate": "5%", "new": [1]}}
    found = block(folder, "configuration: {dynamic: {parent: true, join: align, tolerate: 5%, new: [1]}}")
    assert found.configuration == settings


def test_pipeline_settings_are_read(folder: Path) -> None:
    pipeline = read(
        folder,
        "blocks: []\nname: The Pipeline\ndescription: d\ntags: [x, 1]\nvariables: {n: 1, on: yes}\n"
        "concurrency_config: {block_run_limit: 3}\ntype: streaming\nuuid: other\nexecutor_count: 2\n",
    )
    assert (pipeline.name, pipeline.description, pipeline.tags) == ("The Pipeline", "d", ("x", "1"))
    assert pipeline.variables == {"n": 1, "on": True}
    assert pipeline.block_run_limit == 3
    assert pipeline.type is PipelineType.STREAMING
    assert pipeline.metadata["executor_count"] == 2
    assert "the folder is called `p`" in pipeline.warnings[0]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("# nothing\n", None, "empty"),
        ("blocks:\n- uuid: a\n", 2, "without a `type`"),
        ("blocks:\n- type: custom\n", 2, "without a `uuid`"),
        ("blocks:\n- a\n", 2, "expected a block"),
        ("blocks: {a: 1}\n", 1, "expected a list"),
        ("blocks:\n- {uuid: a, type: custom}\n- uuid: b\n  type: transfromer\n", 4, "Did you mean `transformer`?"),
        ("blocks:\n- {uuid: a, type: custom, language: scala}\n", 2, "unknown language `scala`"),
        ("type: pyton\nblocks: []\n", 1, "Did you mean `python`?"),
        ("blocks:\n- {uuid: 'a:b', type: custom}\n", 2, "`a_b`"),
        ("blocks:\n- {uuid: ../a, type: custom}\n", 2, "cannot name a file"),
        ("blocks:\n- {uuid: /etc/a, type: custom}\n", 2, "cannot name a file"),
        ("blocks:\n- {uuid: a, type: custom}\n- {uuid: a, type: custom}\n", 3, "metadata.yaml:2"),
        ("blocks:\n- uuid: a\n  type: custom\n  upstream_blocks:\n  - bb\n- {uuid: b, type: custom}\n", 5, "no block"),
        ("blocks:\n- uuid: b\n  type: custom\n  upstream_blocks: [b]\n", 2, "b -> b"),
        ("blocks: []\nvariables: [1]\n", 2, "keys and values"),
        ("blocks: []\nconcurrency_config: {block_run_limit: 0}\n", 2, "1 or more, found 0"),
        ("blocks:\n- {uuid: a, type: custom}\ncallbacks:\n- {uuid: c, upstream_blocks: [z]}\n", 4, "no block"),
        ("blocks:\n- {uuid: a, type: custom}\ncallbacks:\n- {uuid: c}\n- {uuid: d, upstream_blocks: [c]}\n", 5, "a "),
    ],
)  # fmt: skip
def test_bad_input_names_the_file_the_line_and_what_to_do(
    folder: Path, text: str, line: int | None, words: str
) -> None:
    error = refused(folder, text)
    path = str(folder / "pipelines/p/metadata.yaml")
    assert error.where is not None
    assert error.where.startswith(path if line is None else f"{path}:{line}")
    assert words in str(error)
    assert error.fix or "found" in error.message


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("retry_config: {retries: many}", "(blocks.b.retry_config.retries): expected a whole number, 0 or more"),
        ("retry_config: {retries: -1}", "found -1"),
        ("retry_config: {retries: 1.5}", "found 1.5"),
        ("retry_config: {delay: .inf}", "(blocks.b.retry_config.delay): expected seconds, 0 or more, found inf"),
        ("retry_config: 3", "(blocks.b.retry_config): expected keys and values, found 3"),
        ("timeout: soon", "(blocks.b.timeout): expected seconds"),
        ("timeout: -1", "found -1"),
        ("configuration: text", "(blocks.b.configuration): expected keys and values, found 'text'"),
        ("configuration: {run_tests: maybe}", "expected true or false, found 'maybe'"),
        ("configuration: {dynamic: 7}", "b.configuration.dynamic): expected true, false, or keys and values, found 7"),
        ("configuration: {dynamic: {parent: 7}}", "list of block uuids, found 7"),
        ("configuration: {dynamic: {mode: fast}}", "expected `stream` or `batch`, found 'fast'"),
        ("configuration: {cache: sometimes}", "(blocks.b.configuration.cache): expected true or false"),
        ("configuration: {dynamic: {max_concurrent_child_block_runs: -1}}", "0 or more, found -1"),
        ("configuration: {dynamic: {max_child_block_runs: many}}", "expected a whole number, 0 or more, found 'many'"),
        ("configuration: {dynamic: {on_max_child_block_runs_exceeded: stop}}", "expected `fail` or `limit`"),
        ("configuration: {dynamic: {join: outer}}", "join): expected `product`, `align` or `zip`, found"),
        ("configuration: {dynamic: {reduce: true}}", "dynamic.reduce): expected one of concat, count, list, max"),
        ("configuration: {dynamic: {reduce: two words}}", "or the name of a function in the block's file, found 'two"),
        ("configuration: {dynamic: {reduce: [sum]}}", "found ['sum']"),
        ("configuration: {dynamic: {reduce: {strategy: 3}}}", "reduce.strategy): expected one of concat"),
        ("configuration: {dynamic: {reduce: {levels: 2}}}", "reduce.levels): expected 1 (the last axis ends) or `all`"),
        ("configuration: {dynamic: {reduce: {levels: true}}}", "found True"),
        ("configuration: {dynamic: {reduce: {strategy: sum, initial: 1}}}", "`sum` needs none"),
        ("configuration: {dynamic: {reduce_input: fast}}", "reduce_input): expected `list` (all at once) or `lazy`"),
        ("configuration: {dynamic: {tolerate: some}}", "dynamic.tolerate): expected how many runs may fail, or a perc"),
        ("configuration: {dynamic: {tolerate: 101%}}", "found '101%'"),
        ("configuration: {dynamic: {tolerate: -1%}}", "found '-1%'"),
        ("configuration: {dynamic: {tolerate: x%}}", "found 'x%'"),
        ("configuration: {dynamic: {tolerate: 1.5}}", "found 1.5"),
        ("configuration: {dynamic: {tolerate: true}}", "found True"),
        ("configuration: {dynamic: {parent: down}}", "expected true, false, or a list of block uuids, found 'down'"),
        ("configuration: {dynamic: {parent: [dwn]}}", "Did you mean `down`?"),
        ("configuration: {reduce_output: 3}", "(blocks.b.configuration.reduce_output)"),
        ("configuration: {reduce_output: [dwn]}", "Did you mean `down`?"),
        ("configuration: {dynamic: {reduce_output_upstream: [uup]}}", "Did you mean `up`?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_its_key_and_what_was_expected(folder: Path, extra: str, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        block(folder, extra)
    assert words in str(caught.value)
    assert "metadata.yaml:" in str(caught.value)


def test_settings_that_name_a_block_elsewhere_in_the_graph_are_a_warning(folder: Path) -> None:
    block(folder, "configuration: {reduce_output: [up]}")
    assert "not downstream of it" in Pipeline.get("p", folder).warnings[0]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("confguration: {}", "`confguration` is no setting. Did you mean `configuration`?"),
        ("reduce_ouput: true", "`reduce_ouput` is no setting. Did you mean `configuration.reduce_output`?"),
        ("dynamic: true", "`dynamic` is read inside `configuration`, not beside it"),
        ("configuration: {reduce_ouput: true}", "`configuration.reduce_ouput` is no setting. Did you mean `reduce_out"),
        ("configuration: {Dynamic: true}", "`configuration.Dynamic` is no setting. Did you mean `dynamic`?"),
        ("configuration: {tolerate: 3}", "`configuration.tolerate` is read inside `configuration.dynamic`"),
        ("configuration: {reduce_input: lazy}", "`configuration.reduce_input` is read inside `configuration.dynamic`"),
        ("configuration: {dynamic: {jion: zip}}", "`configuration.dynamic.jion` is no setting. Did you mean `join`?"),
        ("configuration: {dynamic: {batch_settings: {}}}", "`configuration.dynamic.batch_settings` changes nothing"),
        ("configuration: {limit_by: shop}", "`configuration.limit_by` is read inside `configuration.dynamic`"),
        (
            "configuration: {dynamic: {parent: true, buffer: {item: 3}}}",
            "`configuration.dynamic.buffer.item` is no setting. Did you mean `items`?",
        ),
        (
            "configuration: {dynamic: {parent: true, limit_by: {key: shop, limt: 3}}}",
            "`configuration.dynamic.limit_by.limt` is no setting. Did you mean `limit`?",
        ),
        (
            "configuration: {reduce_output: true, dynamic: {reduce: {stratgy: sum}}}",
            "`configuration.dynamic.reduce.stratgy` is no setting. Did you mean `strategy`?",
        ),
        ("configuration: {dynamic: {reduce: sum}}", "nothing reduces over this block. Write `reduce_output: true`"),
    ],
)  # fmt: skip
def test_a_key_that_changes_nothing_is_a_warning_that_names_its_block(folder: Path, extra: str, words: str) -> None:
    block(folder, extra)
    (warning,) = Pipeline.get("p", folder).warnings
    assert words in warning
    assert "(blocks.b)" in warning


@pytest.mark.parametrize(
    "extra",
    [
        "executor_config: {}\nmy_note: 1\nhas_callback: false",
        "configuration: {limit: 3, table: t, reducer: x, data_provider: postgres, retries: 2}",
        "configuration: {reduce_output: true, dynamic: {reduce: sum}}",
        "configuration: {reduce_output: [down], dynamic: {reduce: {strategy: f, initial: 0, levels: 1}}}",
        "configuration: {cache: true, dynamic: {modes: [{type: default}]}}",
    ],
)
def test_keys_that_are_read_or_free_are_no_warning(folder: Path, extra: str) -> None:
    block(folder, extra)
    assert Pipeline.get("p", folder).warnings == ()


def test_how_to_reduce_may_be_said_where_a_downstream_block_says_that_it_does(folder: Path) -> None:
    text = "blocks:\n- {uuid: a, type: custom, configuration: {dynamic: {reduce: sum}}}\n- {uuid: b, type: custom"
    assert "nothing reduces" in read(folder, f"{text}, upstream_blocks: [a]}}\n").warnings[0]
    reducing = "upstream_blocks: [a], configuration: {reduce_output_upstream: [a]}"
    assert read(folder, f"{text}, {reducing}}}\n").warnings == ()


def test_a_misspelt_limit_of_the_pipeline_is_a_warning(folder: Path) -> None:
    (warning,) = read(folder, "blocks: []\ndynamic_blocks: {max_child_block_run: 3}\n").warnings
    assert "`dynamic_blocks.max_child_block_run` is no setting. Did you mean `max_child_block_runs`?" in warning


def test_all_missing_files_are_named_at_once(folder: Path) -> None:
    (folder / "custom").mkdir()
    (folder / "custom/a.py").touch()
    (folder / "custom/Bee.py").touch()
    pipeline = read(
        folder,
        "blocks:\n- {uuid: a, type: custom}\n- {uuid: bees, type: custom}\n- {uuid: n, type: scratchpad}\n"
        "callbacks:\n- {uuid: c, upstream_blocks: [a]}\n",
    )
    with pytest.raises(PipelineError) as caught:
        pipeline.check_files()
    text = str(caught.value)
    assert "2 block files are missing" in text
    assert f"{folder}/custom/bees.py (block `bees`; `Bee.py` is there)" in text
    assert f"{folder}/callbacks/c.py" in text
    assert "custom/a.py" not in text


def test_an_unknown_pipeline_or_block_is_answered_with_the_nearest(folder: Path) -> None:
    read(folder, DOCUMENTED)
    with pytest.raises(PipelineError, match="Known pipelines: p"):
        Pipeline.get("sales", folder)
    with pytest.raises(PipelineError, match="Did you mean `load_data`"):
        Pipeline.get("p", Project.load(folder)).block("load_dta")
    with pytest.raises(PipelineError):
        Pipeline.get("../pipelines/p", folder)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, len(REAL)), st.text(st.sampled_from("[]{}:,-#&*!|>'\"\n \t%a0\x85"), max_size=3), st.integers(0, 9)
)
def test_a_damaged_file_is_read_or_refused_with_its_name(folder: Path, at: int, put: str, less: int) -> None:
    message = "metadata.yaml"
    try:
        read(folder, REAL[:at] + put + REAL[at + less :])
    except PipelineError as error:
        message = str(error)
    assert "metadata.yaml" in message


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 3000 + "b", "a\\0b.py"])
@pytest.mark.parametrize("key", ["uuid", "file"])
def test_a_path_that_no_file_can_have_is_an_error_with_its_line(folder: Path, path: str, key: str) -> None:
    named = f'uuid: "{path}"' if key == "uuid" else f'uuid: a\n  configuration: {{file_source: {{path: "{path}"}}}}'
    error = refused(folder, f"blocks:\n- {named}\n  type: custom\n")
    assert str(error.where).startswith(str(folder))
    assert len(str(error)) < 1000
