"""Runs that ran out of memory: each is executed once more, alone, before it is called failed.

Of several that were under way at once nobody knows which took so much: they go together, fewer at once each time, until
one alone is to blame. A run that has already given items is not executed again: its children are under way. Where three
runs of a block in a row came to nothing alone, the next ones are not tried.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import compress, count

from refold.executors.admission import BlockKey
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, Paused, Produced, Report
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather, numbers

ADVICE = (
    "Give it smaller items, or let it work on one piece at a time; `executor_config` (`workers`, `memory`) says how "
    "much may run at once."
)
_FEWER = 4
"""By how many times fewer are under way at once when they are tried again."""
_VAIN = 3
"""How many runs of a block in a row may fail alone before no more are tried alone."""
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Chance:
    """Runs of a batch that are to be executed alone."""

    batch: Batch
    """As the engine gave it, but for its id, which is below zero, and its width."""
    original: int
    """Its id."""
    positions: tuple[int, ...]


@dataclass(slots=True)
class Given:
    """What the pool remembers of a batch that the engine gave it."""

    batch: Batch
    produced: set[int] = field(default_factory=set)
    """Positions that gave items."""


class SecondChances:
    """Keeps back what ran out of memory until it can be executed alone, and tells then what came of it."""

    def __init__(self) -> None:
        self.waiting: deque[Chance] = deque()
        self._taken: dict[int, Chance] = {}
        """By the id that their batch has: they are executed, or paused."""
        self._alone: int | None = None
        """The id of those that are executed now."""
        self._vain: dict[BlockKey, int] = {}

    @property
    def are_due(self) -> bool:
        """Whether nothing else is to begin: some are executed, or wait for all others to end."""
        return self._alone is not None or bool(self.waiting)

    def take(self) -> Chance | None:
        """The next ones, which are executed from now on; None while others are."""
        if self._alone is not None or not self.waiting:
            return None
        chance = self.waiting.popleft()
        self._alone = chance.batch.id
        self._taken[chance.batch.id] = chance
        return chance

    def place(self, batch: int, position: int) -> int:
        """Under which batch a position of one is executed now."""
        for number, chance in self._taken.items():
            if chance.original == batch and position in chance.positions:
                return number
        return batch

    def sift(self, report: Report, given: Given | None, *, final: bool = False) -> list[Report]:
        """What the engine is to be told of a report; `given`: the batch, where it is one that the engine gave.

        `final`: nothing is to be tried again.
        """
        chance = self._taken.get(report.batch)
        if chance is not None:
            report = replace(report, batch=chance.original)
            if isinstance(report, Paused):
                self._alone = None
        if given is not None and isinstance(report, Produced):
            given.produced.add(report.position)
        if not isinstance(report, Finished) or (chance is None and given is None):
            return [report]
        short = {position: failure for position, failure in report.failures.items() if failure.memory}
        again: tuple[int, ...] = ()
        if chance is not None:
            again = self._second(report, chance, short, final)
        elif given is not None and short and not final:
            again = self._first(given, short)
        more = "" if chance is None else ", and running it alone did not help"
        told = {position: _told(failure, more) for position, failure in short.items()}
        return list(_without(replace(report, failures={**report.failures, **told}) if told else report, again))

    def cancel(self, run: RunId) -> list[Report]:
        """A pipeline run was cancelled: those of it that wait are told of."""
        mine = [chance for chance in self.waiting if chance.batch.run == run]
        self.waiting = deque(chance for chance in self.waiting if chance.batch.run != run)
        return [_cancelled(chance) for chance in mine]

    def forget(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._vain = {block: vain for block, vain in self._vain.items() if block[0] != run}

    def _first(self, given: Given, short: Collection[int]) -> tuple[int, ...]:
        """Some runs of a batch ran out of memory: those that are to be executed again."""
        batch = given.batch
        if self._vain.get(_block(batch), 0) >= _VAIN:
            return ()
        again = tuple(position for position in short if position not in given.produced)
        if again:
            # Of several at once nobody knows which it was.
            self._wait(batch if len(again) == 1 else _narrower(batch), batch.id, again)
        return again

    def _second(self, report: Finished, chance: Chance, short: Collection[int], final: bool) -> tuple[int, ...]:
        """Some that were executed alone are over: those of them that are to be executed again, fewer at once."""
        left = set(chance.positions).difference(numbers(report.positions))
        self._taken[chance.batch.id] = replace(chance, positions=tuple(sorted(left)))
        if not left:
            del self._taken[chance.batch.id]
            self._alone = None if self._alone == chance.batch.id else self._alone
        if short and chance.batch.width > 1 and not final:
            self._wait(_narrower(chance.batch), chance.original, tuple(short))
            return tuple(short)
        block = _block(chance.batch)
        self._vain[block] = self._vain.get(block, 0) + len(short)
        if any(outcome <= Outcome.COMPLETED_FALSE for outcome in report.outcomes):
            self._vain[block] = 0
        return ()

    def _wait(self, batch: Batch, original: int, positions: tuple[int, ...]) -> None:
        self.waiting.append(Chance(replace(batch, id=-next(_NUMBERS)), original, positions))


def _block(batch: Batch) -> BlockKey:
    return batch.run, batch.block


def _narrower(batch: Batch) -> Batch:
    return replace(batch, width=max(1, batch.at_once // _FEWER))


def _told(failure: Failure, more: str) -> Failure:
    """The failure as people are to read it."""
    return failure._replace(error=f"{failure.error}{more}. {ADVICE}")


def _without(report: Finished, positions: Collection[int]) -> Iterator[Finished]:
    """The report without these positions, all of which failed; nothing where no other is left."""
    if not positions:
        yield report
        return
    kept = [position not in positions for position in numbers(report.positions)]
    if any(kept):
        yield replace(
            report,
            positions=gather(compress(numbers(report.positions), kept)),
            outcomes=bytes(compress(report.outcomes, kept)),
            started=array("d", compress(report.started, kept)),
            ended=array("d", compress(report.ended, kept)),
            failures={at: failure for at, failure in report.failures.items() if at not in positions},
        )


def _cancelled(chance: Chance) -> Finished:
    outcomes = bytes((Outcome.CANCELLED,)) * len(chance.positions)
    return Finished(chance.original, gather(chance.positions), outcomes)
