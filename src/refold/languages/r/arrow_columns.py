"""Arrow tables as data.frames, column by column, without a Python object for each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from refold.errors import BlockError
from refold.languages.r.xdr_writer import (
    CHARACTER,
    INTEGER,
    LOGICAL,
    NA_INTEGER,
    NA_REAL_BITS,
    REAL,
    Pieces,
    character,
    data_frame,
    listed,
    vector,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Nested = Callable[[object], Pieces]
"""Makes an R value of an element that is a list or a mapping."""

_EXACT = 2**53
_UTF8_HEADER = 9 | 8 << 12
_TIME_CLASS = ("POSIXct", "POSIXt")


def frame_of(table: pa.Table, nested: Nested) -> Pieces:
    """A data.frame of the table's rows. Raises BlockError for a column that R cannot hold."""
    columns: dict[str, Pieces] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in columns:
            raise BlockError(f"two columns are called `{name}`", fix="Rename one of them before the R block.")
        try:
            columns[name] = column_of(column, nested)
        except BlockError as error:
            raise BlockError(f"column `{name}`: {error.message}", fix=error.fix) from error
    return data_frame(columns, table.num_rows)


def column_of(column: pa.ChunkedArray, nested: Nested) -> Pieces:
    """One column: integers where they fit R's, doubles, logicals, text, factors, dates, times; a list for the rest."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        return _factor(column, nested)
    if types.is_boolean(kind):
        return _fixed(LOGICAL, "i4", column.cast(pa.int32()), NA_INTEGER)
    if types.is_integer(kind):
        return _integers(column)
    if types.is_floating(kind) or types.is_decimal(kind):
        return _reals(column.cast(pa.float64()))
    if types.is_string(kind) or types.is_large_string(kind) or kind == pa.string_view():
        return _texts(column)
    if types.is_date(kind):
        days = column.cast(pa.date32()).cast(pa.int32()).cast(pa.float64())
        return _reals(days, {"class": character(["Date"])})
    if types.is_timestamp(kind):
        zone = {"tzone": character([kind.tz])} if kind.tz else {}
        return _reals(_seconds(column, kind.unit), {"class": character(_TIME_CLASS), **zone})
    if types.is_duration(kind):
        return _reals(_seconds(column, kind.unit), {"class": character(["difftime"]), "units": character(["secs"])})
    if types.is_time(kind):
        return _texts(column.cast(pa.string()))
    if types.is_null(kind):
        return _fixed(LOGICAL, "i4", column.cast(pa.int32()), NA_INTEGER)
    return listed([nested(each) for each in column.to_pylist()])


def _seconds(column: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    divisor = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    return pc.divide(pc.cast(column.cast(pa.int64()), pa.float64(), safe=False), divisor)


def _fixed(
    kind: int, numpy_kind: str, column: pa.ChunkedArray, missing: int, attributes: Mapping[str, Pieces] | None = None
) -> Pieces:
    values = column.fill_null(missing).to_numpy().astype(f">{numpy_kind}")
    return vector(kind, len(column), [values.tobytes()], attributes)


def _integers(column: pa.ChunkedArray) -> Pieces:
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.min_max(column).as_py()
    least, most = ends["min"] or 0, ends["max"] or 0
    if least > NA_INTEGER and most < 2**31:
        return _fixed(INTEGER, "i4", column.cast(pa.int32()), NA_INTEGER)
    if least >= -_EXACT and most <= _EXACT:
        return _reals(column.cast(pa.float64()))
    return _texts(column.cast(pa.string()))


def _reals(column: pa.ChunkedArray, attributes: Mapping[str, Pieces] | None = None) -> Pieces:
    import numpy as np

    bits = column.to_numpy(zero_copy_only=False).astype(np.float64).view(np.uint64)
    if column.null_count:
        missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        bits = np.where(missing, np.uint64(NA_REAL_BITS), bits)
    return vector(REAL, len(column), [bits.astype(">u8").tobytes()], attributes)


def _factor(column: pa.ChunkedArray, nested: Nested) -> Pieces:
    import pyarrow as pa
    from pyarrow import types

    values = column.type.value_type
    if not (types.is_string(values) or types.is_large_string(values)):
        return column_of(column.cast(values), nested)
    unified = column.unify_dictionaries()
    levels = unified.chunk(0).dictionary.to_pylist() if unified.num_chunks else []
    codes = pa.chunked_array([chunk.indices.cast(pa.int32()) for chunk in unified.chunks], pa.int32())
    numbers = codes.fill_null(-1).to_numpy().astype("i4") + 1
    numbers[numbers == 0] = NA_INTEGER
    classes = ["ordered", "factor"] if column.type.ordered else ["factor"]
    attributes = {"levels": character(levels), "class": character(classes)}
    return vector(INTEGER, len(column), [numbers.astype(">i4").tobytes()], attributes)


def _texts(column: pa.ChunkedArray) -> Pieces:
    import pyarrow as pa

    pieces = [_text_chunk(chunk.cast(pa.large_string())) for chunk in column.chunks if len(chunk)]
    return vector(CHARACTER, len(column), pieces)


def _text_chunk(array: pa.Array) -> bytes:
    """The texts one after the other, each behind the eight bytes that say what it is and how long."""
    import numpy as np

    _, offsets_buffer, data_buffer = array.buffers()
    length = len(array)
    offsets = np.frombuffer(offsets_buffer, np.int64, length + 1, array.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.frombuffer(data_buffer or b"", np.uint8)[first:last]
    if (data == 0).any():
        raise BlockError("a text holds NUL, which no text of R can", fix="Take it out before the R block.")
    sizes = np.diff(offsets)
    headers = np.empty((length, 2), ">i4")
    headers[:, 0] = _UTF8_HEADER
    headers[:, 1] = sizes
    if array.null_count:
        missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        if sizes[missing].any():  # bytes that belong to nobody
            return _text_chunk(pa_compact(array))
        headers[missing] = (9, -1)
    return _interleaved(headers, data, offsets[:-1] - first, length)


def pa_compact(array: pa.Array) -> pa.Array:
    """The same texts without bytes behind missing ones."""
    import pyarrow as pa

    return pa.array(array.to_pylist(), pa.large_string())


def _interleaved(headers: NDArray[np.int32], data: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> bytes:
    import numpy as np

    out = np.empty(len(data) + 8 * length, np.uint8)
    is_data = np.ones(len(out), bool)
    places = (starts + 8 * np.arange(length))[:, None] + np.arange(8)
    out[places] = headers.view(np.uint8).reshape(length, 8)
    is_data[places] = False
    out[is_data] = data
    return out.tobytes()
