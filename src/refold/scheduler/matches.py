"""The combinations of a join that are due: positions of several factors that agree on the axes that they share.

Two factors agree when they stand at the same item of each shared axis; for a zip the last axes agree by index instead
(design 2.3). As with products, each combination comes once, with the last of its members to be resolved, and only when
it is taken.

    SameCursor    all factors stand at one space, as in a diamond: a position agrees with itself
    MatchCursor   positions are looked up by what they share with those that are bound already
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from refold.scheduler.ranges import stretches
from refold.scheduler.spaces import Space, index_of

_Shared = int | tuple[int, ...]


class SameCursor:
    """Gives the positions of one space that several upstreams stand at, when all of them are resolved there."""

    def __init__(self, factors: int) -> None:
        self._outcomes = tuple(bytearray() for _ in range(factors))
        """For each factor and position, how it resolved: 0 not yet, else an outcome's code."""
        self._overruled: tuple[dict[int, int], ...] = tuple({} for _ in range(factors))
        self._due: deque[tuple[int, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._due)

    def arrive(self, number: int, start: int, stop: int) -> None:
        """Positions `start` to `stop` of a factor are there."""
        self._outcomes[number].extend(bytes(stop - max(start, len(self._outcomes[number]))))

    def resolve(self, number: int, start: int, stop: int, outcome: int) -> None:
        """Positions `start` to `stop` of a factor are resolved."""
        self._outcomes[number][start:stop] = bytes((outcome,)) * (stop - start)
        for position in range(start, stop) if self._overruled[number] else ():
            self._outcomes[number][position] = self._overruled[number].get(position, outcome)
        others = [column[start:stop] for other, column in enumerate(self._outcomes) if other != number]
        known = others[0] if len(others) == 1 else bytes(map(min, *others))
        if 0 not in known:
            self._due.append((start, stop))
            return
        self._due += [(low, high) for code, low, high in stretches(bytes(map(bool, known)), start) if code]

    def overrule(self, number: int, position: int, outcome: int) -> None:
        """Changes how a position resolved, or will, for combinations that were not taken yet."""
        self._overruled[number][position] = outcome
        outcomes = self._outcomes[number]
        if position < len(outcomes) and outcomes[position]:
            outcomes[position] = outcome

    def take(self, limit: int, columns: tuple[array[int], ...]) -> list[tuple[int, int]]:
        """Appends up to `limit` combinations to the columns; returns their outcomes as (code, how many) stretches."""
        found: list[tuple[int, int]] = []
        while limit > 0 and self._due:
            start, stop = self._due.popleft()
            end = min(stop, start + limit)
            if end < stop:
                self._due.appendleft((end, stop))
            for column in columns:
                column.extend(range(start, end))
            codes = bytes(map(max, *(column[start:end] for column in self._outcomes)))
            found += [(code, high - low) for code, low, high in stretches(codes)]
            limit -= end - start
        return found


@dataclass(slots=True)
class _Factor:
    """One upstream's positions."""

    space: Space
    places: tuple[int, ...]
    """Which axes of the join its own are."""
    values: dict[int, array[int]]
    """By place: for each position, the item (or index) at which it stands there. Only places that others share."""
    outcomes: bytearray = field(default_factory=bytearray)
    """How each position resolved: 0 not yet, else an outcome's code."""
    overruled: dict[int, int] = field(default_factory=dict)
    """Positions whose outcome is known whatever they resolve to."""
    moment: array[int] = field(default_factory=lambda: array("I"))
    """When each position resolved, counted from 1."""
    index: dict[tuple[int, ...], dict[_Shared, int | array[int]]] = field(default_factory=dict)
    """By places: positions by their values there; a lone one as it is."""

    def shared(self, places: tuple[int, ...], start: int, stop: int) -> Iterator[_Shared]:
        """The values of some positions at these places."""
        if len(places) == 1:
            yield from self.values[places[0]][start:stop]
        elif places:
            yield from zip(*(self.values[place][start:stop] for place in places), strict=True)
        else:
            yield from [()] * (stop - start)


class MatchCursor:
    """Gives a join's combinations in bounded portions."""

    def __init__(self, factors: Sequence[tuple[Space, tuple[int, ...]]], by_index: int | None) -> None:
        """`factors`: each one's space, and which axes of the join its own are. `by_index`: the place that agrees by
        index, or None."""
        self._by_index = by_index
        count: dict[int, int] = {}
        for _, places in factors:
            for place in places:
                count[place] = count.get(place, 0) + 1
        self._factors = [
            _Factor(space, places, {place: array("q") for place in places if count[place] > 1})
            for space, places in factors
        ]
        self._steps = [self._steps_from(first) for first in range(len(factors))]
        """For each factor: the others in the order in which they are bound, each with the places to look it up by."""
        self._moment = 0
        self._due: deque[tuple[int, int, int, int]] = deque()
        """Resolved stretches whose combinations are not taken: factor, from, to, moment."""
        self._taking: Iterator[tuple[tuple[int, ...], int]] | None = None
        self.total = 0
        """How many combinations of positions that are there exist, resolved or not."""

    def _steps_from(self, first: int) -> list[tuple[int, tuple[int, ...]]]:
        bound = set(self._factors[first].values)
        steps = []
        rest = [number for number in range(len(self._factors)) if number != first]
        while rest:
            # One that shares most with what is bound comes first: it leaves the fewest to go through.
            best = max(rest, key=lambda number: len(bound.intersection(self._factors[number].values)))
            rest.remove(best)
            factor = self._factors[best]
            places = tuple(sorted(bound.intersection(factor.values)))
            factor.index.setdefault(places, {})
            steps.append((best, places))
            bound.update(factor.values)
        return steps

    def __bool__(self) -> bool:
        return self._taking is not None or bool(self._due)

    def arrive(self, number: int, start: int, stop: int) -> None:
        """Positions `start` to `stop` of a factor are there."""
        factor = self._factors[number]
        axes = factor.space.axes(range(start, stop))
        for place, column in factor.values.items():
            space, positions = axes[factor.places.index(place)]
            column.extend(iter(index_of(space, positions) if place == self._by_index else positions))
        factor.outcomes.extend(bytes(stop - start))
        factor.moment.extend(array("I", bytes(4 * (stop - start))))
        self.total += self._count(number, start, stop)
        for places, index in factor.index.items():
            for position, shared in enumerate(factor.shared(places, start, stop), start):
                known = index.setdefault(shared, position)
                if isinstance(known, array):
                    known.append(position)
                elif known != position:
                    index[shared] = array("I", (known, position))

    def _count(self, number: int, start: int, stop: int) -> int:
        """How many combinations new positions make with those that are there."""
        steps = self._steps[number]
        if len(steps) > 1:
            return sum(1 for position in range(start, stop) for _ in self._combinations(number, position))
        [(other, places)] = steps
        index, total = self._factors[other].index[places], 0
        for shared in self._factors[number].shared(places, start, stop) if index else ():
            known = index.get(shared)
            if known is not None:
                total += len(known) if isinstance(known, array) else 1
        return total

    def _combinations(self, number: int, position: int) -> Iterator[tuple[int, ...]]:
        """Every choice of the other factors' positions that agrees with this one."""
        chosen = [0] * len(self._factors)
        chosen[number] = position
        bound = {place: column[position] for place, column in self._factors[number].values.items()}
        yield from self._bind(self._steps[number], 0, chosen, bound)

    def _bind(
        self, steps: Sequence[tuple[int, tuple[int, ...]]], depth: int, chosen: list[int], bound: dict[int, int]
    ) -> Iterator[tuple[int, ...]]:
        if depth == len(steps):
            yield tuple(chosen)
            return
        number, places = steps[depth]
        factor = self._factors[number]
        wanted: _Shared = bound[places[0]] if len(places) == 1 else tuple(bound[place] for place in places)
        known = factor.index[places].get(wanted, ())
        for position in (known,) if isinstance(known, int) else known:
            chosen[number] = position
            further = bound | {place: column[position] for place, column in factor.values.items()}
            yield from self._bind(steps, depth + 1, chosen, further)

    def resolve(self, number: int, start: int, stop: int, outcome: int) -> None:
        """Positions `start` to `stop` of a factor are resolved."""
        factor = self._factors[number]
        self._moment += 1
        factor.outcomes[start:stop] = bytes((outcome,)) * (stop - start)
        for position in range(start, stop) if factor.overruled else ():
            factor.outcomes[position] = factor.overruled.get(position, outcome)
        factor.moment[start:stop] = array("I", (self._moment,)) * (stop - start)
        self._due.append((number, start, stop, self._moment))

    def overrule(self, number: int, position: int, outcome: int) -> None:
        """Changes how a position resolved, or will, for combinations that were not taken yet."""
        self._factors[number].overruled[position] = outcome
        outcomes = self._factors[number].outcomes
        if position < len(outcomes) and outcomes[position]:
            outcomes[position] = outcome

    def take(self, limit: int, columns: tuple[array[int], ...]) -> list[tuple[int, int]]:
        """Appends up to `limit` combinations to the columns; returns their outcomes as (code, how many) stretches."""
        codes = bytearray()
        while len(codes) < limit and self:
            if self._taking is None:
                due = self._due.popleft()
                self._taking = self._pairs(*due) if len(self._factors) == 2 else self._due_of(*due)
            for chosen, code in self._taking:
                for column, position in zip(columns, chosen, strict=True):
                    column.append(position)
                codes.append(code)
                if len(codes) == limit:
                    break
            else:
                self._taking = None
        return [(code, stop - start) for code, start, stop in stretches(codes)]

    def _pairs(self, number: int, start: int, stop: int, moment: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """The same as `_due_of`, where there are two factors."""
        [(other, places)] = self._steps[number]
        own, partner = self._factors[number], self._factors[other]
        index, moments = partner.index[places], partner.moment
        for position, shared in enumerate(own.shared(places, start, stop), start):
            known = index.get(shared, ())
            for at in (known,) if isinstance(known, int) else known:
                if 0 < moments[at] <= moment:
                    pair = (at, position) if other < number else (position, at)
                    yield pair, max(own.outcomes[position], partner.outcomes[at])

    def _due_of(self, number: int, start: int, stop: int, moment: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """The combinations whose last member was resolved in this stretch, each with its outcome of now."""
        factors = self._factors
        for position in range(start, stop):
            for chosen in self._combinations(number, position):
                for other, at in enumerate(chosen):
                    when = factors[other].moment[at]
                    if other != number and (not when or when > moment):
                        break
                else:
                    yield chosen, max(factor.outcomes[at] for factor, at in zip(factors, chosen, strict=True))
