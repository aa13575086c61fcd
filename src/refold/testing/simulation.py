"""Whole pipeline runs on virtual time: the scheduler, an executor made of luck, and a referee between them.

One seed, one history: which worker goes on, what it reports together, when timers fire against work, who dies, and when
the user loses patience all follow from it. A history that breaks a rule raises with its last events, to be read.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field, replace

from refold.model.block import Join
from refold.scheduler.commands import Command, FinishRun, Fold, Interrupt, Pull, Record, RunBatch, StartTimer
from refold.scheduler.events import (
    CancelRequested,
    Event,
    Folded,
    ItemsArrived,
    ProducerPaused,
    RunsBegan,
    RunsFinished,
    RunStarted,
    SlotsFree,
    TimerFired,
)
from refold.scheduler.plan import Edge, EdgeKind, PlannedBlock
from refold.scheduler.ranges import Ranges, numbers
from refold.testing.machine import FoulError, Machine
from refold.testing.naive import Observation
from refold.testing.referee import Referee
from refold.testing.scripted import Script
from refold.testing.simulated_executor import SimulatedExecutor

_MOST_EVENTS = 40_000
_REMEMBERED = 40


class SimulationError(AssertionError):
    """Raised when a simulated run breaks a rule; the message tells its pipeline and its last events."""


@dataclass(slots=True)
class Simulation:
    """One pipeline run to be driven from start to end."""

    script: Script
    machine: Machine
    seed: int = 0
    cancel: bool = False
    """Whether the user cancels at some event; the run may be over before that."""
    losses: bool = True
    """Whether workers die and batches are taken back."""
    workers: int | None = None
    """How many there are; None: any number."""
    validate: bool = True
    """Whether the scheduler's invariants are checked after every event."""
    story: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _chance: random.Random = field(init=False)
    _executor: SimulatedExecutor = field(init=False)
    _referee: Referee = field(init=False)
    _timers: list[tuple[float, int]] = field(default_factory=list)
    _values: dict[int, dict[str, int]] = field(default_factory=dict)
    """By dynamic block: the values of its items, numbered as they turned up."""
    _untold: deque[RunsBegan] = field(default_factory=deque)
    """Runs that have begun, of which the scheduler has not heard."""
    _events: int = 0
    _cancel_at: int | None = None

    def __post_init__(self) -> None:
        self._chance = random.Random(f"simulation {self.seed}")
        workers = self._chance.choice((1, 1, 2, 3, 8))
        ahead = self._chance.choice((0, 0, 1, 2))
        self._executor = SimulatedExecutor(self._chance, self.workers or workers, self.losses, ahead)
        self._referee = Referee(self.script, self.machine)
        if self.cancel:
            self._cancel_at = self._chance.randint(1, self._chance.choice((5, 30, 200)))

    def run(self) -> Observation:
        """Drives the run to its end; what became of it. Raises SimulationError at the first breach of a rule."""
        try:
            self._send(RunStarted())
            while self._referee.end is None:
                self._go_on()
            return self._referee.observation()
        except Exception as error:
            raise SimulationError(f"{type(error).__name__}: {error}\n{self.tell()}") from error

    def _go_on(self) -> None:
        if self._cancel_at is not None and self._events >= self._cancel_at:
            self._cancel_at = None
            self._referee.cancelled = True
            self._send(CancelRequested())
            return
        asked = not self._executor.busy or self._chance.random() < 0.8
        progressed = asked and self._offer_slots()
        if self._referee.end is not None:
            return
        event = self._next_event()
        if event is not None:
            self._send(event)
        elif not (self._executor.busy or self._timers or self._untold or progressed):
            raise FoulError("nothing is under way, no timer is set, and the run has not ended")

    def _offer_slots(self) -> bool:
        """Tells the scheduler of free workers; whether it had a use for them."""
        free = self._executor.free
        if not free:
            return False
        most = self._chance.choice((1, 3, 100))
        sizes = tuple(self._chance.randint(1, most) for _ in self.script.plan.blocks)
        slots = self._chance.randint(1, free)
        return bool(self._send(SlotsFree(slots, sizes, self._referee.now, self._executor.idle)))

    def _next_event(self) -> Event | None:
        if self._executor.busy and self._chance.random() < 0.9:
            self._referee.now += self._chance.random()
        elif self._timers:
            self._referee.now = max(self._referee.now, self._timers[0][0])
        if self._timers and self._timers[0][0] <= self._referee.now:
            return TimerFired(heapq.heappop(self._timers)[1])
        event = self._executor.step()
        self._hear_of_begun()
        return self._with_groups(event) if isinstance(event, ItemsArrived) else event

    def _hear_of_begun(self) -> None:
        for handed in self._executor.begun:
            self._referee.flow.begin(handed.block, self._referee.now)
            if self.script.plan.blocks[handed.block].rate is not None:
                run = ((handed.run, handed.run + 1),)
                self._untold.append(RunsBegan(handed.block, run, self._referee.now))
        self._executor.begun.clear()

    def _tell_of_begun(self, event: Event) -> None:
        """What began is told some time later, but before what became of it."""
        while self._untold and (isinstance(event, RunsFinished) or self._chance.random() < 0.7):
            self._apply(self._untold.popleft())

    def _with_groups(self, event: ItemsArrived) -> ItemsArrived:
        """With the numbers of the values that the items have, where the scheduler is to know them."""
        if self.script.plan.blocks[event.block].group_limit is None:
            return event
        key, numbered = self.machine.key(event.block, event.run), self._values.setdefault(event.block, {})
        values = [self.script.value(event.block, key, item) for item in range(event.start, event.stop)]
        return replace(event, groups=[numbered.setdefault(value, len(numbered)) for value in values])

    def _send(self, event: Event) -> list[Command]:
        self._tell_of_begun(event)
        return self._apply(event)

    def _apply(self, event: Event) -> list[Command]:
        self._events += 1
        if self._events > _MOST_EVENTS:
            raise FoulError(f"no end in sight after {_MOST_EVENTS} events")
        self._referee.hear(event)
        self.story.append(f"{self._referee.now:8.2f} {self._describe(event)}")
        commands = self.machine.decide(event)
        if self.validate:
            self.machine.validate()
        self._referee.judge_commands(event, commands)
        for command in commands:
            self._perform(command)
            self.story.append(f"{'':8} -> {self._describe(command)}")
        return commands

    def _perform(self, command: Command) -> None:
        match command:
            case RunBatch():
                self._executor.take(command, self._referee.hand_out(command))
                self._hear_of_begun()
            case Fold():
                self._referee.folds.judge(command)
                self._executor.take_fold(command)
            case Pull():
                self._referee.pull(command)
                self._executor.pull(command)
            case StartTimer():
                if command.seconds < 0 or any(command.timer == timer for _, timer in self._timers):
                    raise FoulError(f"{command!r}: a timer that cannot be started")
                heapq.heappush(self._timers, (self._referee.now + command.seconds, command.timer))
            case Record():
                self._referee.record(command)
            case Interrupt():
                self._executor.interrupted = True
            case FinishRun():
                self._finish(command)

    def _finish(self, command: FinishRun) -> None:
        if self._executor.busy or self._executor.paused:
            raise FoulError("the run ends while runs are under way")
        self._referee.end = command.end

    def tell(self) -> str:
        """The seeds, the pipeline and the last events: what is needed to look into a failure."""
        lines = [
            f"script seed {self.script.seed}, simulation seed {self.seed}, cancel {self.cancel}",
            *(describe_block(self.script, block) for block in self.script.plan.blocks),
            f"at most {self.script.plan.concurrency_limit} at once, {self._executor.slots} workers",
            f"the last of {self._events} events:",
            *self.story,
        ]
        return "\n".join(lines)

    def _describe(self, said: Event | Command) -> str:
        match said:
            case RunBatch() | Record():
                what = "run" if isinstance(said, RunBatch) else f"record {said.status.name.lower()}"
                extra = f" credit {said.credit}" if isinstance(said, RunBatch) and said.credit else ""
                return f"{what} {self._names(said.block, said.runs)}{extra}"
            case RunsBegan():
                return f"{self._names(said.block, said.runs)} began at {said.at:.2f}"
            case RunsFinished():
                return f"finished {self._names(said.block, said.runs)} {list(said.outcomes)}"
            case ItemsArrived():
                name = self._names(said.block, ((said.run, said.run + 1),))
                waits = f" waits {[tuple(wait) for wait in said.waits]}" if said.waits else ""
                return f"items {said.start} to {said.stop} of {name} ({said.size} bytes){waits}"
            case Fold():
                return f"{self._referee.folds.name(said)} {self._names(said.block, said.runs)}"
            case Folded():
                return f"{self._referee.folds.name(said)} {'done' if said.ok else 'lost'}"
            case ProducerPaused() | Pull():
                name = self._names(said.block, ((said.run, said.run + 1),))
                return f"pull {said.items} items of {name}" if isinstance(said, Pull) else f"{name} paused"
            case _:
                return repr(said)

    def _names(self, block: int, ranges: Ranges) -> str:
        return " ".join(self._referee.name(block, number) for number in numbers(ranges))


def describe_block(script: Script, block: PlannedBlock) -> str:
    """A block of a script in one line, for people who look into a failure."""
    upstreams = [_describe_edge(script, edge) for edge in block.edges]
    joined = f" {block.join}" if block.join is not Join.PRODUCT else ""
    names = [other.uuid for other in script.plan.blocks]
    axes = [
        ("flat " if axis.flat else "") + "~".join(names[number] for number in (axis.block, *axis.zipped))
        for axis in block.axes
    ]
    words = [f"  {block.uuid} <- ({', '.join(upstreams)}){joined}"]
    if axes:
        words.append(f"axes {', '.join(axes)}")
    if block.dynamic:
        words.append(f"dynamic{' batch' if block.batch_mode else ''} buffer {block.buffer_items}, {block.buffer_bytes}")
    if block.group_limit is not None:
        words.append(f"{block.group_limit} at once of a value")
    if block.rate is not None:
        words.append(f"{block.rate:g} a second")
    if block.sensor_interval is not None:
        words.append(f"sensor every {block.sensor_interval}")
    if block.tolerance is not None:
        words.append(f"tolerates {block.tolerance}")
    words.append(f"retries {block.retry.retries} limit {block.concurrency_limit} width {block.width}")
    return ", ".join(words)


def _describe_edge(script: Script, edge: Edge) -> str:
    upstream = script.plan.blocks[edge.upstream]
    match edge.kind:
        case EdgeKind.FOLDED if edge.levels == 0:
            return f"{upstream.uuid} as lists"
        case EdgeKind.FOLDED:
            assert edge.fold is not None
            computed = " computed" if upstream.folds[edge.fold].computed else ""
            return f"{upstream.uuid} reduced{'' if edge.levels is None else ' by 1'}{computed}"
        case EdgeKind.FLAT:
            return f"{upstream.uuid} flat{'' if edge.levels is None else ' by 1'}"
        case _:
            return upstream.uuid
