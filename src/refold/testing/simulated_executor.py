"""An executor without processes: it takes batches and lets time, luck and the seed decide what happens next.

It does all that a real executor may do to the scheduler: it finishes runs in any order and reports them in clumps,
gives items in pieces, with names that may be of items still to come, pauses producers at their credit, folds, loses
workers, hands back what it has not begun, and on an interrupt lets some runs finish that were nearly done.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from refold.scheduler.commands import Fold, Pull, RunBatch
from refold.scheduler.events import OPEN, Folded, ItemsArrived, Outcome, ProducerPaused, RunsFinished, Wait
from refold.scheduler.ranges import Ranges, gather, numbers
from refold.testing.scripted import Act, Attempt

ExecutorEvent = ItemsArrived | ProducerPaused | RunsFinished | Folded


@dataclass(frozen=True, slots=True)
class Handed:
    """One run as it was handed over."""

    block: int
    run: int
    act: Act
    attempt: Attempt
    """What this attempt does."""
    mortal: bool = False
    """Whether its worker may die on it without changing how the run ends."""


@dataclass(slots=True)
class Task:
    """A batch on its worker."""

    block: int
    width: int
    waiting: list[Handed]
    """Not begun yet, in order."""
    current: list[Handed] = field(default_factory=list)
    """Under way, at most `width`."""

    def begin(self) -> list[Handed]:
        """Begins as many as may be under way; those."""
        begun = self.waiting[: self.width - len(self.current)]
        del self.waiting[: len(begun)]
        self.current += begun
        return begun


@dataclass(slots=True)
class _Credit:
    items: int
    size: float
    """Bytes."""


@dataclass(slots=True)
class SimulatedExecutor:
    """A number of workers, each at one batch, or one fold; some batches may be given ahead."""

    chance: random.Random
    slots: int
    losses: bool = True
    """Whether workers die and batches are taken back."""
    ahead: int = 0
    """How many batches it takes beyond those that workers are at."""
    tasks: list[Task] = field(default_factory=list)
    """Under way."""
    queue: list[Task] = field(default_factory=list)
    """Given ahead, in order."""
    folds: list[Fold] = field(default_factory=list)
    """Under way, each on a worker."""
    paused: list[Handed] = field(default_factory=list)
    resuming: list[Handed] = field(default_factory=list)
    """Paused producers that were given credit and wait for a worker."""
    interrupted: bool = False
    begun: list[Handed] = field(default_factory=list)
    """Runs that have begun, each time that they did; whoever counts them empties the list."""
    _given: dict[tuple[int, int], int] = field(default_factory=dict)
    """Items that arrived of each run; a new attempt gives the same ones again, which is not reported."""
    _credit: dict[tuple[int, int], _Credit] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many batches it could take."""
        return 0 if self.interrupted else max(0, self.slots + self.ahead - self._held)

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return max(0, self.slots - self._held)

    @property
    def _held(self) -> int:
        return len(self.tasks) + len(self.folds) + len(self.queue) + len(self.resuming)

    @property
    def busy(self) -> bool:
        """Whether anything will come of waiting for it."""
        return bool(self._held or (self.interrupted and self.paused))

    def take(self, batch: RunBatch, runs: list[Handed]) -> None:
        """Give a batch to a worker; `runs` are those of the batch, in its order."""
        for handed in runs:
            self._credit[handed.block, handed.run] = _Credit(batch.credit, batch.credit_bytes or math.inf)
        self.queue.append(Task(batch.block, batch.width, list(runs)))
        self._go_on()

    def _go_on(self) -> None:
        """Workers that have nothing to do go on with what waits for them."""
        while (self.resuming or self.queue) and len(self.tasks) + len(self.folds) < self.slots:
            if self.resuming:
                handed = self.resuming.pop(0)
                self.tasks.append(Task(handed.block, 1, [], [handed]))
            else:
                self.tasks.append(self.queue.pop(0))
                self.begun += self.tasks[-1].begin()

    def take_fold(self, fold: Fold) -> None:
        """Give a fold to a worker."""
        self.folds.append(fold)

    def knows(self, block: int, run: int, items: int) -> None:
        """So many items of a run arrived before it was handed over; they are not reported again."""
        self._given[block, run] = items

    def pull(self, pull: Pull) -> None:
        """Let a producer go on."""
        credit = self._credit[pull.block, pull.run]
        credit.items += pull.items
        credit.size += pull.size
        for handed in self.paused:
            if (handed.block, handed.run) == (pull.block, pull.run):
                credit.items, credit.size = pull.items, pull.size
                self.paused.remove(handed)
                self.resuming.append(handed)
                return

    def step(self) -> ExecutorEvent | None:
        """Let something happen on one worker; None if it was nothing to speak of."""
        if self.queue and (self.interrupted or (self.losses and self.chance.random() < 0.05)):
            back = self.queue.pop()  # it was called back
            return _finished(back.block, [(handed, Outcome.UNSTARTED) for handed in back.waiting])
        self._go_on()
        if self.interrupted and self.paused:
            handed = self.paused.pop()
            return _finished(handed.block, [(handed, Outcome.CANCELLED)])
        if not self.tasks and not self.folds:
            return None
        busy: list[Task | Fold] = [*self.tasks, *self.folds]
        task = self.chance.choice(busy)
        if isinstance(task, Fold):
            return self._fold(task)
        event = self._happening(task)
        if not task.waiting and not task.current:
            self.tasks.remove(task)
        return event

    def _happening(self, task: Task) -> ExecutorEvent | None:
        if self.interrupted:
            return self._stop(task)
        if self.losses and task.waiting and self.chance.random() < 0.05:
            keep = self.chance.randint(0, len(task.waiting) - 1)
            back, task.waiting = task.waiting[keep:], task.waiting[:keep]
            return _finished(task.block, [(handed, Outcome.UNSTARTED) for handed in back])
        if self.losses and self.chance.random() < 0.04:
            event = self._lose(task)
            if event is not None:
                return event
        return self._work(task)

    def _fold(self, fold: Fold) -> Folded:
        """A fold is over, or its worker dies on it."""
        self.folds.remove(fold)
        lost = (self.losses or self.interrupted) and self.chance.random() < (0.5 if self.interrupted else 0.1)
        return Folded(fold.block, fold.fold, fold.group, ok=not lost)

    def _lose(self, task: Task) -> ExecutorEvent | None:
        """The worker dies on one run: that one alone pays."""
        mortals = [handed for handed in task.current if handed.mortal]
        if not mortals:
            return None
        victim = self.chance.choice(mortals)
        outcomes = [
            (handed, Outcome.FAILED if handed is victim else Outcome.UNSTARTED)
            for handed in task.current + task.waiting
        ]
        task.current, task.waiting = [], []
        return _finished(task.block, outcomes)

    def _stop(self, task: Task) -> ExecutorEvent:
        producing = [handed for handed in task.current if self._left(handed) > 0]
        if producing and self.chance.random() < 0.7:
            return self._give(task, producing[0])  # it was on its way already
        outcomes = [(handed, Outcome.UNSTARTED) for handed in task.waiting]
        for handed in task.current:
            in_time = self.chance.random() < 0.5 and self._left(handed) <= 0
            outcomes.append((handed, handed.attempt.outcome if in_time else Outcome.CANCELLED))
        task.current, task.waiting = [], []
        return _finished(task.block, outcomes)

    def _work(self, task: Task) -> ExecutorEvent | None:
        """Some runs, until there is something that must be said at once."""
        done: list[tuple[Handed, Outcome]] = []
        for _ in range(self.chance.randint(1, 6)):
            self.begun += task.begin()
            if not task.current:
                break
            handed = self.chance.choice(task.current)
            if self._credit[handed.block, handed.run].items == 0 and self._unsure(handed):
                if not done:
                    return self._pause(task, handed)
                break
            if self._left(handed) > 0:
                if not done:
                    return self._give(task, handed)
                break
            task.current.remove(handed)
            done.append((handed, handed.attempt.outcome))
        if not done:
            return None
        self.chance.shuffle(done)
        return _finished(task.block, done)

    def _unsure(self, handed: Handed) -> bool:
        """Whether a generator at the end of its credit pauses although, unknown to it, nothing is left."""
        return handed.attempt.items > 0 and not handed.act.at_once and self.chance.random() < 0.5

    def _left(self, handed: Handed) -> int:
        return handed.attempt.items - self._given.get((handed.block, handed.run), 0)

    def _give(self, task: Task, handed: Handed) -> ExecutorEvent:
        credit = self._credit[handed.block, handed.run]
        left = self._left(handed)
        count, size = left, self.chance.choice((10, 1000, 1_000_000))
        if not handed.act.at_once:
            count = min(self.chance.randint(1, left), credit.items)
            if count <= 0 or credit.size <= 0:
                return self._pause(task, handed)
            if count * size > credit.size:  # bytes are known only once an item is there: the last one may exceed them
                count = -(-int(credit.size) // size)
        start, size = handed.attempt.items - left, count * size
        credit.items -= count
        credit.size -= size
        self._given[handed.block, handed.run] = start + count
        waits = self._waits(handed.act, start, start + count)
        return ItemsArrived(handed.block, handed.run, start, start + count, size, waits)

    def _waits(self, act: Act, start: int, stop: int) -> tuple[Wait, ...]:
        """What new items say of themselves, and of earlier ones that named one of these before it was there."""
        waits: list[Wait] = []
        for wait in act.waits:
            resolved = wait.target is None or wait.target < stop
            if start <= wait.item < stop:
                waits.append(wait if resolved else wait._replace(target=OPEN))
            elif wait.item < start and wait.target is not None and start <= wait.target < stop:
                waits.append(wait)
        return tuple(waits)

    def _pause(self, task: Task, handed: Handed) -> ExecutorEvent:
        task.current.remove(handed)
        self.paused.append(handed)
        return ProducerPaused(handed.block, handed.run)


def _finished(block: int, done: list[tuple[Handed, Outcome]]) -> RunsFinished:
    ranges: Ranges = tuple((handed.run, handed.run + 1) for handed, _ in done)
    if sorted(numbers(ranges)) == list(numbers(ranges)):
        ranges = gather(numbers(ranges))
    return RunsFinished(block, ranges, bytes(outcome for _, outcome in done))
