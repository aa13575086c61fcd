"""Folds: the runs of a block on their way to one value, or to one for each outer key (design 2.4).

A *group* is what is folded together: all runs of the block, or those of one outer position. A group happens when all
its runs are over and none is missing, or those that are missing are tolerated (design 2.6). Whether that is so is
judged here; what follows from it is told by `unfolding`.

Strategies other than `list` are folded ahead by workers, in key order, a stretch at a time. Stretches end at counts
that depend on nothing but the count, so that a retry meets the partials of before again; a stretch is at least a
quarter of what was folded, so that storing partials never costs more than folding does. What is short of a stretch is
left to whoever reads the value.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from refold.scheduler.plan import PlannedBlock
from refold.scheduler.ranges import Range, Ranges
from refold.scheduler.spaces import FlatSpace, ItemSpace, RootSpace, Space
from refold.scheduler.status import TERMINAL, Status

SHORTEST = 500
"""How many runs a stretch has at first."""
LONGEST = 20_000
"""How many it has at most."""
COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})


def stretch_after(folded: int) -> int:
    """How many runs the next stretch has, when so many are folded."""
    return max(SHORTEST, min(folded // 4, LONGEST))


@dataclass(slots=True)
class Ahead:
    """How far a group is folded ahead of its reader."""

    seen: int = 0
    """How many of its runs, in key order, were looked at: those before are folded, wait to be, or give nothing."""
    waiting: deque[Range] = field(default_factory=deque)
    """Completed runs that are next; over a join they may come one by one."""
    ready: int = 0
    """How many those are."""
    folded: int = 0
    busy: bool = False
    """Whether a worker folds."""
    stopped: bool = False
    """Whether a fold could not be done: the reader will see why."""
    happened: bool = False
    """Whether it is known that the group happens; its readers are told when no worker folds."""

    def take(self) -> Ranges | None:
        """The next stretch, where enough runs wait for one."""
        length = stretch_after(self.folded)
        if self.busy or self.stopped or self.ready < length:
            return None
        taken: list[Range] = []
        self.folded += length
        self.ready -= length
        while length:
            start, stop = self.waiting.popleft()
            end = min(stop, start + length)
            taken.append((start, end))
            length -= end - start
            if end < stop:
                self.waiting.appendleft((end, stop))
        self.busy = True
        return tuple(taken)

    def add(self, run: int) -> None:
        """A completed run is next."""
        if self.waiting and self.waiting[-1][1] == run:
            self.waiting[-1] = (self.waiting[-1][0], run + 1)
        else:
            self.waiting.append((run, run + 1))
        self.ready += 1

    @property
    def released(self) -> bool:
        """Whether readers may have the value: nothing is being folded, or will be."""
        return self.happened and not self.busy and (self.stopped or self.ready < stretch_after(self.folded))


class Runs(Protocol):
    """A block whose runs are folded, as a fold sees it."""

    @property
    def plan(self) -> PlannedBlock:
        """The block's plan."""

    @property
    def space(self) -> Space:
        """What its runs stand at."""

    @property
    def status(self) -> bytearray:
        """A `Status` for each run."""

    @property
    def settled(self) -> bool:
        """Whether every run that will ever be is over."""

    @property
    def whole(self) -> bool:
        """Whether it has settled, and all its runs that are missing may be."""

    @property
    def tolerated(self) -> bool:
        """Whether it has settled with no more runs missing than its `tolerate` admits."""


class FoldState:
    """One way in which a block's runs are folded."""

    def __init__(self, block: Runs, levels: int | None, number: int | None = None) -> None:
        """`number`: which of the plan's folds of the block it is; None where it leads to a flat axis."""
        self.block = block
        self.levels = levels
        self.number = number
        self.computed = number is not None and block.plan.folds[number].computed
        self.outer: Space = RootSpace() if levels is None else block.space.outer
        """A position a group."""
        self.flat: FlatSpace | None = None
        """Where the items of the block's runs become one axis."""
        self.judged: set[int] = set()
        """Groups of which it is known whether they happen."""
        self.to_judge: set[int] = set()
        """Groups that may have become complete."""
        self.unlooked: set[int] = set()
        """Computed: groups of which runs have ended since somebody looked ahead."""
        self.ahead: dict[int, Ahead] = {}
        self._over: dict[int, int] = {}
        """By group: how many runs are over."""
        self._broken: dict[int, int] = {}
        self._members: dict[int, array[int]] = {}
        """By group: its runs, in the order in which they became known."""

    def busy(self) -> bool:
        """Whether a worker folds some group."""
        return any(ahead.busy for ahead in self.ahead.values())

    def grow(self, start: int, stop: int) -> None:
        """Runs `start` to `stop` became known."""
        if self.levels is None:
            return
        for run in range(start, stop):
            self._members.setdefault(self.block.space.outer_of(run), array("I")).append(run)

    def ended(self, start: int, stop: int, *, broken: bool) -> None:
        """Runs `start` to `stop` are over."""
        if self.levels is None:
            if self.computed:
                self.to_judge.add(0)
            return
        for run in range(start, stop):
            group = self.block.space.outer_of(run)
            self._over[group] = self._over.get(group, 0) + 1
            if broken:
                self._broken[group] = self._broken.get(group, 0) + 1
            self.to_judge.add(group)

    def recheck(self) -> None:
        """Something has ended that any group may have waited for."""
        self.to_judge.update(range(self.outer.size))

    def verdict(self, group: int) -> bool | None:
        """Whether a group happens; None while that is not known."""
        block = self.block
        if self.levels is None:
            return block.whole if block.settled else None
        stand = block.space.group(group)
        if stand.broken:
            return False
        if not stand.over or self._over.get(group, 0) < stand.size or (not stand.size and self._held_back(group)):
            return None
        if not self._broken.get(group):
            return True
        if block.plan.tolerance is None:
            return False
        return block.tolerated if block.settled else None

    def _held_back(self, group: int) -> bool:
        """Whether an outer item of an empty group waits for its producer to complete (batch mode).

        Where the group has runs, they have waited for it.
        """
        for space, positions in self.outer.axes((group,)):
            producer = space.producer
            if producer.plan.batch_mode and not all(producer.is_over(space.run_of(at)) for at in positions if at >= 0):
                return True
        return False

    def members(self, group: int) -> Sequence[int]:
        """All runs of a group, in key order; of a group that is not complete, as many as are known to come first."""
        space = self.block.space
        if self.levels is None:
            if self.block.settled or isinstance(space, RootSpace):
                return space.order()
            single = isinstance(space, ItemSpace) and isinstance(space.outer, RootSpace)
            return range(space.size) if single else ()
        runs = self._members.get(group, array("I"))
        if isinstance(space, ItemSpace | FlatSpace):
            return runs
        if group not in self.judged:
            return ()
        return sorted(runs, key=lambda run: space.key(run)[-1])

    def completed(self, group: int) -> Iterator[int]:
        """The runs of a group that give something to its value, in key order."""
        status = self.block.status
        return (run for run in self.members(group) if status[run] in COMPLETE)

    def look_ahead(self, group: int, *, happened: bool = False) -> Ahead:
        """Notes which runs of a group could be folded next; `happened`: that the group happens is known now."""
        ahead = self.ahead.setdefault(group, Ahead())
        ahead.happened = ahead.happened or happened
        status, members = self.block.status, self.members(group)
        while ahead.seen < len(members):
            run = members[ahead.seen]
            code = status[run]
            if code not in TERMINAL:
                break
            if code in COMPLETE:
                ahead.add(run)
            elif code != Status.CONDITION_FAILED and not ahead.happened:
                break
            ahead.seen += 1
        return ahead
