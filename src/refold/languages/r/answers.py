"""What the driver says of a request: a value, or what R stopped with, as an error that says where."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import cast

from refold.errors import BlockError, BlockFileError
from refold.languages.r.from_r import returned

_SYNTAX = re.compile(r":(\d+):(\d+): ")


class RError(BlockError):
    """Raised when a block's R code stops with an error."""


def result(answer: object, path: Path) -> object:
    """What the block's function returned. Raises RError when it stopped, BlockError when it returned no data."""
    kind, *rest = cast("list[object]", answer)
    if _text(kind) == "error":
        raise _error(rest, path)
    return returned(rest[0])


def loaded(answer: object, path: Path, name: str) -> int | None:
    """The file is loaded: how many arguments its function takes, None for any number. Raises BlockFileError."""
    kind, *rest = cast("list[object]", answer)
    if _text(kind) == "error":
        raise _load_error(rest, path)
    found, _, words = cast("list[object]", rest[0])
    names = cast("list[str]", words)
    if _text(found) == "missing":
        has = f"it defines {', '.join(f'`{each}`' for each in names)}" if names else "it defines no functions at all"
        raise BlockFileError(
            f"does not define the function `{name}`; {has}",
            where=str(path),
            fix=f"Add `{name} <- function(...) {{ }}`.",
        )
    return None if "..." in names else len(names)


def _text(value: object) -> str:
    return cast("list[str]", value)[0]


def _error(parts: list[object], path: Path) -> RError:
    message, call, place, calls, _ = parts
    _tell_calls(cast("list[str]", calls))
    said, called = _line(_text(message)), _text(call)
    file, line = cast("list[str]", place)
    where = f"{_shown(file, path)}:{line}" if line else ""
    at = ", ".join(part for part in (f"in `{called}`" if called else "", where) if part)
    return RError(f"{said} ({at})" if at else said, where=f"{file}:{line}" if line else str(path))


def _load_error(parts: list[object], path: Path) -> BlockFileError:
    message, _, place, calls, is_missing_package = parts
    _tell_calls(cast("list[str]", calls))
    said = _text(message)
    file, line = cast("list[str]", place)
    if not line and (syntax := _SYNTAX.search(said)) is not None:
        file, line, said = str(path), syntax[1], f"syntax error: {said[syntax.end() :]}"
    fix = "Install the package in R: `install.packages(...)`." if bool(is_missing_package) else None
    return BlockFileError(
        f"R could not load the file: {_line(said)}", where=f"{file}:{line}" if line else str(path), fix=fix
    )


def _tell_calls(calls: list[str]) -> None:
    """In the run's log: how R came to where it stopped."""
    if calls:
        print("Calls:\n" + "\n".join(f"  {each}" for each in calls), file=sys.stderr)


def _shown(file: str, path: Path) -> str:
    return path.name if file == str(path) else file


def _line(text: str) -> str:
    """A message of several lines on one."""
    return " ".join(part.strip() for part in text.splitlines() if part.strip()) or "an error without a message"
