"""Bytes for each run are those that were put, and none where none were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refold.engine.byte_columns import ByteColumn, Marks
from refold.scheduler.ranges import Range, numbers


@given(st.lists(st.tuples(st.integers(0, 20), st.lists(st.binary(min_size=3, max_size=3), max_size=5))))
def test_each_run_has_what_was_put_last(puts: list[tuple[int, list[bytes]]]) -> None:
    column, model = ByteColumn(3), dict[int, bytes]()
    for start, values in puts:
        column.put(start, b"".join(values))
        model |= {start + at: value for at, value in enumerate(values)}
    assert [column[run] for run in range(30)] == [model.get(run) for run in range(30)]


_RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda at: (at[0], sum(at))), max_size=5)


@given(_RANGES, _RANGES)
def test_those_are_marked_that_were(ranges: list[Range], asked: list[Range]) -> None:
    marks = Marks()
    for start, stop in ranges:
        marks.add(start, stop)
    runs = set(numbers(ranges))
    assert {run for run in range(60) if run in marks} == runs
    assert bool(marks) == bool(runs)
    assert marks.any_of(tuple(asked)) == (not runs.isdisjoint(numbers(asked)))
    unmarked = marks.unmarked(tuple(asked))
    assert list(numbers(unmarked)) == [run for run in numbers(asked) if run not in runs]
    assert all(start < stop for start, stop in unmarked)
