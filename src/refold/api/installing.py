"""Installing what a project's blocks import: `refold install`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from refold.errors import PipelineError
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.model.requirements import requirements_for

Execute = Callable[[Sequence[str]], int]
"""Runs a command to its end; its exit code."""


def requirement_files(project: Project) -> list[Path]:
    """The `requirements.txt` of the project and of its pipelines, those that ask for something.

    A pipeline that cannot be read is passed over: it says what is wrong when it is run.
    """
    files = requirements_for(project)
    for uuid in project.pipelines():
        try:
            pipeline = Pipeline.get(uuid, project)
        except PipelineError:
            continue
        files += [file for file in requirements_for(project, pipeline) if file not in files]
    return files


def install(project: Project, execute: Execute = subprocess.call) -> int:
    """Installs all of them with pip into the environment that Refold runs in; pip's exit code, 0 for nothing to do.

    One call for all files, so that pip finds versions that suit every pipeline.
    """
    files = requirement_files(project)
    if not files:
        return 0
    wanted = [argument for file in files for argument in ("-r", str(file))]
    return execute([sys.executable, "-m", "pip", "install", *wanted])
