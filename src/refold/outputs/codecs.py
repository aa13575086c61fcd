"""Codecs: a value as bytes and back, each value by the plainest form that keeps it exactly.

    JSON      values that survive it faithfully (`refold.outputs.plain`)
    PANDAS    Parquet of a pandas DataFrame, index and dtypes kept
    POLARS    Parquet of a polars DataFrame
    PICKLE    everything else: protocol 5, by cloudpickle where pickle cannot

The codec is one byte beside the value and never guessed: only what was stored as a pickle is ever unpickled.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Final

import msgspec

from refold.errors import RefoldError, StoreError
from refold.outputs.frames import decode_pandas, decode_polars, encode_pandas, encode_polars, frame_library
from refold.outputs.large import Data, LetGo, keep
from refold.outputs.pickles import encode_pickle
from refold.outputs.plain import encode_plain

JSON: Final = 0
PANDAS: Final = 1
POLARS: Final = 2
PICKLE: Final = 3

SUFFIXES: Final = {JSON: "json", PANDAS: "parquet", POLARS: "parquet", PICKLE: "pkl"}
"""Suffix of a file that holds bytes of this codec."""

_decode_json = msgspec.json.Decoder().decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def encode(value: object) -> tuple[int, Data]:
    """The value's codec and bytes.

    Raises StoreError, saying what in the value it is and where, when no codec can keep it: generators, open files,
    locks, connections.
    """
    data: Data | None = encode_plain(value)
    if data is not None:
        return JSON, data
    library = frame_library(value)
    if library == "pandas":
        data = encode_pandas(value)
        if data is not None:
            return PANDAS, data
    elif library == "polars":
        data = encode_polars(value)
        if data is not None:
            return POLARS, data
    return PICKLE, encode_pickle(value)


def decode(codec: int, data: Data, let_go: LetGo = keep) -> object:
    """A fresh copy of the value that `encode` encoded.

    `let_go` lets go of the memory that the bytes take, where they can be read again from a file; called now and then.
    Raises StoreError when the value cannot be read back.
    """
    try:
        if codec == JSON:
            return _decode_json(data)
        if codec == PICKLE:
            return pickle.loads(data)
        if codec == PANDAS:
            return decode_pandas(data, let_go)
        if codec == POLARS:
            return decode_polars(data)
    except RefoldError:
        raise
    except Exception as error:
        raise StoreError(
            f"a stored value cannot be read back: {type(error).__name__}: {error}",
            fix="Classes and libraries that the value is made of must be importable where it is read.",
        ) from error
    raise StoreError(f"a stored value has the unknown codec {codec}", fix="It was written by a newer Refold.")


def list_reader(data: Data) -> Callable[[int], object]:
    """A function of a number: that element of a list stored as JSON, decoded anew at each call."""
    elements = _split_list(data)
    return lambda number: _decode_json(elements[number])
