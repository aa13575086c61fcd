"""Columns without what only Arrow has: extension types, dictionary encodings, intervals, numbers of unusual width.

What databases send, and what frames hold, is made plain once, so that nothing behind need know of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_NANOSECONDS = {"day": 86_400_000_000_000, "second": 1_000_000_000}
_DASHES = (8, 13, 18, 23)
"""Where a UUID's text has them."""


def plain(rows: pa.Table) -> pa.Table:
    """The rows with plain types, and nothing but names beside them.

    UUIDs, JSON and other extension types become text (bytes where they are stored as such), dictionaries are decoded.
    An interval becomes a duration where no value counts months, which have no length, else ISO 8601 text (`P14M3DT4S`).
    """
    import pyarrow as pa

    return pa.Table.from_arrays([plain_column(each) for each in rows.columns], names=rows.column_names)


def for_database(rows: pa.Table, *, lists: bool, json_type: pa.DataType | None = None) -> pa.Table:
    """The rows with types that databases have, plain as of `plain`; nested columns become JSON.

    `lists`: whether the database takes lists of plain values. `json_type`: the type for JSON, text without one.
    Unsigned 64 bit numbers become decimals, as do the widest decimals where their digits allow; else text.
    """
    import pyarrow as pa

    rows = plain(rows)
    wanted = json_type or pa.string()
    columns = [_storable(each, lists, wanted) for each in rows.columns]
    return pa.Table.from_arrays(columns, names=rows.column_names)


def for_duckdb(rows: pa.Table) -> pa.Table:
    """The rows with types that DuckDB has: as of `plain`, the widest decimals as in `for_database`."""
    import pyarrow as pa

    columns = [_narrower(each) if pa.types.is_decimal256(each.type) else each for each in plain(rows).columns]
    return pa.Table.from_arrays(columns, names=rows.column_names)


def is_nested(found: pa.DataType) -> bool:
    """Whether the values hold values: lists, structs, maps, unions."""
    import pyarrow as pa

    return bool(pa.types.is_nested(found))


def is_list(found: pa.DataType) -> bool:
    """Whether the values are lists, of whatever kind."""
    import pyarrow as pa

    is_a = pa.types
    return bool(
        is_a.is_list(found)
        or is_a.is_large_list(found)
        or is_a.is_fixed_size_list(found)
        or is_a.is_list_view(found)
        or is_a.is_large_list_view(found)
    )


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One column of `plain`."""
    import pyarrow as pa

    found = column.type
    if isinstance(found, pa.BaseExtensionType):
        return _of_extension(column)
    is_a = pa.types
    if is_a.is_dictionary(found):
        return plain_column(column.cast(found.value_type))
    if is_a.is_interval(found):
        return _of_intervals(column)
    simple = _plainer(found)
    if simple is not None:
        return column.cast(simple)
    if is_list(found):
        return _of_lists(column)
    return column


def _plainer(found: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    is_a = pa.types
    if is_a.is_string_view(found):
        return pa.string()
    if is_a.is_binary_view(found) or is_a.is_fixed_size_binary(found):
        return pa.binary()
    if is_a.is_run_end_encoded(found):
        return found.value_type
    if is_a.is_date64(found):
        return pa.date32()
    if is_a.is_float16(found):
        return pa.float32()
    return None


def _of_extension(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type.extension_name == "arrow.uuid":
        return pa.chunked_array([_uuid_texts(each.storage) for each in column.chunks], pa.string())
    if column.type.extension_name == "arrow.bool8":
        return column.cast(pa.bool_())
    storage = pa.chunked_array([each.storage for each in column.chunks], column.type.storage_type)
    return plain_column(storage)


def _uuid_texts(stored: pa.Array) -> pa.Array:
    """`00112233-4455-6677-8899-aabbccddeeff` for 16 bytes each, a column at a time."""
    import numpy as np
    import pyarrow as pa

    count = len(stored)
    held = stored.buffers()[1]
    if count == 0 or held is None:
        return pa.nulls(count, pa.string())
    octets = np.frombuffer(held, np.uint8)[stored.offset * 16 : (stored.offset + count) * 16].reshape(count, 16)
    texts: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = np.full((count, 36), ord("-"), np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    places = [place for place in range(36) if place not in _DASHES]
    texts[:, places[0::2]] = digits[octets >> 4]
    texts[:, places[1::2]] = digits[octets & 15]
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(36)
    found = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(texts))
    return _with_nulls_of(found, stored)


def _with_nulls_of(values: pa.Array, nulls: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(nulls.is_valid(), values, pa.scalar(None, values.type)) if nulls.null_count else values


def _of_intervals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    values = column.to_pylist()
    if any(value is not None and value.months for value in values):
        return pa.chunked_array([[None if each is None else _iso_interval(*each) for each in values]], pa.string())
    spans = [None if each is None else (each.days * _NANOSECONDS["day"] + each.nanoseconds) // 1000 for each in values]
    return pa.chunked_array([spans], pa.duration("us"))


def _iso_interval(months: int, days: int, nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), _NANOSECONDS["second"])
    sign = "-" if nanoseconds < 0 else ""
    digits = f"{seconds}.{rest:09d}".rstrip("0").rstrip(".")
    return f"P{months}M{days}D" + (f"T{sign}{digits}S" if nanoseconds else "")


def _of_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    inner = column.type.value_type
    values = pa.chunked_array([each.flatten() for each in column.chunks], inner)
    made = plain_column(values)
    if made.type == inner:
        return column
    # The lists keep their lengths; only what they hold is another.
    held = iter(made.to_pylist())
    lists = [None if length is None else [next(held) for _ in range(length)] for length in _lengths(column)]
    return pa.chunked_array([lists], pa.list_(made.type))


def _lengths(column: pa.ChunkedArray) -> Iterable[int | None]:
    import pyarrow.compute as pc

    return (None if each is None else int(each) for each in pc.list_value_length(column).to_pylist())


def _storable(column: pa.ChunkedArray, lists: bool, json_type: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    found = column.type
    if is_nested(found) and not (lists and is_list(found) and not is_nested(found.value_type)):
        texts = pa.chunked_array(
            [[None if each is None else json_text(each) for each in _objects(column)]], pa.string()
        )
        return texts if json_type == pa.string() else texts.cast(json_type)
    if pa.types.is_uint64(found):
        return column.cast(pa.decimal128(20, 0))
    if pa.types.is_decimal256(found):
        return _narrower(column)
    return column


def _narrower(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return column.cast(pa.decimal128(38, min(column.type.scale, 38)))
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _objects(column: pa.ChunkedArray) -> Sequence[object]:
    found: Sequence[object] = column.to_pylist(maps_as_pydicts="lossy")
    return found


def json_text(value: object) -> str:
    """The value as JSON: numbers that JSON has not are null, dates and times ISO 8601, bytes hexadecimal."""
    return json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False)


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, str | int):
        return value
    return str(value) if not isinstance(value, Decimal) else format(value, "f")
