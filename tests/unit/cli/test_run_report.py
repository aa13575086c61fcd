"""What is said of a run when it is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.api.reading import FailureView, RunReader
from refold.api.wiring import open_project_store
from refold.cli.run_report import count_lines, failure_lines, report_lines
from refold.cli.tests_report import lines_of_tests
from refold.engine.ownership import this_process
from refold.executors.capture import LogLine
from refold.model.block import JsonValue
from refold.model.keys import BlockRunUuid, BlockUuid, PipelineUuid, RunId, encode_key
from refold.model.project import Project
from refold.ports.run_store import BlockRunRow, FailureRow, NewRun, RunStatus, WriteBatch
from refold.scheduler.status import Status


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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("REFOLD_DATABASE_URL", raising=False)
    (tmp_path / "pipelines" / "daily").mkdir(parents=True)
    return Project.load(tmp_path)


def failed_run(project: Project, failures: int, kinds: int, status: RunStatus) -> RunReader:
    """A run in which so many of 10,000 children failed, of so many kinds."""
    run = RunId("20260101-000000-000abcd")
    store = open_project_store(project)
    blocks: list[dict[str, JsonValue]] = [
        {"uuid": "load", "dynamic": True},
        {"uuid": "clean", "upstream_blocks": ["load"], "axes": ["load"]},
    ]
    store.create(NewRun(run, str(project.path), PipelineUuid("daily"), 1.0, {}, {}, blocks))
    lease = store.acquire(run, this_process(), 1.0, 20.0)
    rows, errors = [], []
    for at in range(failures):
        key, kind = encode_key((at,)), at % kinds
        rows.append(BlockRunRow(BlockUuid("clean"), key, Status.FAILED, 1, 1.0, 2.0, None, None))
        errors.append(FailureRow(BlockUuid("clean"), key, f"Error{kind}: row {at}", f"Error{kind}: row *", "story"))
    summary: JsonValue = {"clean": counts(total=10_000, completed=10_000 - failures, failed=failures)}
    assert isinstance(summary, dict)
    store.finish(lease, WriteBatch(rows=rows, failures=errors, summary={"blocks": summary}), status, 3.0)
    return RunReader(project, store.get(run), store)


def test_a_thousand_failures_of_four_kinds_are_four_groups_before_anything_else(project: Project) -> None:
    reader = failed_run(project, 1000, 4, RunStatus.FAILED)
    lines = list(report_lines(reader))
    assert lines[:9] == [
        "250 x Error0: row 0",
        "    clean:0, clean:4, clean:8, clean:12, clean:16 and 245 more",
        "250 x Error1: row 1",
        "    clean:1, clean:5, clean:9, clean:13, clean:17 and 245 more",
        "250 x Error2: row 2",
        "    clean:2, clean:6, clean:10, clean:14, clean:18 and 245 more",
        "250 x Error3: row 3",
        "    clean:3, clean:7, clean:11, clean:15, clean:19 and 245 more",
        "",
    ]
    assert [line.split()[0] for line in lines[9:11]] == ["block", "clean"]
    assert len(lines) < 20
    reader.close()


def test_a_completed_run_says_how_many_failures_were_tolerated(project: Project) -> None:
    reader = failed_run(project, 3, 1, RunStatus.COMPLETED)
    lines = list(report_lines(reader))
    assert lines[0] == "3 x Error0: row 0"
    assert "run 20260101-000000-000abcd of `daily`: completed after 2.0s; 3 failures were tolerated" in lines
    reader.close()
