"""Ranges say the same as the numbers that they stand for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refold.scheduler.ranges import count, gather, marked, numbers, ranges_of, stretches, without_first
from refold.scheduler.ready import ReadyRuns


@given(st.lists(st.integers(0, 40), unique=True))
def test_gathered_numbers_come_back_in_their_order(given_numbers: list[int]) -> None:
    ranges = gather(given_numbers)
    assert list(numbers(ranges)) == given_numbers
    assert count(ranges) == len(given_numbers)
    assert all(left[1] != right[0] for left, right in pairwise(ranges)), "the fewest ranges"


_LONG_AND_SHORT = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 2, 15, 16, 17, 80, 1000])), max_size=8)


@given(st.lists(st.integers(0, 40), unique=True), st.integers(0, 45))
def test_ranges_without_their_first_numbers_have_all_others(given_numbers: list[int], passed: int) -> None:
    ranges = without_first(gather(given_numbers), passed)
    assert list(numbers(ranges)) == given_numbers[passed:]
    assert all(start < stop for start, stop in ranges)


@given(st.lists(st.integers(0, 40), unique=True), st.integers(0, 9), st.integers(0, 9))
def test_a_sequence_is_told_in_the_fewest_ranges(given_numbers: list[int], start: int, stop: int) -> None:
    assert ranges_of(given_numbers) == gather(given_numbers)
    assert ranges_of(range(start, stop)) == gather(range(start, stop))


@given(_LONG_AND_SHORT, st.integers(0, 5))
def test_marked_numbers_are_those_whose_byte_is_one(pieces: list[tuple[int, int]], start: int) -> None:
    marks = b"".join(bytes((code % 2,)) * length for code, length in pieces)
    assert marked(marks, start) == gather(start + at for at, mark in enumerate(marks) if mark)


@given(_LONG_AND_SHORT)
def test_stretches_may_be_of_any_length(pieces: list[tuple[int, int]]) -> None:
    codes = b"".join(bytes((code,)) * length for code, length in pieces)
    found = list(stretches(codes))
    assert b"".join(bytes((code,)) * (high - low) for code, low, high in found) == codes
    assert all(left[0] != right[0] for left, right in pairwise(found))


@given(st.binary(max_size=30), st.integers(0, 5))
def test_stretches_cover_all_bytes_once(codes: bytes, start: int) -> None:
    found = list(stretches(codes, start))
    assert b"".join(bytes((code,)) * (high - low) for code, low, high in found) == codes
    assert [low for _, low, _ in found] == [start, *(high for _, _, high in found)][: len(found)]
    assert all(left[0] != right[0] for left, right in pairwise(found))


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.lists(st.integers(1, 9), max_size=20))
def test_ready_runs_are_taken_once_smallest_first_and_settled_ones_passed_over(
    ready: set[int], settled: set[int], portions: list[int]
) -> None:
    heap, status = ReadyRuns(), bytearray(61)
    for start, stop in reversed(gather(sorted(ready))):
        heap.add(start, stop)
    for run in settled:
        status[run] = 1
    taken: list[int] = []
    for portion in [*portions, 100]:
        runs = heap.take(portion, status, 0)
        assert count(runs) <= portion
        taken += numbers(runs)
    assert taken == sorted(ready - settled)
    assert heap.size == 0
