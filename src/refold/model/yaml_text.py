"""Plain data as YAML text, in the style of the files around it.

What is written must read the same under YAML 1.1 and 1.2: a word that either takes for a number, a date, a boolean
or null is quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from refold.model.block import JsonValue

_PLAIN = re.compile(r"[^\W\d](?:[\w ./@+-]*[\w./@+-])?")
_RESERVED = frozenset({"yes", "no", "true", "false", "on", "off", "null"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class Style:
    """How a file writes lists."""

    list_indent: int = 0
    """Columns by which a list's dashes stand right of their key."""
    flow_lists: bool = False
    """Whether lists of words stand in brackets."""


def scalar_text(value: bool | float | str | None) -> str:
    """One value on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string_text(value)
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")  # YAML 1.1 takes `1e+16` for a word


def _string_text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.isprintable() and value.lower() not in _RESERVED:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow_text(value: JsonValue) -> str:
    """Any value on one line, lists and mappings in brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(key)}: {flow_text(element)}" for key, element in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    return scalar_text(value)


def stands_inline(value: JsonValue, style: Style) -> bool:
    """Whether a value stands on the line of its key."""
    if isinstance(value, list) and value and style.flow_lists:
        return not any(isinstance(element, list | dict) for element in value)
    return not isinstance(value, list | dict) or not value


def block_lines(value: JsonValue, style: Style) -> Iterator[str]:
    """The lines of a value that stands by itself, without indentation of the whole."""
    if isinstance(value, dict) and value:
        for key, element in value.items():
            yield from entry_lines(key, element, style)
    elif isinstance(value, list) and value:
        for element in value:
            yield from item_lines(element, style)
    else:
        yield flow_text(value)


def entry_lines(key: str, value: JsonValue, style: Style) -> Iterator[str]:
    """The lines of one key and its value."""
    name = scalar_text(key)
    if stands_inline(value, style):
        yield f"{name}: {flow_text(value)}"
        return
    yield f"{name}:"
    indent = " " * (style.list_indent if isinstance(value, list) else 2)
    for line in block_lines(value, style):
        yield indent + line


def item_lines(value: JsonValue, style: Style) -> Iterator[str]:
    """The lines of one item of a list, its dash included."""
    first = True
    for line in block_lines(value, style):
        yield ("- " if first else "  ") + line
        first = False


def document_text(value: dict[str, JsonValue], style: Style | None = None) -> str:
    """A whole file."""
    return "\n".join(block_lines(value, style or Style())) + "\n"
