"""Batches begin where there is memory for what their children are known to take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.executors.admission import SMALL, Admission, UnderWay
from refold.model.keys import RunId

BLOCK, OTHER = (RunId("run"), 1), (RunId("run"), 2)
GB = 10**9
SIZES = st.integers(0, 8 * GB)
UNDER_WAY = st.lists(st.builds(UnderWay, st.sampled_from([BLOCK, OTHER]), st.integers(1, 8), SIZES), max_size=5)


@pytest.fixture
def admission() -> Admission:
    return Admission()


def test_a_block_of_which_nothing_is_known_is_let_in(admission: Admission) -> None:
    assert admission.admits(BLOCK, 1, [UnderWay(OTHER, 1, 0)], 0)


def test_a_large_one_waits_until_there_is_room_beside_what_others_have_yet_to_take(admission: Admission) -> None:
    admission.learn(BLOCK, 2 * GB)
    others = [UnderWay(BLOCK, 1, GB)]
    assert not admission.admits(BLOCK, 1, others, 3 * GB - 1)
    assert admission.admits(BLOCK, 1, others, 3 * GB)


def test_one_is_let_in_where_nothing_is_under_way_however_large_it_is(admission: Admission) -> None:
    admission.learn(BLOCK, 100 * GB)
    assert admission.admits(BLOCK, 1, [], 0)


def test_small_ones_never_wait(admission: Admission) -> None:
    admission.learn(OTHER, 100 * GB)
    admission.learn(BLOCK, SMALL - 1)
    assert admission.admits(BLOCK, 1, [UnderWay(OTHER, 1, 0)], 0)


def test_many_small_ones_at_once_are_large(admission: Admission) -> None:
    admission.learn(BLOCK, 10**6)
    assert not admission.admits(BLOCK, 10_000, [UnderWay(OTHER, 1, 0)], 9 * GB)


def test_fewer_are_under_way_at_once_where_all_of_them_would_not_find_enough(admission: Admission) -> None:
    admission.learn(BLOCK, 10**6)
    assert admission.width(BLOCK, 10_000, 2 * GB) == 2000
    assert admission.width(BLOCK, 10_000, 20 * GB) == 10_000
    assert admission.width(BLOCK, 10_000, 0) == 1


def test_what_is_known_grows_at_once_and_sinks_slowly(admission: Admission) -> None:
    for memory in (GB, 5 * GB, GB, 0):
        admission.learn(BLOCK, memory)
    assert 4 * GB < admission.cost(BLOCK, 1) < 5 * GB
    for _ in range(100):
        admission.learn(BLOCK, GB)
    assert admission.cost(BLOCK, 1) == pytest.approx(GB, rel=0.01)


def test_what_was_known_of_a_pipeline_run_is_forgotten_with_it(admission: Admission) -> None:
    admission.learn(BLOCK, GB)
    admission.forget(RunId("another"))
    assert admission.cost(BLOCK, 1) == GB
    admission.forget(RunId("run"))
    assert admission.cost(BLOCK, 1) == 0


@given(SIZES, SIZES, UNDER_WAY, SIZES, SIZES)
def test_whoever_is_let_in_is_let_in_with_more_room(
    own: int, others: int, under_way: list[UnderWay], free: int, more: int
) -> None:
    admission = Admission()
    admission.learn(BLOCK, own)
    admission.learn(OTHER, others)
    if admission.admits(BLOCK, 1, under_way, free):
        assert admission.admits(BLOCK, 1, under_way, free + more)


@given(SIZES, SIZES, UNDER_WAY, SIZES)
def test_all_that_are_let_in_find_what_they_are_known_to_take(
    own: int, others: int, under_way: list[UnderWay], free: int
) -> None:
    admission = Admission()
    admission.learn(BLOCK, own)
    admission.learn(OTHER, others)
    if under_way and admission.cost(BLOCK, 1) and admission.admits(BLOCK, 1, under_way, free):
        yet_to_take = [max(0, admission.cost(each.block, each.at_once) - each.taken) for each in under_way]
        assert admission.cost(BLOCK, 1) + sum(yet_to_take) <= free
