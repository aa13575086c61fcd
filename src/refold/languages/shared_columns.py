"""What columns data frames have together, found frame by frame: for who cannot have all of them in memory.

`concatenate` puts frames together and so finds it, too; what is found here is the same. Rows are those of the frames,
index left out; a column that only some frames have is there for all, null in the others; columns stand in the order in
which they first appeared; a column of several types gets the one that its library finds for all of them. What that
library can only keep as Python objects of several types (a number here, a text there) is no column of an Arrow table.

Each class takes frames of one library: `add` each of them once, then ask for `schema`, then for each one's `table`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from refold.errors import ReduceError, RefoldError
from refold.languages.frames import FrameLibrary

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pandas.api.extensions import ExtensionDtype


class Frame(Protocol):
    """A frame that is somewhere: decoded, as far as it is needed, at each call."""

    def value(self) -> object:
        """The frame."""

    def stored_schema(self) -> pa.Schema | None:
        """The schema of the Parquet that it is stored as, pandas' metadata too; None where it is stored otherwise."""

    def stored_table(self) -> pa.Table:
        """That Parquet's table."""


class SharedColumns(ABC):
    """The columns that frames of one library have together."""

    @classmethod
    def of(cls, library: FrameLibrary) -> SharedColumns:
        """Those of no frame yet."""
        return _KINDS[library]()

    @abstractmethod
    def add(self, frame: Frame, number: int) -> None:
        """One frame more; `number` is what errors call it. Raises ReduceError where it is no Arrow table."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """All columns. Raises ReduceError, naming the column and the first frames, where two of them make none."""

    @abstractmethod
    def table(self, frame: Frame, number: int) -> pa.Table:
        """One of the frames that were added, with all columns. Raises ReduceError where a value does not fit."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """A type that a column has, and the first frame where it has it."""

    type: pa.DataType
    number: int


class _Pandas(SharedColumns):
    """Types are found by pandas itself, from a frame of one row for each kind of frame that was met."""

    def __init__(self) -> None:
        self._known: set[Hashable] = set()
        self._samples: dict[Hashable, pd.DataFrame] = {}
        self._types: dict[str, list[_Typed]] = {}
        self._schema: pa.Schema | None = None

    def add(self, frame: Frame, number: int) -> None:
        import pyarrow as pa

        schema = frame.stored_schema()
        if schema is not None:
            key = _stored_columns(schema)
            if key in self._known:
                return
            if not any(pa.types.is_dictionary(field.type) for field in schema):
                self._known.add(key)
                self._see(schema.empty_table().to_pandas(), _without_index(schema), number)
                return
        value = cast("pd.DataFrame", frame.value())  # categories lie with the values
        with _Explained(number):
            types = pa.Table.from_pandas(value, preserve_index=False).schema
        self._see(value.iloc[:0], types, number)

    def _see(self, empty: pd.DataFrame, types: pa.Schema, number: int) -> None:
        key = tuple(empty.columns), tuple(empty.dtypes), tuple(types.types)
        if key in self._samples:
            return
        self._samples[key] = _one_row(empty)
        for name, kind in zip(types.names, types.types, strict=True):
            self._types.setdefault(name, []).append(_Typed(kind, number))

    def schema(self) -> pa.Schema:
        if self._schema is None:
            self._schema = self._join()
        return self._schema

    def _join(self) -> pa.Schema:
        import pandas as pd
        import pyarrow as pa

        joined = pd.concat(list(self._samples.values()), ignore_index=True)
        schema = pa.Schema.from_pandas(joined.iloc[:0])  # its index is a number, which is no column
        _refuse_twins(schema.names)
        for place, dtype in enumerate(joined.dtypes):
            if str(dtype) == "object":
                field = schema.field(place)
                schema = schema.set(place, field.with_type(_common_type(field.name, self._types[field.name])))
        return schema

    def table(self, frame: Frame, number: int) -> pa.Table:
        import pyarrow as pa

        stored = frame.stored_schema()
        if stored is not None:
            table = frame.stored_table().select(_without_index(stored).names)
            return _fitted(table, table.num_rows, self.schema(), number)
        value = cast("pd.DataFrame", frame.value())
        with _Explained(number):
            table = pa.Table.from_pandas(value, preserve_index=False)
        return _fitted(table, len(value), self.schema(), number)


class _Polars(SharedColumns):
    """Types are found by polars itself, from frames without rows."""

    def __init__(self) -> None:
        self._known: set[Hashable] = set()
        self._empty: dict[Hashable, tuple[pl.DataFrame, int]] = {}
        self._joined: pl.DataFrame | None = None

    def add(self, frame: Frame, number: int) -> None:
        import polars as pl

        schema = frame.stored_schema()
        key = None if schema is None else tuple(zip(schema.names, schema.types, strict=True))
        if key in self._known:
            return
        if schema is not None and all(_is_simple(kind) for kind in schema.types):
            self._known.add(key)
            empty = cast("pl.DataFrame", pl.from_arrow(schema.remove_metadata().empty_table()))
        else:
            empty = cast("pl.DataFrame", frame.value()).clear()
        self._empty.setdefault(tuple(empty.schema.items()), (empty, number))

    def schema(self) -> pa.Schema:
        return self._all().to_arrow().schema

    def _all(self) -> pl.DataFrame:
        import polars as pl

        if self._joined is None:
            frames = [empty for empty, _ in self._empty.values()]
            try:
                self._joined = pl.concat(frames, how="diagonal_relaxed")
            except Exception as error:
                raise self._unlike(error) from error
        return self._joined

    def _unlike(self, error: Exception) -> ReduceError:
        """Which column it is that polars finds no type for."""
        import polars as pl

        for name in dict.fromkeys(name for empty, _ in self._empty.values() for name in empty.columns):
            having = [(empty.select(name), number) for empty, number in self._empty.values() if name in empty.columns]
            try:
                pl.concat([empty for empty, _ in having], how="diagonal_relaxed")
            except Exception:
                types = [(str(empty.dtypes[0]), number) for empty, number in having]
                return _no_type(name, types[0], next((each for each in types if each[0] != types[0][0]), types[0]))
        return ReduceError(f"polars makes no frame of these: {type(error).__name__}: {error}")

    def table(self, frame: Frame, number: int) -> pa.Table:
        import polars as pl

        with _Explained(number):
            value, joined = cast("pl.DataFrame", frame.value()), self._all()
            if value.schema != joined.schema:
                value = pl.concat([joined, value], how="diagonal_relaxed").cast(joined.schema)
            return value.to_arrow().cast(self.schema())


class _Arrow(SharedColumns):
    """Types are found by Arrow itself."""

    def __init__(self) -> None:
        self._schemas: dict[pa.Schema, int] = {}
        self._joined: pa.Schema | None = None

    def add(self, frame: Frame, number: int) -> None:
        self._schemas.setdefault(cast("pa.Table", frame.value()).schema, number)

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        if self._joined is None:
            for each in self._schemas:
                _refuse_twins(each.names)
            try:
                self._joined = pa.unify_schemas(list(self._schemas), promote_options="permissive")
            except pa.ArrowException as error:
                raise self._unlike(error) from error
        return self._joined

    def _unlike(self, error: Exception) -> ReduceError:
        types: dict[str, list[_Typed]] = {}
        for schema, number in self._schemas.items():
            for field in schema:
                types.setdefault(field.name, []).append(_Typed(field.type, number))
        for name, found in types.items():
            if _unified(found) is None:
                return _no_type(name, *_first_two(found))
        return ReduceError(f"pyarrow makes no table of these: {type(error).__name__}: {error}")

    def table(self, frame: Frame, number: int) -> pa.Table:
        table = cast("pa.Table", frame.value())
        return _fitted(table, table.num_rows, self.schema(), number)


class _Explained:
    """Says of what goes wrong which frame it was."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, RefoldError):
            raise ReduceError(
                f"frame {self._number} is no table of a Parquet file: {type(error).__name__}: {error}", fix=_FIX
            ) from error


_FIX = "Give each column one type in all frames, or leave out `reduce_input: lazy`."


def _stored_columns(schema: pa.Schema) -> Hashable:
    """What a stored frame's columns are, whatever its index."""
    described = schema.pandas_metadata or {}
    told = tuple((each.get("name"), each.get("pandas_type"), each.get("numpy_type")) for each in described["columns"])
    return tuple(schema.names), tuple(schema.types), told


def _without_index(schema: pa.Schema) -> pa.Schema:
    index = {each for each in (schema.pandas_metadata or {}).get("index_columns", ()) if isinstance(each, str)}
    for name in index:
        schema = schema.remove(schema.get_field_index(name))
    return schema


def _one_row(empty: pd.DataFrame) -> pd.DataFrame:
    """A frame of the same columns with one row: pandas weighs the types of columns that have values."""
    import pandas as pd

    row = pd.concat([_one_cell(dtype) for dtype in empty.dtypes], axis=1) if empty.shape[1] else pd.DataFrame(index=[0])
    return row.set_axis(empty.columns, axis=1)


def _one_cell(dtype: np.dtype | ExtensionDtype) -> pd.Series:
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return pd.Series(np.zeros(1, dtype))
    try:
        return pd.Series([""], dtype="object") if isinstance(dtype, np.dtype) else pd.Series(index=[0], dtype=dtype)
    except (TypeError, ValueError):  # a dtype that has no missing value
        return pd.Series([""], dtype="object")


def _common_type(name: str, types: Sequence[_Typed]) -> pa.DataType:
    """The type of a column of Python objects. Raises ReduceError where Arrow has none for all of them."""
    found = _unified(types)
    if found is None:
        raise _no_type(name, *_first_two(types))
    return found


def _first_two(types: Sequence[_Typed]) -> tuple[tuple[str, int], tuple[str, int]]:
    first = types[0]
    other = next((each for each in types if _unified([first, each]) is None), types[-1])
    return (str(first.type), first.number), (str(other.type), other.number)


def _no_type(name: str, one: tuple[str, int], other: tuple[str, int]) -> ReduceError:
    return ReduceError(
        f"column `{name}` is {one[0]} in frame {one[1]} and {other[0]} in frame {other[1]}, "
        "and a Parquet file has no type for both",
        fix=_FIX,
    )


def _unified(types: Sequence[_Typed]) -> pa.DataType | None:
    """The one type that takes values of all these, of one family; None where there is none."""
    import pyarrow as pa

    plain = [each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in types]
    distinct = list(dict.fromkeys(each for each in plain if not pa.types.is_null(each)))
    if not distinct:
        return types[0].type
    if len(distinct) == 1:
        return types[0].type if len({each.type for each in types}) == 1 else distinct[0]
    families = {_family(each) for each in distinct}
    if len(families) > 1:
        return None
    if families == {"text"}:
        return pa.large_string()
    if families == {"bytes"}:
        return pa.large_binary()
    try:
        one = [pa.schema([pa.field("column", each)]) for each in distinct]
        return pa.unify_schemas(one, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None


def _family(kind: pa.DataType) -> str:
    """Types of a family have values of one Python type."""
    import pyarrow as pa

    for family, tests in _FAMILIES.items():
        if any(getattr(pa.types, f"is_{test}")(kind) for test in tests):
            return family
    return str(kind)


_FAMILIES: Mapping[str, Sequence[str]] = {
    "number": ("integer", "floating"),
    "text": ("string", "large_string", "string_view"),
    "bytes": ("binary", "large_binary", "binary_view", "fixed_size_binary"),
    "decimal": ("decimal",),
    "date": ("date",),
    "time": ("time",),
    "timestamp": ("timestamp",),
    "duration": ("duration",),
    "list": ("list", "large_list", "fixed_size_list"),
    "struct": ("struct",),
}


def _is_simple(kind: pa.DataType) -> bool:
    """Whether polars has one type of its own for it."""
    import pyarrow as pa

    return any(test(kind) for test in (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date32)) or (
        pa.types.is_float32(kind) or pa.types.is_float64(kind) or _family(kind) == "text"
    )


def _fitted(table: pa.Table, rows: int, schema: pa.Schema, number: int) -> pa.Table:
    """The table with just these columns: those that it lacks are null, those of another type are cast."""
    import pyarrow as pa

    columns = []
    names = set(table.column_names)
    for field in schema:
        if field.name not in names:
            columns.append(pa.nulls(rows, field.type))
            continue
        column = table[field.name]
        if column.type != field.type:
            whole = pa.types.is_integer(column.type) and pa.types.is_floating(field.type)
            try:
                column = column.cast(field.type, safe=not whole)  # pandas rounds large integers, too
            except pa.ArrowException as error:
                raise ReduceError(
                    f"column `{field.name}` of frame {number} does not fit {field.type}: {error}", fix=_FIX
                ) from error
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def _refuse_twins(names: Sequence[str]) -> None:
    """Raises ReduceError where two columns have one name, as text."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ReduceError(
            f"two columns are named `{twice}`, which a Parquet file cannot tell apart",
            fix="Give each column a name of its own; numbers count as text.",
        )


_KINDS: Mapping[FrameLibrary, type[SharedColumns]] = {
    FrameLibrary.PANDAS: _Pandas,
    FrameLibrary.POLARS: _Polars,
    FrameLibrary.PYARROW: _Arrow,
}
