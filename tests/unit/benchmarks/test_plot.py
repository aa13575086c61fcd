"""What is drawn of a result."""

from __future__ import annotations

from benchmarks.measurement import STARTED, WHOLE, Measurement
from benchmarks.plot import Line, lines


def test_a_line_goes_from_few_children_to_many_in_microseconds_a_child() -> None:
    measured = [
        Measurement(WHOLE, "s", (3.0, 1.0, 2.0), "", "Refold", 1_000_000),
        Measurement(STARTED, "s", (9.0,), "", "Refold", 1_000_000),
        Measurement(WHOLE, "s", (1.0,), "", "Refold", 1000),
        Measurement("files", "files", (1.0,)),
    ]
    assert lines(measured, WHOLE) == [Line("Refold", (1000, 1_000_000), (1000.0, 2.0), (1000.0, 1.0), (1000.0, 3.0))]


def test_a_system_that_could_not_be_measured_has_no_line() -> None:
    assert lines([Measurement(WHOLE, "s", (), "not installed", "Ray", 500)], WHOLE) == []
