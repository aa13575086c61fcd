"""Values of blocks as R values: what an R block's function gets, and `global_vars`.

A dict becomes a data.frame of one row; frames, and lists of frames or dicts, a data.frame; other lists a vector where
their elements are of one kind, else a list. Deeper down a dict is a named list. Dates, times and durations keep their
classes; whole numbers that R's doubles cannot hold exactly become text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID

from refold.errors import BlockError
from refold.io.databases.arrow_tables import to_arrow
from refold.languages.concatenation import concatenate
from refold.languages.description import describe
from refold.languages.frames import FrameLibrary, series_library, table_library
from refold.languages.r.arrow_columns import frame_of
from refold.languages.r.xdr_writer import (
    CHARACTER,
    NA_CHARACTER,
    NULL,
    RAW,
    Pieces,
    character,
    data_frame,
    integers,
    listed,
    logicals,
    reals,
    text,
    vector,
)
from refold.ports.output_store import StoredElements

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_EPOCH_DAY = date(1970, 1, 1).toordinal()
EXACT = 2**53
"""Up to here doubles hold every whole number."""


class _Series(Protocol):
    """As much of pandas.Series as is used."""

    def items(self) -> Iterable[tuple[object, object]]: ...


class NotForRError(BlockError):
    """Raised for a value that R has nothing like."""


def argument(value: object, where: str) -> Pieces:
    """What an upstream gave, as an argument; `where` says which, for errors. Raises BlockError for what is no data."""
    if isinstance(value, StoredElements):
        value = list(cast("Iterable[object]", value))
    if series_library(value) is FrameLibrary.PANDAS:
        value = _row(cast("_Series", value))
    if isinstance(value, dict):
        return data_frame({str(key): _column(element, f"{where}, `{key}`") for key, element in value.items()}, 1)
    if table_library(value) is not None:
        return _frame(value, where)
    if isinstance(value, list):
        return _list(value, where)
    return _value(value, where)


def variables(values: Mapping[str, object]) -> Pieces:
    """A named list; what R has nothing like is left out."""
    kept: dict[str, Pieces] = {}
    for name, value in values.items():
        try:
            kept[name] = argument(value, name) if table_library(value) is not None else _value(value, name)
        except NotForRError:
            continue
    return listed([*kept.values()], [*kept])


def _frame(value: object, where: str) -> Pieces:
    """One frame, its categories kept, which are nothing to a database."""
    import pyarrow as pa

    try:
        if isinstance(value, pa.Table):
            return frame_of(value, _nested)
        if table_library(value) is FrameLibrary.PANDAS:
            return frame_of(pa.Table.from_pandas(cast("pd.DataFrame", value), preserve_index=False), _nested)
        return frame_of(cast("pl.DataFrame", value).to_arrow(), _nested)
    except pa.ArrowException:  # cells of several kinds in a column, of which more is known elsewhere
        return frame_of(to_arrow(value, where), _nested)


def _row(row: _Series) -> dict[object, object]:
    """A frame's row; in one a missing value is NaN, whatever its column holds."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def _list(values: list[object], where: str) -> Pieces:
    """A data.frame of what has columns, None being no row; else a vector or list."""
    rows = [each for each in values if each is not None]
    libraries = {table_library(each) for each in rows}
    if len(libraries) == 1 and (library := libraries.pop()) is not None:
        return _frame(concatenate(rows, library), where)
    if rows and all(isinstance(each, dict) or series_library(each) or table_library(each) for each in rows):
        return frame_of(to_arrow(rows, where), _nested)
    return _value(values, where)


def _nested(value: object) -> Pieces:
    return _value(value, "an element of a column")


def _column(value: object, where: str) -> Pieces:
    """A column of one row."""
    found = _vector([_plain(value)])
    return listed([_value(value, where)]) if found is None else found


def _value(value: object, where: str) -> Pieces:
    value = _plain(value)
    if value is None:
        return NULL
    if isinstance(value, dict):
        return listed([_value(each, where) for each in value.values()], [str(key) for key in value])
    if isinstance(value, (bytes, bytearray)):
        return vector(RAW, len(value), [bytes(value)])
    if isinstance(value, (list, tuple, set, frozenset, StoredElements)):
        elements = [_plain(each) for each in cast("Iterable[object]", value)]
        found = _vector(elements) if elements else None
        return listed([_value(each, where) for each in elements]) if found is None else found
    if table_library(value) is not None:
        return _frame(value, where)
    found = _vector([value])
    if found is None:
        raise NotForRError(
            f"{where} holds a {describe(value)}, which R has nothing like",
            fix="Give R numbers, text, dates, lists, dicts or frames.",
        )
    return found


def _plain(value: object) -> object:
    """Values of numpy and pandas, and those that are written otherwise in R, as Python's own."""
    if value is None or isinstance(value, (bool, int, float, str, list, dict, bytes)):
        return float(value) if type(value).__module__ == "numpy" and isinstance(value, float) else value
    if isinstance(value, datetime):
        return None if value != value else value  # pandas' NaT
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (UUID, time)):
        return str(value)
    root = type(value).__module__.partition(".")[0]
    if root == "pandas" and type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if root == "numpy" and hasattr(value, "tolist"):
        plain: object = value.tolist()
        return plain
    if series_library(value) is FrameLibrary.PANDAS:
        return _row(cast("_Series", value))
    return list(cast("Iterable[object]", value)) if series_library(value) is FrameLibrary.POLARS else value


def _vector(values: Sequence[object]) -> Pieces | None:
    """A vector of these, None for NA; None where they are not of one kind."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return logicals([None] * len(values))
    for known, write in _WRITERS:
        if all(issubclass(kind, known) for kind in kinds) and (bool not in kinds or known is bool):
            return write(values)
    return None


def _numbers(values: Sequence[object]) -> Pieces:
    numbers = [value for value in values if isinstance(value, (int, float))]
    whole = [value for value in numbers if isinstance(value, int)]
    if whole and (max(whole) > EXACT or min(whole) < -EXACT):
        return character([None if value is None else _digits(value) for value in values])
    if len(whole) == len(numbers) and max(whole) < 2**31 and min(whole) > -(2**31):
        return integers([value if isinstance(value, int) else None for value in values])
    return reals([float(value) if isinstance(value, (int, float)) else None for value in values])


def _digits(value: object) -> str:
    return repr(value) if isinstance(value, float) and not math.isnan(value) else str(value)


def _logicals(values: Sequence[object]) -> Pieces:
    return logicals([value if isinstance(value, bool) else None for value in values])


def _texts(values: Sequence[object]) -> Pieces:
    return vector(CHARACTER, len(values), [NA_CHARACTER if each is None else text(str(each)) for each in values])


def _times(values: Sequence[object]) -> Pieces:
    zones = {_zone(value) for value in values if isinstance(value, datetime)}
    seconds = [_seconds(value) if isinstance(value, datetime) else None for value in values]
    return reals(seconds, time_attributes(zones.pop() if len(zones) == 1 else "UTC"))


def time_attributes(zone: str) -> dict[str, Pieces]:
    """What makes seconds since the epoch times of this zone; '': of none."""
    return {"class": character(["POSIXct", "POSIXt"]), **({"tzone": character([zone])} if zone else {})}


def _zone(value: datetime) -> str:
    if value.tzinfo is None:
        return ""
    return str(getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None) or "UTC")


def _seconds(value: datetime) -> float:
    if value.tzinfo is None:
        return (value - datetime(1970, 1, 1)) / timedelta(seconds=1)
    return value.timestamp()


def _dates(values: Sequence[object]) -> Pieces:
    days = [float(value.toordinal() - _EPOCH_DAY) if isinstance(value, date) else None for value in values]
    return reals(days, {"class": character(["Date"])})


def _durations(values: Sequence[object]) -> Pieces:
    seconds = [value / timedelta(seconds=1) if isinstance(value, timedelta) else None for value in values]
    return reals(seconds, {"class": character(["difftime"]), "units": character(["secs"])})


_WRITERS: Sequence[tuple[type | tuple[type, ...], Callable[[Sequence[object]], Pieces]]] = (
    (bool, _logicals),
    ((int, float), _numbers),
    (str, _texts),
    (datetime, _times),
    (date, _dates),
    (timedelta, _durations),
)
"""In this order: a bool is an int, and a datetime a date."""
