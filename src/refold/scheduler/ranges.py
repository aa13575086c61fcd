"""Ranges of run numbers: what events and commands carry instead of one object per child."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""From (inclusive) and to (exclusive)."""
Ranges = tuple[Range, ...]
"""In the order in which they are to run; each holds at least one number, none twice."""


def count(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(stop - start for start, stop in ranges)


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """Every number, range by range."""
    for start, stop in ranges:
        yield from range(start, stop)


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


def stretches(codes: bytes | bytearray, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Maximal stretches of equal bytes as (code, from, to), numbered from `start`."""
    position, end = 0, len(codes)
    while position < end:
        code = codes[position]
        rest = codes[position:].lstrip(codes[position : position + 1])
        stop = end - len(rest)
        yield code, start + position, start + stop
        position = stop
