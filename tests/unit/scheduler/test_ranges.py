"""Ranges say the same as the numbers that they stand for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refold.scheduler.ranges import count, gather, numbers, stretches
from refold.scheduler.ready import ReadyRuns


@given(st.lists(st.integers(0, 40), unique=True))
def test_gathered_numbers_come_back_in_their_order(given_numbers: list[int]) -> None:
    ranges = gather(given_numbers)
    assert list(numbers(ranges)) == given_numbers
    assert count(ranges) == len(given_numbers)
    assert all(left[1] != right[0] for left, right in pairwise(ranges)), "the fewest ranges"


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
