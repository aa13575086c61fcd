"""Judges what many runs come to together: groups of folds, and the zips whose sides have all settled.

A group happens when all its runs are over and none is missing, or what is missing is tolerated (design 2.4, 2.6); then
its readers have it, or its items become one axis. What one side of a zip has too much of fails (design 2.3).
"""

from __future__ import annotations

from typing import Protocol

from refold.scheduler.blocks import BlockState, Downstream, Verdict
from refold.scheduler.folds import FoldState
from refold.scheduler.spaces import FlatSpace, ItemSpace, Space
from refold.scheduler.state import State
from refold.scheduler.status import Status


class Telling(Protocol):
    """How what was judged travels on."""

    def resolve(self, downstream: Downstream, start: int, stop: int, verdict: Verdict) -> None:
        """One iterated input of a block is known for a range of its upstream's positions."""

    def open_gate(self, block: BlockState, verdict: Verdict) -> None:
        """One of the inputs that all runs of a block wait for together is known."""

    def grow(self, space: Space, count: int) -> None:
        """A space has new positions, the last ones."""

    def end_waiting(self, block: BlockState, start: int, stop: int, new: Status) -> None:
        """Those of a range that were not handed out reach their last status."""


class Judging:
    """Judges, within one event, what has become ripe."""

    def __init__(self, state: State, unfolding: Telling) -> None:
        self._state = state
        self._unfolding = unfolding

    def judge(self) -> bool:
        """Tells of all that is known now; whether there was anything."""
        return self._judge_folds() or self._judge_zips()

    def _judge_folds(self) -> bool:
        """Tells of groups that happen, or never will; whether there were any."""
        told = False
        for fold in self._state.folds:
            if not fold.to_judge:
                continue
            groups, fold.to_judge = sorted(fold.to_judge - fold.judged), set()
            for group in groups:
                if fold.computed:
                    fold.unlooked.add(group)
                verdict = fold.verdict(group)
                if verdict is not None:
                    fold.judged.add(group)
                    self._tell_of_group(fold, group, happens=verdict)
                    told = True
        return told

    def _tell_of_group(self, fold: FoldState, group: int, *, happens: bool) -> None:
        if fold.flat is not None:
            self._fill(fold, fold.flat, group, happens=happens)
        elif not happens:
            self.release(fold, group, Verdict.FAILED)
        elif not fold.computed:
            self.release(fold, group, Verdict.GOOD)
        else:
            ahead = fold.look_ahead(group, happened=True)
            if ahead.released:
                self.release(fold, group, Verdict.GOOD)

    def release(self, fold: FoldState, group: int, verdict: Verdict) -> None:
        """Those who read a group may have it, or never will."""
        block = self._state.blocks[fold.block.plan.number]
        for downstream in block.readers[block.folds.index(fold)]:
            if downstream.iterates:
                self._unfolding.resolve(downstream, group, group + 1, verdict)
            else:
                self._unfolding.open_gate(downstream.block, verdict)

    def _fill(self, fold: FoldState, flat: FlatSpace, group: int, *, happens: bool) -> None:
        """The items of a group's runs become positions of a flat axis, or never will."""
        if not happens:
            flat.give_up(group)
        else:
            base = [item for run in fold.completed(group) for item in flat.items.items_of(run)]
            first = flat.fill(group, base)
            self._unfolding.grow(flat, len(base))
            block = self._state.blocks[fold.block.plan.number]
            verdict = Verdict.FAILED if group in flat.doomed else Verdict.GOOD
            for downstream in block.readers[block.folds.index(fold)] if base else ():
                self._unfolding.resolve(downstream, first, first + len(base), verdict)
        for other in self._state.folds:
            if other.levels is not None and not isinstance(other.block.space, ItemSpace):
                other.recheck()

    def _judge_zips(self) -> bool:
        """Finds what one side of a zip has too much of, once all its sides have settled; whether any was judged."""
        judged = False
        for join in self._state.joins if not self._state.cancelling else ():
            settled = not join.judged and all(factor.space.settled() for factor in join.factors)
            if settled and join.size == join.total():
                judged, count = True, join.find_surplus()
                self._unfolding.grow(join, count)
                for block in self._state.standing_at(join):
                    if block.join is join:
                        self._unfolding.end_waiting(block, join.size - count, join.size, Status.FAILED)
                for fold in self._state.folds:
                    if fold.levels is not None:
                        fold.recheck()
        return judged
