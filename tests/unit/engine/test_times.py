"""When runs began and ended: columns as long as a report tells of runs one after the other, else run by run."""

from __future__ import annotations

from array import array

from refold.engine.times import Times

STARTED, ENDED = array("d", [1.0, 2.0, 3.0, 4.0, 5.0]), array("d", [1.5, 2.5, 3.5, 4.5, 5.5])
RUNS = ((10, 13), (20, 22))


def test_runs_that_a_report_tells_of_in_one_range_have_their_columns() -> None:
    times = Times(RUNS, STARTED, ENDED)
    assert times.columns(10, 13) == (STARTED[:3], ENDED[:3])
    assert times.columns(11, 12) == (STARTED[1:2], ENDED[1:2])
    assert times.columns(20, 22) == (STARTED[3:], ENDED[3:])


def test_runs_of_which_some_are_not_told_have_none() -> None:
    times = Times(RUNS, STARTED, ENDED)
    assert [times.columns(*each) for each in ((9, 11), (12, 14), (12, 21), (30, 31))] == [None] * 4


def test_each_run_has_its_own_or_what_is_said_for_those_that_are_unknown() -> None:
    times = Times(RUNS, STARTED, ENDED)
    times.put(15, (7.0, None))
    assert times.each([21, 15, 10, 14], (None, 9.0)) == [(5.0, 5.5), (7.0, None), (1.0, 1.5), (None, 9.0)]


def test_times_of_nothing_are_false() -> None:
    assert not Times()
    assert Times(RUNS, STARTED, ENDED)
    one = Times()
    one.put(3, (None, 1.0))
    assert one
    assert one.columns(3, 4) is None
