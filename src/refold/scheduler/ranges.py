"""Ranges of run numbers: what events and commands carry instead of one object per child."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap

Range = tuple[int, int]
"""From (inclusive) and to (exclusive)."""
Ranges = tuple[Range, ...]
"""In the order in which they are to run; each holds at least one number, none twice."""


def count(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(stop - start for start, stop in ranges)


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """Every number, range by range."""
    return chain.from_iterable(starmap(range, ranges))


def gather(sorted_numbers: Iterable[int]) -> Ranges:
    """The fewest ranges that hold these ascending numbers."""
    found: list[Range] = []
    start = stop = -1
    for number in sorted_numbers:
        if number == stop:
            stop += 1
            continue
        if stop > start:
            found.append((start, stop))
        start, stop = number, number + 1
    if stop > start:
        found.append((start, stop))
    return tuple(found)


def ranges_of(listed: Sequence[int]) -> Ranges:
    """The same of a sequence, at once where it is a range."""
    if isinstance(listed, range) and listed.step == 1:
        return ((listed.start, listed.stop),) if listed else ()
    return gather(listed)


def without_first(ranges: Ranges, passed: int) -> Ranges:
    """The ranges without the first so many numbers."""
    found: list[Range] = []
    for start, stop in ranges:
        skipped = min(passed, stop - start)
        passed -= skipped
        if start + skipped < stop:
            found.append((start + skipped, stop))
    return tuple(found)


def marked(marks: bytes | bytearray, start: int = 0) -> Ranges:
    """The ranges of numbers whose byte is 1 rather than 0, numbered from `start`."""
    found: list[Range] = []
    begin = marks.find(1)
    while begin >= 0:
        end = marks.find(0, begin)
        end = len(marks) if end < 0 else end
        found.append((start + begin, start + end))
        begin = marks.find(1, end)
    return tuple(found)


def stretches(codes: bytes | bytearray, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Maximal stretches of equal bytes as (code, from, to), numbered from `start`."""
    position, end = 0, len(codes)
    while position < end:
        stop = _end_of_stretch(codes, position, end)
        yield codes[position], start + position, start + stop
        position = stop


def _end_of_stretch(codes: bytes | bytearray, position: int, end: int) -> int:
    """Where the bytes end that are equal to the one here: looks at ever more of them at once, and copies few."""
    code, looked_at = codes[position], 16
    position += 1
    if position < end and codes[position] != code:
        return position
    while position < end:
        until = min(end, position + looked_at)
        if codes.count(code, position, until) < until - position:
            return until - len(codes[position:until].lstrip(bytes((code,))))
        position, looked_at = until, 4 * looked_at
    return end
