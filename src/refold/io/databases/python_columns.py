"""Python values as one column; where they cannot be one, an error that says which column, and what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from refold.errors import BlockError

if TYPE_CHECKING:
    import pyarrow as pa


def array_of(values: Sequence[object], name: str, where: str) -> pa.Array:
    """The values as an Arrow array; None, NaN and NaT are nulls. Raises BlockError for what is not of one type."""
    import pyarrow as pa

    kinds = Counter(type(value) for value in values if value is not None)
    if UUID in kinds and len(kinds) == 1:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    try:
        return with_room(pa.array(values, from_pandas=True))
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        wide = _wide(values, kinds)
        if wide is not None:
            return wide
        raise _not_one_type(kinds, name, where, error) from error


def with_room(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Decimals that have as many digits as there may be: these values do not say how large the next ones are."""
    import pyarrow as pa

    found = column.type
    return column.cast(pa.decimal128(38, found.scale)) if pa.types.is_decimal128(found) else column


def _wide(values: Sequence[object], kinds: Counter[type]) -> pa.Array | None:
    """Whole numbers of more than 64 bits, as decimals; None where they are something else, or too long for that too."""
    import pyarrow as pa

    if set(kinds) != {int}:
        return None
    try:
        return pa.array(values, pa.decimal128(38, 0))
    except (pa.ArrowException, OverflowError):
        return None


def _not_one_type(kinds: Counter[type], name: str, where: str, error: Exception) -> BlockError:
    listed = ", ".join(f"{kind.__name__} ({count} values)" for kind, count in kinds.most_common())
    if len(kinds) > 1:
        return BlockError(
            f"column `{name}` mixes types: {listed}",
            where=where,
            fix="Make it one type, such as text: `df[column].astype(str)`.",
        )
    return BlockError(
        f"column `{name}` holds what a database has no type for: {listed}: {error}",
        where=where,
        fix="Make it text, numbers, dates, or lists and dicts of them.",
    )
