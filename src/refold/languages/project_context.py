"""Which project a process works for, so that a block can ask where its project lies.

Block code asks without saying who it is (`get_repo_path()`), so the answer is kept once for the whole process: a worker
is tied to one project.
"""

from __future__ import annotations

import os
from pathlib import Path

from refold.errors import ProjectError

_current: list[str] = []
"""The project's folder, once it is known."""


def set_repo_path(path: str | os.PathLike[str] | None) -> None:
    """Makes this folder the process's project; None takes it back."""
    _current[:] = [] if path is None else [os.path.abspath(path)]


def get_repo_path() -> str:
    """The absolute path of the project: of the blocks that this process runs, else the one around the working folder.

    Raises ProjectError when there is none.
    """
    if _current:
        return _current[0]
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return str(folder)
    raise ProjectError(
        "no project here: neither this folder nor one above it has a metadata.yaml beside a `pipelines` folder or an "
        "io_config.yaml",
        where=str(here),
        fix="Work inside a project's folder, or create one with `refold init`.",
    )


def _is_project(folder: Path) -> bool:
    # A pipeline's folder holds a metadata.yaml too.
    if not (folder / "metadata.yaml").is_file():
        return False
    return (folder / "pipelines").is_dir() or (folder / "io_config.yaml").is_file()
