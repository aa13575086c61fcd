"""DataFrames as Parquet, wherever Parquet gives the same frame back.

Most frames are known to survive by their dtypes. Any other one (objects, categories, an index of its own) is read back
once and compared; where the copy differs in a dtype, a name or a cell's type, the frame is left to pickle. Neither
library is imported until one of its frames is met, and then it is the user's import already.
"""

from __future__ import annotations

import io
import mmap
from typing import TYPE_CHECKING, Literal

from refold.errors import RefoldError
from refold.outputs.large import LARGE, Data, LetGo, give_back_arrow, keep
from refold.outputs.plain import encode_plain

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pandas.api.extensions import ExtensionArray

_SURE_PANDAS = frozenset(
    [f"{kind}{bits}" for kind in ("int", "uint", "Int", "UInt") for bits in (8, 16, 32, 64)]
    + [f"datetime64[{unit}]" for unit in ("ms", "us", "ns")]
    + ["float32", "float64", "bool", "boolean"]
)
_SURE_POLARS = frozenset(
    [f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)]
    + ["Float32", "Float64", "Boolean", "String", "Date"]
)
_DICTIONARY = range(2**12, 2**18)
"""Bytes of different values beyond which a column is stored plain, at least and at most; in between an eighth of what a
column takes. One that has so many hardly repeats any, and to look for repeats takes longer than all the rest."""
_BATCH = 2**16
"""Rows of a large frame that are decoded before the bytes that they came from are let go of."""
_SCALARS = frozenset({"str", "bytes", "bool", "int", "float", "NoneType", "Decimal", "date"})
"""Types of cells in object columns that `repr` tells apart exactly."""


def frame_library(value: object) -> Literal["pandas", "polars"] | None:
    """Whose DataFrame the value is; None for anything else, subclasses of DataFrame included."""
    kind = type(value)
    if kind.__name__ != "DataFrame":
        return None
    if kind.__module__.startswith("pandas"):
        import pandas as pd

        return "pandas" if kind is pd.DataFrame else None
    if kind.__module__.startswith("polars"):
        import polars as pl

        return "polars" if kind is pl.DataFrame else None
    return None


def encode_pandas(frame: object) -> Data | None:
    """The pandas DataFrame as Parquet, or None where Parquet would not keep it as it is."""
    import pandas as pd
    import pyarrow as pa

    if not isinstance(frame, pd.DataFrame) or not _has_plain_columns(frame):
        return None
    try:
        data = _parquet(pa.Table.from_pandas(frame))
        return data if _surely_kept(frame) or _same(frame, decode_pandas(data)) else None
    except RefoldError:
        raise
    except Exception:  # libraries differ in what they raise for a cell that Arrow does not know
        return None


def _parquet(table: pa.Table) -> Data:
    """A table as Parquet, in memory that a large one's bytes never move in while they become more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if table.nbytes < LARGE:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **parquet_options(table))
        small: bytes = sink.getvalue().to_pybytes()
        return small
    try:
        # What is not written to is no memory.
        room = mmap.mmap(-1, 2 * table.nbytes + LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        sink = pa.FixedSizeBufferWriter(pa.py_buffer(room))
        pq.write_table(table, sink, **parquet_options(table))
        return memoryview(room)[: sink.tell()]
    except OSError:  # there was not room enough: very many columns of few rows
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **parquet_options(table))
        return memoryview(sink.getvalue())
    finally:
        give_back_arrow()


def parquet_options(table: pa.Table) -> dict[str, int]:
    """How a table like this one is written."""
    limit = table.nbytes // (8 * max(1, table.num_columns))
    return {"dictionary_pagesize_limit": min(max(limit, _DICTIONARY.start), _DICTIONARY.stop)}


def decode_pandas(data: Data, let_go: LetGo = keep) -> pd.DataFrame:
    """The DataFrame that `encode_pandas` encoded; as `decode` in `refold.outputs.codecs`."""
    import pandas as pd
    import pyarrow as pa

    table = decode_table(data, let_go)
    if len(data) < LARGE:
        frame: pd.DataFrame = table.to_pandas(use_threads=False)
    else:
        try:
            # Piece by piece, the table becomes the frame: the two never lie side by side. And the frame lies where its
            # memory is given back as soon as the block lets go of it.
            pool = pa.system_memory_pool()
            frame = table.to_pandas(use_threads=False, self_destruct=True, memory_pool=pool)
            del table
        finally:
            give_back_arrow()
    # Before copy-on-write, a frame over Arrow's memory refuses to be changed in place.
    return frame.copy() if int(pd.__version__.split(".")[0]) < 3 else frame


def decode_table(data: Data, let_go: LetGo = keep) -> pa.Table:
    """The Arrow table that a frame was stored as, its index among the columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # One thread: frames of children are small, and many workers read at once.
    if len(data) < LARGE:
        return pq.ParquetFile(pa.BufferReader(pa.py_buffer(data))).read(use_threads=False)
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)), pre_buffer=False)
    batches = []
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        batches.append(batch)
        let_go()
    return pa.Table.from_batches(batches, file.schema_arrow)


def read_schema(data: Data) -> pa.Schema:
    """The schema of that table, read without the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_schema(pa.BufferReader(pa.py_buffer(data)))


def encode_polars(frame: object) -> Data | None:
    """The polars DataFrame as Parquet, or None where Parquet would not keep it as it is."""
    import polars as pl

    if not isinstance(frame, pl.DataFrame):
        return None
    try:
        sink = io.BytesIO()
        frame.write_parquet(sink)
        data = sink.getvalue()
        if frame.width and all(str(dtype) in _SURE_POLARS for dtype in frame.dtypes):
            return data
        back = decode_polars(data)
        same = frame.shape == back.shape and frame.schema == back.schema and frame.equals(back)
        return data if same else None
    except RefoldError:
        raise
    except pl.exceptions.PanicException:
        return None
    except Exception:
        return None


def decode_polars(data: Data) -> pl.DataFrame:
    """The DataFrame that `encode_polars` encoded."""
    import polars as pl

    return pl.read_parquet(io.BytesIO(data))


def _has_plain_columns(frame: pd.DataFrame) -> bool:
    columns = frame.columns
    return (
        frame.flags.allows_duplicate_labels
        and len(columns) > 0
        and all(type(name) is str for name in columns)
        and columns.is_unique
        and all(name is None or type(name) is str for name in [*columns.names, *frame.index.names])
    )


def _surely_kept(frame: pd.DataFrame) -> bool:
    import pandas as pd

    text = pd.Index(["a"]).dtype
    return (
        type(frame.index) is pd.RangeIndex
        and frame.columns.dtype == text
        and not frame.attrs
        and all(str(dtype) in _SURE_PANDAS or _is_text(dtype, text) for dtype in frame.dtypes)
    )


def _is_text(dtype: object, text: object) -> bool:
    """Whether the dtype is that of strings alone; before pandas 3 there is none such by default."""
    return dtype == text and not is_object(text)


def is_object(dtype: object) -> bool:
    """Whether the dtype is pandas' `object`: cells of any type."""
    return str(dtype) == "object"


def _same(frame: pd.DataFrame, back: pd.DataFrame) -> bool:
    return (
        frame.shape == back.shape
        and _same_index(frame.columns, back.columns)
        and _same_index(frame.index, back.index)
        and all(_same_values(frame.iloc[:, at].array, back.iloc[:, at].array) for at in range(frame.shape[1]))
        and _same_attrs(frame, back)
    )


def _same_attrs(frame: pd.DataFrame, back: pd.DataFrame) -> bool:
    if not frame.attrs and not back.attrs:
        return True
    encoded = encode_plain(frame.attrs)
    return encoded is not None and encoded == encode_plain(back.attrs)


def _same_index(index: pd.Index, back: pd.Index) -> bool:
    import pandas as pd

    if type(index) is not type(back) or list(index.names) != list(back.names):
        return False
    if isinstance(index, pd.MultiIndex) and isinstance(back, pd.MultiIndex):
        levels = range(index.nlevels)
        return all(_same_index(index.get_level_values(at), back.get_level_values(at)) for at in levels)
    if getattr(index, "freq", None) != getattr(back, "freq", None):
        return False
    return _same_values(index.array, back.array)


def _same_values(values: ExtensionArray, back: ExtensionArray) -> bool:
    import pandas as pd

    if values.dtype != back.dtype:
        return False
    if isinstance(values, pd.Categorical) and isinstance(back, pd.Categorical):
        # Categories are equal as dtypes whatever their order.
        return bool((values.codes == back.codes).all()) and _same_index(values.categories, back.categories)
    if is_object(values.dtype):
        return all(_same_cell(cell, other) for cell, other in zip(values, back, strict=True))
    return bool(values.equals(back))  # type: ignore[attr-defined] # the stubs lack it


def _same_cell(cell: object, other: object) -> bool:
    kind = type(cell)
    if kind is not type(other):
        return False
    if kind is str:
        return cell == other
    return kind.__name__ in _SCALARS and repr(cell) == repr(other)
