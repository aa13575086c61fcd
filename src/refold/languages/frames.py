"""Tells data frames and columns from other values without importing their libraries.

Importing pandas costs more than most blocks run; a value can only be a frame when its library is loaded already, and
its class says which one that is.
"""

from __future__ import annotations

from enum import StrEnum


class FrameLibrary(StrEnum):
    """The library of a data frame."""

    PANDAS = "pandas"
    POLARS = "polars"
    PYARROW = "pyarrow"


_LIBRARIES = frozenset(FrameLibrary)


def _library(value: object, class_name: str) -> FrameLibrary | None:
    for base in type(value).__mro__:
        if base.__name__ == class_name:
            root = base.__module__.partition(".")[0]
            if root in _LIBRARIES:
                return FrameLibrary(root)
    return None


def frame_library(value: object) -> FrameLibrary | None:
    """The library whose DataFrame this is (subclasses included), or None."""
    return _library(value, "DataFrame")


def table_library(value: object) -> FrameLibrary | None:
    """The same, for an Arrow table too."""
    return frame_library(value) or _library(value, "Table")


def series_library(value: object) -> FrameLibrary | None:
    """The library whose Series this is (subclasses included), or None."""
    return _library(value, "Series")
