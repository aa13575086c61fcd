"""A few bytes for each run of a block: a digest, a fingerprint, a mark. A dict would take ten times as much of each."""

from __future__ import annotations

from refold.scheduler.ranges import Range, Ranges, marked

_OTHERS = b"\1\0" + bytes(254)
"""By mark: whether it is none."""


class ByteColumn:
    """So many bytes for each of those runs that have them, by number."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values = bytearray()
        self._known = bytearray()

    def __getitem__(self, run: int) -> bytes | None:
        """The bytes of one run; None where it has none."""
        if run >= len(self._known) or not self._known[run]:
            return None
        return bytes(self._values[self._size * run : self._size * (run + 1)])

    def put(self, start: int, values: bytes) -> None:
        """The bytes of runs from `start` on, one run's after the other's."""
        count = len(values) // self._size
        missing = start + count - len(self._known)
        if missing > 0:
            self._known.extend(bytes(missing))
            self._values.extend(bytes(self._size * missing))
        self._known[start : start + count] = b"\1" * count
        self._values[self._size * start : self._size * (start + count)] = values


class Marks:
    """Runs that are marked, by number."""

    def __init__(self) -> None:
        self._marks = bytearray()

    def __contains__(self, run: int) -> bool:
        return run < len(self._marks) and self._marks[run] == 1

    def __bool__(self) -> bool:
        return bool(self._marks)

    def add(self, start: int, stop: int) -> None:
        """Marks the runs `start` to `stop`."""
        missing = stop - len(self._marks)
        if missing > 0:
            self._marks.extend(bytes(missing))
        self._marks[start:stop] = b"\1" * (stop - start)

    def any_of(self, ranges: Ranges) -> bool:
        """Whether one of these is marked."""
        return any(self._marks.find(1, start, stop) >= 0 for start, stop in ranges)

    def unmarked(self, ranges: Ranges) -> Ranges:
        """Those of some runs that are not marked."""
        found: list[Range] = []
        for start, stop in ranges:
            known = self._marks[start:stop]
            found += marked(known.translate(_OTHERS), start)
            if start + len(known) < stop:
                found.append((start + len(known), stop))
        return tuple(found)
