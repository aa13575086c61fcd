"""The shared-memory cursor: which child a worker is on, and since when.

Written by the worker before and after each call, read by the engine when a worker has died or seems stuck. It tells
exactly which child pays.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

_LAYOUT = struct.Struct("<qqd")
_ASIDE = struct.Struct("<qd")
_SIZE = _LAYOUT.size + _ASIDE.size
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


class Aside(NamedTuple):
    """What a worker has under way beside what it is doing."""

    runs: int
    """How many runs of batches of which many are under way at once."""
    since: float
    """When (monotonic) they were heard of last."""


class Cursor:
    """Forty bytes that two processes share by a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        self.put: PutCursor = partial(_LAYOUT.pack_into, self._map, 0)
        """Notes that the worker is on a child; without a call of ours, since there may be a million."""
        self._pack_aside = _ASIDE.pack_into

    @classmethod
    def create(cls) -> Cursor:
        """A new cursor, at nothing; its descriptor is to be inherited by the worker."""
        descriptor = _memory("refold-cursor")
        try:
            os.truncate(descriptor, _SIZE)
            cursor = cls(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        cursor.put(0, IDLE, 0.0)
        return cursor

    def read(self) -> At:
        """What the worker is on."""
        return At(*_LAYOUT.unpack_from(self._map, 0))

    def put_aside(self, runs: int, since: float) -> None:
        """So many runs are under way beside what the worker is on."""
        self._pack_aside(self._map, _LAYOUT.size, runs, since)

    def read_aside(self) -> Aside:
        """What is under way beside what it is on."""
        return Aside(*_ASIDE.unpack_from(self._map, _LAYOUT.size))

    def close(self) -> None:
        """Gives the memory back."""
        self._map.close()
        os.close(self.descriptor)


def _memory(name: str) -> int:
    """The descriptor of an empty file that has no name and is gone when nobody has it open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    import tempfile  # slow to load, and not needed everywhere

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
