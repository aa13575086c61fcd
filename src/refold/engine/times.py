"""When runs began and ended, as reports tell it: columns, which become rows as they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain

from refold.scheduler.ranges import Ranges, numbers

Moments = tuple[float | None, float | None]
"""When a run began and ended; None where nobody knows."""


class Times:
    """The times of some runs of one block: those of a report, and of single runs."""

    def __init__(self, ranges: Ranges = (), started: Sequence[float] = (), ended: Sequence[float] = ()) -> None:
        """Times of the runs in `ranges`, one each, in their order."""
        self._ranges = ranges
        self._before: Sequence[int] = ()
        """For each range, how many times are told of those before it; empty until somebody asks."""
        self._at = 0
        """The range that was found last: the next one asked for is often just behind."""
        self._started = started
        self._ended = ended
        self._single: dict[int, Moments] = {}
        self._looked_up = False

    def __bool__(self) -> bool:
        return bool(self._ranges or self._single)

    def put(self, run: int, moments: Moments) -> None:
        """The times of one run more."""
        self._single[run] = moments

    def columns(self, start: int, stop: int) -> tuple[Sequence[float], Sequence[float]] | None:
        """When the runs `start` to `stop` began and ended; None unless the report tells of them one after the other."""
        if not self._before:
            self._before = (0, *accumulate(high - low for low, high in self._ranges))
        places = range(len(self._ranges))
        for place in chain(places[self._at :], places[: self._at]):
            low, high = self._ranges[place]
            if low <= start and stop <= high:
                self._at = place
                at = self._before[place] + start - low
                return self._started[at : at + stop - start], self._ended[at : at + stop - start]
        return None

    def each(self, runs: Sequence[int], unknown: Moments) -> list[Moments]:
        """The times of each of these runs; `unknown` for those of which nothing is told."""
        if not self._looked_up:
            self._looked_up = True
            told = zip(self._started, self._ended, strict=True)
            self._single.update(zip(numbers(self._ranges), told, strict=True))
        return [self._single.get(run, unknown) for run in runs]
