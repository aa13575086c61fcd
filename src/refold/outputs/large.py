"""Large values: from a megabyte on, memory counts.

What is encoded is written from where it lies, never copied together; what is mapped from a file is let go of as soon as
it was looked at, since it counts as this process's memory until then; what a library keeps for later is given back.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

Data = bytes | bytearray | memoryview
"""Encoded bytes, wherever they lie."""
LetGo = Callable[[], None]
"""Lets go of memory that can be filled again from a file: its bytes stay readable."""

LARGE = 2**20
"""Bytes from which a value is large."""

_LEAVE = getattr(mmap, "MADV_DONTNEED", None)


def map_file(descriptor: int, offset: int, length: int) -> tuple[memoryview, LetGo]:
    """So many bytes of an open file from the offset on, and what lets go of those that were looked at."""
    before = offset % mmap.ALLOCATIONGRANULARITY
    mapped = mmap.mmap(descriptor, length + before, access=mmap.ACCESS_READ, offset=offset - before)

    def let_go() -> None:
        if _LEAVE is not None:
            mapped.madvise(_LEAVE)

    return memoryview(mapped)[before:], let_go


def keep() -> None:
    """The `LetGo` of bytes that lie nowhere else."""


def give_back_arrow() -> None:
    """Gives back what Arrow keeps of memory that it no longer needs."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
