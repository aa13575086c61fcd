"""Scripted pipelines: every block run's behaviour is written down beforehand, so any run of it can be judged.

What a run does is a pure function of the script, its block and its key; when and in which order it happens is the
simulation's choice. Values name their maker and what it was given, so a wrong, missing or misplaced input shows.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from refold.model.keys import BlockUuid, Key
from refold.scheduler.events import Outcome, Wait
from refold.scheduler.plan import Edge, EdgeKind, Plan, PlannedBlock

Value = None | bool | str | tuple["Value", ...]
"""What a run returns: text that names its maker, a list of such (as a tuple), None, or the answer of a `-> bool`."""

_VALUES = 3  # how many different ones items have, where nothing is said
_READABLE = 60  # characters of inputs; longer ones are shown by their digest


class Ending(Enum):
    """What the last attempt of a run does, once the attempts that only fail are behind it."""

    VALUE = auto()
    """Returns one value; a dynamic run gives all its items."""
    LIST = auto()
    """Returns a list."""
    NONE = auto()
    FALSE = auto()
    """Its `-> bool` function says False."""
    CONDITION_FALSE = auto()
    """Its `@condition` says False."""
    FAILS = auto()
    """Fails in a way that no retry mends."""


_OUTCOMES = {
    Ending.FALSE: Outcome.COMPLETED_FALSE,
    Ending.CONDITION_FALSE: Outcome.CONDITION_FAILED,
    Ending.FAILS: Outcome.FAILED_FOR_GOOD,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a run."""

    outcome: Outcome
    items: int = 0
    """How many items it gives before it ends."""


@dataclass(frozen=True, slots=True)
class Act:
    """All that one run does, attempt by attempt."""

    ending: Ending = Ending.VALUE
    items: int = 0
    """Items of a dynamic run that succeeds."""
    elements: int = 0
    """Length of the list that it returns, where it returns one."""
    failing: tuple[int, ...] = ()
    """One number for each attempt that fails before the ending is reached: the items it gives first."""
    fails_after: int = 0
    """Items that it gives before it fails for good."""
    not_yet: int = 0
    """How many askings a sensor answers with "not yet" first."""
    at_once: bool = False
    """Whether a dynamic run returns a list: all its items arrive together, however small its credit."""
    waits: tuple[Wait, ...] = ()
    """What the children at a dynamic run's items wait for, once all of them are there; none of it OPEN."""
    values: tuple[str, ...] = ()
    """What a dynamic run's items have that `limit_by` asks for, item by item; where it says nothing, some value."""

    def attempt(self, failures: int) -> Attempt:
        """What it does after this many failed attempts."""
        if failures < len(self.failing):
            return Attempt(Outcome.FAILED, self.failing[failures])
        outcome = _OUTCOMES.get(self.ending, Outcome.COMPLETED)
        if outcome is Outcome.FAILED_FOR_GOOD:
            return Attempt(outcome, self.fails_after)
        return Attempt(outcome, self.items if outcome is Outcome.COMPLETED else 0)

    def result(self, retries: int) -> Attempt:
        """How it ends when it may be tried again this often; `items` counts all that ever arrived."""
        attempts = [self.attempt(failures) for failures in range(min(len(self.failing), retries) + 1)]
        return Attempt(attempts[-1].outcome, max(attempt.items for attempt in attempts))


@dataclass(frozen=True, slots=True)
class Habits:
    """How the runs of one block tend to behave; chances are between 0 and 1."""

    items: tuple[int, int] = (0, 0)
    """Fewest and most items of a dynamic run."""
    fails: float = 0.0
    """Chance that its first attempts fail; whether a retry is left after them is another matter."""
    fails_for_good: float = 0.0
    condition_false: float = 0.0
    returns_false: float = 0.0
    returns_list: float = 0.0
    returns_none: float = 0.0
    not_yet: int = 0
    """Most times that it answers "not yet"."""
    at_once: float = 0.0
    waits: float = 0.0
    """Chance that an item of a dynamic run has its children wait for others."""
    awaited: tuple[int | None, ...] = (None,)
    """What they may wait for: the same block's run at another item (None), another child's, or a static block."""


@dataclass(frozen=True, slots=True)
class Source:
    """One input of one run: where it comes from."""

    edge: Edge
    key: Key = ()
    """Key of the upstream's run; over FLAT and FOLDED edges what tells the group of runs, `()` for all of them."""
    item: int | None = None
    """Over ITEMS edges the item's index within its run, over FLAT ones within its group."""


@dataclass(frozen=True, slots=True)
class Script:
    """A plan, and what every block run of it does."""

    plan: Plan
    habits: tuple[Habits, ...] = ()
    """One for each block of the plan; none at all for a pipeline in which everything is fixed or succeeds."""
    seed: int = 0
    fixed: Mapping[tuple[str, Key], Act] = field(default_factory=dict)
    """What the run of (block uuid, key) does, over its block's habits; at the key `()` also what the block's other
    runs do."""

    def act(self, block: int, key: Key) -> Act:
        """What the run of this block at this key does; always the same."""
        planned = self.plan.blocks[block]
        fixed = self.fixed.get((planned.uuid, key)) or self.fixed.get((planned.uuid, ()))
        if fixed is not None:
            return fixed
        if not self.habits:
            return Act()
        chance = random.Random(f"{self.seed}/{planned.uuid}/{key}")
        act = _improvise(planned, self.habits[block], chance)
        return replace(act, waits=self._improvise_waits(block, act.items, chance)) if act.items else act

    def _improvise_waits(self, block: int, items: int, chance: random.Random) -> tuple[Wait, ...]:
        """Waits among a run's items that go round in no circle: each for items that come before it in some order."""
        habits = self.habits[block]
        order = chance.sample(range(items), items)
        waits: dict[Wait, None] = {}
        for place, item in enumerate(order):
            for _ in range(chance.randint(1, 3) if chance.random() < habits.waits else 0):
                awaited = chance.choice(habits.awaited)
                if awaited is not None and not self.plan.blocks[awaited].axes:
                    waits[Wait(item, awaited, None)] = None
                elif place:
                    waits[Wait(item, awaited, chance.choice(order[:place]))] = None
        return tuple(sorted(waits, key=lambda wait: wait.item))

    def value(self, block: int, key: Key, item: int) -> str:
        """What an item of a dynamic run has that `limit_by` asks for."""
        values = self.act(block, key).values
        if item < len(values):
            return values[item]
        name = f"{self.seed}/{self.plan.blocks[block].uuid}/{key}/{item}"
        return f"value {hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % _VALUES}"

    def sources(self, block: int, key: Key) -> tuple[Source, ...]:
        """Where the inputs of a run come from, edge by edge: each takes its part of the key (design 2.3)."""
        found = []
        for edge in self.plan.blocks[block].edges:
            part = tuple(key[column] for column in edge.columns)
            if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
                found.append(Source(edge, part[:-1], part[-1]))
            else:
                found.append(Source(edge, part))
        return tuple(found)

    def awaited(self, block: int, key: Key) -> list[tuple[int, Key]]:
        """The runs (block and key) that a run waits for because the items say so (design 2.9)."""
        found = []
        for source in self.sources(block, key):
            if source.edge.kind is EdgeKind.ITEMS:
                for wait in self.act(source.edge.upstream, source.key).waits:
                    if wait.item == source.item:
                        at = () if wait.target is None else (*source.key, wait.target)
                        found.append((block if wait.block is None else wait.block, at))
        return found

    def output(self, block: int, key: Key, inputs: Sequence[Value]) -> Value:
        """What a run that completes returns, or for a dynamic run the name that its items are made of."""
        act = self.act(block, key)
        if act.ending is Ending.NONE:
            return None
        if act.ending is Ending.FALSE:
            return False
        name = _name(self.plan.blocks[block].uuid, key, inputs)
        if act.ending is Ending.LIST:
            return tuple(f"{name}[{index}]" for index in range(act.elements))
        return name


def item_of(output: Value, index: int) -> Value:
    """One item of a dynamic run that returned `output`."""
    return f"{output}.{index}"


def contributed(value: Value) -> tuple[Value, ...]:
    """What one run's value adds to what a reducing edge hands on (design 2.4)."""
    return value if isinstance(value, tuple) else (value,)


def partly_folded(before: Iterable[str], values: Iterable[Value]) -> str:
    """What workers keep of a computed fold that goes on: what was folded before, and the values that follow.

    Each value stays in sight, in its place, so that one that is lost, doubled or misplaced shows. None is passed over.
    """
    return ", ".join(filter(None, [*before, *(_show(value) for value in values if value is not None)]))


def folded(values: Iterable[Value], computed: bool, partials: Iterable[str] = ()) -> Value:
    """What values in key order fold to: a list, or where workers compute it, a text that names them one by one."""
    return f"fold({partly_folded(partials, values)})" if computed else tuple(values)


def _name(block: BlockUuid, key: Key, inputs: Sequence[Value]) -> str:
    run = ":".join([block, *map(str, key)])
    given = ", ".join(map(_show, inputs))
    if len(given) > _READABLE:
        given = "#" + hashlib.blake2b(given.encode(), digest_size=8).hexdigest()
    return f"{run}({given})"


def _show(value: Value) -> str:
    return f"[{', '.join(map(_show, value))}]" if isinstance(value, tuple) else str(value)


def _improvise(planned: PlannedBlock, habits: Habits, chance: random.Random) -> Act:
    items = chance.randint(*habits.items) if planned.dynamic else 0
    ending = _choose_ending(planned, habits, chance)
    at_once = chance.random() < habits.at_once
    before_failing = 0 if at_once else items
    failing: tuple[int, ...] = ()
    if ending is not Ending.CONDITION_FALSE and chance.random() < habits.fails:
        failing = tuple(chance.randint(0, before_failing) for _ in range(chance.randint(1, 3)))
    return Act(
        ending=ending,
        items=items,
        elements=chance.randint(0, 3),
        failing=failing,
        fails_after=chance.randint(0, before_failing),
        not_yet=chance.randint(0, habits.not_yet) if planned.sensor_interval is not None else 0,
        at_once=at_once,
    )


def _choose_ending(planned: PlannedBlock, habits: Habits, chance: random.Random) -> Ending:
    chances = {Ending.FAILS: habits.fails_for_good, Ending.CONDITION_FALSE: habits.condition_false}
    if not planned.dynamic:
        chances |= {
            Ending.FALSE: habits.returns_false,
            Ending.LIST: habits.returns_list,
            Ending.NONE: habits.returns_none,
        }
    drawn = chance.random()
    for ending, share in chances.items():
        drawn -= share
        if drawn < 0:
            return ending
    return Ending.VALUE
