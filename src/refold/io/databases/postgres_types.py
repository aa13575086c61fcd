"""PostgreSQL's types beside Arrow's: columns for new tables, and what results hold that Arrow has no type for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from refold.errors import DatabaseError
from refold.io.databases.plain_columns import is_list

if TYPE_CHECKING:
    import pyarrow as pa

_SAID = b"POSTGRESQL:type"
"""Where a field has the server's name of its type."""
_NUMBER = re.compile(r"<oid:(\d+)>")
_NUMERIC = "numeric"
_MODIFIER_BASE = 4
"""A numeric's type modifier is its precision and scale, and this."""
_DIGITS = 38
"""So many digits Arrow's decimals have."""


def column_type(found: pa.DataType) -> str:
    """The type for a new column that is to hold such values, plain and storable (`plain_columns.for_database`)."""
    import pyarrow as pa

    is_a = pa.types
    if isinstance(found, pa.JsonType):
        return "jsonb"
    if is_list(found):
        return f"{column_type(found.value_type)}[]"
    kinds: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
        (is_a.is_boolean, "boolean"),
        (is_a.is_decimal, _NUMERIC),
        (is_a.is_float32, "real"),
        (is_a.is_floating, "double precision"),
        (is_a.is_date, "date"),
        (is_a.is_time, "time"),
        (is_a.is_duration, "interval"),
        (is_a.is_binary, "bytea"),
        (is_a.is_large_binary, "bytea"),
    )
    if is_a.is_integer(found):
        width = found.bit_width + (1 if is_a.is_unsigned_integer(found) else 0)
        return "smallint" if width <= 16 else "integer" if width <= 32 else "bigint"
    if is_a.is_timestamp(found):
        return "timestamp" if found.tz is None else "timestamptz"
    return next((name for is_kind, name in kinds if is_kind(found)), "text")


def unknown_types(schema: pa.Schema) -> list[int]:
    """The server's numbers of types that its driver has no names for: those that are younger than the connection."""
    said = [(field.metadata or {}).get(_SAID, b"").decode() for field in schema]
    return [int(found[1]) for found in map(_NUMBER.search, said) if found is not None]


def made_readable(text: str, schema: pa.Schema, array_types: Collection[int] = ()) -> str | None:
    """A query for the rows of this one with types that Arrow has; None where they have them already.

    `array_types` are those of `unknown_types` that are arrays.

    XML, ranges, network addresses and other types of the server's own become text, rows and what holds them JSON. For
    each array there is one more column behind: whether it has more than one dimension, which the driver does not tell.
    """
    columns = [f"c{number}" for number in range(len(schema))]
    expressions = [_readable(field, name, array_types) for field, name in zip(schema, columns, strict=True)]
    arrays = [
        name
        for field, name, expression in zip(schema, columns, expressions, strict=True)
        if (is_list(field.type) if expression is None else expression.endswith("[]"))
    ]
    if not arrays and not any(expressions):
        return None
    chosen = [expression or name for expression, name in zip(expressions, columns, strict=True)]
    depths = [f"array_ndims({name}) > 1" for name in arrays]
    return f"WITH result ({', '.join(columns)}) AS (\n{text}\n) SELECT {', '.join(chosen + depths)} FROM result"


def without_depths(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows of a `made_readable` query under their own names. Raises DatabaseError for an array of arrays."""
    import pyarrow.compute as pc

    arrays = [name for name, column in zip(names, rows.columns, strict=False) if is_list(column.type)]
    for name, deep in zip(arrays, rows.columns[len(names) :], strict=True):
        if pc.any(deep).as_py():
            raise DatabaseError(
                f"column `{name}` holds arrays of more than one dimension, which cannot be read as they are",
                fix=f"Read them as JSON: `to_json({name})`.",
            )
    return rows.select(range(len(names))).rename_columns(list(names))


def _readable(field: pa.Field, name: str, array_types: Collection[int]) -> str | None:
    """The expression that gives the result's column `name` as a type that Arrow has; None where it is one already."""
    import pyarrow as pa

    found, said = field.type, (field.metadata or {}).get(_SAID, b"")
    if said == b"money":
        return f"{name}::numeric"
    if pa.types.is_struct(found) or said in {b"record", b"_record"}:
        return f"to_json({name})::text"
    if _is_opaque(found):
        number = _NUMBER.search(said.decode())
        return f"{name}::text[]" if number is not None and int(number[1]) in array_types else f"{name}::text"
    if is_list(found):
        if pa.types.is_struct(found.value_type):
            return f"to_json({name})::text"
        if said == b"_money":
            return f"{name}::numeric[]"
        return f"{name}::text[]" if _is_opaque(found.value_type) else None
    return None


def _is_opaque(found: pa.DataType) -> bool:
    """Whether the values are bytes as the server writes them."""
    import pyarrow as pa

    return isinstance(found, pa.OpaqueType) and not pa.types.is_string(found.storage_type)


def with_decimals(rows: pa.Table) -> pa.Table:
    """The rows, with numerics, which the driver gives as text, as decimals.

    Their scale is what the column's type says, else what the values have. More than 38 digits stay text; a column with
    NaN or infinity becomes floats, the only numbers that have these.
    """
    import pyarrow as pa

    columns = [_decimals(column, field) for column, field in zip(rows.columns, rows.schema, strict=True)]
    return pa.Table.from_arrays(columns, names=rows.column_names)


def _decimals(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    import pyarrow as pa

    if _is_numeric(column.type):
        return _parsed(_stored(column), _declared(field))
    if is_list(column.type) and _is_numeric(column.type.value_type):
        inner = pa.chunked_array([each.flatten() for each in column.chunks], column.type.value_type)
        kind = _parsed(_stored(inner), None).type
        texts = pa.chunked_array(
            [pa.array(each.to_pylist(), pa.list_(pa.string())) for each in column.chunks], pa.list_(pa.string())
        )
        return texts.cast(pa.list_(kind))
    return column


def _is_numeric(found: pa.DataType) -> bool:
    import pyarrow as pa

    return isinstance(found, pa.OpaqueType) and found.type_name == _NUMERIC


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([each.storage for each in column.chunks], pa.string())


def _declared(field: pa.Field) -> tuple[int, int] | None:
    """The precision and scale of the column's type, None where it does not say."""
    modifier = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) - _MODIFIER_BASE
    if modifier < 0:
        return None
    precision, scale = modifier >> 16 & 0xFFFF, modifier & 0x7FF
    return (precision, scale) if scale <= precision <= _DIGITS else None


def _parsed(texts: pa.ChunkedArray, declared: tuple[int, int] | None) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(pc.match_substring_regex(texts, "[a-zA-Z]")).as_py():
        return texts.cast(pa.float64())
    if declared is not None:
        return texts.cast(pa.decimal128(*declared))
    length, point = pc.binary_length(texts), pc.find_substring(texts, ".")
    whole = pc.if_else(pc.less(point, 0), length, point)
    scale = pc.max(pc.subtract(pc.subtract(length, whole), 1)).as_py() or 0
    digits = pc.max(pc.subtract(whole, pc.cast(pc.starts_with(texts, "-"), pa.int32()))).as_py() or 0
    scale = max(scale, 0)
    return texts.cast(pa.decimal128(_DIGITS, scale)) if digits + scale <= _DIGITS else texts
