"""Encoded keys of many runs at once: what the run store keys its rows by."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

from refold.scheduler.spaces import AxisItems, index_of


def joined_keys(axes: Sequence[AxisItems], count: int) -> bytes:
    """The encoded keys of `count` runs one after the other, from their items axis by axis."""
    indices = array("I", bytes(4 * len(axes) * count))
    for place, axis in enumerate(axes):
        indices[place :: len(axes)] = array("I", index_of(*axis))
    if sys.byteorder == "little":
        indices.byteswap()
    return indices.tobytes()


def encoded_keys(axes: Sequence[AxisItems], count: int) -> list[bytes]:
    """The encoded key of each of `count` runs."""
    width = 4 * len(axes)
    if not width:
        return [b""] * count
    joined = joined_keys(axes, count)
    return [joined[at : at + width] for at in range(0, len(joined), width)]
