"""Two runs of one pipeline at once, and two engines that want one run: neither ever gets what is the other's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from refold.api.reading import RunReader
from refold.api.running import RunOptions, retry_run, run_pipeline
from refold.api.wiring import ExecutorKind, open_project_store
from refold.engine.ownership import this_process
from refold.engine.pipeline_run import LEASE_SECONDS, PipelineRun
from refold.errors import BadInputError, LeaseError
from refold.model.block import JsonValue
from refold.outputs import read_latest
from refold.ports.clock import SystemClock
from refold.ports.run_store import Owner
from refold.testing.lab import Lab, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
LOAD = """
@data_loader
def load(*args, **kwargs):
    return [[kwargs["who"] + str(n) for n in range(3)], [{"block_uuid": kwargs["who"] + str(n)} for n in range(3)]]
"""
CHILD = """
from pathlib import Path

@transformer
def child(name, **kwargs):
    if kwargs["who"] == "slow":
        (Path(kwargs["repo_path"]) / "at_work").open("w").close()
        (Path(kwargs["repo_path"]) / "go").open().close()
    return name.upper()
"""
SAVE = """
@data_exporter
def save(names, **kwargs):
    return names
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.add("load", LOAD, dynamic=True)
    lab.add("child", CHILD, ["load"], reduce_output=True)
    lab.add("save", SAVE, ["child"])
    for name in ("at_work", "go"):
        os.mkfifo(lab.project.path / name)
    return lab


def start(lab: Lab, who: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "refold.cli", "run", ".", "lab", "--workers", "1", "--runtime-vars"]
    return subprocess.Popen(
        [*command, f'{{"who": "{who}"}}'], cwd=lab.project.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def let_go(lab: Lab) -> None:
    """The three children of the slow run go on, one after the other."""
    for number in range(3):
        if number:
            (lab.project.path / "at_work").open().close()
        (lab.project.path / "go").open("w").close()


def test_runs_at_once_keep_their_outputs_and_the_later_to_finish_is_the_latest(lab: Lab) -> None:
    visible = lab.project.data_folder / "lab"
    slow = start(lab, "slow")
    (lab.project.path / "at_work").open().close()
    assert start(lab, "fast").wait(60) == 0
    assert read_latest(visible, "save") == ["FAST0", "FAST1", "FAST2"]
    let_go(lab)
    assert slow.wait(60) == 0
    assert read_latest(visible, "save") == ["SLOW0", "SLOW1", "SLOW2"]
    store = open_project_store(lab.project)
    readers = {str(record.variables["who"]): lab.read(record.id) for record in store.list_runs()}
    store.close()
    assert set(readers) == {"slow", "fast"}
    for who, reader in readers.items():
        names = {f"{who}{n}": f"{who.upper()}{n}" for n in range(3)}
        assert reader.status == "completed"
        assert values(reader, "child") == names
        assert reader.output("save") == [*names.values()]
        assert {line.block_run for line in reader.logs()} <= {"load", "save", *(f"child:{name}" for name in names)}


def test_a_run_that_is_under_way_cannot_be_retried(lab: Lab) -> None:
    slow = start(lab, "slow")
    (lab.project.path / "at_work").open().close()
    command = [sys.executable, "-m", "refold.cli", "retry", "latest"]
    done = subprocess.run(command, cwd=lab.project.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is under way" in done.stderr
    assert "stop it: refold cancel" in done.stderr
    let_go(lab)
    assert slow.wait(60) == 0
    assert RunReader.open("latest", lab.project).status == "completed"


def run_and_meanwhile(lab: Lab, act: Callable[[PipelineRun], None]) -> None:
    """Runs it; what is to be done meanwhile is done once, before its first block."""
    seen: list[PipelineRun] = []

    def observe(run: PipelineRun) -> None:
        if not seen:
            act(run)
        seen.append(run)

    variables: dict[str, JsonValue] = {"who": "fast"}
    run_pipeline(lab.pipeline, RunOptions(variables, executor=ExecutorKind.INLINE), observe)


def test_a_living_engine_keeps_its_run_though_the_clock_says_that_its_lease_ran_out(lab: Lab) -> None:
    def retry(run: PipelineRun) -> None:
        store = open_project_store(lab.project)
        store.steal(run.id, this_process().text)
        store.acquire(run.id, this_process(), SystemClock().now() - 10 * LEASE_SECONDS, LEASE_SECONDS)
        with pytest.raises(BadInputError, match="is under way"):
            retry_run(lab.pipeline, store.get(run.id), store, None)
        store.steal(run.id, this_process().text)
        store.close()

    with pytest.raises(LeaseError):  # of our own making: the lease was given away and back meanwhile
        run_and_meanwhile(lab, retry)


def test_an_engine_that_lost_its_run_stops_and_says_who_has_it(lab: Lab) -> None:
    thief = Owner("elsewhere", 4711, 0.0)

    def steal(run: PipelineRun) -> None:
        store = open_project_store(lab.project)
        store.steal(run.id, this_process().text)
        store.acquire(run.id, thief, SystemClock().now(), 3600.0)
        store.close()

    with pytest.raises(LeaseError, match="process 4711 on elsewhere") as raised:
        run_and_meanwhile(lab, steal)
    assert "The other engine goes on with the run" in (raised.value.fix or "")
    reader = RunReader.open("latest", lab.project)
    assert not [*reader.block_runs("save")], "an engine without the lease writes nothing"
    reader.store.steal(reader.record.id, thief.text)
    assert lab.retry(lab.read(reader.record.id)).output("save") == ["FAST0", "FAST1", "FAST2"]
