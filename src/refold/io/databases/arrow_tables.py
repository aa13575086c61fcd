"""Values of blocks as Arrow tables, which is how rows go into databases, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from refold.errors import BlockError
from refold.io.databases.plain_columns import is_nested, plain
from refold.io.databases.python_columns import array_of, with_room
from refold.languages.description import describe
from refold.languages.frames import FrameLibrary, frame_library, series_library, table_library
from refold.ports.output_store import StoredElements

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_VALUE = "value"
"""The column of what has no name of its own."""
_WORTH_THREADS = 2**20
"""Bytes above which several threads make a frame sooner than one."""


def to_arrow(value: object, where: str) -> pa.Table:
    """The rows that a value has; `where` says whose value it is, for errors.

    A frame or Arrow table is its rows, a dict or pandas Series with labels one row, a list of dicts or Series a row
    each (a key that one of them lacks is null there), a list of frames their rows one after the other by column name,
    any other list or single value a column `value`. A frame's index is not kept. None in a list of rows or frames is no
    row. Types are plain (`plain_columns`). Raises BlockError for what has no columns that a database could take.
    """
    rows = plain(_rows(value, where))
    if rows.num_columns == 0:
        raise BlockError(
            f"{describe(value)} has no columns, so there is nothing a table could be made of",
            where=where,
            fix="For no rows, return a frame that has the columns: `df.head(0)`.",
        )
    repeated = [name for name, count in Counter(rows.column_names).items() if count > 1]
    if repeated:
        raise BlockError(
            f"has more than one column `{repeated[0]}`", where=where, fix="Give each column a name of its own."
        )
    return rows


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """The rows as blocks get them: exact decimals as floats, as `pandas.read_sql` gives them.

    Whole numbers stay whole: a column with missing ones is pandas' `Int64`, since a float would change large ones.
    Dates are `date` objects, timestamps datetime64, lists and structs Python lists and dicts. Raises BlockError for a
    date that Python has no word for, such as PostgreSQL's `infinity`.
    """
    import pandas as pd
    import pyarrow as pa

    rows = plain(rows)
    columns = [_inexact(each) for each in rows.columns]
    # Under numbers, since a result may have a name twice; and by columns, since lists are to be lists.
    names = [str(number) for number in range(len(columns))]
    flat = pa.table(dict(zip(names, columns, strict=True)))
    try:
        # To tell threads of a few rows takes longer than the rows.
        frame: pd.DataFrame = flat.to_pandas(use_threads=flat.nbytes > _WORTH_THREADS)
    except (OverflowError, ValueError) as error:
        raise _beyond_dates(rows) or error from None
    for name, column in zip(names, columns, strict=True):
        if is_nested(column.type):
            values = column.to_pylist(maps_as_pydicts="lossy")
            frame[name] = pd.Series(values, dtype=object, index=frame.index)
        elif pa.types.is_integer(column.type) and column.null_count:
            frame[name] = _nullable_integers(column)
    frame.columns = pd.Index(rows.column_names)
    return frame


def _nullable_integers(column: pa.ChunkedArray) -> pd.Series[int]:
    import pandas as pd

    dtype = pd.api.types.pandas_dtype(str(column.type).replace("uint", "UInt").replace("int", "Int"))
    return pd.Series(column.to_pandas(types_mapper=lambda _type: dtype))


def _inexact(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    found = column.type
    if pa.types.is_decimal(found):
        return column.cast(pa.float64())
    if pa.types.is_list(found) and pa.types.is_decimal(found.value_type):
        return column.cast(pa.list_(pa.float64()))
    return column


def _beyond_dates(rows: pa.Table) -> BlockError | None:
    import pyarrow as pa

    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if not pa.types.is_date(column.type):
            continue
        try:
            column.to_pandas()
        except (OverflowError, ValueError):
            return BlockError(
                f"column `{name}` holds a date outside of the years 1 to 9999, which Python has no word for",
                fix="Leave such rows out, or make the column text in the query.",
            )
    return None


def _rows(value: object, where: str) -> pa.Table:
    if isinstance(value, list | tuple | StoredElements):
        return _of_elements(list(cast("Sequence[object]", value)), where)
    rows = _frame(value, where)
    if rows is not None:
        return rows
    if isinstance(value, Mapping):
        return _of_records([value], where)
    if series_library(value) is FrameLibrary.PANDAS and _is_record(cast("pd.Series[str]", value)):
        return _of_records([_record(value)], where)
    if value is None:
        raise BlockError("has no rows: it returned nothing", where=where, fix="Return a frame, or a list of dicts.")
    if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "ndim", 0) > 0:
        return _of_numpy(cast("np.ndarray[tuple[int, ...], np.dtype[np.generic]]", value), where)
    return _of_scalars([value], where)


def _frame(value: object, where: str) -> pa.Table | None:
    """The rows of a frame, an Arrow table, or a Series that is a column; None where the value is none of these."""
    library = table_library(value)
    if library is FrameLibrary.PANDAS:
        return _of_pandas(cast("pd.DataFrame", value), where)
    if library is FrameLibrary.POLARS:
        return cast("pl.DataFrame", value).to_arrow()
    if library is FrameLibrary.PYARROW:
        return value
    if type(value).__module__.partition(".")[0] == "pyarrow" and type(value).__name__ == "RecordBatch":
        import pyarrow as pa

        return pa.Table.from_batches([value])
    library = series_library(value)
    if library is FrameLibrary.POLARS:
        series = cast("pl.Series", value)
        return series.to_frame(series.name or _VALUE).to_arrow()
    if library is FrameLibrary.PANDAS:
        column = cast("pd.Series[str]", value)
        if not _is_record(column):
            return _of_pandas(column.to_frame(_VALUE if column.name is None else column.name), where)
    return None


def _is_record(series: pd.Series[str]) -> bool:
    """Whether the Series is a row, its labels the columns; one with a counted index is a column."""
    return len(series) > 0 and all(isinstance(label, str) for label in series.index)


def _record(value: object) -> Mapping[object, object]:
    return value if isinstance(value, Mapping) else cast("pd.Series[str]", value).to_dict()


def _of_pandas(frame: pd.DataFrame, where: str) -> pa.Table:
    import pyarrow as pa

    names = [_column_name(label) for label in frame.columns]
    numbered = frame.set_axis(range(len(names)), axis=1)
    try:
        rows = pa.Table.from_pandas(numbered, preserve_index=False)
        columns = [
            _of_its_own(column, numbered[number], name, where)
            for number, (name, column) in enumerate(zip(names, rows.columns, strict=True))
        ]
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        # One of them cannot be; which one is found by taking them singly.
        columns = [_pandas_column(numbered[number], name, where) for number, name in enumerate(names)]
    return pa.Table.from_arrays(columns, names=names)


def _of_its_own(column: pa.ChunkedArray, series: pd.Series[str], name: str, where: str) -> pa.Array | pa.ChunkedArray:
    """The column, without what only pandas knows."""
    if getattr(column.type, "extension_name", "").startswith("pandas."):
        # Periods and intervals: their stored numbers mean nothing elsewhere.
        return array_of(series.astype(str).tolist(), name, where)
    return with_room(column) if series.dtype == object else column


def _pandas_column(series: pd.Series[str], name: str, where: str) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return array_of(series.tolist(), name, where)


def _column_name(label: object) -> str:
    """A label as a column's name; one of several levels has them joined, as `total_mean`."""
    if isinstance(label, tuple):
        return "_".join(str(part) for part in label if part != "")
    return str(label)


def _of_numpy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], where: str) -> pa.Table:
    import pyarrow as pa

    if array.dtype.names:
        records = cast("Sequence[Sequence[object]]", array.ravel().tolist())
        return pa.Table.from_arrays(
            [array_of([each[at] for each in records], name, where) for at, name in enumerate(array.dtype.names)],
            names=list(array.dtype.names),
        )
    if array.ndim == 1:
        return _of_scalars(array.tolist(), where)
    if array.ndim == 2:
        names = [f"{_VALUE}_{number}" for number in range(array.shape[1])]
        return pa.table({name: array_of(array[:, at].tolist(), name, where) for at, name in enumerate(names)})
    raise BlockError(
        f"{describe(array)} has {array.ndim} dimensions; expected is one, or two for rows and columns", where=where
    )


def _of_scalars(values: Sequence[object], where: str) -> pa.Table:
    import pyarrow as pa

    return pa.table({_VALUE: array_of(values, _VALUE, where)})


def _of_elements(elements: Sequence[object], where: str) -> pa.Table:
    if not elements:
        raise BlockError(
            "is an empty list, which has no columns, so there is nothing a table could be made of",
            where=where,
            fix="For no rows, return a frame that has the columns: `df.head(0)`.",
        )
    kinds = [_kind(each) for each in elements]
    present = set(kinds) - {None}
    if present == {"row"}:
        return _of_records([_record(each) for each in elements if each is not None], where)
    if present == {"frame"}:
        frames = [(at, _frame(each, f"{where}[{at}]")) for at, each in enumerate(elements) if each is not None]
        return _one_after_another([(at, plain(frame)) for at, frame in frames if frame is not None], where)
    if present <= {"value"}:
        return _of_scalars(elements, where)
    first = {kind: kinds.index(kind) for kind in sorted(kind for kind in present if kind is not None)}
    listed = ", ".join(f"element {at} is {describe(elements[at])}" for at in sorted(first.values()))
    raise BlockError(
        f"holds what cannot be rows of one table: {listed}",
        where=where,
        fix="Return elements of one kind: all dicts, or all frames.",
    )


def _kind(element: object) -> str | None:
    """What an element of a list is: a row, a frame, a value without columns; None for None, which may be any."""
    if element is None:
        return None
    if isinstance(element, Mapping):
        return "row"
    if series_library(element) is FrameLibrary.PANDAS and _is_record(cast("pd.Series[str]", element)):
        return "row"
    if frame_library(element) or table_library(element) or series_library(element):
        return "frame"
    return "value"


def _of_records(records: Sequence[Mapping[object, object]], where: str) -> pa.Table:
    import pyarrow as pa

    keys: dict[object, None] = {}
    for record in records:
        keys.update(dict.fromkeys(record))
    names = [_column_name(key) for key in keys]
    columns = [
        array_of([record.get(key) for record in records], name, where) for key, name in zip(keys, names, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=names)


def _one_after_another(frames: Sequence[tuple[int, pa.Table]], where: str) -> pa.Table:
    """The frames' rows, by column name; each with its place in the list. A frame without columns has no rows."""
    import pyarrow as pa

    filled = [(at, frame) for at, frame in frames if frame.num_columns]
    if not filled:
        return frames[0][1]
    first, names = filled[0][0], filled[0][1].column_names
    for at, frame in filled[1:]:
        for one, other, lacking in (
            (at, first, set(names) - set(frame.column_names)),
            (first, at, set(frame.column_names) - set(names)),
        ):
            if lacking:
                raise BlockError(
                    f"frames differ: element {one} has no column `{min(lacking)}`, which element {other} has",
                    where=where,
                )
    tables = [frame.select(names) if frame.column_names != names else frame for _, frame in filled]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise _differing_types(filled, names, where) or BlockError(str(error), where=where) from error


def _differing_types(frames: Sequence[tuple[int, pa.Table]], names: Sequence[str], where: str) -> BlockError | None:
    import pyarrow as pa

    for name in names:
        seen: dict[pa.DataType, int] = {}
        for at, frame in frames:
            seen.setdefault(frame.schema.field(name).type, at)
        try:
            pa.unify_schemas([pa.schema([(name, each)]) for each in seen], promote_options="permissive")
        except pa.ArrowException:
            listed = ", ".join(f"{each} in element {at}" for each, at in seen.items())
            return BlockError(f"frames differ: column `{name}` is {listed}", where=where)
    return None
