"""One pipeline run, driven: reports become events, commands become batches and rows.

A run's rows are written in the order in which they came to be, by one writer, under a fenced lease. Outputs are on disk
before a report names them, and a run's parents are recorded before it, so no stored child is without its parents.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from refold.engine.batch_builder import BatchBuilder, sequence_of
from refold.engine.batch_sizes import BatchSizes
from refold.engine.finished_runs import FinishedRuns
from refold.engine.folding import Folding
from refold.engine.item_values import ItemValues
from refold.engine.item_waits import waits_of
from refold.engine.leftovers import Leftovers
from refold.engine.partials import FormerPartials
from refold.engine.places import Chunks
from refold.engine.progress import BlockProgress, progress_of, summary_of
from refold.engine.recollection import Recollection
from refold.engine.recorder import Recorder, gathered
from refold.engine.result_cache import CacheSetup, ResultCache
from refold.engine.reuse import Reuse
from refold.engine.row_buffer import RowBuffer
from refold.engine.times import Times
from refold.errors import StoreError
from refold.model.block import JsonValue
from refold.model.keys import Key
from refold.ports.clock import Clock
from refold.ports.executor import (
    Begun,
    BlockTask,
    Executor,
    Finished,
    Partial,
    Paused,
    Produced,
    Report,
    RunContext,
)
from refold.ports.output_store import OutputStore
from refold.ports.run_store import Lease, Owner, RunStatus, RunStore
from refold.scheduler.commands import Command, End, FinishRun, Fold, Interrupt, Pull, Record, RunBatch, StartTimer
from refold.scheduler.decide import decide
from refold.scheduler.events import (
    CancelRequested,
    Event,
    ItemsArrived,
    ProducerPaused,
    RunsBegan,
    RunsFinished,
    RunStarted,
    SlotsFree,
    TimerFired,
)
from refold.scheduler.plan import Plan
from refold.scheduler.ranges import Ranges, gather, numbers
from refold.scheduler.state import State

LEASE_SECONDS = 20.0
"""How long a lease lasts unless it is renewed."""
FLUSH_SECONDS = 0.05
"""How long a row waits for its transaction."""
FLUSH_ROWS = 10_000
"""How many rows are not made to wait."""
SUMMARY_SECONDS = 0.5
"""How often the stored summary is renewed."""
_BATCHES = count(1)
"""One count for all runs of the process: an executor serves many."""
_LEFTOVERS = Leftovers()
"""Of all runs of the process, too."""
_ENDS = {End.COMPLETED: RunStatus.COMPLETED, End.FAILED: RunStatus.FAILED, End.CANCELLED: RunStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class RunSetup:
    """A pipeline run, ready to be driven; its row is in the run store."""

    plan: Plan
    context: RunContext
    tasks: Sequence[BlockTask]
    """For each block of the plan."""
    blocks: Sequence[Mapping[str, JsonValue]]
    """The snapshot of the plan that the run store keeps."""
    recollection: Recollection | None = None
    """A retry: what is kept of before."""
    cache: CacheSetup | None = None
    """Where some blocks are cached: how results of earlier runs are found."""
    outputs: OutputStore | None = None
    """Holds the items of earlier runs; needed where a block limits by their values, and this is a retry, or caches."""


@dataclass(slots=True)
class _InFlight:
    """A batch that an executor has."""

    block: int
    ranges: Ranges
    runs: Sequence[int]
    """The run of each position: the numbers of `ranges`."""
    open: int
    """How many runs are not reported."""
    width: int

    def runs_at(self, positions: Ranges) -> Ranges:
        """The runs of some positions, in their order."""
        if len(self.ranges) == 1:
            first = self.ranges[0][0]
            return tuple((first + start, first + stop) for start, stop in positions)
        return gather(chain.from_iterable(self.runs[start:stop] for start, stop in positions))


class PipelineRun:
    """Drives one pipeline run; an `Engine` drives several."""

    def __init__(self, setup: RunSetup, store: RunStore, executor: Executor, clock: Clock, owner: Owner) -> None:
        self.setup = setup
        self.id = setup.context.run
        self.end: RunStatus | None = None
        """How it ended; None while it goes on."""
        self._store = store
        self._executor = executor
        self._clock = clock
        self._state = State(setup.plan)
        chunks = Chunks(() if setup.recollection is None else setup.recollection.chunks)
        self._builder = BatchBuilder(self.id, self._state, chunks)
        self._sizes = BatchSizes(self._state)
        self._has_rates = any(block.rate is not None for block in setup.plan.blocks)
        self._values = ItemValues(setup.tasks, self._builder, setup.outputs)
        self._rows = RowBuffer()
        self._cache = ResultCache(setup.cache, store, self._state, self._builder)
        self._reuse: Reuse | None = None
        former = FormerPartials(() if setup.recollection is None else setup.recollection.folds)
        self._folding = Folding(self.id, setup.tasks, self._state, self._builder, self._rows, executor, former)
        if setup.recollection is not None:
            self._reuse = Reuse(setup.recollection, self._state, self._builder, self._rows, self._cache)
        self._recorder = Recorder(self._state, self._builder, self._rows, self._cache, self._reuse, clock)
        self._batches: dict[int, _InFlight] = {}
        self._producing: dict[tuple[int, int], tuple[int, int]] = {}
        """Dynamic runs under way: their batch and position in it."""
        self._events: deque[Event] = deque()
        self._timers: list[tuple[float, int]] = []
        self._flush_due: float | None = None
        self._renew_due = 0.0
        self._summary_due = 0.0
        self._lease: Lease = store.acquire(self.id, owner, clock.now(), LEASE_SECONDS)

    @property
    def progress(self) -> tuple[BlockProgress, ...]:
        """How each block stands."""
        return progress_of(self._state)

    @property
    def in_flight(self) -> int:
        """How many batches executors have."""
        return len(self._batches)

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._state.cancelling

    @property
    def wants_idle(self) -> bool:
        """Whether it waits for a worker that has nothing to do."""
        return self.end is None and not self.cancelling and self._state.wants_idle

    def existing(self, block: int) -> dict[Key, int]:
        """The keys of a block's runs that exist now, each with how many items it gave."""
        state = self._state.blocks[block]
        given = state.items.arrived_from if state.items is not None else lambda _run: 0
        return {state.space.key(run): given(run) for run in range(state.space.size)}

    def start(self) -> None:
        """Begins: the first blocks become ready."""
        _LEFTOVERS.clear()
        self._store.clear_requests(self.id)
        self._store.update_plan(self._lease, self.setup.blocks)
        self._renew_due = self._clock.monotonic() + LEASE_SECONDS / 4
        self._executor.open_run(self.setup.context, self.setup.tasks)
        if self._reuse is not None:
            self._reuse.forget_obsolete()
        self._feed(RunStarted())

    def offer(self, slots: int) -> bool:
        """An executor could take so many batches; whether this run had anything to do."""
        if self.end is not None or slots <= 0:
            return False
        sizes = self._sizes.sizes(slots, self._executor.workers(), self._clock.monotonic())
        idle = self._executor.idle(self.id) if self._has_rates else 0
        return self._feed(SlotsFree(slots, sizes, self._clock.monotonic(), idle))

    def cancel(self) -> None:
        """Stops the run: what has not begun is cancelled, what runs is interrupted."""
        if self.end is None and not self._state.cancelling:
            self._feed(CancelRequested())

    def due(self) -> float | None:
        """When (monotonic) something is to be done though nothing happens; None: never."""
        if self.end is not None:
            return None
        dues = [self._renew_due]
        if self._timers:
            dues.append(self._timers[0][0])
        if self._flush_due is not None:
            dues.append(self._flush_due)
        return min(dues)

    def fire_timers(self) -> None:
        """Tells of what was to be done at a time that has come."""
        now = self._clock.monotonic()
        while self.end is None and self._timers and self._timers[0][0] <= now:
            self._feed(TimerFired(heapq.heappop(self._timers)[1]))

    def tick(self) -> None:
        """Writes rows that waited long enough.

        Raises StoreError when they cannot be written (they are kept), LeaseError when another engine has the run.
        """
        if self.end is not None:
            return
        now = self._clock.monotonic()
        waited = self._flush_due is not None and now >= self._flush_due
        if waited or now >= self._renew_due or len(self._rows) >= FLUSH_ROWS:
            self.flush()

    def owns(self, batch: int) -> bool:
        """Whether a report's batch is this run's."""
        return batch in self._batches or self._folding.owns(batch)

    def handle(self, report: Report) -> None:
        """Takes in a report."""
        if isinstance(report, Partial):
            self._feed(self._folding.take(report, self._recorder.add_chunk))
            return
        batch = self._batches[report.batch]
        if isinstance(report, Produced):
            self._take_items(batch, report)
        elif isinstance(report, Paused):
            self._feed(ProducerPaused(batch.block, batch.runs[report.position]))
        elif isinstance(report, Begun):
            run, at = batch.runs[report.position], min(report.at, self._clock.monotonic())
            self._feed(RunsBegan(batch.block, ((run, run + 1),), at))
        else:
            self._take_outcomes(batch, report)

    def flush(self) -> None:
        """Writes what waits, in one transaction, and renews the lease. Raises as `tick` does."""
        now = self._clock.monotonic()
        summary = None
        if now >= self._summary_due:
            summary = summary_of(self._state)
            self._summary_due = now + SUMMARY_SECONDS
        batch = self._rows.take(summary)
        self._flush_due = None
        self._renew_due = now + LEASE_SECONDS / 4
        try:
            self._store.write(self._lease, batch, self._clock.now(), LEASE_SECONDS)
        except StoreError:
            self._rows.put_back(batch)
            raise

    def _feed(self, event: Event) -> bool:
        """Gives the scheduler an event and what follows from it; whether it had anything to command."""
        self._events.append(event)
        acted = False
        while self._events:
            for command in gathered(decide(self._state, self._with_groups(self._events.popleft()))):
                acted = True
                self._perform(command)
            if self._reuse is not None:
                self._events += self._reuse.take_ready(self._recorder.times)
        self._recorder.times = {}
        if len(self._rows) and self._flush_due is None:
            self._flush_due = self._clock.monotonic() + FLUSH_SECONDS
        return acted

    def _with_groups(self, event: Event) -> Event:
        """The event; of items that came earlier, with the numbers of their values."""
        if isinstance(event, ItemsArrived) and not event.groups and self._values.limits(event.block):
            items = self._state.blocks[event.block].items
            assert items is not None, "a dynamic block has items"
            stop = items.size + event.stop - event.start
            return replace(event, groups=self._values.numbers_at(event.block, items.size, stop))
        return event

    def _perform(self, command: Command) -> None:
        match command:
            case RunBatch():
                self._hand_out(command)
            case Record():
                self._recorder.record(command)
            case Fold():
                folded = self._folding.start(command, next(_BATCHES))
                if folded is not None:
                    self._events.append(folded)
            case Pull():
                batch = self._producing.get((command.block, command.run))
                if batch is not None:
                    self._executor.pull(*batch, command.items, command.size)
            case StartTimer():
                heapq.heappush(self._timers, (self._clock.monotonic() + command.seconds, command.timer))
            case Interrupt():
                self._timers.clear()
                self._executor.cancel(self.id)
            case FinishRun():
                self._finish(_ENDS[command.end])

    def _hand_out(self, command: RunBatch) -> None:
        if self._reuse is not None:
            runs, events = self._reuse.answer(
                command.block, command.runs, self._recorder.times.setdefault(command.block, Times())
            )
            self._events += map(_answered, events)
            command = replace(command, runs=runs)
        runs, events = self._cache.answer(command.block, command.runs, self._recorder)
        self._events += map(_answered, events)
        if not runs:
            return
        command = replace(command, runs=runs)
        sequence = sequence_of(command.runs)
        number = next(_BATCHES)
        known: dict[int, bytes] = {}
        if self._state.plan.blocks[command.block].dynamic:
            for position, run in enumerate(sequence):
                self._producing[command.block, run] = (number, position)
                if given := self._recorder.given.get((command.block, run)):
                    known[position] = b"".join(given)
        self._batches[number] = _InFlight(command.block, command.runs, sequence, len(sequence), command.width)
        self._executor.submit(self._builder.build(number, command, sequence, known))

    def _take_items(self, batch: _InFlight, report: Produced) -> None:
        block, run = batch.block, batch.runs[report.position]
        row = self._recorder.take_items(block, run, report)
        waits = waits_of(row, self.setup.plan)
        groups = self._values.numbers(block, report.groups)
        self._feed(ItemsArrived(block, run, report.start, report.start + report.length, report.size, waits, groups))

    def _take_outcomes(self, batch: _InFlight, report: Finished) -> None:
        block, told = batch.block, batch.runs_at(report.positions)
        finished = FinishedRuns.of(report, told)
        if finished.times is not None:
            self._recorder.times = {block: finished.times}
        if report.chunk is not None:
            finished.place(report, self._builder.outputs[block], self._recorder.add_chunk(report.chunk))
        if report.digests:
            self._cache.digests.put(block, told, report.outcomes, report.digests)
        for position, failure in report.failures.items():
            self._recorder.failures[block, batch.runs[position]] = failure
        self._sizes.measure(block, report, batch.width)
        if self._state.plan.blocks[block].dynamic:
            for run in numbers(told):
                self._producing.pop((block, run), None)
        batch.open -= len(report.outcomes)
        if not batch.open:
            del self._batches[report.batch]
        self._feed(RunsFinished(block, finished.runs, finished.outcomes))

    def _finish(self, end: RunStatus) -> None:
        if self._reuse is not None and end is not RunStatus.CANCELLED:
            self._reuse.forget_vanished()
        self._executor.close_run(self.id)
        self._store.finish(self._lease, self._rows.take(summary_of(self._state)), end, self._clock.now())
        self.end = end
        _LEFTOVERS.leave(sum(block.space.size for block in self._state.blocks))


def _answered(event: Event) -> Event:
    """The event of runs that were handed out, and that the engine answers for itself."""
    return replace(event, began=False) if isinstance(event, RunsFinished) else event
