"""Names and paths that stay where they belong: a project's files are written in the project, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from refold.errors import BadInputError, PipelineError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")
_TEMPLATE = re.compile(r"[\w-]+")


def require_inside(folder: Path, path: Path) -> None:
    """Raises PipelineError where the path leads out of the folder, by `..` or by a symbolic link."""
    resolved, within = path.resolve(), folder.resolve()
    if resolved != within and within not in resolved.parents:
        raise PipelineError(
            f"leads out of the folder {folder}, to {resolved}; nothing is written there",
            where=str(path),
            fix="Name a file inside it, and take symbolic links that lead elsewhere away.",
        )


def require_relative(name: str, what: str) -> None:
    """Raises BadInputError unless the name is one, or a relative path without `..`; `what` says what it names."""
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive
    if absolute or _CONTROL.search(name) or any(part.strip() in {"", ".", ".."} for part in name.split("/")):
        raise BadInputError(
            f"{name!r} cannot name {what}", fix="Use letters, digits and `_`, and `folder/name` for a subfolder."
        )


def require_template_name(name: str) -> None:
    """Raises BadInputError unless this can be the name of a template, which is one folder's."""
    if _TEMPLATE.fullmatch(name) is None:
        raise BadInputError(f"{name!r} cannot name a template", fix="A name has letters, digits, `_` and `-`.")
