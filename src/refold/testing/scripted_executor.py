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

from refold.executors.batch_inputs import reduced_list
from refold.model.keys import Key, RunId
from refold.outputs import MemoryOutputStore
from refold.ports.executor import (
    Batch,
    BlockTask,
    Failure,
    Finished,
    InputKind,
    Paused,
    Produced,
    Report,
    RunContext,
)
from refold.ports.output_store import ChunkRef, Item, Output
from refold.scheduler.commands import Pull, RunBatch
from refold.scheduler.events import ItemsArrived, Outcome, ProducerPaused, RunsFinished
from refold.scheduler.ranges import numbers
from refold.testing.scripted import Act, Attempt, Script, Value, item_of
from refold.testing.simulated_clock import SimulatedClock
from refold.testing.simulated_executor import Handed, SimulatedExecutor

Place = tuple[RunId, str, Key]
"""A block run: its pipeline run, its block's uuid, its key."""
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
    ) -> None:
        self.on_wait: Callable[[], None] = lambda: None
        """Called whenever the engine waits; what it raises, the engine meets."""
        self._runs = runs
        self._clock = clock
        self._chance = chance
        self._deeds = deeds
        self._workers = SimulatedExecutor(chance, slots, losses)
        self._tasks: dict[RunId, Sequence[BlockTask]] = {}
        self._batches: dict[int, Batch] = {}
        self._attempts: dict[int, list[Attempt]] = {}
        """What the runs of a batch were going to do."""
        self._deaths: Counter[Place] = Counter()
        """Workers that were lost on a block run."""
        self._asked: Counter[Place] = Counter()
        """How often a sensor said "not yet"."""
        self._left: dict[int, int] = {}
        """How many runs of a batch are not reported."""
        self._pulls: Counter[tuple[int, int]] = Counter()
        self._name = f"{chance.getrandbits(32):08x}"

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins."""
        self._tasks[context.run] = tasks

    def free_slots(self) -> int:
        """How many batches could be taken."""
        return self._workers.free

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
        for position, known in batch.known.items():
            self._check_known(batch, position, known)
            self._workers.knows(batch.id, position, len(known) // 8)

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
        for _ in range(self._chance.randint(1, 4)):
            self._clock.advance(self._chance.random() * 0.02)
            event = self._workers.step()
            if event is not None:
                reports.append(self._report(event))
        return reports

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over; nothing of it may be under way."""
        assert not [batch for batch in self._batches.values() if batch.run == run], (
            "the run ends with batches under way"
        )

    def close(self) -> None:
        """Nothing is left to end."""

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
        played = self._runs[batch.run]
        inputs: list[Value] = []
        for kind, spans in zip(self._task(batch).inputs, batch.inputs, strict=True):
            records = [(span, at) for span in spans for at in range(span.start, span.stop)]
            read = played.outputs.read
            if kind is InputKind.REDUCED:
                inputs.append(as_value(reduced_list([read(span.chunk).output(at) for span, at in records])))
                continue
            expected = 1 if kind is InputKind.STATIC else batch.length
            assert len(records) == expected, f"{len(records)} records for {expected} runs"
            span, at = records[0 if kind is InputKind.STATIC else position]
            chunk = read(span.chunk)
            inputs.append(as_value(chunk.item(at).value if kind is InputKind.ITEM else chunk.output(at).value))
        return played.script.output(batch.block, self._place(batch, position)[2], inputs)

    def _item(self, batch: Batch, position: int, index: int) -> Item:
        name = self._deeds.names[self._place(batch, position)] = self._value(batch, position)
        # Blocks of every other name give labels.
        metadata = {"block_uuid": f"no {index}"} if batch.block % 2 else None
        return Item(item_of(name, index), metadata)

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

    def _report(self, event: ItemsArrived | ProducerPaused | RunsFinished) -> Report:
        batch = self._batches[event.block]
        if isinstance(event, ItemsArrived):
            items = [self._item(batch, event.run, index) for index in range(event.start, event.stop)]
            chunk, fingerprints, named = self._store(batch.run, items, ())
            length = event.stop - event.start
            return Produced(batch.id, event.run, event.start, length, chunk, 0, named, fingerprints, event.size)
        if isinstance(event, ProducerPaused):
            return Paused(batch.id, event.run, self._pulls[batch.id, event.run])
        return self._finished(batch, event)

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
        began = any(code != Outcome.UNSTARTED for code in event.outcomes)
        times = [self._clock.now()] * len(event.outcomes) if began else []
        chunk = self._store(batch.run, (), values)[0] if values else None
        self._forget(batch, event)
        return Finished(batch.id, event.runs, event.outcomes, times, times, chunk, failures)

    def _forget(self, batch: Batch, event: RunsFinished) -> None:
        self._left[batch.id] -= len(event.outcomes)
        if not self._left[batch.id]:
            del self._batches[batch.id], self._left[batch.id]


def as_value(stored: object) -> Value:
    """A value as scripts have it: lists are tuples there."""
    if isinstance(stored, list):
        return tuple(map(as_value, stored))
    assert stored is None or isinstance(stored, bool | str), f"no script returns {stored!r}"
    return stored


def input_kinds(script: Script, block: int) -> tuple[InputKind, ...]:
    """What each upstream gives to a run of this block."""
    kinds = []
    for edge in script.plan.blocks[block].edges:
        upstream = script.plan.blocks[edge.upstream]
        if edge.reduces:
            kinds.append(InputKind.REDUCED)
        elif upstream.dynamic:
            kinds.append(InputKind.ITEM)
        else:
            kinds.append(InputKind.CHILD if upstream.axes else InputKind.STATIC)
    return tuple(kinds)
