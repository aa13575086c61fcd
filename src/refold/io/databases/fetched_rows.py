"""Rows that a database driver fetches as Python tuples, made into the columns of an Arrow table.

What the rows hold decides a column's type; where the database says what it should be, that is then asked of the column.
The rule for what does not fit one type, as SQLite's columns may: the column is text. Numbers are written as they are,
bytes in hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 20_000
"""How many rows are Python objects at a time."""
_DAY = 24 * 3600 * 1_000_000
"""Microseconds."""


class Cursor(Protocol):
    """What is asked of a DBAPI cursor."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None:
        """A sequence for each column, its name first."""

    def fetchmany(self, size: int) -> Sequence[Sequence[object]]:
        """The next rows, none at the end."""


def fetched(cursor: Cursor, expected: Sequence[pa.DataType | None], limit: int | None = None) -> pa.Table:
    """The rows of the cursor, all or the first `limit` of them.

    `expected` has what a column is to become if all its values can, None: what they are.
    """
    import pyarrow as pa

    chunks: list[list[pa.Array]] = [[] for _ in expected]
    missing = float("inf") if limit is None else limit
    while missing > 0 and (rows := cursor.fetchmany(int(min(_AT_ONCE, missing)))):
        missing -= len(rows)
        for values, chunk in zip(zip(*rows, strict=True), chunks, strict=True):
            chunk.append(column(values))
    columns = [as_expected(one_type(chunk), wanted) for chunk, wanted in zip(chunks, expected, strict=True)]
    return pa.Table.from_arrays(columns, names=[str(each[0]) for each in cursor.description or ()])


def column(values: Sequence[object]) -> pa.Array:
    """The values as an Arrow array of the type that suits them, nulls where there are no others."""
    import pyarrow as pa

    for wanted in _candidates(frozenset(map(type, values)) - {type(None)}):
        try:
            return pa.array(values, wanted)
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            continue
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _candidates(kinds: frozenset[type]) -> Sequence[pa.DataType | None]:
    """The types to try, None: what Arrow makes of the values."""
    import pyarrow as pa

    if not kinds:
        return (pa.null(),)
    if kinds == {int}:
        return (pa.int64(), pa.uint64(), pa.decimal128(38, 0))
    if kinds <= {int, float}:
        return (pa.float64(),)
    if kinds == {bool, int}:
        return (pa.int64(),)
    if kinds <= {Decimal, int}:
        return (None,)
    if kinds <= {bytes, bytearray, memoryview}:
        return (pa.binary(),)
    types: dict[type, pa.DataType] = {
        str: pa.string(),
        bool: pa.bool_(),
        date: pa.date32(),
        time: pa.time64("us"),
        timedelta: pa.duration("us"),
    }
    if len(kinds) == 1:
        (kind,) = kinds
        return (None,) if kind is datetime else (types[kind],) if kind in types else ()
    return ()


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value) if isinstance(value, (str, int, float, Decimal, UUID)) else f"{value}"


def one_type(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """The arrays one after the other, as one type that can hold them all; text where there is no other."""
    import pyarrow as pa

    types = list(dict.fromkeys(chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)))
    if not types:
        return pa.chunked_array([pa.nulls(len(chunk)) for chunk in chunks], pa.null())
    wanted = _common(types)
    try:
        return pa.chunked_array([chunk.cast(wanted) for chunk in chunks], wanted)
    except pa.ArrowInvalid:
        return pa.chunked_array([_as_text(chunk) for chunk in chunks], pa.string())


def _common(types: Sequence[pa.DataType]) -> pa.DataType:
    import pyarrow as pa

    if len(types) == 1:
        return types[0]
    if all(map(pa.types.is_integer, types)):
        return pa.decimal128(38, 0)
    if all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in types):
        return pa.float64()
    if all(pa.types.is_integer(each) or pa.types.is_decimal(each) for each in types):
        decimals = [(each.precision, each.scale) if pa.types.is_decimal(each) else (20, 0) for each in types]
        scale = max(scale for _, scale in decimals)
        digits = max(precision - scale for precision, scale in decimals)
        return pa.decimal128(min(digits + scale, 38), min(scale, 38))
    return pa.string()


def _as_text(chunk: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(chunk.type) or pa.types.is_null(chunk.type):
        return chunk.cast(pa.string())
    return pa.array([None if value is None else _text(value) for value in chunk.to_pylist()], pa.string())


def as_expected(found: pa.ChunkedArray, wanted: pa.DataType | None) -> pa.ChunkedArray:
    """The column as the wanted type if every value can be one; a column of nulls alone is text if nothing is wanted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(found.type):
        return found.cast(pa.string() if wanted is None else wanted)
    if wanted is None or found.type == wanted:
        return found
    if pa.types.is_boolean(wanted) and (
        not pa.types.is_integer(found.type) or pc.max(found.cast(pa.int64())).as_py() > 1
    ):
        return found
    try:
        return _times(found, wanted) if pa.types.is_time(wanted) else found.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        return found


def _times(found: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Times of day, from text, which Arrow does not read with its fractions, and from durations within a day.

    Raises ValueError for text that is no time.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_duration(found.type):
        least, most = pc.min_max(found.cast(pa.int64())).as_py().values()
        return found.cast(pa.int64()).cast(wanted) if least >= 0 and most < _DAY else found
    if not pa.types.is_string(found.type):
        return found
    texts = [chunk.to_pylist() for chunk in found.chunks]
    times = [[None if text is None else time.fromisoformat(text) for text in chunk] for chunk in texts]
    return pa.chunked_array(times, wanted)
