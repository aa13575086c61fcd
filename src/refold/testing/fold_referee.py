"""The referee of folds: what workers fold ahead of time is, run by run, what the reader would have folded in the end.

A `Fold` is for a computed fold, one at a time for a group, and never again after one that failed. Its runs belong to
the group, have completed, and are on record. They follow what was folded before in key order, and nothing that counts
lies between: what a condition stopped may, and what did not complete may when that has been judged tolerable. A run
that comes later at a smaller key would be lost, so in the end all that was folded must be where the group begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from refold.model.keys import Key
from refold.scheduler.commands import Fold
from refold.scheduler.events import Folded
from refold.scheduler.plan import Plan
from refold.scheduler.ranges import numbers
from refold.scheduler.status import Status
from refold.testing.machine import Machine, demand
from refold.testing.positions import BROKEN, COMPLETE, Group, Positions


@dataclass(slots=True)
class _Folding:
    """One group, as far as it is folded."""

    group: Group
    key: Key
    folded: list[Key] = field(default_factory=list)
    """The runs, in the order in which they were named."""
    under_way: bool = False
    given_up: bool = False


@dataclass(slots=True)
class FoldReferee:
    """Knows the plan and what was said so far of folds; of the runs what `positions` is told."""

    plan: Plan
    machine: Machine
    positions: Positions
    foldings: dict[tuple[int, int, int], _Folding] = field(default_factory=dict)
    """By block, fold and group, as commands name them."""

    def judge(self, command: Fold) -> None:
        """Raises FoulError if this may not be folded now."""
        planned = self.plan.blocks[command.block]
        demand(command.fold < len(planned.folds), f"{planned.uuid}: there is no fold {command.fold}")
        demand(planned.folds[command.fold].computed, f"{planned.uuid}: folding a list needs no worker")
        folding = self._folding(command)
        demand(not folding.under_way, f"{self.name(command)}: folded twice at once")
        demand(not folding.given_up, f"{self.name(command)}: folded again after that failed")
        keys = [self.machine.key(command.block, run) for run in numbers(command.runs)]
        demand(bool(keys), f"{self.name(command)}: nothing to fold")
        self._demand_next(folding, keys)
        folding.folded += keys
        folding.under_way = True

    def _folding(self, command: Fold | Folded) -> _Folding:
        block, fold = command.block, command.fold
        key = self.machine.group_key(block, fold, command.group)
        fresh = _Folding((block, self.plan.blocks[block].folds[fold].levels, key), key)
        folding = self.foldings.setdefault((block, fold, command.group), fresh)
        demand(folding.key == key, f"{self.name(command)}: that was the group of {folding.key}")
        twins = [other for name, other in self.foldings.items() if name[:2] == (block, fold) and other.key == key]
        demand(len(twins) == 1, f"{self.name(command)}: two groups of {key}")
        return folding

    def name(self, command: Fold | Folded) -> str:
        """The group as people know it."""
        key = self.machine.group_key(command.block, command.fold, command.group)
        return ":".join(["fold of " + self.plan.blocks[command.block].uuid, *map(str, key), "*"])

    def _demand_next(self, folding: _Folding, keys: Sequence[Key]) -> None:
        """These are the group's next runs in key order, as far as it is known."""
        block = folding.group[0]
        begun = folding.folded[-1:]
        rest = [key for key in self.positions.group(folding.group) if not begun or key > begun[0]]
        for key in rest[: rest.index(keys[-1]) + 1] if keys[-1] in rest else rest:
            status = self.positions.facts.status(block, key)
            tolerated = status in BROKEN and self.positions.tolerated(block)
            passed = status is Status.CONDITION_FAILED or tolerated
            demand(status in COMPLETE or passed, f"folded {keys}, but {key} is {status!r}")
        completed = [key for key in rest if self.positions.facts.status(block, key) in COMPLETE]
        demand(completed[: len(keys)] == keys, f"folded {keys} after {begun}, next are {completed}")

    def hear(self, event: Folded) -> None:
        """A worker has folded, or could not."""
        folding = self._folding(event)
        folding.under_way = False
        folding.given_up = not event.ok

    def under_way(self, group: Group) -> bool:
        """Whether workers fold this group now."""
        return any(folding.under_way and folding.group == group for folding in self.foldings.values())

    def judge_end(self) -> None:
        """Raises FoulError if something was folded out of its turn."""
        for folding in self.foldings.values():
            block = folding.group[0]
            runs = self.positions.group(folding.group)
            statuses = {key: self.positions.facts.status(block, key) for key in runs}
            completed = [key for key in runs if statuses[key] in COMPLETE]
            demand(
                completed[: len(folding.folded)] == folding.folded,
                f"{folding.group}: folded {folding.folded}, there are {completed}",
            )
