"""What a batch has come to, gathered into few reports.

Results are published at least every 25 milliseconds or every megabyte, and at once when somebody waits. The publishing
may come from another thread than the one that runs children, which may be deep in a long call: everything is under one
lock.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter

from refold.errors import StoreError
from refold.executors.capture import end_lines
from refold.executors.failures import failure_of
from refold.executors.open_run import OpenRun
from refold.languages.unfolding import ItemRows
from refold.ports.executor import Batch, Failure, Finished, NamedWait, Partial, Paused, Produced, Report
from refold.ports.output_store import ChunkBuilder, ChunkRef, Item, Output, Shape
from refold.scheduler.events import OPEN, Outcome
from refold.scheduler.ranges import gather

DELAY = 0.025
"""Seconds that a result waits at most."""
EAGER_DELAY = 0.001
"""The same while other workers are idle."""
LARGEST = 2**20
"""Bytes that wait at most."""
_PORTION = 512
"""Items of a returned list that are stored before another thread may publish."""

Send = Callable[[list[Report]], None]
OnPublish = Callable[[ChunkRef, list[int]], None]
"""Told of a published chunk of outputs, and of the batch's positions that its records belong to."""


@dataclass(slots=True)
class _Given:
    """Items of one run that wait to be published."""

    position: int
    start: int
    length: int
    first: int
    size: int
    waits: list[NamedWait]


@dataclass(slots=True)
class _Waiting:
    """Results that wait to be published."""

    since: float | None = None
    """Monotonic; None when nothing waits."""
    items: list[_Given] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    outcomes: bytearray = field(default_factory=bytearray)
    started: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    failures: dict[int, Failure] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)
    """Positions whose outputs are in the builder, in order."""


class Reporter:
    """Reports on one batch after the other."""

    def __init__(
        self, send: Send, monotonic: Callable[[], float] = time.monotonic, on_waiting: Callable[[], None] | None = None
    ) -> None:
        """`on_waiting` is called when results begin to wait: somebody must call `flush` by `due`."""
        self.eager = False
        """Whether somebody waits for results."""
        self.lock = threading.RLock()
        self._send = send
        self._monotonic = monotonic
        self._on_waiting = on_waiting
        self._batch: Batch | None = None
        self._builder: ChunkBuilder | None = None
        self._opened: OpenRun | None = None
        self._on_publish: OnPublish | None = None
        self._lost: StoreError | None = None
        """Why items that were given could not be stored."""
        self._waiting = _Waiting()
        self._unmet: dict[int, list[NamedWait]] = {}
        """By position: waits for items that were not reported when the items that wait for them were."""
        self._last = 0.0

    def begin(self, batch: Batch, opened: OpenRun, on_publish: OnPublish) -> None:
        """What follows belongs to this batch; what waited of another one is published."""
        with self.lock:
            if self._batch is not batch:
                self.flush()
                self._lost = None
                self._unmet.clear()
            self._batch, self._opened, self._on_publish = batch, opened, on_publish
            self._builder = opened.builder()

    def completed(self, position: int, output: Output | None, outcome: Outcome, started: float, ended: float) -> None:
        """A run completed; dynamic ones have no output of their own. Raises StoreError if it cannot be stored."""
        with self.lock:
            builder = self._check()
            if output is not None:
                builder.add_output(output)
                self._waiting.outputs.append(position)
            self._over(position, outcome, started, ended)

    def ended(
        self, position: int, outcome: Outcome, started: float, ended: float, failure: Failure | None = None
    ) -> None:
        """A run ended some other way."""
        with self.lock:
            if failure is not None:
                self._waiting.failures[position] = failure
            self._over(position, outcome, started, ended)

    def handed_back(self, positions: Sequence[int], outcome: Outcome) -> None:
        """Runs that never began."""
        if not positions:
            return
        with self.lock:
            self.flush()
            if self._batch is not None:
                outcomes = bytes((outcome,)) * len(positions)
                self._send([Finished(self._batch.id, gather(positions), outcomes)])

    def folded(self, fold: int, opened: OpenRun, value: object) -> None:
        """A fold came to this value: stored in a chunk of its own and told at once.

        Raises StoreError where it cannot be stored; then nothing is told.
        """
        with self.lock:
            self.flush()
            end_lines()
            builder = opened.builder()
            builder.add_output(Output(Shape.VALUE, (value,)))
            size = builder.size
            try:
                chunk = builder.publish()
            except StoreError:
                opened.new_builder()
                raise
            opened.log.flush()
            self._send([Partial(fold, chunk, size)])

    def not_folded(self, fold: int, opened: OpenRun, failure: Failure) -> None:
        """A fold failed."""
        with self.lock:
            self.flush()
            end_lines()
            opened.log.flush()
            self._send([Partial(fold, failure=failure)])

    def give(self, position: int, index: int, item: Item, waits: Sequence[NamedWait] = ()) -> int:
        """A run of a dynamic block gave an item, its `index`-th; bytes it takes. Raises StoreError.

        `waits` are its own, and those of earlier items whose target it is (design 2.9).
        """
        with self.lock:
            builder = self._check()
            before = builder.size
            first = builder.add_item(item)
            size = builder.size - before
            self._have(_Given(position, index, 1, first, size, list(waits)))
            return size

    def give_all(self, position: int, items: Iterable[Item], waits: Sequence[NamedWait] = ()) -> None:
        """A run of a dynamic block returned these items; the same as giving them one by one, from index 0."""
        remaining, start = iter(items), 0
        waiting = deque(sorted(waits, key=attrgetter("item")))
        while True:
            with self.lock:
                builder = self._check()
                first, before = len(builder), builder.size
                for item in islice(remaining, _PORTION):
                    builder.add_item(item)
                    if builder.size >= LARGEST:
                        break
                length = len(builder) - first
                if not length:
                    return
                given = _Given(position, start, length, first, builder.size - before, [])
                start += length
                while waiting and waiting[0].item < start:
                    given.waits.append(waiting.popleft())
                self._have(given)

    def _have(self, given: _Given) -> None:
        """Items are in the builder: they wait together with those that came just before."""
        last = self._waiting.items[-1] if self._waiting.items else None
        if last is not None and last.position == given.position and last.start + last.length == given.start:
            last.length += given.length
            last.size += given.size
            last.waits += given.waits
        else:
            self._waiting.items.append(given)
        self._added()

    def give_rows(self, position: int, rows: ItemRows, waits: Sequence[NamedWait] = ()) -> None:
        """A run of a dynamic block returned a frame, whose rows are its items."""
        with self.lock:
            builder = self._check()
            before = builder.size
            first = builder.add_rows(rows.frame, rows.metadata)
            self._have(_Given(position, 0, len(rows), first, builder.size - before, list(waits)))

    def paused(self, position: int, pulls: int) -> None:
        """A generator gave its slot back."""
        with self.lock:
            self.flush()
            assert self._batch is not None
            self._send([Paused(self._batch.id, position, pulls)])

    def _over(self, position: int, outcome: Outcome, started: float, ended: float) -> None:
        end_lines()
        waiting = self._waiting
        waiting.positions.append(position)
        waiting.outcomes.append(outcome)
        waiting.started.append(started)
        waiting.ended.append(ended)
        self._added()

    def _added(self) -> None:
        now = self._monotonic()
        if self._waiting.since is None:
            self._waiting.since = now
            if self._on_waiting is not None:
                self._on_waiting()
        assert self._builder is not None
        if self._builder.size >= LARGEST or (self.eager and now - self._last >= EAGER_DELAY):
            self.flush()

    def due(self) -> float | None:
        """When (monotonic) what waits must be published; None when nothing waits."""
        with self.lock:
            if self._waiting.since is None:
                return None
            return self._waiting.since + (EAGER_DELAY if self.eager else DELAY)

    def flush(self) -> None:
        """Publishes what waits.

        What cannot be written is no result: those runs are reported as failed, with the reason.
        """
        with self.lock:
            waiting, batch, builder = self._waiting, self._batch, self._builder
            if waiting.since is None or batch is None or builder is None:
                return
            self._waiting = _Waiting()
            self._last = self._monotonic()
            if self._opened is not None:
                self._opened.log.flush()  # whoever learns of a result can read what its run printed
            try:
                self._send(self._reports(batch, builder, waiting))
            except StoreError as error:
                self._builder = None if self._opened is None else self._opened.new_builder()
                self._lost = error if waiting.items else None
                if waiting.positions:
                    self._send([_not_stored(batch, waiting, error)])

    def _check(self) -> ChunkBuilder:
        if self._lost is not None:
            raise self._lost
        assert self._builder is not None
        return self._builder

    def _reports(self, batch: Batch, builder: ChunkBuilder, waiting: _Waiting) -> list[Report]:
        reports: list[Report] = []
        chunk = None
        digests = builder.digests() if waiting.outputs and self._wants_digests(batch) else b""
        if waiting.items:
            named, fingerprints = builder.named(), builder.fingerprints()
            chunk = builder.publish()
            reports += [
                Produced(
                    batch.id,
                    given.position,
                    given.start,
                    given.length,
                    chunk,
                    given.first,
                    named,
                    fingerprints[8 * given.first : 8 * (given.first + given.length)],
                    given.size,
                    self._met(given) if given.waits or self._unmet else (),
                )
                for given in waiting.items
            ]
        elif len(builder):
            chunk = builder.publish()
        if chunk is not None and self._on_publish is not None:
            self._on_publish(chunk, waiting.outputs)
        if waiting.positions:
            reports.append(
                Finished(
                    batch.id,
                    gather(waiting.positions),
                    bytes(waiting.outcomes),
                    waiting.started,
                    waiting.ended,
                    chunk if waiting.outputs else None,
                    waiting.failures,
                    digests,
                )
            )
        return reports

    def _wants_digests(self, batch: Batch) -> bool:
        return self._opened is not None and self._opened.tasks[batch.block].digests

    def _met(self, given: _Given) -> tuple[NamedWait, ...]:
        """The waits that are told with these items; one whose target is yet to come is open, and told again with it."""
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


def _not_stored(batch: Batch, waiting: _Waiting, error: StoreError) -> Finished:
    failure = failure_of(error)
    failures = {
        position: waiting.failures.get(position, failure)
        for position, outcome in zip(waiting.positions, waiting.outcomes, strict=True)
        if outcome <= Outcome.FAILED_FOR_GOOD and outcome != Outcome.CONDITION_FAILED
    }
    outcomes = bytes(Outcome.FAILED if outcome <= Outcome.COMPLETED_FALSE else outcome for outcome in waiting.outcomes)
    return Finished(batch.id, gather(waiting.positions), outcomes, waiting.started, waiting.ended, None, failures)
