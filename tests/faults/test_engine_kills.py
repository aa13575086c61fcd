"""A `refold run` that is killed at any moment loses no completed block run, and a retry finishes it exactly."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from refold.api.wiring import open_project_store
from refold.model.keys import RunId
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.ports.run_store import BlockRunRow
from refold.scheduler.status import Status

CHILDREN = 2000
RETURNS = """
@data_loader
def load(*args, **kwargs):
    return [{"id": i} for i in range(2000)]
"""
YIELDS = """
import time

@data_loader
def load(*args, **kwargs):
    for i in range(2000):
        time.sleep(0.0002)
        yield {"id": i}, {"block_uuid": f"item_{i}"}
"""
CHILD = """
import time

@transformer
def transform(data, *args):
    time.sleep(0.0005)
    return [data["id"] * 3]
"""
EXPORT = """
@data_exporter
def export(rows, *args):
    return rows
"""


Moment = Callable[[subprocess.Popen[bytes], Project, RunId | None], None]
"""Waits for a moment of a run's process; ends early when the process does."""


def write_project(folder: Path, loader: str) -> Project:
    project = Project.init(folder)
    pipeline = Pipeline.create("fan", project)
    pipeline = pipeline.add_block("load", "data_loader", configuration={"dynamic": True}, content=loader)
    pipeline = pipeline.add_block(
        "child", "transformer", upstream=["load"], configuration={"reduce_output": True}, content=CHILD
    )
    pipeline.add_block("export", "data_exporter", upstream=["child"], content=EXPORT)
    return project


def refold(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "refold.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def completed_rows(project: Project, run: RunId) -> dict[tuple[str, bytes], BlockRunRow]:
    store = open_project_store(project)
    try:
        return {
            (row.block, row.key): row
            for row in store.block_runs(run, statuses={Status.COMPLETED, Status.COMPLETED_FALSE})
        }
    finally:
        store.close()


def newest_run(project: Project) -> RunId | None:
    store = open_project_store(project)
    try:
        record = next(iter(store.list_runs(str(project.path), limit=1)), None)
        return None if record is None else record.id
    finally:
        store.close()


def after(seconds: float) -> Moment:
    """So many seconds after the start."""

    def wait(process: subprocess.Popen[bytes], _project: Project, _before: RunId | None) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    return wait


def having_completed(number: int) -> Moment:
    """When so many block runs are stored as completed."""

    def wait(process: subprocess.Popen[bytes], project: Project, before: RunId | None) -> None:
        while process.poll() is None:
            run = newest_run(project)
            if run is not None and run != before and len(completed_rows(project, run)) >= number:
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)

    return wait


def kill_and_retry(project: Project, moment: Moment) -> int:
    """Kills a run at a moment and retries it; how many block runs it had completed by then."""
    before = newest_run(project)
    process = refold("run", str(project.path), "fan", "--json")
    moment(process, project, before)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    run = newest_run(project)
    if run is None or run == before:
        return 0  # it was killed before it had begun anything
    kept = completed_rows(project, run)
    if process.returncode == -signal.SIGKILL and ("export", b"") not in kept:
        shown = refold("show", str(run), "--project", str(project.path), "--json")
        status = json.loads(shown.communicate()[0])["status"]
        assert status in {"interrupted", "completed"}
    retry = refold("retry", str(run), "--project", str(project.path), "--json")
    output, errors = retry.communicate()
    assert retry.returncode == 0, errors.decode()
    summary = json.loads(output)
    assert summary["status"] == "completed"
    assert summary["blocks"]["child"]["completed"] == summary["blocks"]["child"]["total"] == CHILDREN
    finished = completed_rows(project, run)
    assert len(finished) == CHILDREN + 2
    assert {place: finished[place] for place in kept} == kept, "a completed block run was executed again"
    printed = refold("output", str(run), "export", "--project", str(project.path), "--json").communicate()[0]
    assert json.loads(printed) == [number * 3 for number in range(CHILDREN)]
    return len(kept)


@pytest.mark.parametrize("loader", [RETURNS, YIELDS], ids=["list", "generator"])
def test_no_completed_block_run_is_lost_or_executed_again(loader: str, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", loader)
    moments = random.Random(7)
    wanted = [moments.randint(1, CHILDREN // 2) for _ in range(3 if loader is YIELDS else 2)]
    kept = [kill_and_retry(project, having_completed(number)) for number in wanted]
    assert any(0 < count < CHILDREN + 2 for count in kept), kept


@pytest.mark.soak
@pytest.mark.parametrize("loader", [RETURNS, YIELDS], ids=["list", "generator"])
def test_fifty_kills_at_random_moments(loader: str, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", loader)
    moments = random.Random(11)
    by_clock = [after(moments.uniform(0.05, 1.0)) for _ in range(25)]
    by_progress = [having_completed(moments.randint(1, CHILDREN)) for _ in range(25)]
    kept = [kill_and_retry(project, moment) for moment in (*by_clock, *by_progress)]
    assert sum(0 < count < CHILDREN + 2 for count in kept) >= 10, kept
