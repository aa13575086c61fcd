"""The shared-memory cursor: which child a worker is on, and since when.

Written by the worker before and after each call, read by the engine when a worker has died or seems stuck. It tells
exactly which child pays.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Callable
from typing import NamedTuple

_LAYOUT = struct.Struct("<qqd")
IDLE = -1
"""The position of a worker that is between children."""
MANY = -2
"""The position of a worker that runs several children at once; since when it heard of none of them."""
LOADING = -3
"""The position of a worker that loads a block's code: if it dies of that, all the batch's children would."""
FOLDING = -4
"""The position of a worker that folds ahead: no child is at work."""

PutCursor = Callable[[int, int, float], None]
"""Notes which child is being executed: batch, position, since when (monotonic seconds)."""


class At(NamedTuple):
    """What a worker is doing."""

    batch: int
    position: int
    since: float
    """Monotonic seconds."""


class Cursor:
    """Twenty-four bytes that two processes share by a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, _LAYOUT.size)
        self._pack_into = _LAYOUT.pack_into

    @classmethod
    def create(cls) -> Cursor:
        """A new cursor, at nothing; its descriptor is to be inherited by the worker."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
        file.truncate(_LAYOUT.size)
        cursor = cls(os.dup(file.fileno()))
        file.close()
        cursor.put(0, IDLE, 0.0)
        return cursor

    def put(self, batch: int, position: int, since: float) -> None:
        """The worker is on this child."""
        self._pack_into(self._map, 0, batch, position, since)

    def read(self) -> At:
        """What the worker is on."""
        return At(*_LAYOUT.unpack_from(self._map, 0))

    def close(self) -> None:
        """Gives the memory back."""
        self._map.close()
        os.close(self.descriptor)
