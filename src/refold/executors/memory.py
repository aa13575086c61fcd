"""How much memory there is: the machine's, and what the control groups around this process leave of it.

The scarcest counts. A container's limit is a control group's, of the second kind (`memory.max`) or of the first
(`memory.limit_in_bytes`); the groups above it have limits, too. Files that are cached are no use of memory here: the
system takes them back. Where the system does not tell (macOS), nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

_MACHINE = Path("/")
_NO_LIMIT = 2**60
"""Bytes from which a limit is none: control groups of the first kind say so."""


class Memory(NamedTuple):
    """What there is, in bytes."""

    free: int
    """What can be had without taking anything from somebody."""
    total: int
    """What there is in all, for those who share it."""
    swap: int = 0
    """What the system could move to the disk before it ends a process."""


class MemorySupply(Protocol):
    """Tells how much memory there is."""

    def look(self) -> Memory | None:
        """What there is now, where it is scarcest; None where that is not known."""

    def kills(self) -> int:
        """How many processes the system has ended for want of memory; only its growth means something."""


class SystemMemory:
    """What the system says, in `/proc` and `/sys`."""

    def __init__(self, root: Path = _MACHINE) -> None:
        """`root` is where the two folders are."""
        self._information = root / "proc/meminfo"
        self._counters = root / "proc/vmstat"
        self._groups = tuple(_groups(root))

    def look(self) -> Memory | None:
        """What there is now, where it is scarcest; None where that is not known."""
        found = [memory for group in self._groups if (memory := group.look()) is not None]
        lines = _numbers(self._information)
        if "MemAvailable:" in lines:
            free, total, swap = (lines.get(f"{key}:", 0) for key in ("MemAvailable", "MemTotal", "SwapFree"))
            found.append(Memory(free * 1024, total * 1024, swap * 1024))
        return min(found, key=lambda memory: memory.free + memory.swap, default=None)

    def kills(self) -> int:
        """How many processes the system has ended for want of memory, counted once or twice each."""
        return _numbers(self._counters).get("oom_kill", 0) + sum(group.kills() for group in self._groups)


class _Group(NamedTuple):
    """Where a control group says what."""

    limit: Path
    used: Path
    statistics: Path
    cached: str
    """What the statistics call cached files that are not in use."""
    events: Path
    """Where its `oom_kill` is counted."""

    def look(self) -> Memory | None:
        """What its limit leaves; None where it has none, or is gone."""
        limit, used = _number(self.limit), _number(self.used)
        if limit is None or used is None or limit >= _NO_LIMIT:
            return None
        cached = _numbers(self.statistics).get(self.cached, 0)
        return Memory(max(0, limit - max(0, used - cached)), limit)

    def kills(self) -> int:
        """How many of its processes were ended."""
        return _numbers(self.events).get("oom_kill", 0)


def _groups(root: Path) -> Iterator[_Group]:
    """The control groups of memory that this process is in, the innermost first."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            for folder in _upwards(mounted / "memory", path):
                yield _first_kind(folder)
        elif not controllers:
            for folder in _upwards(mounted, path):
                yield _second_kind(folder)


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    """A group's folder and those above it. In a container its path may be one that only the host has."""
    folder = mounted / path.lstrip("/")
    if not folder.is_dir() or not folder.is_relative_to(mounted):
        folder = mounted
    while folder != mounted:
        yield folder
        folder = folder.parent
    yield mounted


def _first_kind(folder: Path) -> _Group:
    limit, used = folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"
    return _Group(limit, used, folder / "memory.stat", "total_inactive_file", folder / "memory.oom_control")


def _second_kind(folder: Path) -> _Group:
    limit, used = folder / "memory.max", folder / "memory.current"
    return _Group(limit, used, folder / "memory.stat", "inactive_file", folder / "memory.events")


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _numbers(file: Path) -> dict[str, int]:
    """The lines of a file that are a word and a number."""
    lines = (line.split() for line in _text(file).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def in_words(size: int) -> str:
    """Bytes for people: `640 MB`, `7.9 GB`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            amount = size / unit
            return f"{amount:.1f} {name}" if amount < 10 else f"{amount:.0f} {name}"
    return f"{size} bytes"
