"""Rows of a DataFrame, one at a time: what the children of a block that returned a frame receive.

The frame is stored whole; a row is cut from it when it is asked for, and is the asker's own to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from refold.errors import StoreError
from refold.outputs.codecs import decode, encode
from refold.outputs.frames import is_object

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def count_rows(frame: object) -> int:
    """How many rows the pandas or polars DataFrame has. Raises StoreError for anything else."""
    pandas = _as_pandas(frame)
    if pandas is not None:
        return len(pandas)
    polars = _as_polars(frame)
    if polars is not None:
        return polars.height
    raise StoreError(f"rows can be taken from a pandas or polars DataFrame, not from a {type(frame).__name__}")


def row_reader(frame: object) -> Callable[[int], object]:
    """A function of a row's number: its Series (pandas) or dict (polars), fresh at each call (design 2.1)."""
    pandas = _as_pandas(frame)
    if pandas is not None:
        if any(is_object(dtype) for dtype in pandas.dtypes):
            # Cells may be lists or dicts, which a copy of the row would still share.
            return lambda number: decode(*encode(pandas.iloc[number]))
        return lambda number: pandas.iloc[number].copy()
    polars = _as_polars(frame)
    if polars is None:
        raise StoreError(f"a stored frame is a {type(frame).__name__}, not a DataFrame")
    if any(dtype.base_type().__name__ == "Object" for dtype in polars.dtypes):
        return lambda number: decode(*encode(polars.row(number, named=True)))
    return lambda number: polars.row(number, named=True)


def row_digests(frame: object) -> Iterable[bytes]:
    """For each row eight bytes that depend on its values, its index, and the columns' names and dtypes alone."""
    pandas = _as_pandas(frame)
    if pandas is not None:
        return _pandas_digests(pandas)
    polars = _as_polars(frame)
    if polars is None:
        raise StoreError(f"a {type(frame).__name__} has no rows")
    head = blake2b(repr(list(polars.schema.items())).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return (_digest(head, row) for row in polars.iter_rows())


def _pandas_digests(frame: pd.DataFrame) -> Iterable[bytes]:
    import pandas as pd

    shape = (list(frame.columns), [_dtype_name(dtype) for dtype in frame.dtypes], list(frame.index.names))
    head = blake2b(encode(list(shape))[1], digest_size=16).digest()
    flat = not isinstance(frame.index, pd.MultiIndex)
    # pandas hashes objects by their text, so that 1 and "1" would be the same row.
    if flat and "object" not in " ".join([*shape[1], _dtype_name(frame.index.dtype)]):
        hashes = pd.util.hash_pandas_object(frame).to_numpy().astype("<u8").tobytes()
        chunks = (hashes[at : at + 8] for at in range(0, len(hashes), 8))
        return (blake2b(head + chunk, digest_size=8).digest() for chunk in chunks)
    columns = [frame.iloc[:, at].tolist() for at in range(frame.shape[1])]
    return (_digest(head, row) for row in zip(frame.index.tolist(), *columns, strict=True))


def _dtype_name(dtype: object) -> str:
    categories = getattr(dtype, "categories", None)
    return str(dtype) if categories is None else f"{dtype} of {categories.dtype}"


def _digest(head: bytes, row: Iterable[object]) -> bytes:
    codec, data = encode(list(row))
    return blake2b(head + bytes((codec,)) + data, digest_size=8).digest()


def _as_pandas(frame: object) -> pd.DataFrame | None:
    if not any(kind.__module__.startswith("pandas") for kind in type(frame).__mro__):
        return None
    import pandas as pd

    return frame if isinstance(frame, pd.DataFrame) else None


def _as_polars(frame: object) -> pl.DataFrame | None:
    if not any(kind.__module__.startswith("polars") for kind in type(frame).__mro__):
        return None
    import polars as pl

    return frame if isinstance(frame, pl.DataFrame) else None
