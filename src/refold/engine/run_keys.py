"""Encoded keys of many runs at once: what the run store keys its rows by."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence

from refold.scheduler.spaces import AxisItems, index_of


def encoded_keys(axes: Sequence[AxisItems], count: int) -> list[bytes]:
    """The encoded key of each of `count` runs, from their items axis by axis."""
    columns = [index_of(*axis) for axis in axes]
    if not columns:
        return [b""] * count
    if len(columns) == 1:
        data = array("I", columns[0])
        if sys.byteorder == "little":
            data.byteswap()
        blob = data.tobytes()
        return [blob[at : at + 4] for at in range(0, len(blob), 4)]
    pack = struct.Struct(f">{len(columns)}I").pack
    return [pack(*key) for key in zip(*columns, strict=True)]
