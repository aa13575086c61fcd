"""Values of blocks as Arrow tables, which is how rows go into databases, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_arrow(value: object, where: str) -> pa.Table:
    """The rows that a value has; `where` says whose value it is, for errors.

    A frame or Arrow table is its rows, a dict or pandas Series one row, a list of dicts or Series a row each, a list of
    frames their rows one after the other, any other list or single value a column `value`. Raises BlockError for what
    has no columns that a database could take.
    """
    import pandas as pd
    import pyarrow as pa

    del where
    if isinstance(value, pd.Series):
        value = value.to_dict()
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        return pa.Table.from_pylist(value)
    return pa.Table.from_pandas(value, preserve_index=False)


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """The rows as blocks get them: exact numbers as floats, as `pandas.read_sql` gives them."""
    return rows.to_pandas()
