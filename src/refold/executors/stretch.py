"""What comes one right after the other, noted without a lock by the one thread that executes children.

There may be a million runs, or items that a run yields. What is noted counts from the last step of noting it; whoever
publishes takes what counts, in whichever thread. Each step of both is one call into C, during which the interpreter
changes no thread.
"""

from __future__ import annotations

import time
from array import array
from typing import NamedTuple

_AT_ONCE = 2e-5
"""Seconds within which two clocks are asked for the time together."""


def epoch() -> float:
    """What a time of this process's clock is to be added to, so that it is one in seconds since the epoch."""
    for _ in range(3):
        before, now, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < _AT_ONCE:  # else the process was interrupted in between
            break
    return now - (before + after) / 2


class Noted(NamedTuple):
    """Runs that were taken out of a stretch, as columns."""

    start: int
    """Position of the first."""
    stop: int
    texts: list[bytes]
    lengths: list[int]
    started: array[float]
    """Seconds since the epoch; so is `ended`."""
    ended: array[float]


class Stretch:
    """The runs from one position on: their outputs, and when each ended, which is when the next one began."""

    __slots__ = ("began", "due", "ended", "lengths", "position", "texts")

    texts: list[bytes]
    """Each output, as JSON; added first."""
    lengths: list[int]
    """Of each that is a list how many elements it has, else NO_LIST."""
    ended: list[float]
    """When (monotonic) each ended; added last."""
    position: int
    """Of the first run in it, or of the next one."""
    began: float
    """When (monotonic) that one began."""
    due: float
    """When (monotonic) who notes runs is to ask the reporter whether they are to be published."""

    def __init__(self) -> None:
        self.texts = []
        self.lengths = []
        self.ended = []
        self.position = 0
        self.began = self.due = 0.0

    def go_on(self, position: int, began: float) -> None:
        """Nothing is in it; this is the next run, which began then."""
        del self.texts[:], self.lengths[:]  # of a run whose noting was interrupted
        self.position = position
        self.began = began

    def take(self) -> Noted | None:
        """Takes what counts; None where nothing does."""
        count = len(self.ended)
        if not count:
            return None
        texts, lengths, ended = self.texts[:count], self.lengths[:count], self.ended[:count]
        del self.texts[:count], self.lengths[:count], self.ended[:count]
        times = array("d", map(epoch().__add__, (self.began, *ended)))
        start = self.position
        self.position += count
        self.began = ended[-1]
        return Noted(start, self.position, texts, lengths, times[:-1], times[1:])


class Yields:
    """The items of one run from one index on, all plain and without metadata."""

    __slots__ = ("due", "index", "position", "texts")

    texts: list[bytes]
    """The items that are not published, as JSON."""
    position: int
    """The run's."""
    index: int
    """That of the first of them, or of the next one."""
    due: float
    """As a stretch's."""

    def __init__(self, position: int, index: int) -> None:
        self.texts = []
        self.position = position
        self.index = index
        self.due = 0.0

    def take(self) -> tuple[int, list[bytes]]:
        """Takes what there is: the index of the first, and each one's JSON."""
        count = len(self.texts)
        texts = self.texts[:count]
        del self.texts[:count]
        start = self.index
        self.index += count
        return start, texts
