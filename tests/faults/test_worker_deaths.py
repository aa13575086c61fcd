"""Workers that die, hang or never come: the child that they were on pays, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind, open_project_store
from refold.errors import RefoldError
from refold.executors import processes
from refold.executors.processes import ProcessExecutor
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.outputs import read_latest
from refold.ports.run_store import RunRecord
from refold.scheduler.events import Outcome
from refold.scheduler.status import Status
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE

CHILDREN = 40
LOADER = f"@data_loader\ndef load():\n    return list(range({CHILDREN}))\n"
EXPORT = "@data_exporter\ndef export(rows):\n    return [rows]\n"
SUICIDE = """
import os, signal
from pathlib import Path

@transformer
def child(number, **kwargs):
    if number == 17 and kwargs["retry"]["attempts"] <= {deaths}:
        {act}
    return number * 10
"""
KILL, EXIT = "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(maximum=1)
    yield executor
    executor.close()


@pytest.fixture
def bench(executor: ProcessExecutor, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()


def workers_of(engine: psutil.Process) -> list[psutil.Process]:
    return [worker for fork_server in engine.children() for worker in fork_server.children()]


def run_fan_out(folder: Path, child: str, retries: int = 0) -> tuple[Project, RunRecord]:
    project = Project.init(folder)
    pipeline = Pipeline.create("fan", project)
    pipeline = pipeline.add_block("load", "data_loader", configuration={"dynamic": True}, content=LOADER)
    configuration: dict[str, JsonValue] = {"reduce_output": True}
    pipeline = pipeline.add_block("child", "transformer", upstream=["load"], configuration=configuration, content=child)
    pipeline = pipeline.add_block("export", "data_exporter", upstream=["child"], content=EXPORT)
    if retries:
        metadata = pipeline.folder / "metadata.yaml"
        metadata.write_text(metadata.read_text() + f"\nretry_config: {{retries: {retries}, delay: 0}}\n")
        pipeline = Pipeline.get("fan", project)
    return project, run_pipeline(pipeline, RunOptions(executor=ExecutorKind.PROCESSES, workers=2))


@pytest.mark.parametrize(
    ("act", "said"), [(KILL, "was killed (SIGKILL)"), (EXIT, "ended with exit code 3")], ids=["SIGKILL", "os._exit"]
)
def test_only_the_child_pays_whose_worker_died(tmp_path: Path, act: str, said: str) -> None:
    project, record = run_fan_out(tmp_path / "project", SUICIDE.format(deaths=99, act=act))
    store = open_project_store(project)
    counts = record.summary["blocks"]
    assert isinstance(counts, dict)
    child = counts["child"]
    assert isinstance(child, dict)
    assert (child["completed"], child["failed"]) == (CHILDREN - 1, 1)
    (failure,) = store.failures(record.id)
    assert failure.key == (17).to_bytes(4)
    assert "WorkerLostError" in failure.error
    assert said in failure.error
    assert {row.attempts for row in store.block_runs(record.id) if row.block == "child"} == {1}
    store.close()


def test_a_child_whose_worker_died_is_tried_again_where_retries_are_left(tmp_path: Path) -> None:
    project, record = run_fan_out(tmp_path / "project", SUICIDE.format(deaths=1, act=KILL), retries=1)
    assert record.status == "completed"
    store = open_project_store(project)
    rows = [row for row in store.block_runs(record.id) if row.block == "child"]
    assert [row.attempts for row in rows] == [1 + (number == 17) for number in range(CHILDREN)]
    store.close()
    assert read_latest(project.data_folder / "fan", "export") == [[10 * number for number in range(CHILDREN)]]


def test_a_batch_loses_one_child_and_gets_the_unstarted_back(bench: Bench) -> None:
    block = bench.block(SUICIDE.format(deaths=99, act=KILL))
    told = bench.over_items(block, [*range(10), 17, *range(20, 30)])
    assert told.where(Outcome.FAILED) == [10]
    assert told.where(Outcome.UNSTARTED)[-10:] == [*range(11, 21)]
    assert all(told.value(position) == 10 * position for position in told.where(Outcome.COMPLETED))


def test_a_file_that_ends_its_worker_fails_its_block_and_is_not_loaded_for_ever(bench: Bench) -> None:
    deadly, sound = bench.block("import os\nos._exit(7)\n"), bench.block(DOUBLE)
    told = bench.over_items(deadly, range(5))
    assert told.where(Outcome.FAILED) == [0, 1, 2, 3, 4]
    assert "ended with exit code 7" in told.failures[0].error
    assert bench.over_items(sound, [4]).value() == 8


def test_a_worker_that_dies_between_batches_costs_nobody_an_attempt(bench: Bench) -> None:
    block = bench.block(DOUBLE)
    assert bench.over_items(block, [1]).value() == 2
    for worker in workers_of(psutil.Process()):
        worker.kill()
    told = bench.submit(block, [bench.items(5)], 1)
    bench.finish()
    if told.outcome is Outcome.UNSTARTED:
        told = bench.submit(block, [bench.items(5)], 1)
        bench.finish()
    assert told.value() == 10


def test_a_generator_whose_worker_died_after_its_pause_is_handed_back(bench: Bench) -> None:
    told = bench.produce(bench.producer("@data_loader\ndef f():\n    yield 1\n    yield 2\n"), credit=1)
    assert told.paused
    for worker in workers_of(psutil.Process()):
        worker.kill()
    bench.pull(told, 5)
    bench.finish()
    assert told.outcome in {Outcome.UNSTARTED, Outcome.FAILED}
    again = bench.produce(0, known=told.fingerprints())
    assert again.item_values() == [2]


def test_workers_that_cannot_start_are_an_error_with_what_they_said(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such interpreter today' >&2\nexit 4\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    bench.submit(bench.block(DOUBLE), [bench.items(1)], 1)
    with pytest.raises(RefoldError, match="could not start") as caught:
        bench.finish()
    assert "no such interpreter today" in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "@transformer\ndef f(n):\n    return sum(range(10**12)) if n == 1 else n\n",
        "import time\n\n@transformer\nasync def f(n):\n    time.sleep(600 if n == 1 else 0)\n    return n\n",
    ],
    ids=["C code", "an async block that does not await"],
)
def test_a_late_child_that_cannot_be_interrupted_is_killed_and_said_so(
    bench: Bench, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "KILL_GRACE", 0.3)
    block = bench.block(code, timeout=0.2)
    told = bench.over_items(block, range(3))
    assert told.where(Outcome.FAILED) == [1]
    assert "longer than its timeout of 0.2 seconds" in told.failure.error
    assert "its worker was killed" in told.failure.error
    rest = told.where(Outcome.UNSTARTED)
    assert bench.over_items(block, rest).values() == dict(enumerate(rest))


def test_a_cancelled_child_that_cannot_be_interrupted_is_killed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CANCEL_GRACE", 0.3)
    told = bench.submit(
        bench.block("@transformer\ndef f(n):\n    return sum(range(10**12)) if n else n\n"), [bench.items(0, 1, 1)], 3
    )
    bench.cancel()
    bench.finish()
    assert set(told.outcomes.values()) <= {Outcome.CANCELLED, Outcome.COMPLETED}


def test_workers_of_a_killed_engine_are_gone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    project = Project.init(tmp_path / "project")
    pipeline = Pipeline.create("fan", project)
    pipeline = pipeline.add_block("load", "data_loader", configuration={"dynamic": True}, content=LOADER)
    pipeline.add_block(
        "child",
        "transformer",
        upstream=["load"],
        content="import os, time\n\n@transformer\ndef f(n):\n"
        f"    with open({str(pids)!r}, 'w') as file:\n        file.write(f'{{os.getpid()}}\\n')\n"
        "    time.sleep(600)\n",
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom refold.model.pipeline import Pipeline\n"
        "from refold.api.running import run_pipeline\nrun_pipeline(Pipeline.get('fan', Path(sys.argv[1])))\n"
    )
    engine = subprocess.Popen([sys.executable, "-c", code, str(project.path)])
    try:
        with pids.open() as file:
            busy = psutil.Process(int(file.readline()))
        assert busy in workers_of(psutil.Process(engine.pid))
        processes = psutil.Process(engine.pid).children(recursive=True)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


@pytest.mark.parametrize("kind", ["", "async "], ids=["def", "async def"])
def test_ctrl_c_during_the_only_block_ends_the_run_cancelled(tmp_path: Path, kind: str) -> None:
    """The child comes back as cancelled before the engine has looked up: it must not take that for an end."""
    project = Project.init(tmp_path / "project")
    pipeline = Pipeline.create("one", project)
    code = (
        f"import asyncio, os, signal, time\n\n@data_loader\n{kind}def load():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        f"    {'await asyncio' if kind else 'time'}.sleep(600)\n"
    )
    pipeline = pipeline.add_block("load", "data_loader", content=code)
    pipeline = pipeline.add_block("next", "data_exporter", upstream=["load"], content=EXPORT)
    record = run_pipeline(pipeline, RunOptions(executor=ExecutorKind.INLINE))
    assert record.status == "cancelled"
    store = open_project_store(project)
    assert {row.block: Status(row.status) for row in store.block_runs(record.id)} == {
        "load": Status.CANCELLED,
        "next": Status.CANCELLED,
    }
    store.close()
