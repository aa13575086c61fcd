"""The combinations of a product that are due, and one of them after the other.

A position of a factor is *resolved* when its upstream's outcome for it is known. Each stretch of newly resolved
positions makes one box: that stretch, combined with all that the other factors had resolved before. The boxes together
hold every combination once; nothing is allocated until a combination is taken (design 2.3, "products are lazy").
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from refold.scheduler.ranges import stretches


@dataclass(slots=True)
class _Box:
    """Combinations of slices of the factors' resolved lists."""

    rows: Iterator[tuple[int, ...]]
    """Places in the resolved lists of all factors but the last."""
    last: tuple[int, int]
    """Slice of the last factor's resolved list."""
    row: tuple[int, ...] | None = None
    """The row that is being taken, None before the first."""
    place: int = 0
    """Where in `last` that row goes on."""


class ProductCursor:
    """Gives a product block's combinations in bounded portions."""

    def __init__(self, factors: int) -> None:
        self.resolved = tuple(array("I") for _ in range(factors))
        """For each factor, its resolved positions, in the order in which they were resolved."""
        self.outcomes = tuple(bytearray() for _ in range(factors))
        """For each factor and position, how it resolved: 0 not yet, else an outcome's code."""
        self._overruled: tuple[dict[int, int], ...] = tuple({} for _ in range(factors))
        """For each factor, positions whose outcome is known whatever they resolve to."""
        self._boxes: deque[_Box] = deque()

    def __bool__(self) -> bool:
        return bool(self._boxes)

    def resolve(self, factor: int, start: int, stop: int, outcome: int) -> None:
        """Positions `start` to `stop` of a factor are resolved."""
        outcomes, resolved = self.outcomes[factor], self.resolved[factor]
        if len(outcomes) < stop:
            outcomes.extend(bytes(stop - len(outcomes)))
        outcomes[start:stop] = bytes((outcome,)) * (stop - start)
        for position in range(start, stop) if self._overruled[factor] else ():
            outcomes[position] = self._overruled[factor].get(position, outcome)
        before = len(resolved)
        resolved.extend(range(start, stop))
        spans = [(0, len(column)) for column in self.resolved]
        spans[factor] = (before, len(resolved))
        if all(low < high for low, high in spans):
            self._boxes.append(_Box(product(*(range(*span) for span in spans[:-1])), spans[-1]))

    def overrule(self, factor: int, position: int, outcome: int) -> None:
        """Changes how a position resolved, or will, for combinations that were not taken yet."""
        self._overruled[factor][position] = outcome
        outcomes = self.outcomes[factor]
        if position < len(outcomes) and outcomes[position]:
            outcomes[position] = outcome

    def take(self, limit: int, columns: tuple[array[int], ...]) -> list[tuple[int, int]]:
        """Appends up to `limit` combinations to the columns; returns their outcomes as (code, how many) stretches."""
        found: list[tuple[int, int]] = []
        while limit > 0 and self._boxes:
            box = self._boxes[0]
            if box.row is None or box.place == box.last[1]:
                box.row, box.place = next(box.rows, None), box.last[0]
                if box.row is None:
                    self._boxes.popleft()
                    continue
            end = min(box.last[1], box.place + limit)
            found += self._take_row(box.row, box.place, end, columns)
            limit -= end - box.place
            box.place = end
        return found

    def _take_row(
        self, row: tuple[int, ...], place: int, end: int, columns: tuple[array[int], ...]
    ) -> list[tuple[int, int]]:
        worst = 0
        for factor, at in enumerate(row):
            position = self.resolved[factor][at]
            worst = max(worst, self.outcomes[factor][position])
            columns[factor].extend(array("I", (position,)) * (end - place))
        positions = self.resolved[-1][place:end]
        columns[-1].extend(positions)
        outcomes = self.outcomes[-1]
        codes = bytes([max(worst, outcomes[position]) for position in positions])
        return [(code, stop - start) for code, start, stop in stretches(codes)]
