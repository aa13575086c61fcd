"""Which project a command is about: the one named, or the one around the working directory."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from refold.errors import ProjectError
from refold.model.project import PIPELINES, Project


def project_at(path: Path) -> Project:
    """The project that this folder is, or is in. Raises ProjectError for a folder that is not there, or in none."""
    path = path.expanduser()
    # A name that was mistyped must not fall back to a project further up.
    if not path.exists() or (path / PIPELINES).is_dir():
        return Project.load(path)
    return Project.find(path)


def project_around(named: Path | None) -> Project:
    """The project named with `--project`, else the one around the working directory. Raises ProjectError."""
    if named is not None:
        return project_at(named)
    try:
        return project_at(Path.cwd())
    except ProjectError as error:
        raise ProjectError(
            error.message, where=error.where, fix="Go to the project's folder, or name it: `--project PATH`."
        ) from None


def project_option(project: Project) -> str:
    """` --project PATH` where a command needs it to find this project from the working directory, else nothing."""
    here = Path.cwd().resolve()
    if here == project.path or project.path in here.parents:
        return ""
    return f" --project {shlex.quote(shown_path(project.path))}"


def shown_path(path: Path) -> str:
    """The path as seen from the working directory where that is shorter, else in full."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return min(relative, str(path), key=len)
