"""`executor_config`: of a pipeline, over its project's; and sizes as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PipelineError, ProjectError
from refold.model.pipeline import Pipeline
from refold.model.pool_settings import PoolSettings
from refold.model.project import Project
from refold.model.yaml_text import document_text


def pipeline_of(folder: Path, project: object = None, pipeline: object = None) -> Pipeline:
    made = Pipeline.create("pipe", Project.init(folder))
    for file, value in ((made.project.path / "metadata.yaml", project), (made.folder / "metadata.yaml", pipeline)):
        if value is not None:
            file.write_text(file.read_text() + document_text({"executor_config": value}))  # type: ignore[dict-item]
    return Pipeline.get("pipe", folder)


def test_without_it_there_is_a_worker_for_each_core_and_one_stays(tmp_path: Path) -> None:
    assert pipeline_of(tmp_path).pool == PoolSettings(minimum=1, maximum=None, memory=None)


def test_the_pipeline_has_the_word_over_the_project_key_by_key(tmp_path: Path) -> None:
    pipeline = pipeline_of(
        tmp_path,
        {"workers": 4, "memory": "2GB", "idle_seconds": 0.5},
        {"workers": 8, "min_workers": 0},
    )
    assert pipeline.pool == PoolSettings(minimum=0, maximum=8, idle_seconds=0.5, memory=2 * 10**9)


def test_what_others_write_there_is_left_alone(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, None, {"resource_limits": {"cpu": "1000m"}})
    assert pipeline.pool == PoolSettings()
    assert not pipeline.warnings


def test_a_key_that_is_almost_one_is_warned_of(tmp_path: Path) -> None:
    [warning] = pipeline_of(tmp_path, None, {"max_workers": 4}).warnings
    assert "`executor_config.max_workers` is no setting; there are `workers`, `min_workers`," in warning


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (65_536_000, 65_536_000),
        ("500MB", 500 * 10**6),
        ("500 MiB", 500 * 2**20),
        ("1.5gb", 15 * 10**8),
        ("64000 kB", 64 * 10**6),
        ("1 GiB", 2**30),
    ],
)
def test_sizes_are_bytes_or_have_a_unit(tmp_path: Path, written: object, size: int) -> None:
    assert pipeline_of(tmp_path, None, {"memory": written}).pool.memory == size


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory", "much"),
        ("memory", "5 MPs"),
        ("memory", -1),
        ("memory", 10),
        ("memory", "-5MB"),
        ("workers", 0),
        ("min_workers", -1),
        ("idle_seconds", "soon"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_its_place(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(PipelineError, match=f"metadata.yaml:[0-9]+ \\(executor_config.{key}\\): expected"):
        pipeline_of(tmp_path, None, {key: value})


def test_the_project_is_told_of_as_well(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="expected a size"):
        pipeline_of(tmp_path, {"memory": "lots"})
