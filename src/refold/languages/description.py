"""Says in a few words what a value is, for messages: its type, its length, the beginning of its text."""

from __future__ import annotations

import reprlib
from collections.abc import Sized

from refold.languages.frames import frame_library, series_library
from refold.ports.output_store import StoredElements

_UNITS: dict[type, tuple[str, str]] = {
    list: ("element", "elements"),
    tuple: ("element", "elements"),
    set: ("element", "elements"),
    frozenset: ("element", "elements"),
    dict: ("key", "keys"),
    str: ("character", "characters"),
    bytes: ("byte", "bytes"),
}

_short = reprlib.Repr()
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 3
_short.maxlevel = 3
_short.maxstring = _short.maxother = 60


def describe(value: object) -> str:
    """The type and size of the value: `list of 3 elements`, `pandas DataFrame of 10 rows`, `int`, `None`."""
    if value is None:
        return "None"
    kind = type(value)
    if isinstance(value, StoredElements):
        return "lazy list"
    if isinstance(value, Sized):
        if (library := frame_library(value)) is not None:
            return f"{library.value} DataFrame of {_count(len(value), ('row', 'rows'))}"
        if (library := series_library(value)) is not None:
            return f"{library.value} Series of {_count(len(value), ('value', 'values'))}"
        if kind in _UNITS:
            return f"{kind.__name__} of {_count(len(value), _UNITS[kind])}"
    root = kind.__module__.partition(".")[0]
    name = kind.__name__ if root == "builtins" or root.startswith("refold_block_") else f"{root} {kind.__name__}"
    return f"{name} of shape {getattr(value, 'shape', ())}" if root == "numpy" else name


def excerpt(value: object) -> str:
    """The beginning of the value's text, on one line, at most some 200 characters; frames give none: ''."""
    if value is None or frame_library(value) is not None or series_library(value) is not None:
        return ""
    text = " ".join(_short.repr(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _count(number: int, unit: tuple[str, str]) -> str:
    return f"{number} {unit[0] if number == 1 else unit[1]}"
