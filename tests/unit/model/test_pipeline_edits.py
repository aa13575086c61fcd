"""Pipelines are made and changed in code, and what people wrote in their files stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast

import pytest

from refold.errors import PipelineError
from refold.model.block import BlockType, JsonValue, Language
from refold.model.pipeline import Pipeline
from refold.model.pipeline_metadata import PipelineType
from refold.model.project import Project

COMMENTED = """\
# owned by the data team
blocks:
# where it begins
- uuid: a
  type: data_loader   # postgres
  team: 'core'
  color: null
  downstream_blocks: [b]

- uuid: b
  type: transformer
  configuration:
    # fold
    reduce_output: yes
    colour: "red"
  upstream_blocks:
  - a   # the loader
description: >-
  a text
  on two lines
name: p   # short
unknown: {x: 1,  y: [2]}
type: python
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pipelines" / "p").mkdir(parents=True)
    (tmp_path / "pipelines/p/metadata.yaml").write_text(COMMENTED)
    (tmp_path / "metadata.yaml").write_text("project_type: standalone\n")
    return Project.load(tmp_path)


@pytest.fixture
def pipeline(project: Project) -> Pipeline:
    return Pipeline.get("p", project)


def text(pipeline: Pipeline) -> str:
    return (pipeline.folder / "metadata.yaml").read_text()


def changed_lines(pipeline: Pipeline) -> tuple[list[str], list[str]]:
    """Lines that a change took away, and lines that it brought."""
    old, new = COMMENTED.splitlines(), text(pipeline).splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_a_pipeline_is_made_as_the_documents_show(project: Project) -> None:
    east = timezone(timedelta(hours=2))
    made = Pipeline.create(
        "My Pipeline",
        repo_path=str(project.path),
        pipeline_type=PipelineType.PYTHON,
        description="My data pipeline",
        tags=["etl", "production"],
        now=datetime(2026, 3, 4, 14, tzinfo=east),
    )
    assert made.uuid == "my_pipeline"
    assert text(made) == (
        "blocks: []\ncreated_at: '2026-03-04 12:00:00.000000+00:00'\ndescription: My data pipeline\n"
        "name: My Pipeline\ntags:\n- etl\n- production\ntype: python\nuuid: my_pipeline\n"
    )
    assert sorted(path.name for path in made.folder.iterdir()) == ["__init__.py", "metadata.yaml", "requirements.txt"]
    assert Pipeline.get("my_pipeline", project) == made


def test_a_pipeline_is_not_made_twice_nor_without_a_name(project: Project) -> None:
    with pytest.raises(PipelineError, match="exists"):
        Pipeline.create("P", project)
    with pytest.raises(PipelineError, match="cannot name"):
        Pipeline.create(" - ", project)
    with pytest.raises(PipelineError, match="unknown pipeline type"):
        Pipeline.create("x", project, pipeline_type="pyhton")
    assert project.pipelines() == ["p"]


def test_subclasses_get_their_own_kind_back(project: Project) -> None:
    class Running(Pipeline):
        pass

    made = Running.create("r", project, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert type(made.add_block("x", "custom").update(name="y")) is Running
    assert type(Running.get("r", project)) is Running


def test_the_working_directory_tells_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path / "pipelines")
    assert Pipeline.get("p").uuid == "p"


def test_blocks_are_added_with_their_files(project: Project) -> None:
    made = Pipeline.create("flow", project)
    made = made.add_block("load users", BlockType.DATA_LOADER, configuration={"dynamic": True})
    made = made.add_block("clean", "transformer", upstream=["load_users"], content="# mine\n")
    made = made.add_block("team/count", "data_exporter", language=Language.SQL, upstream=["clean", "load_users"])
    made = made.add_block("tell", "callback", upstream=["clean"])
    made = made.add_block("if ready", "conditional", upstream=["clean"])
    assert made.order == ("load_users", "clean", "team/count")
    assert made.block("load_users").dynamic.dynamic
    assert made.block("clean").file.read_text() == "# mine\n"
    assert made.block("clean").callbacks == ("tell",)
    assert made.block("clean").conditionals == ("if_ready",)
    assert "@data_loader" in made.block("load_users").file.read_text()
    assert made.block("team/count").file == project.path / "data_exporters/team/count.sql"
    assert made.warnings == ()
    made.check_files()
    assert Pipeline.get("flow", project) == made


@pytest.mark.parametrize("block_type", [each for each in BlockType if each.runs])
@pytest.mark.parametrize("language", [Language.PYTHON, Language.SQL, Language.R])
def test_every_template_is_code(project: Project, block_type: BlockType, language: Language) -> None:
    made = Pipeline.create("t", project).add_block("x", block_type, language=language)
    source = made.block("x").file.read_text()
    if language is Language.PYTHON:
        compile(source, "x.py", "exec")


def test_adding_a_block_touches_no_other_line(pipeline: Pipeline) -> None:
    pipeline.add_block("c", "data_exporter", upstream=["a", "b"])
    gone, brought = changed_lines(pipeline)
    assert gone == ["  downstream_blocks: [b]"]
    assert brought[0] == "  downstream_blocks: [b, c]"
    assert "- uuid: c" in brought
    assert "# owned by the data team" in text(pipeline)


def test_a_block_file_that_is_there_is_never_overwritten(pipeline: Pipeline) -> None:
    file = pipeline.project.path / "custom" / "c.py"
    file.parent.mkdir()
    file.write_text("# theirs\n")
    with pytest.raises(PipelineError, match="another content"):
        pipeline.add_block("c", "custom", content="# mine\n")
    assert text(pipeline) == COMMENTED
    assert pipeline.add_block("c", "custom").block("c").file.read_text() == "# theirs\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "a", "block_type": "custom"}, "has a block `a` already"),
        ({"name": "c", "block_type": "custum"}, "Did you mean `custom`?"),
        ({"name": "c", "block_type": "custom", "language": "pyton"}, "Did you mean `python`?"),
        ({"name": "c", "block_type": "custom", "upstream": ["aa"]}, "no block `aa`"),
        ({"name": "c", "block_type": "custom", "configuration": {"dynamic": 7}}, "found 7"),
        ({"name": "c", "block_type": "custom", "configuration": {"x": object()}}, "`configuration.x` is a object"),
    ],
)
def test_a_block_that_would_be_wrong_is_not_added(pipeline: Pipeline, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        pipeline.add_block(**arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert text(pipeline) == COMMENTED
    assert not (pipeline.project.path / "custom").exists()


def test_update_changes_what_is_given_and_keeps_comments(pipeline: Pipeline) -> None:
    fresh = pipeline.update(name="New Name", variables={"n": 1})
    assert (fresh.uuid, fresh.name, fresh.variables) == ("p", "New Name", {"n": 1})
    assert fresh.description == "a text on two lines"
    assert changed_lines(pipeline) == (["name: p   # short"], ["name: New Name   # short", "variables:", "  n: 1"])
    assert pipeline.name == "p"


def test_update_with_nothing_leaves_every_byte(pipeline: Pipeline) -> None:
    pipeline.update()
    assert text(pipeline) == COMMENTED


def test_a_description_is_taken_away_with_none(pipeline: Pipeline) -> None:
    assert pipeline.update(description=None, tags=["x"]).description is None
    gone, _ = changed_lines(pipeline)
    assert gone == ["description: >-", "  a text", "  on two lines"]


def test_a_blocks_settings_are_replaced_and_their_comments_stay(pipeline: Pipeline) -> None:
    fresh = pipeline.update_block(
        "b", configuration={"reduce_output": True, "dynamic": True}, timeout=30, retry_config={"retries": 2}
    )
    block = fresh.block("b")
    assert (block.timeout, block.retry.retries, block.dynamic.dynamic) == (30.0, 2, True)
    assert block.dynamic.reduce_output is True
    gone, brought = changed_lines(pipeline)
    assert gone == ['    colour: "red"']
    assert brought == ["    dynamic: true", "  timeout: 30", "  retry_config:", "    retries: 2"]
    assert pipeline.update_block("b", timeout=None, retry_config=None).block("b").timeout is None


def test_downstream_lists_follow_a_change_of_upstreams(pipeline: Pipeline) -> None:
    pipeline.add_block("c", "custom")
    fresh = Pipeline.get("p", pipeline.project).update_block("b", upstream_blocks=["c"])
    assert fresh.block("b").upstream_blocks == ("c",)
    entries = cast("list[dict[str, JsonValue]]", fresh.metadata["blocks"])
    assert [entry.get("downstream_blocks") for entry in entries] == [[], None, ["b"]]
    assert fresh.warnings == ()


def test_a_change_that_makes_a_cycle_is_refused_and_not_written(pipeline: Pipeline) -> None:
    with pytest.raises(PipelineError, match="a -> b -> a"):
        pipeline.update_block("a", upstream_blocks=["b"])
    assert text(pipeline) == COMMENTED


def test_a_block_is_removed_with_its_mentions(pipeline: Pipeline) -> None:
    with pytest.raises(PipelineError, match="`a` is an upstream of `b`"):
        pipeline.remove_block("a")
    fresh = pipeline.add_block("hook", "callback", upstream=["b"]).remove_block("b")
    assert fresh.order == ("a",)
    assert fresh.block("hook").upstream_blocks == ()
    assert fresh.warnings == ()
    assert "# where it begins" in text(pipeline)
    assert "downstream_blocks: []" in text(pipeline)


def test_a_change_meets_the_file_as_it_is_now(pipeline: Pipeline) -> None:
    path = pipeline.folder / "metadata.yaml"
    path.write_text(COMMENTED.replace("team: 'core'", "team: 'other'"))
    pipeline.update(name="x")
    assert "team: 'other'" in text(pipeline)


def test_deleting_keeps_block_files(pipeline: Pipeline) -> None:
    file = pipeline.add_block("c", "custom").block("c").file
    pipeline.delete()
    assert not pipeline.folder.exists()
    assert file.exists()
    with pytest.raises(PipelineError, match="cannot be deleted"):
        pipeline.delete()
