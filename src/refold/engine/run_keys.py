"""Encoded keys of many runs at once: what the run store keys its rows by."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

from refold.scheduler.spaces import AxisItems, index_of


def joined_keys(axes: Sequence[AxisItems], count: int) -> bytes:
    """The encoded keys of `count` runs one after the other, from their items axis by axis."""
    return joined([index_of(*axis) for axis in axes], count)


def joined(columns: Sequence[Sequence[int]], count: int) -> bytes:
    """The encoded keys of `count` runs one after the other, from their indices axis by axis."""
    indices = array("I", bytes(4 * len(columns) * count))
    for place, column in enumerate(columns):
        indices[place :: len(columns)] = array("I", column)
    if sys.byteorder == "little":
        indices.byteswap()
    return indices.tobytes()


def encoded_keys(axes: Sequence[AxisItems], count: int) -> list[bytes]:
    """The encoded key of each of `count` runs."""
    width = 4 * len(axes)
    if not width:
        return [b""] * count
    keys = joined_keys(axes, count)
    return [keys[at : at + width] for at in range(0, len(keys), width)]
