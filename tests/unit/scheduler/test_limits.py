"""Never more runs of a value than its limit, in key order within a value, and nobody waits who need not."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from dataclasses import dataclass, field

import pytest

from refold.model.keys import BlockUuid
from refold.scheduler.blocks import BlockState
from refold.scheduler.limits import Limit, LimitedRuns
from refold.scheduler.plan import PlannedBlock
from refold.scheduler.ranges import numbers
from refold.scheduler.spaces import ItemSpace, RootSpace

READY, GONE = 0, 7


def items_with(groups: list[int]) -> ItemSpace:
    """A dynamic block's items, with these values."""
    items = ItemSpace(BlockState(PlannedBlock(0, BlockUuid("d"), dynamic=True), RootSpace()))
    if groups:
        items.grow(0, 0, len(groups), groups)
    return items


@dataclass
class Table:
    """Runs that stand at items of one or two dynamic blocks, and who is under way."""

    groups: list[tuple[int, ...]]
    """Of each run, its value on each side."""
    limits: tuple[int, ...]
    runs: LimitedRuns = field(init=False)
    status: bytearray = field(init=False)
    under_way: list[int] = field(default_factory=list)
    ready: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        columns = [array("I", range(len(self.groups))) for _ in self.limits]
        self.runs = LimitedRuns(
            [
                Limit(limit, items_with([each[side] for each in self.groups]), columns[side])
                for side, limit in enumerate(self.limits)
            ]
        )
        self.status = bytearray(len(self.groups))

    def add(self, start: int, stop: int) -> None:
        self.runs.add(start, stop)
        self.ready.update(range(start, stop))

    def take(self, most: int) -> list[int]:
        """Takes runs, which must be those that a look at each of them in order finds."""
        expected: list[int] = []
        for run in sorted(self.ready):
            if len(expected) < most and self.is_free(run, expected):
                expected.append(run)
        taken = list(numbers(self.runs.take(most, self.status, READY)))
        assert taken == expected
        self.ready -= set(taken)
        self.under_way += taken
        return taken

    def is_free(self, run: int, others: list[int]) -> bool:
        busy = [*self.under_way, *others]
        return all(
            sum(self.groups[other][side] == self.groups[run][side] for other in busy) < limit
            for side, limit in enumerate(self.limits)
        )

    def end(self, run: int) -> None:
        self.under_way.remove(run)
        self.runs.over(run, run + 1)

    def settle(self, run: int) -> None:
        """A run that waits is over without."""
        self.ready.discard(run)
        self.status[run] = GONE


def check(table: Table, chance: random.Random, *, settles: bool) -> None:
    """Runs come, go, come back and are settled in every order, until all have gone."""
    left, order = list(range(len(table.groups))), list[int]()
    while left or table.ready or table.under_way:
        what = chance.random()
        if left and what < 0.2:
            start = left[0]
            stop = chance.randint(start, left[-1]) + 1
            table.add(start, stop)
            left = list(range(stop, len(table.groups)))
        elif table.under_way and what < 0.5:
            run = chance.choice(table.under_way)
            table.end(run)
            if chance.random() < 0.2:
                table.add(run, run + 1)  # it is to be tried again
            else:
                table.status[run] = GONE
        elif settles and table.ready and what < 0.55:
            table.settle(chance.choice(sorted(table.ready)))
        else:
            order += table.take(chance.randint(1, 8))
        table.runs.validate(table.under_way)
        for side, limit in enumerate(table.limits):
            counted = Counter(table.groups[run][side] for run in table.under_way)
            assert all(count <= limit for count in counted.values())
    assert not table.runs.size or not table.ready


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_one_value_holds_up_no_other(limit: int) -> None:
    for seed in range(100):
        chance = random.Random(seed)
        groups: list[tuple[int, ...]] = [(chance.randint(0, 4),) for _ in range(chance.randint(0, 40))]
        check(Table(groups, (limit,)), chance, settles=chance.random() < 0.5)


def test_within_a_value_runs_go_in_key_order() -> None:
    table = Table([(run % 3,) for run in range(30)], (1,))
    table.add(0, 30)
    order: list[int] = []
    chance = random.Random(1)
    while table.ready or table.under_way:
        order += table.take(chance.randint(1, 4))
        if table.under_way:
            table.end(chance.choice(table.under_way))
    for value in range(3):
        assert [run for run in order if run % 3 == value] == list(range(value, 30, 3))


@pytest.mark.parametrize("limits", [(1, 1), (1, 2), (2, 2), (3, 1)])
def test_a_run_over_two_blocks_obeys_both(limits: tuple[int, int]) -> None:
    for seed in range(150):
        chance = random.Random(seed)
        groups = [(chance.randint(0, 3), chance.randint(0, 3)) for _ in range(chance.randint(0, 40))]
        check(Table(list(groups), limits), chance, settles=chance.random() < 0.5)


def test_runs_that_somebody_else_answers_for_may_be_more_than_the_limit() -> None:
    table = Table([(0,)] * 4, (1,))
    table.add(0, 4)
    table.runs.take_named(((0, 2),))
    table.status[0:2] = b"\1\1"
    assert table.runs.take(5, table.status, READY) == ()
    table.runs.over(0, 1)
    assert table.runs.take(5, table.status, READY) == ()
    table.runs.over(1, 2)
    assert table.runs.take(5, table.status, READY) == ((2, 3),)


@pytest.mark.parametrize("groups", [1, 7])
def test_a_long_wait_keeps_no_more_than_a_number_for_each_run(groups: int) -> None:
    count = 20_000
    table = Table([(run % groups,) for run in range(count)], (1,))
    table.runs.add(0, count)
    seen = 0
    while taken := list(numbers(table.runs.take(count, table.status, READY))):
        assert len(taken) == min(groups, count - seen)
        seen += len(taken)
        for run in taken:
            table.runs.over(run, run + 1)
    assert seen == count
    assert table.runs.size == 0
