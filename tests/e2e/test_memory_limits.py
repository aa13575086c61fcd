"""A run whose children may not take all the memory that there is: `executor_config: {memory: ...}`."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.api.wiring import ExecutorKind
from refold.model.pipeline import Pipeline
from refold.ports.run_store import RunStatus
from refold.testing.lab import Lab, load, statuses, values

TOGETHER = """
import os, time
from pathlib import Path

FOLDER = Path({folder!r})

def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False

def begun(n):
    file = FOLDER / f"begun {{n}}"
    return int(file.read_text()) if file.exists() and file.read_text() else None

@transformer
def f(n):
    (FOLDER / f"begun {{n}}").write_text(str(os.getpid()))
    with (FOLDER / "all").open("a") as file:
        file.write(f"{{n}}\\n")
    other = 1 - n
    while begun(other) is None:
        time.sleep(0.001)
    memory = bytearray(300 * 10**6)
    while not (FOLDER / f"over {{other}}").exists() and not is_gone(begun(other)):
        time.sleep(0.001)
    (FOLDER / f"over {{n}}").touch()
    return n * 10
"""
TOO_LARGE = """
import time

@transformer
def f(n):
    if n == 3:
        memory = bytearray(10**9)
        time.sleep(600)
    return n * 10
"""
COUNT = "@data_exporter\ndef export(rows):\n    return len(rows)\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    file = lab.pipeline.folder / "metadata.yaml"
    file.write_text(file.read_text() + "executor_config:\n  memory: 400MB\n")
    lab.pipeline = Pipeline.get("lab", lab.project)
    return lab


def test_two_that_are_too_much_together_complete_one_after_the_other(lab: Lab, tmp_path: Path) -> None:
    lab.add("load", load("[0, 1]"), dynamic=True)
    lab.add("child", TOGETHER.format(folder=str(tmp_path)), ["load"])
    reader = lab.run(ExecutorKind.PROCESSES)
    assert reader.record.status is RunStatus.COMPLETED
    assert values(reader, "child") == {"0": 0, "1": 10}
    assert len((tmp_path / "all").read_text().split()) == 3


def test_one_that_is_too_large_fails_for_its_memory_and_its_siblings_complete(lab: Lab) -> None:
    lab.add("load", load("list(range(8))"), dynamic=True)
    lab.add("child", TOO_LARGE, ["load"], reduce_output=True, dynamic={"tolerate": 1})
    lab.add("count", COUNT, ["child"])
    reader = lab.run(ExecutorKind.PROCESSES)
    assert reader.record.status is RunStatus.COMPLETED
    assert statuses(reader, "child") == {str(n): "failed" if n == 3 else "completed" for n in range(8)}
    [group] = reader.store.failure_groups(reader.record.id)
    assert "it needed more memory than there is" in group.error
    assert "running it alone did not help" in group.error
    assert values(reader, "count") == {"": 7}


def test_a_pipeline_without_children_keeps_to_its_limit_as_well(lab: Lab) -> None:
    lab.add("load", load("3"))
    lab.add("child", TOO_LARGE, ["load"])
    reader = lab.run(ExecutorKind.AUTO)
    assert reader.record.status is RunStatus.FAILED
    assert statuses(reader, "child") == {"": "failed"}
