"""An executor that plays scripts: it drives a real engine, and reads and writes a real output store.

What happens on its workers, and in which order, is the `SimulatedExecutor`'s affair. This adds what an engine needs of
an executor: values are read from where the engine says that they lie, and made of them, so a wrong place shows as a
wrong value.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from refold.model.block import LIST
from refold.model.keys import BlockUuid, Key, RunId
from refold.model.limit_value import limit_value
from refold.outputs import MemoryOutputStore
from refold.ports.executor import (
    Batch,
    Begun,
    BlockTask,
    Failure,
    Finished,
    FoldBatch,
    Folding,
    InputKind,
    NamedWait,
    Partial,
    Paused,
    Produced,
    Report,
    RunContext,
    Spans,
)
from refold.ports.output_store import ChunkRef, Item, Output
from refold.scheduler.commands import Fold, Pull, RunBatch
from refold.scheduler.events import Folded, ItemsArrived, Outcome, ProducerPaused, RunsFinished
from refold.scheduler.plan import Edge, EdgeKind
from refold.scheduler.ranges import numbers
from refold.testing.flow_referee import demand_rate
from refold.testing.machine import demand
from refold.testing.scripted import Act, Attempt, Script, Value, contributed, folded, item_of, partly_folded
from refold.testing.simulated_clock import SimulatedClock
from refold.testing.simulated_executor import ExecutorEvent, Handed, SimulatedExecutor

Place = tuple[RunId, str, Key]
"""A block run: its pipeline run, its block's uuid, its key."""
Record = tuple[ChunkRef, int]
"""A record of the output store: its chunk, and its position there."""
_FAILURES = frozenset({Outcome.FAILED, Outcome.FAILED_FOR_GOOD})


@dataclass(frozen=True, slots=True)
class Played:
    """A pipeline run that is played."""

    script: Script
    outputs: MemoryOutputStore
    """Outlives the executor, as files on disk do."""


@dataclass(slots=True)
class Deeds:
    """What was done for all to see, over all engines and executors of a simulation."""

    completed: Counter[Place] = field(default_factory=Counter)
    """How often block runs were executed to a good end."""
    failures: Counter[Place] = field(default_factory=Counter)
    """How often they failed, lost workers included."""
    names: dict[Place, Value] = field(default_factory=dict)
    """What the items of dynamic runs are made of."""
    batches: list[tuple[float, RunId, str]] = field(default_factory=list)
    """When batches came, for which run and block."""
    begun: dict[tuple[RunId, str], list[float]] = field(default_factory=dict)
    """When runs of a block began, each time that they did."""
    folds: Counter[tuple[RunId, str]] = field(default_factory=Counter)
    """How many stretches of a block's runs were folded ahead."""


class ScriptedExecutor:
    """The port `Executor`, on virtual time."""

    def __init__(
        self,
        runs: Mapping[RunId, Played],
        clock: SimulatedClock,
        chance: random.Random,
        deeds: Deeds,
        slots: int = 2,
        losses: bool = True,
        ahead: int = 0,
    ) -> None:
        """`ahead`: how many batches it takes beyond those that its `slots` workers are at."""
        self.on_wait: Callable[[], None] = lambda: None
        """Called whenever the engine waits; what it raises, the engine meets."""
        self._runs = runs
        self._clock = clock
        self._chance = chance
        self._deeds = deeds
        self._workers = SimulatedExecutor(chance, slots, losses, ahead)
        self._tasks: dict[RunId, Sequence[BlockTask]] = {}
        self._batches: dict[int, Batch] = {}
        self._folds: dict[int, FoldBatch] = {}
        self._attempts: dict[int, list[Attempt]] = {}
        """What the runs of a batch were going to do."""
        self._deaths: Counter[Place] = Counter()
        """Workers that were lost on a block run."""
        self._asked: Counter[Place] = Counter()
        """How often a sensor said "not yet"."""
        self._left: dict[int, int] = {}
        """How many runs of a batch are not reported."""
        self._pulls: Counter[tuple[int, int]] = Counter()
        self._told: list[Report] = []
        """What began since the engine waited."""
        self._begun: dict[tuple[RunId, int], list[float]] = {}
        """By block with a rate: when its runs began."""
        self._under_way: Counter[tuple[RunId, int, int, str]] = Counter()
        """By block, dynamic block above it, and value of its items."""
        self._name = f"{chance.getrandbits(32):08x}"

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins."""
        self._tasks[context.run] = tasks

    def workers(self) -> int:
        """How many workers there are."""
        return self._workers.slots

    def free_slots(self) -> int:
        """How many batches could be taken."""
        return self._workers.free

    def idle(self, run: RunId) -> int:  # noqa: ARG002 - the port's
        """How many have nothing to do."""
        return self._workers.idle

    def submit(self, batch: Batch) -> None:
        """Takes a batch. Workers know its runs by the batch and their position in it."""
        self._batches[batch.id] = batch
        self._left[batch.id] = batch.length
        self._deeds.batches.append((self._clock.monotonic(), batch.run, self._task(batch).block))
        handed = [self._hand(batch, position) for position in range(batch.length)]
        self._attempts[batch.id] = [each.attempt for each in handed]
        runs = ((0, batch.length),)
        command = RunBatch(batch.id, runs, batch.width, credit=batch.credit, credit_bytes=batch.credit_bytes)
        self._workers.take(command, handed)
        for position in range(batch.length):
            self._count_values(batch, position, 1)
        self._note_begun()
        for position, known in batch.known.items():
            self._check_known(batch, position, known)
            self._workers.knows(batch.id, position, len(known) // 8)

    def submit_fold(self, batch: FoldBatch) -> None:
        """Takes a fold."""
        self._folds[batch.id] = batch
        self._workers.take_fold(Fold(batch.id, 0, 0, ()))

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Lets a producer give more."""
        self._pulls[batch, position] += 1
        self._workers.pull(Pull(batch, position, items, size))

    def cancel(self, run: RunId) -> None:
        """Stops everything: it is for simulations of one run."""
        assert set(self._tasks) == {run}
        self._workers.interrupted = True

    def wait(self, timeout: float | None) -> list[Report]:
        """Lets something happen, or time pass."""
        self.on_wait()
        if not self._workers.busy:
            self._clock.advance(timeout or 0.0)
            return []
        reports: list[Report] = []
        if self._told:  # what began was on its way while the engine did something else
            reports, self._told = [*self._told], []
            return reports
        for _ in range(self._chance.randint(1, 4)):
            self._clock.advance(self._chance.random() * 0.02)
            event = self._workers.step()
            self._note_begun()
            reports += self._told
            self._told = []
            if event is not None:
                reports.append(self._report(event))
        return reports

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over; nothing of it may be under way."""
        under_way: list[Batch | FoldBatch] = [*self._batches.values(), *self._folds.values()]
        assert not [batch for batch in under_way if batch.run == run], "the run ends with batches under way"

    def close(self) -> None:
        """Nothing is left to end."""

    def _note_begun(self) -> None:
        """Raises FoulError where runs of a block begin faster than its rate lets them, while this executor is there."""
        for handed in self._workers.begun:
            batch = self._batches[handed.block]
            block = self._runs[batch.run].script.plan.blocks[batch.block]
            self._deeds.begun.setdefault((batch.run, block.uuid), []).append(self._clock.monotonic())
            if block.rate is not None:
                times = self._begun.setdefault((batch.run, batch.block), [])
                times.append(self._clock.monotonic())
                demand_rate(block.uuid, times, block.rate)
                self._told.append(Begun(batch.id, handed.run, self._clock.monotonic()))
        self._workers.begun.clear()

    def _count_values(self, batch: Batch, position: int, change: int) -> None:
        """Raises FoulError where too many runs of a block are under way for items that share a value."""
        script = self._runs[batch.run].script
        for source in script.sources(batch.block, self._place(batch, position)[2]):
            upstream = script.plan.blocks[source.edge.upstream]
            if source.edge.kind is EdgeKind.ITEMS and upstream.group_limit is not None and source.item is not None:
                value = script.value(upstream.number, source.key, source.item)
                place = (batch.run, batch.block, upstream.number, value)
                self._under_way[place] += change
                demand(self._under_way[place] <= upstream.group_limit, f"{place}: {self._under_way[place]} under way")

    def _task(self, batch: Batch) -> BlockTask:
        return self._tasks[batch.run][batch.block]

    def _place(self, batch: Batch, position: int) -> Place:
        return batch.run, self._task(batch).block, tuple(indices[position] for indices in batch.keys)

    def _act(self, batch: Batch, position: int) -> Act:
        return self._runs[batch.run].script.act(batch.block, self._place(batch, position)[2])

    def _hand(self, batch: Batch, position: int) -> Handed:
        place, act = self._place(batch, position), self._act(batch, position)
        deaths = self._deaths[place]
        attempt = act.attempt(batch.failures.get(position, 0) - deaths)
        if self._asked[place] < act.not_yet:
            attempt = Attempt(Outcome.NOT_YET)
        retries = self._runs[batch.run].script.plan.blocks[batch.block].retry.retries
        mortal = act.result(retries).outcome not in _FAILURES and retries > len(act.failing) + deaths
        return Handed(batch.id, position, act, attempt, mortal)

    def _value(self, batch: Batch, position: int) -> Value:
        """What a run returns, made of its inputs as they are stored."""
        inputs = [self._input(batch, number, position) for number in range(len(batch.inputs))]
        return self._runs[batch.run].script.output(batch.block, self._place(batch, position)[2], inputs)

    def _input(self, batch: Batch, number: int, position: int) -> Value:
        kind, records = self._task(batch).inputs[number], _records(batch.inputs[number])
        if kind in {InputKind.REDUCED, InputKind.GROUP}:
            grouping, folding = batch.groupings[number], self._task(batch).foldings[number]
            assert grouping is not None, "a fold says how its records are shared out"
            assert folding is not None, "a fold says how it is done"
            assert len(grouping.records) == (1 if kind is InputKind.REDUCED else batch.length), "a group for each run"
            assert sum(grouping.records) == len(records), "every record belongs to a group"
            group = 0 if kind is InputKind.REDUCED else position
            start = sum(grouping.records[:group])
            records = records[start : start + grouping.records[group]]
            return self._fold(batch.run, records, grouping.partials[group], folding)
        expected = 1 if kind is InputKind.STATIC else batch.length
        assert len(records) == expected, f"{len(records)} records for {expected} runs"
        record = records[0 if kind is InputKind.STATIC else position]
        return self._read(batch.run, record, item=kind is InputKind.ITEM)

    def _read(self, run: RunId, record: Record, *, item: bool) -> Value:
        chunk = self._runs[run].outputs.read(record[0])
        return as_value(chunk.item(record[1]).value if item else chunk.output(record[1]).value)

    def _fold(self, run: RunId, records: Sequence[Record], partials: int, folding: Folding) -> Value:
        """What one group folds to: what workers made of its first runs, then the others."""
        assert partials <= 1 or not folding.cumulative, "a partial that holds the ones before stands alone"
        assert not partials or folding.strategy != LIST, "nobody folds a list"
        texts = [str(self._read(run, record, item=False)) for record in records[:partials]]
        return folded(self._contributions(run, records[partials:], folding), folding.strategy != LIST, texts)

    def _contributions(self, run: RunId, records: Sequence[Record], folding: Folding) -> list[Value]:
        values = [self._read(run, record, item=folding.items) for record in records]
        return values if folding.items else [part for value in values for part in contributed(value)]

    def _item(self, batch: Batch, position: int, index: int) -> Item:
        name = self._deeds.names[self._place(batch, position)] = self._value(batch, position)
        # Blocks of every other name give labels.
        metadata: dict[str, object] = {"block_uuid": f"no {index}"} if batch.block % 2 else {}
        if (key := self._task(batch).limit_by) is not None:
            metadata[key] = self._limit_value(batch, position, index)
        return Item(item_of(name, index), metadata or None)

    def _limit_value(self, batch: Batch, position: int, index: int) -> str:
        """What an item has that its block limits by."""
        return self._runs[batch.run].script.value(batch.block, self._place(batch, position)[2], index)

    def _store(self, run: RunId, items: Sequence[Item], outputs: Sequence[Value]) -> tuple[ChunkRef, bytes, bool]:
        builder = self._runs[run].outputs.builder(f"{self._name}-{self._chance.getrandbits(32):08x}")
        for item in items:
            builder.add_item(item)
        for output in outputs:
            builder.add_output(Output.of(list(output) if isinstance(output, tuple) else output))
        fingerprints, named = (builder.fingerprints(), builder.named()) if items else (b"", False)
        return builder.publish(), fingerprints, named

    def _check_known(self, batch: Batch, position: int, known: bytes) -> None:
        items = [self._item(batch, position, index) for index in range(len(known) // 8)]
        assert self._store(batch.run, items, ())[1] == known, "fingerprints of the items that were given"

    def _report(self, event: ExecutorEvent) -> Report:
        if isinstance(event, Folded):
            return self._partial(self._folds.pop(event.block), ok=event.ok)
        batch = self._batches[event.block]
        if isinstance(event, ItemsArrived):
            items = [self._item(batch, event.run, index) for index in range(event.start, event.stop)]
            chunk, fingerprints, named = self._store(batch.run, items, ())
            length = event.stop - event.start
            uuids = [block.uuid for block in self._runs[batch.run].script.plan.blocks]
            waits = tuple(
                NamedWait(wait.item, None if wait.block is None else uuids[wait.block], wait.target)
                for wait in event.waits
            )
            groups: tuple[str, ...] = ()
            if (key := self._task(batch).limit_by) is not None:
                groups = tuple(limit_value(item.metadata, key) for item in items)
            return Produced(
                batch.id, event.run, event.start, length, chunk, 0, named, fingerprints, event.size, waits, groups
            )
        if isinstance(event, ProducerPaused):
            return Paused(batch.id, event.run, self._pulls[batch.id, event.run])
        return self._finished(batch, event)

    def _partial(self, batch: FoldBatch, *, ok: bool) -> Partial:
        """What a worker made of a stretch, on top of what it had been given of those before it."""
        if not ok:
            return Partial(batch.id, failure=Failure("Lost: its worker died", "Lost", ""))
        task = self._tasks[batch.run][batch.block]
        folding = task.folds_own
        assert folding is not None, "what workers fold says how"
        assert folding.cumulative or not batch.before, "partials of stretches stand side by side"
        before = [str(self._read(batch.run, record, item=False)) for record in _records(batch.before)]
        assert len(before) <= 1, "one partial holds all before it"
        text = partly_folded(before, self._contributions(batch.run, _records(batch.records), folding))
        self._deeds.folds[batch.run, task.block] += 1
        return Partial(batch.id, self._store(batch.run, (), (text,))[0], len(text))

    def _finished(self, batch: Batch, event: RunsFinished) -> Finished:
        dynamic = self._task(batch).dynamic
        values: list[Value] = []
        failures: dict[int, Failure] = {}
        for position, code in zip(numbers(event.runs), event.outcomes, strict=True):
            place = self._place(batch, position)
            self._asked[place] += code == Outcome.NOT_YET
            if code <= Outcome.COMPLETED_FALSE:
                self._deeds.completed[place] += 1
                value = self._value(batch, position)
                if dynamic:
                    self._deeds.names[place] = value
                else:
                    values.append(value)
            elif code in _FAILURES:
                self._deeds.failures[place] += 1
                self._deaths[place] += self._attempts[batch.id][position].outcome not in _FAILURES
                failures[position] = Failure("Scripted: it failed", "Scripted", "", code == Outcome.FAILED_FOR_GOOD)
        for position in numbers(event.runs):
            self._count_values(batch, position, -1)
        began = any(code != Outcome.UNSTARTED for code in event.outcomes)
        times = [self._clock.now()] * len(event.outcomes) if began else []
        chunk = self._store(batch.run, (), values)[0] if values else None
        self._forget(batch, event)
        return Finished(batch.id, event.runs, event.outcomes, times, times, chunk, failures)

    def _forget(self, batch: Batch, event: RunsFinished) -> None:
        self._left[batch.id] -= len(event.outcomes)
        if not self._left[batch.id]:
            del self._batches[batch.id], self._left[batch.id]


def _records(spans: Spans) -> list[Record]:
    return [(span.chunk, at) for span in spans for at in range(span.start, span.stop)]


def as_value(stored: object) -> Value:
    """A value as scripts have it: lists are tuples there."""
    if isinstance(stored, list):
        return tuple(map(as_value, stored))
    assert stored is None or isinstance(stored, bool | str), f"no script returns {stored!r}"
    return stored


def folding_of(script: Script, number: int, *, computed: bool) -> Folding:
    """How a block's runs are folded; partials of every other block hold all before them, so both kinds are met."""
    block = script.plan.blocks[number]
    strategy = ("sum", "concat")[number % 2] if computed else LIST
    return Folding(BlockUuid(block.uuid), items=block.dynamic, strategy=strategy)


def edge_folding(script: Script, edge: Edge) -> Folding | None:
    """How what comes over this edge is folded, if it is."""
    if edge.fold is None:
        return None
    return folding_of(script, edge.upstream, computed=script.plan.blocks[edge.upstream].folds[edge.fold].computed)
