"""Variables of pipelines and the latest outputs of their blocks, for notebooks, scripts and blocks elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from refold.api.wiring import latest_folder
from refold.languages.project_context import get_repo_path
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.outputs import read_latest


def get_variable(
    pipeline_uuid: str, block_uuid: str, name: str = "output_0", repo_path: Path | str | None = None
) -> object:
    """A block's latest output: what the last completed run of a block without axes returned.

    `output_0` is the whole of it, or a tuple's first element; `output_1` the second, or the metadata of a dynamic
    block's items. `repo_path` is the project; None: that of the block that asks, or the one around the working
    directory. Raises PipelineError or NotFoundError when there is no such pipeline or output.
    """
    pipeline = _pipeline(pipeline_uuid, repo_path)
    return read_latest(latest_folder(pipeline.project, pipeline.uuid), block_uuid, name)


def get_global_variable(
    pipeline_uuid: str, key: str, default: JsonValue = None, repo_path: Path | str | None = None
) -> JsonValue:
    """A variable of a pipeline, or the default where it has none of this name. Raises PipelineError."""
    return get_global_variables(pipeline_uuid, repo_path).get(key, default)


def get_global_variables(pipeline_uuid: str, repo_path: Path | str | None = None) -> Mapping[str, JsonValue]:
    """All variables of a pipeline, `variables:` of its metadata.yaml. Raises PipelineError."""
    return _pipeline(pipeline_uuid, repo_path).variables


def set_global_variable(
    pipeline_uuid: str, key: str, value: JsonValue, repo_path: Path | str | None = None
) -> Mapping[str, JsonValue]:
    """Sets a variable in a pipeline's metadata.yaml, whose comments stay; all its variables now.

    Runs that have begun keep the value they began with. Raises PipelineError, also for a value YAML cannot keep.
    """
    pipeline = _pipeline(pipeline_uuid, repo_path)
    return pipeline.update(variables={**pipeline.variables, key: value}).variables


def _pipeline(uuid: str, repo_path: Path | str | None) -> Pipeline:
    return Pipeline.get(uuid, Project.load(Path(get_repo_path() if repo_path is None else repo_path)))
