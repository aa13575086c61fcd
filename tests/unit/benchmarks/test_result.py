"""What was measured is kept as it was."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from benchmarks.measurement import WHOLE, Measurement
from benchmarks.result import Result, Section

TAKEN = Measurement(WHOLE, "s", (3.0, 1.0, 2.5), "two workers", "Refold", 1000)
ABSENT = Measurement(WHOLE, "s", (), "not installed", "Ray", 1000)
RESULT = Result(
    "2026-01-31",
    quick=False,
    machine={"cores": 2, "libraries": {"refold": "1.0", "ray": None}},
    sections=(
        Section("fan-out", "A fan-out", 12.5, (TAKEN, ABSENT)),
        Section("late", "One that hangs", 60.0, (), "not done after 60 s"),
    ),
)


def test_a_saved_result_is_read_back_whole(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == RESULT


def test_the_file_says_median_least_and_most_beside_the_values(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "result.json")
    taken, absent = json.loads((tmp_path / "result.json").read_text())["sections"][0]["measurements"]
    assert (taken["median"], taken["least"], taken["most"], taken["values"]) == (2.5, 1.0, 3.0, [3.0, 1.0, 2.5])
    assert (absent["median"], absent["values"], absent["detail"]) == (None, [], "not installed")


def test_what_was_not_measured_has_no_median() -> None:
    with pytest.raises(statistics.StatisticsError):
        _ = ABSENT.median
    assert "not installed" in str(ABSENT)
