"""What is said of a run when it is over."""

from __future__ import annotations

from refold.api.reading import FailureView
from refold.cli.run_report import count_lines, failure_lines, lines_of_tests
from refold.executors.capture import LogLine
from refold.model.block import JsonValue
from refold.model.keys import BlockRunUuid


def counts(**given: int) -> dict[str, JsonValue]:
    names = ("total", "completed", "failed", "upstream_failed", "condition_failed", "cancelled")
    return {"total_final": True, **{name: given.get(name, 0) for name in names}}


def test_columns_that_say_nothing_are_left_out() -> None:
    lines = list(count_lines({"load": counts(total=1, completed=1), "clean": counts(total=1200, completed=1200)}))
    assert lines == [
        "block   runs  completed  failed",
        "load       1          1       0",
        "clean  1,200      1,200       0",
    ]


def test_skipped_runs_and_totals_that_may_grow_are_seen() -> None:
    lines = list(count_lines({"clean": {**counts(total=3, completed=1, condition_failed=2), "total_final": False}}))
    assert lines == [
        "block  runs  completed  failed  condition failed",
        "clean    3+          1       0                 2",
    ]


def test_a_kind_of_failure_is_counted_and_its_first_block_runs_are_named() -> None:
    uuids = [BlockRunUuid(f"clean:{at}") for at in range(5)]
    assert list(failure_lines([FailureView("ValueError: bad\nrow", 1200, uuids)])) == [
        "1,200 x ValueError: bad row",
        "    clean:0, clean:1, clean:2, clean:3, clean:4 and 1,195 more",
        "",
    ]


def test_results_of_tests_are_summed_over_a_blocks_runs() -> None:
    logs = [
        LogLine(1.0, "clean:a", "stdout", "2/2 tests passed."),
        LogLine(2.0, "clean:b", "stdout", "1/2 tests passed."),
        LogLine(3.0, "clean:b", "stdout", "all tests passed."),
        LogLine(4.0, "save", "stdout", "1/1 tests passed."),
    ]
    assert list(lines_of_tests(logs)) == ["tests of clean: 3/4 passed, over 2 block runs", "tests of save: 1/1 passed"]
    assert list(lines_of_tests([])) == ["tests: no block run had any"]
