"""Results of a batch that wait to be published."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from refold.errors import StoreError
from refold.executors.failures import failure_of
from refold.ports.executor import Batch, Failure, Finished, NamedWait, Produced
from refold.ports.output_store import ChunkRef
from refold.scheduler.events import OPEN, Outcome
from refold.scheduler.ranges import Range, numbers


@dataclass(slots=True)
class Given:
    """Items of one run that wait to be published."""

    position: int
    start: int
    length: int
    first: int
    size: int
    waits: list[NamedWait]
    groups: list[str]
    """The value of each, where the block's task has a `limit_by`."""

    def report(
        self, batch: int, chunk: ChunkRef, named: bool, fingerprints: bytes, waits: tuple[NamedWait, ...]
    ) -> Produced:
        """What is told of them; `fingerprints` are those of the whole chunk."""
        start, stop = 8 * self.first, 8 * (self.first + self.length)
        return Produced(
            batch,
            self.position,
            self.start,
            self.length,
            chunk,
            self.first,
            named,
            fingerprints[start:stop],
            self.size,
            waits,
            tuple(self.groups),
        )


@dataclass(slots=True)
class Waiting:
    """Results that wait to be published."""

    since: float | None = None
    """Monotonic; None when nothing waits."""
    items: list[Given] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    """Positions of runs that are over."""
    outcomes: bytearray = field(default_factory=bytearray)
    started: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    failures: dict[int, Failure] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)
    """Positions whose outputs are in the builder, in order."""

    def give(self, given: Given) -> None:
        """Items wait together with those that came just before."""
        last = self.items[-1] if self.items else None
        if last is not None and last.position == given.position and last.start + last.length == given.start:
            last.length += given.length
            last.size += given.size
            last.waits += given.waits
            last.groups += given.groups
        else:
            self.items.append(given)

    def add(self, start: int, stop: int) -> None:
        """The runs `start` to `stop` are over."""
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1] = self.ranges[-1][0], stop
        else:
            self.ranges.append((start, stop))


class OpenWaits:
    """Waits for items that were not reported when the items that wait for them were (design 2.9)."""

    def __init__(self) -> None:
        self._unmet: dict[int, list[NamedWait]] = {}
        """By position."""

    def clear(self) -> None:
        """Another batch begins."""
        self._unmet.clear()

    def told_with(self, given: Given) -> tuple[NamedWait, ...]:
        """The waits that are told with these items; one whose target is yet to come is open, and told again with it."""
        if not given.waits and not self._unmet:
            return ()
        stop = given.start + given.length
        found: list[NamedWait] = []
        unmet: list[NamedWait] = []
        for wait in self._unmet.pop(given.position, ()):
            (found if _target_known(wait, stop) else unmet).append(wait)
        opened, closed = Counter[NamedWait](), Counter[NamedWait]()
        for wait in given.waits:
            if not _target_known(wait, stop):
                unmet.append(wait)
                found.append(wait._replace(target=OPEN))
                continue
            found.append(wait)
            if wait.target == OPEN:
                opened[wait] += 1
            elif wait.target is not None and wait.target > wait.item >= given.start:
                was_open = wait._replace(target=OPEN)
                closed[was_open] += opened[was_open] > closed[was_open]
        if unmet:
            self._unmet[given.position] = unmet
        return tuple(_without(found, closed) if closed else found)


def _without(waits: Sequence[NamedWait], closed: Counter[NamedWait]) -> Iterator[NamedWait]:
    """The waits but for so many open ones: their targets came in the same report, so nobody need know of them."""
    for wait in waits:
        if closed[wait] > 0:
            closed[wait] -= 1
        else:
            yield wait


def _target_known(wait: NamedWait, items: int) -> bool:
    return wait.target is None or wait.target < items


def not_stored(batch: Batch, waiting: Waiting, error: StoreError) -> Finished:
    """What is told of runs whose outputs could not be stored: each that needs one failed, with the reason."""
    failure = failure_of(error)
    failures = {
        position: waiting.failures.get(position, failure)
        for position, outcome in zip(numbers(waiting.ranges), waiting.outcomes, strict=True)
        if outcome <= Outcome.FAILED_FOR_GOOD and outcome != Outcome.CONDITION_FAILED
    }
    outcomes = bytes(Outcome.FAILED if outcome <= Outcome.COMPLETED_FALSE else outcome for outcome in waiting.outcomes)
    return Finished(batch.id, tuple(waiting.ranges), outcomes, waiting.started, waiting.ended, None, failures)
