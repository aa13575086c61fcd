"""Values of Python as a database takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Protocol, runtime_checkable
from uuid import UUID

from refold.errors import BlockError
from refold.io.databases.statement import SqlValue
from refold.languages.description import describe
from refold.languages.frames import series_library, table_library
from refold.languages.sql.filters import json_text
from refold.ports.output_store import StoredElements

_MISSING = frozenset({"NAType", "NaTType"})
"""Classes of pandas' values for what is missing."""


@runtime_checkable
class _Scalar(Protocol):
    """A number or a date of numpy."""

    def item(self) -> object: ...


@runtime_checkable
class _Array(Protocol):
    """A series, or an array of numpy."""

    def tolist(self) -> list[object]: ...


@runtime_checkable
class _Moment(Protocol):
    """A timestamp of pandas."""

    def to_pydatetime(self, warn: bool) -> datetime: ...


def as_value(value: object) -> SqlValue:
    """The value as a bound parameter; a dict or a list is JSON text. Raises BlockError for what cannot be one."""
    if value is None or type(value).__name__ in _MISSING:
        return None
    if isinstance(value, Enum):
        return as_value(value.value)
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, _Moment):
        return value.to_pydatetime(warn=False)
    if isinstance(value, bool | int | float | Decimal | bytes | date | time | timedelta | UUID):
        return _exact(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return json_text(dict(value))
    if (elements := as_list(value)) is not None:
        return json_text(elements)
    if isinstance(value, _Scalar) and table_library(value) is None:
        return as_value(value.item())
    raise BlockError(
        f"the value of an expression is a {describe(value)}, which a statement cannot take",
        fix="Take of it what is meant: text, a number, a date, or a list of these.",
    )


def plain_text(value: str) -> str:
    """The text as Python's own class has it, whatever class it is of. Raises BlockError for half characters."""
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BlockError(
                f"a text has half a character (U+{ord(text[error.start]):04X} at {error.start}): no database takes it",
                fix="Replace it where the text is made: `text.encode(errors='replace').decode()`.",
            ) from None
    return text


def as_list(value: object) -> list[object] | None:
    """The elements of what is like a list; None: it is not."""
    if isinstance(value, list | tuple | set | frozenset | range | StoredElements):
        return list(value)  # type: ignore[arg-type] # whoever marks itself as stored elements is a sequence of them
    if isinstance(value, _Array) and (series_library(value) is not None or getattr(value, "ndim", 0) == 1):
        return value.tolist()
    if isinstance(value, Iterable) and type(value).__name__ in {"dict_keys", "dict_values", "generator", "map"}:
        return list(value)
    return None


def as_text(value: object) -> str | None:
    """The value as it stands in a literal, as a database writes it; None where it is none."""
    known = as_value(value)
    if known is None or isinstance(known, str):
        return known
    if isinstance(known, bool):
        return "true" if known else "false"
    if isinstance(known, datetime):
        return known.isoformat(sep=" ")
    if isinstance(known, date | time):
        return known.isoformat()
    if isinstance(known, bytes):
        raise BlockError("a value is bytes, which cannot be part of a text", fix="Let it stand alone, without quotes.")
    return str(known)


def _exact(value: SqlValue) -> SqlValue:
    """A number of a class of numpy's that is a Python number too, as the latter."""
    if isinstance(value, float) and type(value) is not float:
        return float(value)
    return int(value) if isinstance(value, int) and type(value) not in {int, bool} else value
