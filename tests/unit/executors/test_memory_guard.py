"""Whom to stop when there is too little memory left."""

from __future__ import annotations

from refold.executors.admission import SMALL
from refold.executors.memory import Memory
from refold.executors.memory_guard import Standing, reserve, to_stop

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
