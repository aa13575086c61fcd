"""Puts data frames of one library together, as `reduce: concat` asks (design 2.4).

Rows stand in the order of the frames and are numbered anew. A column that only some frames have is there for all, empty
in the others; a column that has several types gets the one that its library finds for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from refold.languages.frames import FrameLibrary

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def concatenate(frames: Sequence[object], library: FrameLibrary) -> object:
    """One frame of these, one or more, all of this library. Raises what the library raises when it finds none."""
    return _JOINS[library](frames)


def concatenate_alike(frames: Sequence[object], library: FrameLibrary) -> list[object]:
    """The frames, those next to each other that have the same columns and types made one.

    Together with frames yet to come they make the same frame as each of them would: types are weighed once.
    """
    columns = _COLUMNS[library]
    return [concatenate(list(alike), library) for _, alike in itertools.groupby(frames, columns)]


def _join_pandas(frames: Sequence[object]) -> object:
    import pandas as pd

    return pd.concat(cast("Sequence[pd.DataFrame]", frames), ignore_index=True)


def _join_polars(frames: Sequence[object]) -> object:
    import polars as pl

    return pl.concat(cast("Sequence[pl.DataFrame]", frames), how="diagonal_relaxed")


def _join_arrow(frames: Sequence[object]) -> object:
    import pyarrow as pa

    joined: object = pa.concat_tables(frames, promote_options="permissive")
    return joined


def _pandas_columns(frame: object) -> Hashable:
    pandas = cast("pd.DataFrame", frame)
    labels = pandas.columns
    return type(pandas), tuple(labels), labels.dtype, tuple(labels.names), tuple(pandas.dtypes)


def _polars_columns(frame: object) -> Hashable:
    polars = cast("pl.DataFrame", frame)
    return type(polars), tuple(polars.schema.items())


def _arrow_columns(frame: object) -> Hashable:
    import pyarrow as pa

    schema = cast("pa.Table", frame).schema
    return type(frame), schema, tuple(sorted((schema.metadata or {}).items()))


_JOINS: Mapping[FrameLibrary, Callable[[Sequence[object]], object]] = {
    FrameLibrary.PANDAS: _join_pandas,
    FrameLibrary.POLARS: _join_polars,
    FrameLibrary.PYARROW: _join_arrow,
}
_COLUMNS: Mapping[FrameLibrary, Callable[[object], Hashable]] = {
    FrameLibrary.PANDAS: _pandas_columns,
    FrameLibrary.POLARS: _polars_columns,
    FrameLibrary.PYARROW: _arrow_columns,
}
