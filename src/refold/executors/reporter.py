"""What a batch has come to, gathered into few reports.

Results are published at least every 25 milliseconds or every megabyte, and at once when somebody waits. The publishing
may come from another thread than the one that runs children, which may be deep in a long call: everything is under one
lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from refold.errors import StoreError
from refold.executors.capture import end_lines
from refold.executors.open_run import OpenRun
from refold.executors.stretch import Stretch, Yields
from refold.executors.waiting import Given, OpenWaits, Waiting, not_stored
from refold.languages.unfolding import ItemList, ItemRows
from refold.model.limit_value import limit_value
from refold.outputs.plain import encode_first
from refold.ports.executor import Batch, Begun, Failure, Finished, NamedWait, Partial, Paused, Report
from refold.ports.output_store import ChunkBuilder, ChunkRef, Item, Output, Shape
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather

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
        self._waiting = Waiting()
        self._stretch = Stretch()
        self._noting: Stretch | Yields = self._stretch
        """What somebody notes results in, which are not among those that wait yet."""
        self._open_waits = OpenWaits()
        self._last = 0.0

    def another(self, on_waiting: Callable[[], None]) -> Reporter:
        """One more, which speaks to the same; somebody else must see to what waits there."""
        return Reporter(self._send, self._monotonic, on_waiting)

    @property
    def is_looked_after(self) -> bool:
        """Whether somebody publishes what waits in time, while who executes runs is deep in one."""
        return self._on_waiting is not None

    @property
    def eager(self) -> bool:
        """Whether somebody waits for results."""
        return self._eager

    @eager.setter
    def eager(self, eager: bool) -> None:
        self._eager = eager
        self._noting.due = 0.0

    def begin(self, batch: Batch, opened: OpenRun, on_publish: OnPublish) -> None:
        """What follows belongs to this batch; what waited of another one is published."""
        with self.lock:
            if self._batch is not batch:
                self.flush()
                self._lost = None
                self._open_waits.clear()
            self._batch, self._opened, self._on_publish = batch, opened, on_publish
            self._builder = opened.builder()

    def stretch(self, position: int, began: float) -> Stretch:
        """Where runs from this position on may be noted by who executes them; the first began then (monotonic).

        It is good until another run is reported otherwise. Whenever its time is due, `heed` is to be called.
        """
        with self.lock:
            self._take()
            self._stretch.go_on(position, began)
            self._noting = self._stretch
            return self._stretch

    def yields(self, position: int, index: int) -> Yields:
        """Where items of a run may be noted, from an index on: until anything else is reported; due as a stretch."""
        with self.lock:
            self._take()
            self._noting = yields = Yields(position, index)
            return yields

    def heed(self, now: float, *, large: bool) -> float | None:
        """Publishes what was noted if it is time, or `large`; when (monotonic) that was done, None if it is not time.

        Raises StoreError where items that were noted could not be stored.
        """
        with self.lock:
            self._check()
            publish_at = self._publish_at(now)
            if not large and now < publish_at:
                self._wait_from(now)
                self._noting.due = publish_at
                return None
            self.flush()
            self._check()
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

    def begun(self, batch: int, position: int) -> None:
        """A run begins, and somebody wants to know at once. From any thread."""
        self._send([Begun(batch, position, self._monotonic())])

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
            self._take()
            builder = self._check()
            before = builder.size
            first = builder.add_item(item)
            size = builder.size - before
            self._have(Given(position, index, 1, first, size, list(waits), self._groups((item.metadata,), 0, 1)))
            return size

    def give_all(self, position: int, items: ItemList, waits: Sequence[NamedWait] = ()) -> None:
        """A run of a dynamic block returned these items; the same as giving them one by one, from index 0."""
        start, waiting = 0, deque(sorted(waits, key=attrgetter("item")) if waits else ())
        while start < len(items):
            values, metadata = items.alike(start, start + _PORTION)
            texts = encode_first(values, LARGEST)
            names = None if metadata is None else encode_first(metadata[: len(texts)], LARGEST)
            texts = texts if names is None else texts[: len(names)]
            with self.lock:
                self._take()
                builder = self._check()
                first, before = len(builder), builder.size
                if texts:
                    builder.add_plain_items(texts, names)
                else:
                    _add_some(builder, items, start)
                length = len(builder) - first
                groups = self._groups(items.metadata, start, length)
                given = Given(position, start, length, first, builder.size - before, [], groups)
                start += length
                while waiting and waiting[0].item < start:
                    given.waits.append(waiting.popleft())
                self._have(given)

    def _have(self, given: Given) -> None:
        """Items are in the builder."""
        self._waiting.give(given)
        self._added()

    def give_rows(self, position: int, rows: ItemRows, waits: Sequence[NamedWait] = ()) -> None:
        """A run of a dynamic block returned a frame, whose rows are its items."""
        with self.lock:
            self._take()
            builder = self._check()
            before = builder.size
            first = builder.add_rows(rows.frame, rows.metadata)
            groups = self._groups(rows.metadata, 0, len(rows))
            self._have(Given(position, 0, len(rows), first, builder.size - before, list(waits), groups))

    def _groups(self, metadata: Sequence[Mapping[str, object] | None] | None, start: int, count: int) -> list[str]:
        """The values by which runs at these items are limited; none where the block does not ask for them."""
        key = None
        if self._opened is not None and self._batch is not None:
            key = self._opened.tasks[self._batch.block].limit_by
        if key is None:
            return []
        named = (metadata or ())[start : start + count]
        return [*(limit_value(each, key) for each in named), *([limit_value(None, key)] * (count - len(named)))]

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
        assert self._builder is not None
        if self._builder.size >= LARGEST or (self._eager and now >= self._publish_at(now)):
            self._wait()
            self.flush()
        else:
            self._wait_from(now)

    def _wait_from(self, now: float) -> None:
        """Something waits; whoever looks after `due` is told, which takes longer than a short run."""
        if self._waiting.since is None:
            self._waiting.since = now
            if self._on_waiting is not None:
                self._on_waiting()

    def _publish_at(self, now: float) -> float:
        """When (monotonic) who executes runs publishes what waits, rather than leaving it to who looks after `due`."""
        if self._eager:
            return self._last + EAGER_DELAY
        return (now if self._waiting.since is None else self._waiting.since) + _OWN_DELAY

    def _take(self) -> None:
        """What was noted waits with the rest; items after such that could not be stored are lost."""
        builder, waiting, noting = self._builder, self._waiting, self._noting
        if isinstance(noting, Yields):
            start, texts = noting.take()
            if texts and builder is not None and self._lost is None:
                first, before = len(builder), builder.size
                builder.add_plain_items(texts)
                groups = self._groups(None, 0, len(texts))
                waiting.give(Given(noting.position, start, len(texts), first, builder.size - before, [], groups))
                self._wait()
            return
        noted = noting.take()
        if noted is None or builder is None:
            return
        builder.add_plain_outputs(noted.texts, noted.lengths)
        self._wait()
        waiting.add(noted.start, noted.stop)
        waiting.outcomes += bytes((Outcome.COMPLETED,)) * len(noted.texts)
        waiting.started += noted.started
        waiting.ended += noted.ended
        waiting.outputs += range(noted.start, noted.stop)

    def _wait(self) -> None:
        """Something waits; whoever noted it will say so."""
        if self._waiting.since is None:
            self._waiting.since = self._monotonic()

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
            self._noting.due = 0.0  # first: who notes something after the rest was taken asks again
            self._take()
            waiting, batch, builder = self._waiting, self._batch, self._builder
            if waiting.since is None or batch is None or builder is None:
                return
            self._waiting = Waiting()
            if not waiting.ranges and not waiting.items:
                return  # another thread has published what somebody was about to ask for
            self._last = self._monotonic()
            if self._opened is not None:
                self._opened.log.flush()  # whoever learns of a result can read what its run printed
            try:
                self._send(self._reports(batch, builder, waiting))
            except StoreError as error:
                self._builder = None if self._opened is None else self._opened.new_builder()
                self._lost = error if waiting.items else None
                if waiting.ranges:
                    self._send([not_stored(batch, waiting, error)])

    def _check(self) -> ChunkBuilder:
        if self._lost is not None:
            raise self._lost
        assert self._builder is not None
        return self._builder

    def _reports(self, batch: Batch, builder: ChunkBuilder, waiting: Waiting) -> list[Report]:
        reports: list[Report] = []
        chunk = None
        digests = builder.digests() if waiting.outputs and self._wants_digests(batch) else b""
        if waiting.items:
            named, fingerprints = builder.named(), builder.fingerprints()
            chunk = builder.publish()
            reports += [
                given.report(batch.id, chunk, named, fingerprints, self._open_waits.told_with(given))
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


def _add_some(builder: ChunkBuilder, items: ItemList, start: int) -> None:
    """Adds items from one on, one by one: those of a portion, but not many bytes."""
    for index in range(start, min(start + _PORTION, len(items))):
        builder.add_item(items.item(index))
        if builder.size >= LARGEST:
            return
