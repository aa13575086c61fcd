"""Whom to stop when there is too little memory left."""

from __future__ import annotations

from refold.executors.admission import SMALL
from refold.executors.memory import Memory
from refold.executors.memory_guard import MemoryGuard, Standing, reserve, to_stop

GB = 2**30


def test_the_largest_that_works_is_stopped() -> None:
    standings = [Standing(GB, holds=True, works=True), Standing(3 * GB, holds=True, works=True)]
    assert to_stop(standings) == 1


def test_one_that_holds_nothing_is_stopped_before_any_other() -> None:
    standings = [Standing(3 * GB, holds=True, works=True), Standing(SMALL, holds=False, works=False)]
    assert to_stop(standings) == 1


def test_one_that_only_waits_with_a_generator_is_left_alone() -> None:
    standings = [Standing(3 * GB, holds=True, works=False), Standing(SMALL, holds=True, works=True)]
    assert to_stop(standings) == 1
    assert to_stop(standings[:1]) is None


def test_none_is_stopped_where_that_would_change_nothing() -> None:
    assert to_stop([Standing(SMALL - 1, holds=True, works=True)]) is None
    assert to_stop([]) is None


def test_a_reserve_is_a_share_of_a_small_machine() -> None:
    assert reserve(Memory(GB, GB)) == GB // 20
    assert reserve(Memory(GB, 100 * GB)) == GB // 4


class Told:
    """What there is, as a test says."""

    def __init__(self, memory: Memory | None) -> None:
        self.memory = memory

    def look(self) -> Memory | None:
        return self.memory

    def kills(self) -> int:
        return 0


def test_there_is_room_for_a_worker_in_the_place_of_one_that_waits_while_memory_is_left() -> None:
    small, large = Memory(GB // 4 + 63 * 2**20, 100 * GB), Memory(GB // 4 + 64 * 2**20, 100 * GB)
    assert not MemoryGuard(Told(small), None).has_room([])
    assert MemoryGuard(Told(large), None).has_room([])
    assert MemoryGuard(Told(None), None).has_room([])


def test_a_small_limit_of_ones_own_leaves_room_for_workers_that_take_nothing_yet() -> None:
    assert MemoryGuard(Told(None), 20 * 2**20).has_room([])
