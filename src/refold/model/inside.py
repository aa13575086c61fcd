"""Names and paths that stay where they belong: a project's files are written in the project, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from refold.errors import BadInputError, PipelineError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")
_TEMPLATE = re.compile(r"[\w-]+")
_LONGEST = 200
"""Bytes of a name: file systems take 255, and endings and temporary files' names need room."""
_LONGEST_PATH = 2000
"""Bytes of a path within the project: systems take 4,096 of a whole one."""


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
    _require_short(name, what)


def is_too_long(path: str) -> bool:
    """Whether a file system may refuse the path for its length, or that of a name in it."""
    return len(_encoded(path)) > _LONGEST_PATH or any(len(_encoded(part)) > _LONGEST for part in path.split("/"))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def require_template_name(name: str) -> None:
    """Raises BadInputError unless this can be the name of a template, which is one folder's."""
    if _TEMPLATE.fullmatch(name) is None:
        raise BadInputError(f"{name!r} cannot name a template", fix="A name has letters, digits, `_` and `-`.")
    _require_short(name, "a template")


def _require_short(name: str, what: str) -> None:
    if is_too_long(name):
        raise BadInputError(f"`{name[:40]}...` is too long to name {what}", fix=f"A name has {_LONGEST} bytes at most.")
