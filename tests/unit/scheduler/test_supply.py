"""Producers run ahead of those who read by no more than the budget, and what explains more is written down."""

from __future__ import annotations

import random

import pytest

from refold.model.keys import BlockUuid
from refold.scheduler.commands import Command, Pull, RunBatch
from refold.scheduler.decide import decide
from refold.scheduler.events import Event, ItemsArrived, ProducerPaused, RunsFinished, RunStarted, SlotsFree
from refold.scheduler.plan import PlannedBlock
from refold.scheduler.state import State
from refold.scheduler.supply import UNBOUNDED, Credit, Reader, Sizes, Supply
from refold.testing.drafts import Draft, draft_plan

EACH = 10
"""Bytes of an item."""


class Run:
    """A scheduler, and what it says."""

    def __init__(self, *drafts: Draft, slots: int = 1) -> None:
        self.plan = draft_plan(*drafts)
        self.state = State(self.plan)
        self.slots = slots
        self.send(RunStarted())

    def send(self, event: Event) -> list[Command]:
        commands = decide(self.state, event)
        self.state.validate()
        return commands

    def offer(self, *sizes: int, slots: int | None = None) -> list[Command]:
        """What is handed out: one run a batch, where nothing else is said."""
        sizes = sizes or (1,) * len(self.plan.blocks)
        return self.send(SlotsFree(slots or self.slots, sizes))

    def give(self, run: int, start: int, stop: int, each: int = EACH, block: int = 0) -> None:
        self.send(ItemsArrived(block, run, start, stop, each * (stop - start)))

    def end(self, block: int, *runs: int) -> None:
        self.send(RunsFinished(block, tuple((run, run + 1) for run in runs), bytes(len(runs))))

    def unread(self, block: int = 0) -> tuple[int, int]:
        supply = self.state.blocks[block].supply
        assert supply is not None
        return supply.unread, supply.unread_bytes


def lent(commands: list[Command], block: int) -> list[tuple[int, int]]:
    return [(each.credit, each.credit_bytes) for each in commands if isinstance(each, RunBatch) and each.block == block]


def pulls(commands: list[Command]) -> list[tuple[int, int, int]]:
    return [(each.run, each.items, each.size) for each in commands if isinstance(each, Pull)]


def test_a_lone_producer_is_given_the_whole_budget_and_more_when_half_of_it_was_read() -> None:
    run = Run(
        Draft("d", dynamic=True, buffer_items=6, buffer_bytes=1000), Draft("c", ("d",), concurrency_limit=1), slots=2
    )
    assert lent(run.offer(), 0) == [(6, 1000)]
    run.give(0, 0, 6)
    run.send(ProducerPaused(0, 0))
    for taken in range(2):
        assert pulls(run.offer()) == [], f"{taken} items were read"
        run.end(1, taken)
    assert run.unread() == (4, 40)
    assert pulls(run.offer()) == [(0, 3, 970)]


def test_a_producer_whose_readers_keep_up_is_given_more_before_it_must_pause() -> None:
    run = Run(Draft("d", dynamic=True, buffer_items=6, buffer_bytes=1000), Draft("c", ("d",)), slots=9)
    run.offer()
    run.give(0, 0, 2)
    assert pulls(run.offer()) == []
    run.give(0, 2, 3)
    assert pulls(run.offer()) == [(0, 3, 30)], "bytes are not what it wants"


def test_an_item_is_read_when_its_run_is_handed_out_and_stays_so_when_that_comes_back() -> None:
    run = Run(Draft("d", dynamic=True, buffer_items=2), Draft("c", ("d",)))
    run.offer()
    run.give(0, 0, 2)
    assert run.unread() == (2, 20)
    run.send(ProducerPaused(0, 0))
    run.offer(1, 2)
    assert run.unread() == (0, 0)
    run.send(RunsFinished(1, ((0, 2),), bytes((7, 7))))
    assert run.unread() == (0, 0)
    run.offer()
    assert run.unread() == (0, 0)


def test_the_slowest_of_several_blocks_counts() -> None:
    run = Run(
        Draft("d", dynamic=True, buffer_items=4),
        Draft("gate"),
        Draft("fast", ("d",)),
        Draft("slow", ("d", "gate")),
        slots=9,
    )
    run.offer()
    run.give(0, 0, 4)
    run.send(ProducerPaused(0, 0))
    assert pulls(run.offer()) == [], "`slow` waits for the gate"
    assert run.unread() == (4, 40)
    run.end(1, 0)
    assert pulls(run.offer()) == [(0, 4, 67108864)]


def test_of_several_producers_each_has_its_share_and_who_comes_later_finds_some_left() -> None:
    run = Run(
        Draft("outer", dynamic=True),
        Draft("d", ("outer",), dynamic=True, buffer_items=30, buffer_bytes=3000),
        Draft("c", ("d",)),
        slots=2,
    )
    run.offer()
    run.give(0, 0, 5)
    run.end(0, 0)
    assert lent(run.offer(), 1) == [(10, 1000), (10, 1000)]
    assert lent(run.offer(), 1) == [(3, 333), (3, 333)]
    assert lent(run.offer(slots=1), 1) == [(2, 167)]


def test_where_a_producer_waits_for_credit_no_other_one_begins() -> None:
    run = Run(
        Draft("outer", dynamic=True), Draft("d", ("outer",), dynamic=True, buffer_items=1), Draft("c", ("d",)), slots=2
    )
    run.offer()
    run.give(0, 0, 5)
    run.end(0, 0)
    assert lent(run.offer(slots=1), 1) == [(1, 33554432)]
    run.give(0, 0, 1, block=1)
    run.send(ProducerPaused(1, 0))
    commands = run.offer(slots=2)
    assert [each.block for each in commands if isinstance(each, RunBatch)] == [2]
    assert pulls(commands) == [(0, 1, 67108864)]


def test_no_other_one_begins_before_the_one_that_waits_may_go_on() -> None:
    run = Run(
        Draft("outer", dynamic=True),
        Draft("d", ("outer",), dynamic=True, buffer_items=1),
        Draft("c", ("d",), concurrency_limit=1),
        slots=2,
    )
    run.offer()
    run.give(0, 0, 5)
    run.end(0, 0)
    run.offer(slots=1)
    for item in range(2):
        run.give(0, item, item + 1, block=1)
        run.send(ProducerPaused(1, 0))
        run.offer(slots=2)
    assert run.unread(1)[0] == 1, "one is being executed, the next one waits for it"
    assert run.offer(slots=2) == []
    run.end(2, 0)
    commands = run.offer(slots=2)
    assert [each.block for each in commands if isinstance(each, RunBatch)] == [2]
    assert pulls(commands) == [(0, 1, 67108864)]


def test_an_item_larger_than_all_bytes_passes_and_the_next_one_waits_until_it_was_read() -> None:
    run = Run(Draft("d", dynamic=True, buffer_bytes=100), Draft("c", ("d",)), slots=2)
    run.offer()
    run.give(0, 0, 1, each=5000)
    run.send(ProducerPaused(0, 0))
    assert run.unread() == (1, 5000)
    commands = run.offer()
    assert [each.block for each in commands if isinstance(each, RunBatch)] == [1]
    assert pulls(commands) == [(0, 1000, 100)]


def test_a_returned_list_is_there_at_once_and_who_begins_meanwhile_gives_one() -> None:
    run = Run(Draft("outer", dynamic=True), Draft("d", ("outer",), dynamic=True, buffer_items=8), Draft("c", ("d",)))
    run.offer()
    run.give(0, 0, 3)
    run.end(0, 0)
    run.offer()
    run.give(0, 0, 100, block=1)
    run.end(1, 0)
    assert run.unread(1) == (100, 1000)
    commands = run.offer(1, 1, 50, slots=2)
    assert lent(commands, 1) == []
    assert run.unread(1) == (0, 0)


def test_a_join_reads_an_item_when_some_run_over_it_is_handed_out() -> None:
    run = Run(
        Draft("d", dynamic=True, buffer_items=3),
        Draft("e", dynamic=True, buffer_items=3),
        Draft("pair", ("d", "e")),
        slots=2,
    )
    run.offer()
    run.give(0, 0, 3)
    run.give(0, 0, 1, block=1)
    assert (run.unread(0)[0], run.unread(1)[0]) == (3, 1)
    run.send(ProducerPaused(0, 0))
    run.offer(1, 1, 2, slots=1)
    assert (run.unread(0)[0], run.unread(1)[0]) == (1, 0)
    run.end(2, 0, 1)
    run.offer(1, 1, 2, slots=1)
    assert (run.unread(0)[0], run.unread(1)[0]) == (0, 0)


@pytest.mark.parametrize(
    "drafts",
    [
        (Draft("d", dynamic=True, batch_mode=True, buffer_items=1), Draft("c", ("d",))),
        (Draft("d", dynamic=True, children=(), buffer_items=1), Draft("c", ("d",))),
        (
            Draft("d", dynamic=True, children=("c", "e"), buffer_items=1),
            Draft("r", ("d",)),
            Draft("c", ("d", "r")),
        ),
    ],
    ids=["batch mode", "as a list", "all at once"],
)
def test_nothing_is_bounded_where_nobody_could_read_before_all_is_there(drafts: tuple[Draft, ...]) -> None:
    assert lent(Run(*drafts).offer(), 0) == [(UNBOUNDED, 0)]


def test_nothing_else_can_happen_so_a_producer_is_given_more() -> None:
    run = Run(
        Draft("d", dynamic=True, buffer_items=2),
        Draft("e", dynamic=True, buffer_items=2),
        Draft("pair", ("d", "e"), join="zip"),  # type: ignore[arg-type]
        slots=2,
    )
    run.offer()
    run.give(0, 0, 2)
    run.send(ProducerPaused(0, 0))
    assert pulls(run.offer()) == [], "the other side may still give"
    run.end(1, 0)
    assert pulls(run.offer()) == [(0, 1, 2**25)]


def test_sizes_of_ranges_add_up_however_much_is_forgotten() -> None:
    chance, sizes, items = random.Random(3), Sizes(), list[int]()
    for _ in range(3000):
        count, each = chance.randint(1, 9), chance.choice((1, 10, 1000))
        sizes.add(count, count * each)
        items += [each] * count
    for _ in range(300):
        start = chance.randint(0, len(items))
        stop = chance.randint(start, len(items))
        assert sizes.between(start, stop) == sum(items[start:stop])
    position = len(items) // 2
    sizes.forget(position)
    sizes.forget(position)
    assert len(sizes) < 1600
    rest = sizes.between(position, len(items))
    assert rest == pytest.approx(sum(items[position:]), rel=0.01)
    middle = (position + len(items)) // 2
    assert sizes.between(position, middle) + sizes.between(middle, len(items)) == rest


def test_sizes_of_items_that_wait_long_are_told_apart_in_little_room() -> None:
    supply = Supply(PlannedBlock(0, BlockUuid("d"), dynamic=True))
    status, reads = bytearray(), list[Reader]()
    reader = Reader(status, None, reads, supply)
    for item in range(50_000):
        supply.arrive(0, 1, item % 7)
        status.append(0)
        if item:  # the first one waits for ever
            reader.read(item, item + 1)
            status[item] = 2
    assert reader.unread == 1
    assert len(supply.sizes) <= 4097


def test_what_a_producer_had_left_when_it_paused_is_there_for_others() -> None:
    supply = Supply(PlannedBlock(0, BlockUuid("d"), dynamic=True, buffer_items=10, buffer_bytes=100))
    Reader(bytearray(), None, [], supply)
    assert supply.lend([0], 1) == Credit(10, 100)
    supply.arrive(0, 2, 150)
    assert (supply.hungry, supply.room()) == ({0}, Credit(0, -50))
    supply.pause(0)
    assert supply.room() == Credit(8, -50)
    supply.pull(0, Credit(3, 20))
    assert (supply.hungry, supply.paused, supply.room()) == (set(), set(), Credit(5, -70))
    supply.over(0)
    assert supply.room() == Credit(8, -50)
    supply.validate()
