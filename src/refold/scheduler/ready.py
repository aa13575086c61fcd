"""The runs of a block that could be handed out, smallest number first."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from refold.scheduler.ranges import Range, Ranges


class ReadyRuns:
    """A heap of ranges. A run that was settled meanwhile stays in it; `take` passes over those it is told of."""

    __slots__ = ("_heap", "size")

    def __init__(self) -> None:
        self._heap: list[Range] = []
        self.size = 0
        """How many runs it holds, settled ones included."""

    def add(self, start: int, stop: int) -> None:
        """Adds a range that it does not hold."""
        heapq.heappush(self._heap, (start, stop))
        self.size += stop - start

    def take(self, limit: int, status: bytearray, initial: int) -> Ranges:
        """Removes and returns up to `limit` runs whose status is `initial`, in as few ranges as can be."""
        taken: list[Range] = []
        while limit > 0 and self._heap:
            start, stop = heapq.heappop(self._heap)
            self.size -= stop - start
            while start < stop and limit > 0:
                if status[start] != initial:
                    start += 1
                    continue
                end = min(stop, start + limit)
                if status.count(initial, start, end) != end - start:
                    end = start + 1
                    while status[end] == initial:
                        end += 1
                if taken and taken[-1][1] == start:
                    taken[-1] = (taken[-1][0], end)
                else:
                    taken.append((start, end))
                limit -= end - start
                start = end
            if start < stop:
                self.add(start, stop)
        return tuple(taken)

    def take_named(self, runs: Ranges) -> None:
        """These are handed out, wherever they are."""

    def over(self, start: int, stop: int) -> None:
        """Runs `start` to `stop` are not under way any more."""

    def first(self) -> int | None:
        """The smallest number that it holds."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Range:
        """Removes and returns the range with the smallest number."""
        start, stop = heapq.heappop(self._heap)
        self.size -= stop - start
        return start, stop

    def held(self) -> Ranges:
        """All it holds, for checks."""
        return tuple(sorted(self._heap))

    def validate(self, under_way: Sequence[int]) -> None:  # noqa: ARG002 - as `LimitedRuns`
        """Raises AssertionError where it does not count right."""
        assert self.size == sum(stop - start for start, stop in self._heap), "runs held"
