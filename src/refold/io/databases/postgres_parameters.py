"""Values of statements for PostgreSQL: each goes as text, with a cast to what the server expects in its place.

The server says what it expects once a statement is prepared. So a date given as text is compared as a date, and a
number that no column asks for is a number. Equal values are one parameter, as GROUP BY needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from refold.io.databases.shared_values import numbers_of
from refold.io.databases.statement import SqlValue, Statement

_WHOLE_NUMBERS = {"int2": 16, "int4": 32, "int8": 64, "oid": 32}
"""Types of whole numbers, and their bits."""
_KNOWN = frozenset(
    {"bit", "bool", "bpchar", "bytea", "char", "cidr", "date", "float4", "float8", "inet", "int2", "int4", "int8",
     "interval", "json", "jsonb", "macaddr", "money", "name", "numeric", "oid", "text", "time", "timestamp",
     "timestamptz", "timetz", "uuid", "varbit", "varchar", "xml"}
)  # fmt: skip
"""Types that PostgreSQL has of itself."""
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "unknown"})


class Expected(NamedTuple):
    """The type that the server expects in the place of a value."""

    name: str
    """As the driver calls it; nothing for one that it does not know."""
    cast: str
    """As a cast writes it."""

    @classmethod
    def of(cls, name: str) -> Expected:
        """The type of this name."""
        inside = name.removeprefix("_")
        return cls(name, f'pg_catalog."{name}"' if inside in _KNOWN else f'"{name}"')


def numbered(statement: Statement, *, shared: bool) -> tuple[str, Sequence[SqlValue]]:
    """The statement with bare placeholders, and the values they count; `shared`: equal values have one number."""
    if not shared:
        return statement.text(lambda number: f"${number}"), statement.values
    numbers, values = numbers_of(statement.values)
    return statement.text(lambda number: f"${numbers[number - 1]}"), values


def typed(statement: Statement, types: Sequence[str | None]) -> tuple[str, Sequence[str | None]]:
    """The statement with a cast for each placeholder, and the texts to bind; `types` are those of its values."""
    numbers, values = numbers_of(statement.values)

    def placeholder(number: int) -> str:
        kind = types[number - 1]
        return f"${numbers[number - 1]}::text" + ("" if kind is None else f"::{kind}")

    return statement.text(placeholder), [text_of(value) for value in values]


def typings(values: Sequence[SqlValue], expected: Sequence[Expected] | None) -> Iterator[list[str | None]]:
    """The types to cast values to, most fitting first: where the server expects text it may take something better.

    `expected` are the types that the server expects, None where it could not say.
    """
    if expected is None:
        yield [None if value is None else natural(value) for value in values]
        return
    certain: list[str | None] = [_certain(value, kind) for value, kind in zip(values, expected, strict=True)]
    better: list[str | None] = [
        natural(value) if kind.name in _TEXTS and not isinstance(value, str | None) else chosen
        for value, kind, chosen in zip(values, expected, certain, strict=True)
    ]
    if better != certain:
        yield better
    yield certain


def _certain(value: SqlValue, expected: Expected) -> str:
    """What the server expects, unless the value would lose by that: 1.5 is not to become a whole number."""
    bits = _WHOLE_NUMBERS.get(expected.name)
    if bits is not None and isinstance(value, float | Decimal):
        return natural(value)
    if bits is not None and isinstance(value, int) and not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        return natural(value)
    if isinstance(value, datetime) and expected.name in ("date", "timestamp"):
        return natural(value)
    return expected.cast


def natural(value: SqlValue) -> str:
    """The type that a value is of, whatever the place that it stands in."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int4" if abs(value) < 1 << 31 else "int8" if abs(value) < 1 << 63 else "numeric"
    if isinstance(value, datetime):
        return "timestamp" if value.tzinfo is None else "timestamptz"
    return next(name for kind, name in _NATURAL.items() if isinstance(value, kind))


_NATURAL: Mapping[type, str] = {
    type(None): "text",
    str: "text",
    float: "float8",
    Decimal: "numeric",
    bytes: "bytea",
    date: "date",
    time: "time",
    timedelta: "interval",
    UUID: "uuid",
}


def text_of(value: SqlValue) -> str | None:
    """The value as the server reads it from text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    return str(value)
