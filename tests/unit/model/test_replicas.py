"""`replicated_block`: another block's file and language under a uuid, upstreams and configuration of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PipelineError
from refold.model.block import Language
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.testing.lab import PASS, Lab, load, values


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.init(tmp_path / "project")


def pipeline(project: Project, *entries: str) -> Pipeline:
    folder = project.path / "pipelines" / "one"
    folder.mkdir(exist_ok=True)
    (folder / "metadata.yaml").write_text("type: python\nblocks:\n" + "".join(f"- {entry}\n" for entry in entries))
    return Pipeline.get("one", project)


def entry(uuid: str, original: str = "", kind: str = "transformer", more: str = "") -> str:
    replicated = f", replicated_block: {original}" if original else ""
    return f"{{uuid: {uuid}, type: {kind}, upstream_blocks: []{replicated}{more}}}"


def test_a_replica_has_the_file_and_language_of_the_original_and_its_own_settings(project: Project) -> None:
    path = "configuration: {file_source: {path: transformers/elsewhere.sql}}"
    found = pipeline(
        project,
        entry("clean", more=f", language: sql, {path}"),
        entry("again", "clean", more=", configuration: {run_tests: false}, timeout: 5"),
    )
    original, replica = found.block("clean"), found.block("again")
    assert (replica.file, replica.language) == (original.file, Language.SQL)
    assert (replica.timeout, replica.run_tests, original.timeout, original.run_tests) == (5, False, None, True)


def test_a_replica_of_a_replica_leads_to_the_file(project: Project) -> None:
    found = pipeline(project, entry("third", "second"), entry("second", "first"), entry("first"))
    assert found.block("third").file == found.block("first").file


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry("a"), entry("b", "aa")], r"metadata.yaml:4 .*`b` replicates `aa`, which is no block.*\n.*`a`"),
        ([entry("a", "a")], "`a` replicates itself"),
        ([entry("a", "b"), entry("b", "a")], "`a` replicates itself, by way of `b`"),
        ([entry("a", kind="data_loader"), entry("b", "a")], "`b` is a transformer and replicates `a`, a data_loader"),
    ],
)
def test_what_cannot_be_replicated_is_told_with_its_line(project: Project, entries: list[str], said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        pipeline(project, *entries)


def test_a_replica_is_added_without_a_file_and_its_original_stays(project: Project) -> None:
    made = pipeline(project, entry("clean", more=", language: r"), "{uuid: load, type: data_loader}")
    made = made.add_block("again", "transformer", upstream=["load"], replicates="clean")
    assert (made.block("again").language, made.block("again").upstream_blocks) == (Language.R, ("load",))
    assert not (project.path / "transformers" / "again.r").exists()
    with pytest.raises(PipelineError, match="`clean` is replicated by `again`"):
        made.remove_block("clean")
    with pytest.raises(PipelineError, match="has no block `cleen`"):
        made.add_block("third", "transformer", replicates="cleen")


def test_original_and_replica_run_side_by_side_each_with_its_own_inputs(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("one", load("1"))
    lab.add("many", load("[1, 2]"), dynamic=True)
    lab.add(
        "clean",
        "@transformer\ndef clean(value, **kwargs):\n    return [value, kwargs['configuration'].get('k')]\n",
        ["one"],
    )
    lab.pipeline = lab.pipeline.add_block(
        "again", "transformer", upstream=["many"], configuration={"k": "own"}, replicates="clean"
    )
    lab.add("after", PASS, ["again"])
    reader = lab.run()
    assert values(reader, "clean") == {"": [1, None]}
    assert values(reader, "again") == {"0": [1, "own"], "1": [2, "own"]}
