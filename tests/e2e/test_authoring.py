"""`refold block new`, `refold pipeline new` and templates: what they write, what they refuse, and that it runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind, open_project_store
from refold.cli.app import REFOLD
from refold.cli.mage_app import MAGE
from refold.errors import ProjectError
from refold.io.settings.config import ConfigFileLoader
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.ports.run_store import RunStatus
from refold.testing.lab import load

Tree = Mapping[str, str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project.init(tmp_path / "project")
    Pipeline.create("one", made)
    monkeypatch.chdir(made.path)
    return made


def refold(*words: str) -> int:
    return REFOLD.run([*words])


def block_new(*words: str) -> int:
    return refold("block", "new", *words)


def tree(folder: Path) -> Tree:
    """All files beneath, with their texts."""
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and ".mage_data" not in file.parts
    }


def folders(folder: Path) -> set[Path]:
    return {each for each in folder.rglob("*") if each.is_dir()}


def completes(project: Project, pipeline: str = "one") -> bool:
    options = RunOptions(executor=ExecutorKind.INLINE)
    return run_pipeline(Pipeline.get(pipeline, project), options).status is RunStatus.COMPLETED


def outputs(project: Project, block: str, pipeline: str = "one") -> dict[str, object]:
    """What the block's runs of the latest run returned."""
    from refold.api.reading import RunReader

    store = open_project_store(project)
    reader = RunReader(project, max(store.list_runs(), key=lambda each: each.id), store)
    return {v.block_run_uuid.partition(":")[2]: reader.output(v.block_run_uuid) for v in reader.block_runs(block)}


def test_a_new_block_has_a_file_and_an_entry_and_comments_stay(project: Project) -> None:
    metadata = project.path / "pipelines/one/metadata.yaml"
    metadata.write_text("# mine\n" + metadata.read_text())
    assert block_new("--pipeline", "one", "--name", "Load users", "--type", "data_loader") == 0
    assert block_new("--pipeline", "one", "--name", "clean", "--type", "transformer", "--upstream", "load_users") == 0
    found = Pipeline.get("one", project)
    assert found.block("clean").upstream_blocks == ("load_users",)
    assert metadata.read_text().startswith("# mine\n")
    assert completes(project)


def test_without_a_pipeline_only_the_file_is_made(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(project.path)
    assert block_new("--name", "fresh", "--type", "transformer", "--language", "r") == 0
    assert {*tree(project.path)} - {*before} == {"transformers/fresh.r"}
    assert "transformers/fresh.r" in capsys.readouterr().out


def test_mage_has_the_commands_too(project: Project) -> None:
    assert MAGE.run(["block", "new", "--name", "fresh", "--type", "custom"]) == 0
    assert (project.path / "custom/fresh.py").is_file()


def test_dynamic_generated_and_reduced_blocks_run_as_they_come(project: Project) -> None:
    for template, loader in (("dynamic_loader", "a"), ("generator_loader", "b")):
        assert block_new("--pipeline", "one", "--name", loader, "--template", template) == 0
        assert (
            block_new("--pipeline", "one", "--name", f"{loader}1", "--type", "transformer", "--upstream", loader) == 0
        )
        words = ("--pipeline", "one", "--name", f"{loader}2", "--template", "reduce", "--upstream", f"{loader}1")
        assert block_new(*words) == 0
    assert completes(project)
    items = [{"id": 1}, {"id": 2}, {"id": 3}]
    assert outputs(project, "a1") == {f"item_{item['id']}": item for item in items}
    assert outputs(project, "a2") == outputs(project, "b2") == {"": {"count": 3, "outputs": items}}


def test_the_sql_template_fans_out(project: Project) -> None:
    assert block_new("--pipeline", "one", "--name", "rows", "--template", "sql_fan_out") == 0
    assert block_new("--pipeline", "one", "--name", "each", "--type", "transformer", "--upstream", "rows") == 0
    assert completes(project)
    assert len(outputs(project, "each")) == 2


def test_the_r_template_runs(project: Project) -> None:
    from refold.testing.r_installed import require_rscript

    require_rscript()
    assert block_new("--pipeline", "one", "--name", "items", "--template", "dynamic_loader") == 0
    assert block_new("--pipeline", "one", "--name", "r", "--template", "r_transform", "--upstream", "items") == 0
    assert completes(project)
    assert [frame["id"].tolist() for frame in outputs(project, "r").values()] == [[1], [2], [3]]  # type: ignore[index]


def test_the_sensor_template_waits_for_another_pipeline(project: Project) -> None:
    assert block_new("--pipeline", "one", "--name", "wait", "--template", "pipeline_sensor") == 0
    assert completes(project, "example_pipeline")
    assert completes(project)


@pytest.mark.parametrize("name", ["sqlite", "duckdb"])
def test_database_templates_write_and_read(project: Project, name: str) -> None:
    (project.path / "io_config.yaml").write_text(
        f"default:\n  SQLITE_DATABASE: {project.path}/a.db\n  DUCKDB_DATABASE: {project.path}/a.duckdb\n"
    )
    assert block_new("--pipeline", "one", "--name", "load", "--template", f"load_{name}") == 0
    words = ("--pipeline", "one", "--name", "export", "--template", f"export_{name}", "--upstream", "load")
    assert block_new(*words) == 0
    assert completes(project)
    if name == "sqlite":
        with sqlite3.connect(project.path / "a.db") as connection:
            assert connection.execute("SELECT id FROM exported").fetchall() == [(1,)]
        connection.close()


def test_file_templates_write_and_read(project: Project) -> None:
    (project.path / "data.csv").write_text("id\n7\n")
    assert block_new("--pipeline", "one", "--name", "load", "--template", "load_file") == 0
    words = ("--pipeline", "one", "--name", "export", "--template", "export_file", "--upstream", "load")
    assert block_new(*words) == 0
    assert completes(project)
    assert (project.path / "exported.csv").read_text().split() == ["id", "7"]


@pytest.mark.parametrize("name", ["postgres", "mysql"])
def test_templates_of_servers_are_python_that_names_what_there_is(project: Project, name: str) -> None:
    for kind in ("load", "export"):
        assert block_new("--name", kind, "--template", f"{kind}_{name}") == 0
    for file in ("data_loaders/load.py", "data_exporters/export.py"):
        exec(compile((project.path / file).read_text(), file, "exec"), {})


def test_a_pipeline_from_a_template_runs(project: Project) -> None:
    words = ("pipeline", "new", "My squares", "--template", "fan_out", "--description", "squares", "--tags", "a, b")
    assert refold(*words) == 0
    found = Pipeline.get("my_squares", project)
    assert (found.name, found.description, found.tags) == ("My squares", "squares", ("a", "b"))
    assert completes(project, "my_squares")
    (folded,) = outputs(project, "fan_out_all").values()
    assert [each["square"] for each in folded["outputs"]] == [1, 4, 9]  # type: ignore[index]
    assert refold("pipeline", "new", "another", "--template", "fan_out") == 0, "files that are alike are shared"


def test_an_empty_pipeline_is_made(project: Project) -> None:
    assert refold("pipeline", "new", "empty") == 0
    assert Pipeline.get("empty", project).blocks == ()


def test_a_replica_runs_the_originals_file(project: Project) -> None:
    assert block_new("--pipeline", "one", "--name", "first", "--type", "data_loader") == 0
    assert block_new("--pipeline", "one", "--name", "second", "--replicate", "first") == 0
    assert not (project.path / "data_loaders/second.py").exists()
    assert completes(project)
    assert outputs(project, "first") == outputs(project, "second")


def custom(project: Project, name: str, files: Tree, kind: str = "blocks") -> Path:
    folder = project.path / "custom_templates" / kind / name
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_a_projects_own_templates_are_listed_and_used(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    said = "block_type: data_loader\nlanguage: python\ndescription: Ours.\nconfiguration: {dynamic: true}\n"
    custom(project, "ours", {"metadata.yaml": said, "ours.py": load("[1, 2]")})
    custom(project, "bare", {"bare.sql": "SELECT 5 AS five"})
    custom(project, "reduce", {"reduce.py": "# another reduce"})
    metadata = "blocks:\n- {uuid: from_ours, type: data_loader, language: python, upstream_blocks: []}\n"
    custom(project, "flow", {"metadata.yaml": metadata, "data_loaders/from_ours.py": load("3")}, "pipelines")
    assert refold("templates") == 0
    listed = capsys.readouterr().out
    assert "Ours." in listed
    assert "flow" in listed
    assert block_new("--pipeline", "one", "--name", "mine", "--template", "ours") == 0
    assert Pipeline.get("one", project).block("mine").dynamic.dynamic
    assert block_new("--name", "five", "--template", "bare", "--type", "transformer") == 0
    assert (project.path / "transformers/five.sql").read_text() == "SELECT 5 AS five"
    assert block_new("--name", "all", "--template", "reduce", "--type", "custom") == 0
    assert (project.path / "custom/all.py").read_text() == "# another reduce"
    assert refold("pipeline", "new", "third", "--template", "flow") == 0
    assert completes(project, "third")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("block", "new", "--name", "x"), "what kind of block is it?"),
        (("block", "new", "--type", "custom"), "what is the block called?"),
        (("block", "new", "--name", "x", "--type", "custom", "--template", "../../x"), "cannot name a template"),
        (("block", "new", "--name", "x", "--type", "custom", "--template", "/etc"), "cannot name a template"),
        (("block", "new", "--name", "x", "--template", "redoce"), "Did you mean `reduce`?"),
        (("block", "new", "--name", "x", "--template", "reduce", "--type", "sensor"), "one of a transformer"),
        (("block", "new", "--name", "x", "--template", "reduce", "--language", "r"), "written in python, not in r"),
        (("block", "new", "--name", "../x", "--type", "custom"), "cannot name a block"),
        (("block", "new", "--name", "/tmp/x", "--type", "custom"), "cannot name a block"),
        (("block", "new", "--name", "a/../../x", "--type", "custom", "--pipeline", "one"), "cannot name a block"),
        (("block", "new", "--name", "x", "--type", "custom", "--upstream", "a"), "a file alone has no upstreams"),
        (("block", "new", "--name", "x", "--type", "custom", "--pipeline", "../one"), "there is no pipeline"),
        (("block", "new", "--name", "x", "--type", "custom", "--pipeline", "one", "--upstream", "no"), "no block `no`"),
        (("block", "new", "--name", "x", "--replicate", "y"), "a replica is a block of a pipeline"),
        (("block", "new", "--name", "x", "--replicate", "y", "--pipeline", "one"), "has no block `y`"),
        (("pipeline", "new", "../x"), "cannot name a pipeline"),
        (("pipeline", "new", "a/b"), "cannot name a pipeline"),
        (("pipeline", "new", "x" * 300), "is too long to name a pipeline"),
        (("pipeline", "new", "x", "--template", "x" * 300), "is too long to name a template"),
        (("block", "new", "--name", "é" * 150, "--type", "custom"), "is too long to name a block"),
        (("pipeline", "new", "x", "--template", "../fan_out"), "cannot name a template"),
        (("pipeline", "new", "one", "--template", "fan_out"), "the pipeline `one` exists"),
        (("pipeline", "new", "x", "--template", "fan"), "`fan_out`"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(
    project: Project, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    before, beside = tree(project.path.parent), folders(project.path.parent)
    assert refold(*words) == 2
    assert said in capsys.readouterr().err
    assert (tree(project.path.parent), folders(project.path.parent)) == (before, beside)


def refused(project: Project, *words: str) -> None:
    before, beside = tree(project.path.parent), folders(project.path.parent)
    assert refold(*words) == 2
    assert (tree(project.path.parent), folders(project.path.parent)) == (before, beside)


@pytest.mark.parametrize("words", [(), ("--pipeline", "one")])
def test_a_file_that_is_there_is_never_overwritten(project: Project, words: tuple[str, ...]) -> None:
    file = project.path / "transformers/mine.py"
    file.write_text("# mine")
    refused(project, "block", "new", "--name", "mine", "--type", "transformer", *words)
    file.unlink()
    file.symlink_to(project.path.parent / "nowhere.py")
    refused(project, "block", "new", "--name", "mine", "--type", "transformer", *words)


def test_a_pipeline_template_overwrites_nothing_either(project: Project) -> None:
    (project.path / "transformers/fan_out_each.py").write_text("# mine")
    refused(project, "pipeline", "new", "squares", "--template", "fan_out")


@pytest.mark.parametrize("words", [(), ("--pipeline", "one")])
def test_nothing_is_written_through_links_that_lead_out_of_the_project(
    project: Project, words: tuple[str, ...]
) -> None:
    shutil.rmtree(project.path / "transformers")
    outside = project.path.parent / "outside"
    outside.mkdir()
    (project.path / "transformers").symlink_to(outside)
    refused(project, "block", "new", "--name", "mine", "--type", "transformer", *words)
    refused(project, "pipeline", "new", "squares", "--template", "fan_out")


def link_out(folder: Path) -> None:
    (folder / "data_loaders/x.py").unlink()
    (folder / "data_loaders/x.py").symlink_to("/etc/hostname")


def write_out(folder: Path) -> None:
    (folder / "metadata.yaml").write_text(
        "blocks:\n- {uuid: x, type: data_loader, configuration: {file_source: {path: ../../outside.py}}}\n"
    )


def elsewhere(folder: Path) -> None:
    (folder / "pipelines/one").mkdir(parents=True)
    (folder / "pipelines/one/metadata.yaml").write_text("blocks: []\n")


@pytest.mark.parametrize("spoil", [link_out, write_out, elsewhere])
def test_a_pipeline_template_that_reaches_out_is_refused(project: Project, spoil: Callable[[Path], None]) -> None:
    files = {"metadata.yaml": "blocks:\n- {uuid: x, type: data_loader}\n", "data_loaders/x.py": load("1")}
    spoil(custom(project, "bad", files, "pipelines"))
    refused(project, "pipeline", "new", "made", "--template", "bad")


def test_a_block_template_that_is_a_link_out_is_refused(project: Project) -> None:
    folder = custom(project, "bad", {"metadata.yaml": "type: custom\n"})
    (folder / "bad.py").symlink_to("/etc/hostname")
    refused(project, "block", "new", "--name", "x", "--template", "bad")
    outside = project.path.parent / "templates"
    outside.mkdir()
    (outside / "x.py").write_text("x = 1")
    (folder.parent / "linked").symlink_to(outside)
    refused(project, "block", "new", "--name", "x", "--template", "linked", "--type", "custom")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
HOSTILE = {
    "aliases": BOMB,
    "object": "type: !!python/object/apply:os.system ['touch hacked']\n",
    "name": "type: !!python/name:os.system\n",
    "depth": "x: " + "[" * 100_000 + "\n",
    "blocks": "x:\n" + "".join(" " * n + "- \n" for n in range(1, 500)),
    "mappings": "x: " + "{a: " * 50_000 + "\n",
    "itself": "x: &x [*x]\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_in_a_template_or_pipeline_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    custom(project, "bad", {"metadata.yaml": HOSTILE[kind], "bad.py": "x = 1"})
    custom(project, "bad", {"metadata.yaml": HOSTILE[kind]}, "pipelines")
    for words in (
        ("block", "new", "--name", "x", "--type", "custom", "--template", "bad"),
        ("pipeline", "new", "x", "--template", "bad"),
    ):
        assert refold(*words) == 2
        assert "metadata.yaml" in capsys.readouterr().err
    (project.path / "pipelines/one/metadata.yaml").write_text(HOSTILE[kind])
    assert refold("plan", str(project.path), "one") == 2
    assert "metadata.yaml" in capsys.readouterr().err
    assert not (project.path / "hacked").exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_in_io_config_is_refused(project: Project, kind: str) -> None:
    file = project.path / "io_config.yaml"
    file.write_text(f"{HOSTILE[kind]}default: {{}}\n")
    with pytest.raises(ProjectError, match=r"io_config\.yaml"):
        ConfigFileLoader(file)
    assert not (project.path / "hacked").exists()


def test_what_fails_half_way_leaves_nothing(project: Project) -> None:
    if os.geteuid() == 0:
        (project.path / "pipelines/squares").write_text("a file where the pipeline's folder should be")
    else:
        (project.path / "pipelines").chmod(0o500)
    refused(project, "pipeline", "new", "squares", "--template", "fan_out")


def test_what_cannot_be_written_in_the_middle_is_taken_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the pipeline's own file is written, after those of its blocks."""
    true_open = Path.open

    def open_until_full(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "requirements.txt" and args[:1] == ("x",):
            raise OSError(28, "No space left on device", str(self))
        return true_open(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_until_full)
    refused(project, "pipeline", "new", "squares", "--template", "fan_out")
