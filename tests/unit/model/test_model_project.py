"""Projects: found, made, and read."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from refold.errors import ProjectError
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.model.requirements import requirements_for
from refold.model.yaml_file import YamlFile

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_a_new_project_has_the_documented_folders_and_files(tmp_path: Path) -> None:
    project = Project.init(tmp_path / "my_project", now=NOON)
    here = {path.name for path in project.path.iterdir()}
    assert here >= {
        "charts", "custom", "data_exporters", "data_loaders", "dbt", "extensions", "interactions", "pipelines",
        "scratchpads", "transformers", "utils", "io_config.yaml", "metadata.yaml", "requirements.txt", ".gitignore",
        "__init__.py",
    }  # fmt: skip
    assert ".mage_data/" in (project.path / ".gitignore").read_text().splitlines()
    assert YamlFile.load(project.io_config).value["default"] == {
        "POSTGRES_HOST": "localhost",
        "POSTGRES_PORT": 5432,
        "POSTGRES_USER": "mage",
        "POSTGRES_PASSWORD": "password",
        "POSTGRES_DB": "analytics",
    }
    assert (project.name, project.data_folder) == ("my_project", project.path / ".mage_data")
    assert not list(project.path.rglob("*.tmpl"))


def test_the_example_pipeline_is_whole_and_dynamic(tmp_path: Path) -> None:
    project = Project.init(tmp_path / "p", now=NOON)
    assert project.pipelines() == ["example_pipeline"]
    pipeline = Pipeline.get("example_pipeline", project)
    pipeline.check_files()
    assert pipeline.warnings == ()
    assert pipeline.created_at == "2026-03-04 12:00:00.000000+00:00"
    load, measure, export = pipeline.running_blocks
    assert load.dynamic.dynamic
    assert measure.dynamic.reduce_output is True
    assert export.upstream_blocks == (measure.uuid,)
    for block in pipeline.blocks:
        compile(block.file.read_text(), str(block.file), "exec")


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    assert Project.init(tmp_path / "p", name="yes: no").name == "yes: no"


def test_an_existing_project_is_not_overwritten(tmp_path: Path) -> None:
    project = Project.init(tmp_path / "p")
    (project.path / "metadata.yaml").write_text("name: mine\n")
    with pytest.raises(ProjectError, match="already is a project"):
        Project.init(project.path)
    assert (project.path / "metadata.yaml").read_text() == "name: mine\n"


def test_files_of_an_ordinary_folder_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("duckdb\n")
    (tmp_path / ".gitignore").write_text("*.log")
    Project.init(tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == "duckdb\n"
    assert (tmp_path / ".gitignore").read_text() == "*.log\n.mage_data/\n"


def test_a_file_is_no_place_for_a_project(tmp_path: Path) -> None:
    (tmp_path / "p").touch()
    with pytest.raises(ProjectError, match="a file of this name"):
        Project.init(tmp_path / "p")


def test_a_project_is_found_from_inside(tmp_path: Path) -> None:
    project = Project.init(tmp_path / "p")
    for start in (".", "pipelines/example_pipeline", "data_loaders/example_load_cities.py"):
        assert Project.find(project.path / start).path == project.path


def test_a_project_without_metadata_is_known_by_its_pipelines(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "io_config.yaml").touch()
    assert Project.find(tmp_path / "pipelines").path == tmp_path.resolve()
    assert Project.load(tmp_path).features == {}


def test_outside_of_projects_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="refold init"):
        Project.find(tmp_path)
    with pytest.raises(ProjectError, match="not a project"):
        Project.load(tmp_path)
    with pytest.raises(ProjectError, match="no such folder"):
        Project.load(tmp_path / "nowhere")


def test_features_are_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    metadata = tmp_path / "metadata.yaml"
    metadata.write_text("features:\n  mage_outputs: 'yes'\n  other: {x: 1}\nretry_config: {retries: 2}\n")
    project = Project.load(tmp_path)
    assert project.feature("mage_outputs")
    assert not project.feature("other")
    assert project.features["other"] == {"x": 1}
    assert project.retry.retries == 2
    metadata.write_text("features:\n  mage_outputs: perhaps\n")
    with pytest.raises(ProjectError, match=r"metadata.yaml:2 \(features.mage_outputs\): expected true or false"):
        Project.load(tmp_path)


def test_requirements_are_the_pipelines_then_the_projects(tmp_path: Path) -> None:
    project = Project.init(tmp_path / "p")
    pipeline = Pipeline.create("x", project)
    assert requirements_for(project, pipeline) == []
    (project.path / "requirements.txt").write_text("# tools\nduckdb\n")
    (pipeline.folder / "requirements.txt").write_text("requests\n")
    files = [pipeline.folder / "requirements.txt", project.path / "requirements.txt"]
    assert requirements_for(project, pipeline) == files
    assert requirements_for(project) == files[1:]


def test_reading_a_project_loads_no_heavy_library() -> None:
    code = (
        "import sys, refold.model.pipeline, refold.model.requirements\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'polars', 'sqlalchemy', 'alembic', 'jinja2'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
