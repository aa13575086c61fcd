"""How much memory a process has.

Pages of files are told apart: outputs that are read are mapped, and the system takes such pages back when it needs
them. Where the system does not tell of other processes (macOS), nothing is known of them.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from typing import NamedTuple

_STATUS = 4096
"""Bytes; `/proc/<pid>/status` is shorter."""


class Footprint(NamedTuple):
    """The memory of a process, in bytes."""

    own: int
    """What the system cannot take back: what is its alone, and what it shares with others in memory."""
    files: int = 0
    """Pages of files."""
    most: int = 0
    """The most of both together since `forget_peak`."""


def footprint_of(process: int) -> Footprint | None:
    """The memory of a process; None when there is none of this id, and where the system does not tell."""
    return _read(f"/proc/{process}/status")


def own_footprint() -> Footprint:
    """The memory of this process. Where the system does not tell, the most that it ever had."""
    found = _read("/proc/self/status")
    if found is not None:
        return found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Footprint(most, 0, most)


def forget_peak() -> None:
    """From now on `most` is the most that this process has from now on."""
    with suppress(OSError):
        file = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, b"5")
        finally:
            os.close(file)


def memory_of_tree(process: int) -> int:
    """What a process and all that it has started have of their own, in bytes; 0 when it is gone."""
    found = footprint_of(process)
    return 0 if found is None else found.own + sum(memory_of_tree(child) for child in _children(process))


def _children(process: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it ends meanwhile
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _read(path: str) -> Footprint | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(file, _STATUS)
    except OSError:  # the process has ended meanwhile
        return None
    finally:
        os.close(file)
    own = _kilobytes(text, b"RssAnon:") + _kilobytes(text, b"RssShmem:")
    return Footprint(own * 1024, _kilobytes(text, b"RssFile:") * 1024, _kilobytes(text, b"VmHWM:") * 1024)


def _kilobytes(text: bytes, key: bytes) -> int:
    start = text.find(key)
    return 0 if start < 0 else int(text[start + len(key) : text.index(b"\n", start)].split()[0])
