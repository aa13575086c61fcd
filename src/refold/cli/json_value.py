"""Any output of a block as JSON, for `refold output --json` and `refold run --block-uuid B --json`.

What JSON lacks is written as what a reader would expect: a frame as a list of records, NaN as null, times as ISO 8601.
What nobody would expect anything for is written as its `repr`, and reported, so that nothing changes silently.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Protocol, cast
from uuid import UUID

from refold.model.block import JsonValue


class _Column(Protocol):
    def tolist(self) -> list[object]:
        """Its values as Python's own."""


class _PandasFrame(Protocol):
    columns: Iterable[object]

    def itertuples(self, index: bool, name: None) -> Iterator[tuple[object, ...]]:
        """Rows as tuples."""


class _PandasSeries(Protocol):
    index: _Column

    def tolist(self) -> list[object]:
        """Its values as Python's own."""


class _PolarsFrame(Protocol):
    columns: list[str]

    def iter_rows(self) -> Iterator[tuple[object, ...]]:
        """Rows as tuples."""


class JsonWriter:
    """Turns values into JSON values, and remembers what did not fit."""

    def __init__(self) -> None:
        self.odd: dict[str, int] = {}
        """Types that were written as their `repr`, or keys that were written as text, and how many of each."""

    def convert(self, value: object) -> JsonValue:
        """The value as plain data that `json.dumps` takes."""
        try:
            return self._convert(value)
        except RecursionError:
            return self._odd(value, "values that hold themselves, or are nested too deeply")

    def _convert(self, value: object) -> JsonValue:
        if value is None or type(value) in {str, bool, int}:
            return cast(JsonValue, value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return self._object(value)
        if isinstance(value, list | tuple | deque):
            return [self._convert(inner) for inner in value]
        if isinstance(value, Set):
            return [self._convert(inner) for inner in _ordered(value)]
        library = type(value).__module__.partition(".")[0]
        if library in {"pandas", "numpy", "polars"}:
            return self._library_value(library, value)
        return self._scalar(value)

    def _object(self, value: Mapping[object, object]) -> JsonValue:
        converted = {self._key(key): self._convert(inner) for key, inner in value.items()}
        if len(converted) < len(value):
            return self._odd(value, "mapping with keys such as both 1 and '1'")
        return converted

    def _scalar(self, value: object) -> JsonValue:
        if isinstance(value, Enum):
            return self._convert(value.value)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal | UUID | PurePath):
            return str(value)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return int(value)
        return self._odd(value, type(value).__name__)

    def _library_value(self, library: str, value: object) -> JsonValue:
        kind = type(value).__name__
        if kind in {"NaTType", "NAType"}:
            return None
        if library == "polars" and kind == "DataFrame":
            frame = cast(_PolarsFrame, value)
            return self._records(frame.columns, frame.iter_rows())
        if library == "polars" and kind == "Series":
            return self._convert(list(cast(Iterable[object], value)))
        if kind == "Series":
            return self._series(cast(_PandasSeries, value))
        if library == "pandas" and (kind == "DataFrame" or hasattr(value, "itertuples")):
            pandas = cast(_PandasFrame, value)
            return self._records(pandas.columns, pandas.itertuples(index=False, name=None))
        if kind == "datetime64":
            return None if str(value) == "NaT" else str(value)
        if hasattr(value, "tolist"):
            plain = cast(_Column, value).tolist()
            return self._odd(value, kind) if type(plain) is type(value) else self._convert(plain)
        return self._scalar(value)

    def _records(self, columns: Iterable[object], rows: Iterator[tuple[object, ...]]) -> JsonValue:
        names: list[str] = []
        for column in columns:
            name = base = self._key(column)
            number = 1
            while name in names:
                name, number = f"{base}.{number}", number + 1
            names.append(name)
        return [{name: self._convert(cell) for name, cell in zip(names, row, strict=True)} for row in rows]

    def _series(self, series: _PandasSeries) -> JsonValue:
        """A column of a frame as a list; a row, whose index are the frame's columns, as an object."""
        values = series.tolist()
        labels = series.index.tolist()
        if labels and all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels):
            return {str(label): self._convert(value) for label, value in zip(labels, values, strict=True)}
        return [self._convert(value) for value in values]

    def _key(self, key: object) -> str:
        if isinstance(key, Enum):
            key = key.value
        if isinstance(key, str):
            return str(key)
        if key is None or isinstance(key, bool):
            return {None: "null", True: "true", False: "false"}[key]
        if isinstance(key, datetime | date | time):
            return key.isoformat()
        return str(key)

    def _odd(self, value: object, what: str) -> str:
        self.odd[what] = self.odd.get(what, 0) + 1
        try:
            return repr(value)
        except Exception:
            return object.__repr__(value)


def _ordered(values: Set[object]) -> list[object]:
    """In order where they have one, so that the same set is written the same."""
    try:
        return sorted(values)  # type: ignore[type-var] # what cannot be compared says so
    except TypeError:
        return sorted(values, key=repr)
