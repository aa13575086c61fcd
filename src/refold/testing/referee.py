"""The referee: watches every command and event of a simulated run, and stops it at the first breach of the rules.

Rules that the law's final result cannot show: a run is handed out only when all that it reads is there and on record,
and all that it waits for, never twice at once, never after its end, and never if it has no counterpart in a zip;
retries and sensors wait as long as they should; limits hold; a parent is recorded before its child, each run once, and
the end comes once and last. Of folds the rules are in `fold_referee`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from refold.model.keys import Key
from refold.scheduler.commands import Command, End, FinishRun, Fold, Interrupt, Pull, Record, RunBatch
from refold.scheduler.events import Event, Folded, ItemsArrived, Outcome, ProducerPaused, RunsFinished, SlotsFree
from refold.scheduler.plan import EdgeKind, Plan
from refold.scheduler.ranges import count, numbers
from refold.scheduler.status import TERMINAL, Status
from refold.testing.flow_referee import FlowReferee
from refold.testing.fold_referee import FoldReferee
from refold.testing.machine import Machine, demand
from refold.testing.naive import Observation, Seen
from refold.testing.positions import BROKEN, COMPLETE, Group, Positions
from refold.testing.scripted import Attempt, Script, Source, Value, contributed, folded, item_of
from refold.testing.simulated_executor import Handed

_FAILURES = (Outcome.FAILED, Outcome.FAILED_FOR_GOOD)


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
class _Ledger:
    """What has been said of block runs so far, by block and key."""

    plan: Plan
    recorded: list[dict[Key, Status]] = field(init=False)
    arrived: list[dict[Key, int]] = field(init=False)
    """Items of dynamic runs."""
    values: list[dict[Key, Value]] = field(init=False)

    def __post_init__(self) -> None:
        self.recorded = [{} for _ in self.plan.blocks]
        self.arrived = [{} for _ in self.plan.blocks]
        self.values = [{} for _ in self.plan.blocks]

    def status(self, block: int, key: Key) -> Status | None:
        return self.recorded[block].get(key)

    def items(self, block: int, key: Key) -> int:
        return self.arrived[block].get(key, 0)


@dataclass(slots=True)
class Referee:
    """Knows the script and what was said so far; of the scheduler only its commands and how it numbers runs."""

    script: Script
    machine: Machine
    runs: list[dict[int, _Run]] = field(init=False)
    """By block, then by number."""
    numbered: list[dict[Key, int]] = field(init=False)
    ledger: _Ledger = field(init=False)
    positions: Positions = field(init=False)
    folds: FoldReferee = field(init=False)
    flow: FlowReferee = field(init=False)
    now: float = 0.0
    cancelled: bool = False
    end: End | None = None
    in_flight: Counter[int] = field(default_factory=Counter)
    """Runs handed out and not yet back, paused producers left out, by block."""
    _waits: bool = False
    """Whether items have named runs that theirs wait for."""

    def __post_init__(self) -> None:
        plan = self.script.plan
        self.runs = [{} for _ in plan.blocks]
        self.numbered = [{} for _ in plan.blocks]
        self.ledger = _Ledger(plan)
        self.positions = Positions(plan, self.ledger)
        self.folds = FoldReferee(plan, self.machine, self.positions)
        self.flow = FlowReferee(self.script, self.positions)

    def name(self, block: int, run: int) -> str:
        """The run as people know it."""
        known = self.runs[block].get(run)
        uuid = self.script.plan.blocks[block].uuid
        return f"{uuid}#{run}" if known is None else ":".join([uuid, *map(str, known.key)])

    def judge_commands(self, event: Event, commands: list[Command]) -> None:
        """Raises FoulError if these commands may not answer this event as a whole."""
        demand(self.end is None, "a command after the end")
        started = sum(isinstance(command, RunBatch | Fold) for command in commands)
        resumed = sum(
            isinstance(command, Pull) and self.runs[command.block][command.run].paused for command in commands
        )
        slots = event.slots if isinstance(event, SlotsFree) else 0
        demand(started + resumed <= slots, f"{started} batches and {resumed} resumed producers for {slots} slots")
        demand(not (self.cancelled and started), "a batch after the cancel")
        for command in commands:
            if isinstance(command, RunBatch) and isinstance(event, SlotsFree):
                size = count(command.runs)
                demand(0 < size <= event.batch_sizes[command.block], f"a batch of {size} runs")
            demand(self.cancelled or not isinstance(command, Interrupt), "an interrupt that nobody asked for")
        ends = [position for position, command in enumerate(commands) if isinstance(command, FinishRun)]
        demand(ends in ([], [len(commands) - 1]), "the end is not the last command")

    def hand_out(self, batch: RunBatch) -> list[Handed]:
        """The batch as an executor takes it; raises FoulError where a run of it may not start now."""
        handed = [self._hand_out_run(batch, run) for run in numbers(batch.runs)]
        self.flow.hand_out(batch, [self.runs[batch.block][run].key for run in numbers(batch.runs)])
        block = self.script.plan.blocks[batch.block]
        demand(1 <= batch.width <= block.width, f"{block.uuid}: width {batch.width}")
        self._demand_limits(batch.block)
        return handed

    def pull(self, pull: Pull) -> None:
        """Raises FoulError if this producer may not be given more now."""
        run = self.runs[pull.block][pull.run]
        name = self.name(pull.block, pull.run)
        demand(run.in_flight, f"{name}: pulled, but it does not produce")
        demand(pull.items > 0 or pull.size > 0, f"{name}: pulled for nothing")
        if pull.block in self.flow.buffers:
            self.flow.buffers[pull.block].pull(pull, run.key, hopeless=self._is_hopeless(pull.block))
        self.in_flight[pull.block] += run.paused
        run.paused = False
        self._demand_limits(pull.block)

    def _is_hopeless(self, dynamic: int) -> bool:
        """Whether no run is under way, or waits for a timer, after which an item of a dynamic block may be read."""
        blocks = range(len(self.runs)) if self._waits else self.flow.buffers[dynamic].closure
        waiting = (
            run
            for block in blocks
            for run in self.runs[block].values()
            if run.not_before > self.now and run.key not in self.ledger.recorded[block]
        )
        return not any(self.in_flight[block] for block in blocks) and next(waiting, None) is None

    def _demand_limits(self, number: int) -> None:
        block = self.script.plan.blocks[number]
        for running, limit in (
            (self.in_flight[number], block.concurrency_limit),
            (sum(self.in_flight.values()), self.script.plan.concurrency_limit),
        ):
            demand(limit is None or running <= limit, f"{block.uuid}: {running} under way, the limit is {limit}")

    def _hand_out_run(self, batch: RunBatch, number: int) -> Handed:
        block = batch.block
        run = self._meet(block, number)
        name = self.name(block, number)
        demand(not run.in_flight, f"{name}: handed out twice")
        demand(run.key not in self.ledger.recorded[block], f"{name}: handed out after its end")
        demand(run.outcome is None, f"{name}: handed out though it came back for good")
        demand(self.now >= run.not_before - 1e-9, f"{name}: handed out at {self.now}, not before {run.not_before}")
        failures = batch.failures.get(number, 0)
        demand(failures == run.failures, f"{name}: {failures} failures given, there were {run.failures}")
        dynamic = self.script.plan.blocks[block].dynamic
        demand(batch.credit > 0 if dynamic else batch.credit == 0, f"{name}: credit {batch.credit}")
        sources = self.script.sources(block, run.key)
        for source in sources:
            self._demand_ready(name, source)
        self._demand_lineage(name, block, run.key)
        for target in self.script.awaited(block, run.key):
            status = self.ledger.status(*target)
            demand(
                status in COMPLETE, f"{name}: starts though {self._where(*target)}, for which it waits, is {status!r}"
            )
        run.inputs = tuple(self._value(source) for source in sources)
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
        demand(run.key == key, f"{self.name(block, number)}: run {number} is now {key}")
        demand(self.numbered[block].setdefault(key, number) == number, f"two runs of key {key}")
        return run

    def _where(self, block: int, key: Key) -> str:
        return ":".join([self.script.plan.blocks[block].uuid, *map(str, key)])

    def _demand_ready(self, name: str, source: Source) -> None:
        """What the source names is there and on record."""
        edge = source.edge
        group: Group = (edge.upstream, edge.levels, source.key)
        where = f"{name}: starts though {self._where(edge.upstream, source.key)}"
        match edge.kind:
            case EdgeKind.FLAT:
                given = len(self.positions.flat_items(group))
                demand(source.item is not None and source.item < given, f"{where} gave {given} items")
            case EdgeKind.FOLDED if edge.levels != 0:
                demand(self.positions.happened(group), f"{where} is not there to be folded")
                demand(not self.folds.under_way(group), f"{where} is being folded")
            case EdgeKind.ITEMS:
                given = self.ledger.items(edge.upstream, source.key)
                demand(source.item is not None and source.item < given, f"{where} gave {given} items")
            case _:
                status = self.ledger.status(edge.upstream, source.key)
                demand(status is Status.COMPLETED, f"{where} is {status!r}")

    def _demand_lineage(self, name: str, block: int, key: Key) -> None:
        """No run that this one descends from has failed; all have completed but for generators that go on."""
        demand(not self.positions.surplus(block, key), f"{name}: starts without a counterpart")
        for forebear in self.positions.forebears(block, dict(enumerate(key))):
            status = self.ledger.status(forebear.block, forebear.key)
            goes_on = (
                status is None and forebear.item is not None and not self.script.plan.blocks[forebear.block].batch_mode
            )
            where = self._where(forebear.block, forebear.key)
            demand(goes_on or status is Status.COMPLETED, f"{name}: starts though {where} is {status!r}")

    def _value(self, source: Source) -> Value:
        """What the source gives, by what was handed out before; all of it is there."""
        edge = source.edge
        group: Group = (edge.upstream, edge.levels, source.key)
        match edge.kind:
            case EdgeKind.ITEMS:
                assert source.item is not None
                return self._item(edge.upstream, source.key, source.item)
            case EdgeKind.FLAT:
                assert source.item is not None
                return self._item(edge.upstream, *self.positions.flat_items(group)[source.item])
            case EdgeKind.FOLDED:
                assert edge.fold is not None
                fold = self.script.plan.blocks[edge.upstream].folds[edge.fold]
                values = self.ledger.values[edge.upstream]
                runs = [key for key in self.positions.group(group) if key in values]
                return folded([part for key in runs for part in self._parts(edge.upstream, key)], fold.computed)
            case _:
                return self.ledger.values[edge.upstream][source.key]

    def _item(self, block: int, key: Key, item: int) -> Value:
        inputs = self.runs[block][self.numbered[block][key]].inputs
        return item_of(self.script.output(block, key, inputs), item)

    def _parts(self, block: int, key: Key) -> tuple[Value, ...]:
        if self.script.plan.blocks[block].dynamic:
            return tuple(self._item(block, key, item) for item in range(self.ledger.items(block, key)))
        return contributed(self.ledger.values[block][key])

    def record(self, record: Record) -> None:
        """Raises FoulError if these runs have not come to this status, or not yet."""
        demand(record.status in TERMINAL, f"recorded as {record.status!r}")
        recorded = self.ledger.recorded[record.block]
        for number in numbers(record.runs):
            run = self._meet(record.block, number)
            name = self.name(record.block, number)
            demand(run.key not in recorded, f"{name}: recorded twice")
            demand(not run.in_flight, f"{name}: recorded as {record.status!r} while it is under way")
            if record.status in COMPLETE or run.outcome is not None:
                demand(
                    run.outcome is not None and record.status.name == _recorded_as(run.outcome),
                    f"{name}: recorded as {record.status!r}, it came back as {run.outcome!r}",
                )
            if run.outcome is None:
                self._demand_cause(record, name, run)
            recorded[run.key] = record.status
            self.flow.read(record.block, run.key)
            if record.status in COMPLETE:
                self.ledger.values[record.block][run.key] = self.script.output(record.block, run.key, run.inputs)
            self.positions.forget()

    def _demand_cause(self, record: Record, name: str, run: _Run) -> None:
        """What an unstarted run came to is said after the reason why."""
        if record.status is Status.FAILED:
            surplus = self.positions.surplus(record.block, run.key)
            demand(surplus or run.failures > 0, f"{name}: failed without being tried")
        if record.status is Status.UPSTREAM_FAILED and not self.cancelled:
            demand(self._broken(record.block, run.key), f"{name}: upstream_failed before any of its upstreams")
        if record.status is Status.CONDITION_FAILED:
            stopped = any(
                not source.edge.reduces
                and self.ledger.status(source.edge.upstream, source.key)
                in {Status.CONDITION_FAILED, Status.COMPLETED_FALSE}
                for source in self.script.sources(record.block, run.key)
            )
            demand(stopped, f"{name}: condition_failed before any of its upstreams")

    def _broken(self, block: int, key: Key) -> bool:
        """Whether something that the run reads, waits for, or descends from is on record as not completed."""
        read = [
            (source.edge.upstream, source.key)
            for source in self.script.sources(block, key)
            if not source.edge.reduces and source.edge.kind is not EdgeKind.FLAT
        ]
        forebears = [
            (forebear.block, forebear.key) for forebear in self.positions.forebears(block, dict(enumerate(key)))
        ]
        if any(self.ledger.status(*run) in BROKEN for run in [*read, *forebears]):
            return True
        if any(self.ledger.status(*run) not in {None, *COMPLETE} for run in self.script.awaited(block, key)):
            return True
        folds = [edge for edge in self.script.plan.blocks[block].edges if edge.reduces]
        return any(self._fold_broken(edge.upstream) for edge in folds)

    def _fold_broken(self, block: int) -> bool:
        """Whether a run of a block is broken, or one that would have led to more of them."""
        pending = [block]
        above: set[int] = set()
        while pending:
            block = pending.pop()
            above.add(block)
            pending += [edge.upstream for edge in self.script.plan.blocks[block].edges if edge.iterates]
        return any(not BROKEN.isdisjoint(self.ledger.recorded[block].values()) for block in above)

    def hear(self, event: Event) -> None:
        """Takes note of what the executor reports, before the scheduler is told."""
        match event:
            case ItemsArrived():
                key = self.runs[event.block][event.run].key
                self.ledger.arrived[event.block][key] = event.stop
                self._waits = self._waits or bool(event.waits)
                if event.block in self.flow.buffers:
                    self.flow.buffers[event.block].arrive(key, event.start, event.stop, event.size)
                self.positions.forget()
            case ProducerPaused():
                run = self.runs[event.block][event.run]
                self.in_flight[event.block] -= 1
                run.paused = True
                if event.block in self.flow.buffers:
                    self.flow.buffers[event.block].lent[run.key].paused = True
            case RunsFinished():
                for number, outcome in zip(numbers(event.runs), event.outcomes, strict=True):
                    self._come_back(event.block, number, Outcome(outcome))
            case Folded():
                self.folds.hear(event)

    def _come_back(self, block: int, number: int, outcome: Outcome) -> None:
        run = self.runs[block][number]
        planned = self.script.plan.blocks[block]
        run.in_flight = False
        self.in_flight[block] -= not run.paused
        run.paused = False
        self.flow.over(block, run.key)
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
        """What became of the pipeline run; raises FoulError if something was folded out of its turn."""
        assert self.end is not None
        self.folds.judge_end()
        runs: dict[str, dict[Key, Seen]] = {}
        for block in self.script.plan.blocks:
            runs[block.uuid] = {
                key: Seen(
                    status,
                    self.ledger.values[block.number].get(key),
                    self.ledger.items(block.number, key),
                    self.runs[block.number][self.numbered[block.number][key]].failures,
                )
                for key, status in self.ledger.recorded[block.number].items()
            }
        return Observation(runs, self.end, self.cancelled)


def _recorded_as(outcome: Outcome) -> str:
    return "FAILED" if outcome in _FAILURES else outcome.name
