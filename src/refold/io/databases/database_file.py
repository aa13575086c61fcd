"""Where a database's file lies: its path is relative to the project, and a folder in it is made where it is missing."""

from __future__ import annotations

from pathlib import Path

from refold.errors import DatabaseError, ProjectError
from refold.languages.project_context import get_repo_path


def file_in_project(named: str) -> Path:
    """The absolute path of a file that a setting names; its folder is there.

    Raises DatabaseError where a folder outside of the project is missing, ProjectError for a relative path without a
    project.
    """
    path = Path(named).expanduser()
    path = path if path.is_absolute() else Path(get_repo_path()) / path
    folder = path.parent
    if folder.is_dir():
        return path
    if not _in_project(folder):
        raise DatabaseError(
            f"there is no folder `{folder}`, and outside of the project none is made",
            where=str(path),
            fix=f"Make it: `mkdir -p {folder}`.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"the folder cannot be made: {error}", where=str(path)) from error
    return path


def _in_project(folder: Path) -> bool:
    try:
        return folder.resolve().is_relative_to(Path(get_repo_path()).resolve())
    except ProjectError:
        return False
