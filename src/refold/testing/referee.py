"""The referee: watches every command and event of a simulated run, and stops it at the first breach of the rules.

Rules that the law's final result cannot show: a run is handed out only when all that it reads is there and on record,
never twice at once, never after its end; retries and sensors wait as long as they should; limits hold; a parent is
recorded before its child, each run once, and the end comes once and last.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import Protocol

from refold.model.keys import Key
from refold.scheduler.commands import Command, End, FinishRun, Interrupt, Pull, Record, RunBatch
from refold.scheduler.events import Event, ItemsArrived, Outcome, ProducerPaused, RunsFinished, SlotsFree
from refold.scheduler.ranges import count, numbers
from refold.scheduler.status import TERMINAL, Status
from refold.testing.naive import BROKEN, COMPLETE, Observation, Seen
from refold.testing.scripted import Attempt, Script, Source, Value, contributed, item_of
from refold.testing.simulated_executor import Handed

_FAILURES = (Outcome.FAILED, Outcome.FAILED_FOR_GOOD)


class Machine(Protocol):
    """The scheduler, with its state."""

    def decide(self, event: Event) -> list[Command]:
        """Applies an event; what is to be done now."""

    def key(self, block: int, run: int) -> Key:
        """The key of a run that was named in a command."""

    def validate(self) -> None:
        """Raises AssertionError where an invariant of the state does not hold."""


class FoulError(AssertionError):
    """Raised when the scheduler breaks a rule of the game."""


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        raise FoulError(complaint)


@dataclass(slots=True)
class _Run:
    """What is known of one run that a command named."""

    key: Key
    inputs: tuple[Value, ...] = ()
    attempt: Attempt | None = None
    """What its script said when it was last handed out."""
    in_flight: bool = False
    paused: bool = False
    failures: int = 0
    deaths: int = 0
    asked: int = 0
    outcome: Outcome | None = None
    """How it came back the last time, if that ends it."""
    not_before: float = 0.0


@dataclass(slots=True)
class Referee:
    """Knows the script and what was said so far; of the scheduler only its commands and how it numbers runs."""

    script: Script
    machine: Machine
    runs: list[dict[int, _Run]] = field(init=False)
    """By block, then by number."""
    numbered: list[dict[Key, int]] = field(init=False)
    recorded: list[dict[Key, Status]] = field(init=False)
    items: list[dict[Key, int]] = field(init=False)
    """Items that arrived of each run of a dynamic block."""
    values: list[dict[Key, Value]] = field(init=False)
    now: float = 0.0
    cancelled: bool = False
    end: End | None = None
    in_flight: Counter[int] = field(default_factory=Counter)
    """Runs handed out and not yet back, paused producers left out, by block."""

    def __post_init__(self) -> None:
        size = len(self.script.plan.blocks)
        self.runs = [{} for _ in range(size)]
        self.numbered = [{} for _ in range(size)]
        self.recorded = [{} for _ in range(size)]
        self.items = [{} for _ in range(size)]
        self.values = [{} for _ in range(size)]

    def name(self, block: int, run: int) -> str:
        """The run as people know it."""
        known = self.runs[block].get(run)
        uuid = self.script.plan.blocks[block].uuid
        return f"{uuid}#{run}" if known is None else ":".join([uuid, *map(str, known.key)])

    def judge_commands(self, event: Event, commands: list[Command]) -> None:
        """Raises FoulError if these commands may not answer this event as a whole."""
        _demand(self.end is None, "a command after the end")
        started = sum(isinstance(command, RunBatch) for command in commands)
        resumed = sum(
            isinstance(command, Pull) and self.runs[command.block][command.run].paused for command in commands
        )
        slots = event.slots if isinstance(event, SlotsFree) else 0
        _demand(started + resumed <= slots, f"{started} batches and {resumed} resumed producers for {slots} slots")
        _demand(not (self.cancelled and started), "a batch after the cancel")
        for command in commands:
            if isinstance(command, RunBatch) and isinstance(event, SlotsFree):
                size = count(command.runs)
                _demand(0 < size <= event.batch_sizes[command.block], f"a batch of {size} runs")
            _demand(self.cancelled or not isinstance(command, Interrupt), "an interrupt that nobody asked for")
        ends = [position for position, command in enumerate(commands) if isinstance(command, FinishRun)]
        _demand(ends in ([], [len(commands) - 1]), "the end is not the last command")

    def hand_out(self, batch: RunBatch) -> list[Handed]:
        """The batch as an executor takes it; raises FoulError where a run of it may not start now."""
        handed = [self._hand_out_run(batch, run) for run in numbers(batch.runs)]
        block = self.script.plan.blocks[batch.block]
        _demand(1 <= batch.width <= block.width, f"{block.uuid}: width {batch.width}")
        self._demand_limits(batch.block)
        return handed

    def pull(self, pull: Pull) -> None:
        """Raises FoulError if this producer may not be given more now."""
        run = self.runs[pull.block][pull.run]
        name = self.name(pull.block, pull.run)
        _demand(run.in_flight, f"{name}: pulled, but it does not produce")
        _demand(pull.items > 0 or pull.size > 0, f"{name}: pulled for nothing")
        self.in_flight[pull.block] += run.paused
        run.paused = False
        self._demand_limits(pull.block)

    def _demand_limits(self, number: int) -> None:
        block = self.script.plan.blocks[number]
        for running, limit in (
            (self.in_flight[number], block.concurrency_limit),
            (sum(self.in_flight.values()), self.script.plan.concurrency_limit),
        ):
            _demand(limit is None or running <= limit, f"{block.uuid}: {running} under way, the limit is {limit}")

    def _hand_out_run(self, batch: RunBatch, number: int) -> Handed:
        block = batch.block
        run = self._meet(block, number)
        name = self.name(block, number)
        _demand(not run.in_flight, f"{name}: handed out twice")
        _demand(run.key not in self.recorded[block], f"{name}: handed out after its end")
        _demand(run.outcome is None, f"{name}: handed out though it came back for good")
        _demand(self.now >= run.not_before - 1e-9, f"{name}: handed out at {self.now}, not before {run.not_before}")
        failures = batch.failures.get(number, 0)
        _demand(failures == run.failures, f"{name}: {failures} failures given, there were {run.failures}")
        dynamic = self.script.plan.blocks[block].dynamic
        _demand(batch.credit > 0 if dynamic else batch.credit == 0, f"{name}: credit {batch.credit}")
        for source in self.script.sources(block, run.key):
            self._demand_ready(name, source)
        run.inputs = tuple(self._value(source) for source in self.script.sources(block, run.key))
        run.in_flight = True
        self.in_flight[block] += 1
        act = self.script.act(block, run.key)
        retries = self.script.plan.blocks[block].retry.retries
        tried = run.failures - run.deaths
        spare = retries - len(act.failing) - run.deaths
        succeeds = act.result(retries).outcome not in _FAILURES
        run.attempt = Attempt(Outcome.NOT_YET) if run.asked < act.not_yet else act.attempt(tried)
        return Handed(block, number, act, run.attempt, mortal=succeeds and spare > 0)

    def _meet(self, block: int, number: int) -> _Run:
        key = self.machine.key(block, number)
        run = self.runs[block].setdefault(number, _Run(key))
        _demand(run.key == key, f"{self.name(block, number)}: run {number} is now {key}")
        _demand(self.numbered[block].setdefault(key, number) == number, f"two runs of key {key}")
        return run

    def _demand_ready(self, name: str, source: Source) -> None:
        """All that a run reads is complete and recorded, and no forebear of it has failed."""
        upstream = self.script.plan.blocks[source.edge.upstream]
        if source.edge.reduces:
            missing = self._missing(upstream.number)
            _demand(not missing, f"{name}: starts before {missing} of {upstream.uuid}, which it reduces")
            return
        status = self.recorded[upstream.number].get(source.key)
        where = f"{name}: starts though {upstream.uuid}{source.key}"
        if source.item is None or upstream.batch_mode:
            _demand(status is Status.COMPLETED, f"{where} is {status!r}")
        if source.item is not None:
            given = self.items[upstream.number].get(source.key, 0)
            _demand(source.item < given, f"{where} gave {given} items")
            _demand(status in {None, Status.COMPLETED}, f"{where} is {status!r}")
        for further in self.script.sources(upstream.number, source.key):
            if not further.edge.reduces:
                self._demand_ready(name, further)

    def _missing(self, block: int) -> str:
        """What keeps a reduce over this block from happening."""
        for number in (*sorted(set(self.script.plan.blocks[block].axes)), block):
            for key in self.keys(number):
                status = self.recorded[number].get(key)
                if status is None or status in BROKEN:
                    return f"{self.script.plan.blocks[number].uuid}{key} ({status!r})"
        return ""

    def keys(self, block: int) -> list[Key]:
        """The keys of all runs that exist by now, in order."""
        parts: list[list[Key]] = []
        for edge in self.script.plan.blocks[block].edges:
            keys: list[Key] = [()] if edge.reduces else self.keys(edge.upstream)
            if not edge.reduces and self.script.plan.blocks[edge.upstream].dynamic:
                items = self.items[edge.upstream]
                keys = [(*key, item) for key in keys for item in range(items.get(key, 0))]
            parts.append(keys)
        return [sum(choice, ()) for choice in product(*parts)]

    def _value(self, source: Source) -> Value:
        upstream = source.edge.upstream
        if source.edge.reduces:
            values = self.values[upstream]
            return tuple(part for key in sorted(values) for part in contributed(values[key]))
        if source.item is None:
            return self.values[upstream][source.key]
        number = self.numbered[upstream][source.key]
        inputs = self.runs[upstream][number].inputs
        return item_of(self.script.output(upstream, source.key, inputs), source.item)

    def record(self, record: Record) -> None:
        """Raises FoulError if these runs have not come to this status, or not yet."""
        _demand(record.status in TERMINAL, f"recorded as {record.status!r}")
        for number in numbers(record.runs):
            run = self._meet(record.block, number)
            name = self.name(record.block, number)
            _demand(run.key not in self.recorded[record.block], f"{name}: recorded twice")
            _demand(not run.in_flight, f"{name}: recorded as {record.status!r} while it is under way")
            if record.status in COMPLETE or run.outcome is not None:
                _demand(
                    run.outcome is not None and record.status.name == _recorded_as(run.outcome),
                    f"{name}: recorded as {record.status!r}, it came back as {run.outcome!r}",
                )
            self._demand_cause(record, name, run)
            self.recorded[record.block][run.key] = record.status
            if record.status in COMPLETE:
                self.values[record.block][run.key] = self.script.output(record.block, run.key, run.inputs)

    def _demand_cause(self, record: Record, name: str, run: _Run) -> None:
        """What an unstarted run came to is said after the reason why."""
        sources = self.script.sources(record.block, run.key)
        if record.status is Status.UPSTREAM_FAILED and not self.cancelled:
            broken = any(self._broken(source) for source in sources)
            _demand(broken, f"{name}: upstream_failed before any of its upstreams")
        if record.status is Status.CONDITION_FAILED and run.outcome is None:
            stopped = any(
                not source.edge.reduces
                and self.recorded[source.edge.upstream].get(source.key)
                in {Status.CONDITION_FAILED, Status.COMPLETED_FALSE}
                for source in sources
            )
            _demand(stopped, f"{name}: condition_failed before any of its upstreams")

    def _broken(self, source: Source) -> bool:
        """Whether an input, or what it descends from, is on record as not completed."""
        upstream = source.edge.upstream
        if source.edge.reduces:
            blocks = {*self.script.plan.blocks[upstream].axes, upstream}
            return any(status in BROKEN for block in blocks for status in self.recorded[block].values())
        if self.recorded[upstream].get(source.key) in BROKEN:
            return True
        return any(
            self._broken(further) for further in self.script.sources(upstream, source.key) if not further.edge.reduces
        )

    def hear(self, event: Event) -> None:
        """Takes note of what the executor reports, before the scheduler is told."""
        match event:
            case ItemsArrived():
                key = self.runs[event.block][event.run].key
                self.items[event.block][key] = event.stop
            case ProducerPaused():
                run = self.runs[event.block][event.run]
                self.in_flight[event.block] -= 1
                run.paused = True
            case RunsFinished():
                for number, outcome in zip(numbers(event.runs), event.outcomes, strict=True):
                    self._come_back(event.block, number, Outcome(outcome))

    def _come_back(self, block: int, number: int, outcome: Outcome) -> None:
        run = self.runs[block][number]
        planned = self.script.plan.blocks[block]
        run.in_flight = False
        self.in_flight[block] -= not run.paused
        run.paused = False
        if outcome is Outcome.FAILED:
            # What its script does not say was the loss of its worker.
            run.deaths += run.attempt is None or run.attempt.outcome is not Outcome.FAILED
            run.failures += 1
            run.not_before = self.now + planned.retry.wait(run.failures)
            if run.failures > planned.retry.retries:
                run.outcome = outcome
        elif outcome is Outcome.NOT_YET:
            run.asked += 1
            run.not_before = self.now + (planned.sensor_interval or 0.0)
        elif outcome is not Outcome.UNSTARTED:
            run.outcome = outcome
            run.failures += outcome is Outcome.FAILED_FOR_GOOD

    def observation(self) -> Observation:
        """What became of the pipeline run."""
        assert self.end is not None
        runs: dict[str, dict[Key, Seen]] = {}
        for block in self.script.plan.blocks:
            runs[block.uuid] = {
                key: Seen(
                    status,
                    self.values[block.number].get(key),
                    self.items[block.number].get(key, 0),
                    self.runs[block.number][self.numbered[block.number][key]].failures,
                )
                for key, status in self.recorded[block.number].items()
            }
        return Observation(runs, self.end, self.cancelled)


def _recorded_as(outcome: Outcome) -> str:
    return "FAILED" if outcome in _FAILURES else outcome.name
