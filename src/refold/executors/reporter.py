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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from refold.errors import StoreError
from refold.executors.capture import end_lines
from refold.executors.failures import failure_of
from refold.executors.open_run import OpenRun
from refold.executors.stretch import Stretch
from refold.languages.unfolding import ItemList, ItemRows
from refold.outputs.plain import encode_first
from refold.ports.executor import Batch, Failure, Finished, NamedWait, Partial, Paused, Produced, Report
from refold.ports.output_store import ChunkBuilder, ChunkRef, Item, Output, Shape
from refold.scheduler.events import OPEN, Outcome
from refold.scheduler.ranges import Range, gather, numbers

DELAY = 0.025
"""Seconds that a result waits at most."""
_OWN_DELAY = 0.8 * DELAY
"""After which who executes runs publishes what they came to; later, another thread does, since a run takes long."""
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
    ranges: list[Range] = field(default_factory=list)
    """Positions of runs that are over."""
    outcomes: bytearray = field(default_factory=bytearray)
    started: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    failures: dict[int, Failure] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)
    """Positions whose outputs are in the builder, in order."""

    def add(self, start: int, stop: int) -> None:
        """The runs `start` to `stop` are over."""
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1] = self.ranges[-1][0], stop
        else:
            self.ranges.append((start, stop))


class Reporter:
    """Reports on one batch after the other."""

    def __init__(
        self,
        send: Send,
        monotonic: Callable[[], float] = time.monotonic,
        on_waiting: Callable[[], None] | None = None,
        memory: Callable[[], int] | None = None,
    ) -> None:
        """`on_waiting` is called when results begin to wait: somebody must call `flush` by `due`. `memory` tells how
        many bytes were taken at most by what is under way; 0: not known."""
        self.lock = threading.RLock()
        self._eager = False
        self._send = send
        self._monotonic = monotonic
        self._on_waiting = on_waiting
        self._memory = memory
        self._batch: Batch | None = None
        self._builder: ChunkBuilder | None = None
        self._opened: OpenRun | None = None
        self._on_publish: OnPublish | None = None
        self._lost: StoreError | None = None
        """Why items that were given could not be stored."""
        self._waiting = _Waiting()
        self._stretch = Stretch()
        """Runs that are not among those that wait yet."""
        self._unmet: dict[int, list[NamedWait]] = {}
        """By position: waits for items that were not reported when the items that wait for them were."""
        self._last = 0.0

    def another(self, on_waiting: Callable[[], None]) -> Reporter:
        """One more, which speaks to the same; somebody else must see to what waits there."""
        return Reporter(self._send, self._monotonic, on_waiting)

    @property
    def eager(self) -> bool:
        """Whether somebody waits for results."""
        return self._eager

    @eager.setter
    def eager(self, eager: bool) -> None:
        self._eager = eager
        self._stretch.due = 0.0

    def begin(self, batch: Batch, opened: OpenRun, on_publish: OnPublish) -> None:
        """What follows belongs to this batch; what waited of another one is published."""
        with self.lock:
            if self._batch is not batch:
                self.flush()
                self._lost = None
                self._unmet.clear()
            self._batch, self._opened, self._on_publish = batch, opened, on_publish
            self._builder = opened.builder()

    def stretch(self, position: int, began: float) -> Stretch:
        """Where runs from this position on may be noted by who executes them; the first began then (monotonic).

        It is good until another run is reported otherwise. Whenever its time is due, `heed` is to be called.
        """
        with self.lock:
            self._take()
            self._stretch.go_on(position, began)
            return self._stretch

    def heed(self, now: float, *, large: bool) -> float:
        """Publishes what was noted in the stretch if it is time, or `large`; when (monotonic) that is done."""
        with self.lock:
            if self._waiting.since is None:
                self._wait_from(now)
            publish_at = self._publish_at()
            if not large and now < publish_at:
                self._stretch.due = publish_at
                return now
            self.flush()
            self._stretch.began = self._monotonic()
            return self._stretch.began

    def completed(self, position: int, output: Output | None, outcome: Outcome, started: float, ended: float) -> None:
        """A run completed; dynamic ones have no output of their own. Raises StoreError if it cannot be stored."""
        with self.lock:
            self._take()
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
            self._take()
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

    def give_all(self, position: int, items: ItemList, waits: Sequence[NamedWait] = ()) -> None:
        """A run of a dynamic block returned these items; the same as giving them one by one, from index 0."""
        start, waiting = 0, deque(sorted(waits, key=attrgetter("item")))
        while start < len(items):
            unnamed = items.unnamed(start, start + _PORTION)
            texts = encode_first(unnamed, LARGEST)
            with self.lock:
                builder = self._check()
                first, before = len(builder), builder.size
                if texts:
                    builder.add_plain_items(texts)
                else:
                    builder.add_item(items.item(start))
                length = len(builder) - first
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
        waiting.add(position, position + 1)
        waiting.outcomes.append(outcome)
        waiting.started.append(started)
        waiting.ended.append(ended)
        self._added()

    def _added(self) -> None:
        now = self._monotonic()
        if self._waiting.since is None:
            self._wait_from(now)
        assert self._builder is not None
        if self._builder.size >= LARGEST or (self._eager and now >= self._publish_at()):
            self.flush()

    def _wait_from(self, now: float) -> None:
        self._waiting.since = now
        if self._on_waiting is not None:
            self._on_waiting()

    def _publish_at(self) -> float:
        """When (monotonic) who executes runs publishes what waits, rather than leaving it to who looks after `due`."""
        if self._eager:
            return self._last + EAGER_DELAY
        return (self._waiting.since or 0.0) + _OWN_DELAY

    def _take(self) -> None:
        """What was noted in the stretch waits with the rest."""
        noted = self._stretch.take()
        if noted is None:
            return
        self._check().add_plain_outputs(noted.texts, noted.lengths)
        waiting = self._waiting
        if waiting.since is None:
            waiting.since = self._monotonic()
        waiting.add(noted.start, noted.stop)
        waiting.outcomes += bytes((Outcome.COMPLETED,)) * len(noted.texts)
        waiting.started += noted.started
        waiting.ended += noted.ended
        waiting.outputs += range(noted.start, noted.stop)

    def due(self) -> float | None:
        """When (monotonic) what waits must be published; None when nothing waits."""
        with self.lock:
            if self._waiting.since is None:
                return None
            return self._waiting.since + (EAGER_DELAY if self._eager else DELAY)

    def flush(self) -> None:
        """Publishes what waits.

        What cannot be written is no result: those runs are reported as failed, with the reason.
        """
        with self.lock:
            self._stretch.due = 0.0  # first: a run that is noted after the others were taken asks again
            self._take()
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
                if waiting.ranges:
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
        if waiting.ranges:
            reports.append(
                Finished(
                    batch.id,
                    tuple(waiting.ranges),
                    bytes(waiting.outcomes),
                    waiting.started,
                    waiting.ended,
                    chunk if waiting.outputs else None,
                    waiting.failures,
                    digests,
                    0 if self._memory is None else -(-self._memory() // batch.at_once),
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
        for position, outcome in zip(numbers(waiting.ranges), waiting.outcomes, strict=True)
        if outcome <= Outcome.FAILED_FOR_GOOD and outcome != Outcome.CONDITION_FAILED
    }
    outcomes = bytes(Outcome.FAILED if outcome <= Outcome.COMPLETED_FALSE else outcome for outcome in waiting.outcomes)
    return Finished(batch.id, tuple(waiting.ranges), outcomes, waiting.started, waiting.ended, None, failures)
