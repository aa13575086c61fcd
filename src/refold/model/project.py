"""A project: the folder that holds pipelines, block files and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from refold.errors import PipelineError, ProjectError
from refold.model.block import JsonValue, RetryPolicy
from refold.model.block_entry import read_retry
from refold.model.child_limits import ChildLimits
from refold.model.place import Place
from refold.model.pool_settings import PoolSettings
from refold.model.skeleton_files import write_project
from refold.model.suggestion import suggestion
from refold.model.yaml_file import YamlFile

METADATA = "metadata.yaml"
IO_CONFIG = "io_config.yaml"
PIPELINES = "pipelines"

_FEATURES = ("mage_outputs",)
"""Features that change what Refold does, and so must be true or false; others are kept as they are."""


@dataclass(frozen=True)
class Project:
    """A project's folder, and what its `metadata.yaml` says."""

    path: Path
    """Absolute path of the folder."""
    name: str
    """`name` in the metadata, else the folder's name."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    """As written, unknown keys included."""
    features: Mapping[str, JsonValue] = field(default_factory=dict)
    """`features`, such as `mage_outputs: true` (design 2.12)."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """`retry_config`: what holds for blocks of pipelines that say nothing else."""
    limits: ChildLimits = field(default_factory=ChildLimits)
    """`dynamic_blocks`, over what the environment says."""
    pool: PoolSettings = field(default_factory=PoolSettings)
    """`executor_config`: what holds for pipelines that say nothing else."""

    @classmethod
    def find(cls, start: Path) -> Self:
        """The project that a file or folder is in, itself included. Raises ProjectError without one."""
        start = start.expanduser().absolute()
        for folder in (start, *start.parents):
            if _is_project(folder):
                return cls.load(folder)
        raise ProjectError(
            "neither this folder nor one above it is a project",
            where=str(start),
            fix="Go to a project's folder, or make one: `refold init my_project`.",
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """The project in this folder. Raises ProjectError when it is none, or its metadata is wrong."""
        path = path.expanduser().absolute()
        if not path.is_dir():
            raise ProjectError("there is no such folder", where=str(path), fix=f"Make a project: `refold init {path}`.")
        if not _is_project(path) and not (path / PIPELINES).is_dir():
            raise ProjectError(
                f"the folder is not a project: it has neither `{PIPELINES}/` nor a project's `{METADATA}`",
                where=str(path),
                fix=f"Make one: `refold init {path}`.",
            )
        file = path / METADATA
        # The documents' tree of a project shows no metadata.yaml, so one can do without.
        yaml = YamlFile.load(file, ProjectError) if file.is_file() else YamlFile.parse(file, "", ProjectError)
        place = Place.root(yaml)
        name, features = place.get("name"), place.get("features")
        return cls(
            path=path.resolve(),
            name=path.resolve().name if name is None else name.text(),
            metadata=yaml.value,
            features={} if features is None else _features(features),
            retry=read_retry(place.get("retry_config"), RetryPolicy()),
            limits=ChildLimits.of_environment(os.environ).under(place.get("dynamic_blocks")),
            pool=PoolSettings().under(place.get("executor_config")),
        )

    @classmethod
    def init(cls, path: Path, name: str | None = None, now: datetime | None = None) -> Self:
        """Makes a new project with an example pipeline that runs, and loads it.

        An existing folder is filled, but no file in it is touched. Raises ProjectError when it already is a project.
        """
        path = path.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise ProjectError("there is a file of this name", where=str(path), fix="Choose another name.")
        if any((path / each).exists() for each in (METADATA, IO_CONFIG, PIPELINES)):
            raise ProjectError(
                "the folder already is a project; nothing was changed", where=str(path), fix="Choose another folder."
            )
        try:
            write_project(path, name or path.name, now)
        except OSError as error:
            raise ProjectError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
        return cls.load(path)

    @property
    def data_folder(self) -> Path:
        """Where outputs and the local run store are kept: `.mage_data` in the project."""
        return self.path / ".mage_data"

    @property
    def io_config(self) -> Path:
        """The file of connection settings, whether or not it exists."""
        return self.path / IO_CONFIG

    def feature(self, name: str) -> bool:
        """Whether a feature is switched on."""
        return self.features.get(name) is True

    def pipelines(self) -> list[str]:
        """Uuids of all pipelines, sorted: the folders in `pipelines/` that have a metadata.yaml."""
        return sorted(file.parent.name for file in (self.path / PIPELINES).glob(f"*/{METADATA}"))

    def pipeline_folder(self, uuid: str) -> Path:
        """The folder of an existing pipeline. Raises PipelineError when there is no such pipeline."""
        known = self.pipelines()
        if uuid not in known:
            raise PipelineError(
                f"there is no pipeline `{uuid}`",
                where=str(self.path / PIPELINES),
                fix=suggestion(uuid, known, "pipelines"),
            )
        return self.path / PIPELINES / uuid


def _is_project(folder: Path) -> bool:
    """Whether a folder is a project by itself; a pipeline's folder has a metadata.yaml, too, but with `blocks`."""
    if (folder / PIPELINES).is_dir():
        return (folder / METADATA).is_file() or (folder / IO_CONFIG).is_file()
    if not (folder / METADATA).is_file() or folder.parent.name == PIPELINES:
        return False
    value = YamlFile.load(folder / METADATA, ProjectError).value
    return "blocks" not in value and bool(value.keys() & {"project_type", "project_uuid", "variables_dir", "features"})


def _features(place: Place) -> dict[str, JsonValue]:
    features = dict(place.mapping())
    for key in _FEATURES:
        found = place.get(key)
        if found is not None:
            features[key] = found.boolean()
    return features
