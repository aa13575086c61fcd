"""Rows as JSON, every value as it is.

pandas would cut floats to ten digits when it writes, and make numbers and dates of texts when it reads (`"007"` becomes
7). Without options that only pandas knows, rows go through a JSON library instead, and come back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_A_TIME = 10_000
_decode = msgspec.json.Decoder().decode


def read_json(file: BinaryIO, limit: int | None, options: Mapping[str, object]) -> object:
    """The rows: of a list of objects, of an object of columns, or (`lines`) of an object in each line."""
    import pandas as pd

    if options.keys() - {"lines"}:
        read: Callable[..., object] = pd.read_json
        return read(file, **{"dtype": False, **options})
    if options.get("lines"):
        return pd.DataFrame(list(_rows_of_lines(file, limit)))
    try:
        document = _decoded(file.read())
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise ValueError(f"{error}; if there is an object in each line, give `lines=True`") from error
        raise
    return _frame(document)


def _decoded(text: bytes) -> object:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Slower, and it takes more: other encodings, NaN; what it does not take it can place.
        return json.loads(text)


def _rows_of_lines(file: BinaryIO, limit: int | None) -> Iterator[dict[str, object]]:
    count = 0
    for number, line in enumerate(file, start=1):
        if limit is not None and count >= limit:
            return
        if not line.strip():
            continue
        try:
            row = _decoded(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg} (column {error.colno})") from error
        if not isinstance(row, dict):
            raise TypeError(f"line {number} is not an object")
        count += 1
        yield row


def _frame(document: object) -> pd.DataFrame:
    import pandas as pd

    if isinstance(document, list):
        for number, row in enumerate(document):
            if not isinstance(row, dict):
                raise TypeError(f"element {number} of the list is not an object, so it has no columns")
        return pd.DataFrame(document)
    if isinstance(document, dict) and document and all(isinstance(column, list) for column in document.values()):
        return pd.DataFrame(document)
    if isinstance(document, dict) and document and all(isinstance(column, dict) for column in document.values()):
        frame = pd.DataFrame(document)
        # `DataFrame.to_json` writes columns as objects whose keys are row numbers.
        if all(label.isdecimal() for label in frame.index):
            frame.index = frame.index.astype("int64")
        return frame
    raise TypeError("is neither a list of objects nor an object of columns; `orient=` says how else to take it")


def write_json(frame: pd.DataFrame, file: BinaryIO, options: Mapping[str, object]) -> None:
    """Writes a list of objects, one for each row, or (`lines`) an object a line. What JSON cannot say is null."""
    if options.keys() - {"lines"}:
        write: Callable[..., object] = frame.to_json
        write(file, **{"orient": "records", "date_format": "iso", "double_precision": 15, **options})
        return
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"column `{twice}` is there twice, which an object cannot have")
    encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
    lines = bool(options.get("lines"))
    if not lines:
        file.write(b"[")
    for start in range(0, len(frame), _ROWS_AT_A_TIME):
        part = frame.iloc[start : start + _ROWS_AT_A_TIME]
        rows = part.astype(object).where(part.notna(), None).to_dict("records")
        if lines:
            file.write(encoder.encode_lines(rows))
        else:
            file.write((b",\n" if start else b"\n") + b",\n".join(encoder.encode(row) for row in rows))
    if not lines:
        file.write(b"\n]\n")


def _plain(value: object) -> object:
    """A value that JSON has no word for, as one that it has."""
    import numpy as np
    import pandas as pd

    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (pd.Timestamp, pd.Timedelta, pd.Period)):
        return value.isoformat() if isinstance(value, (pd.Timestamp, pd.Timedelta)) else str(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        plain: object = value.item()
        if isinstance(plain, np.generic):
            return str(value)
        return plain
    if isinstance(value, complex):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
