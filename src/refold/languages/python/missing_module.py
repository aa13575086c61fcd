"""What to say when a block's file imports a module that is not installed: its name, where, and how to get it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from refold.errors import BlockFileError

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Modules that are not named as what one installs."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def missing_module_error(module: str, where: str, requirements: Sequence[Path], project: Path | None) -> BlockFileError:
    """The error for a block's file that imports this module, which is not there.

    `requirements` are the files in which the project and the pipeline say what they need, the first of which is where
    a new one belongs; the text names the one that lists the module, and the command that installs it.
    """
    top, _, inner = module.partition(".")
    if inner and _is_there(top):
        return BlockFileError(
            f"imports `{module}`, but the `{top}` that is installed has no such module",
            where=where,
            fix=f"Correct the import, or ask for the right version of `{top}` in the requirements.",
        )
    command = f"refold install {project if project is not None else 'PROJECT'}"
    name = _DISTRIBUTIONS.get(top, top)
    listing = next((file for file in requirements if _lists(file, {name, top})), None)
    if listing is not None:
        fix = f"{listing} lists it: run `{command}`."
    else:
        file = requirements[0] if requirements else "the project's requirements.txt"
        fix = f"Add `{name}` to {file} and run `{command}`."
    return BlockFileError(f"imports `{module}`, which is not installed", where=where, fix=fix)


def _is_there(top: str) -> bool:
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _lists(file: Path, names: set[str]) -> bool:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    wanted = {_normal(name) for name in names}
    return any((found := _REQUIREMENT.match(line)) is not None and _normal(found[1]) in wanted for line in lines)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
