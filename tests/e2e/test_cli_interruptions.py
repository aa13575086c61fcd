"""Runs that are stopped: by Ctrl-C, by `refold cancel`, by the death of their process; and the view on a terminal.

The blocks themselves stop their runs, so that nothing has to wait for the right moment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals and terminals as POSIX has them", allow_module_level=True)

import pty

PRESS_CTRL_C = """
import os, signal, time
@data_loader
def load(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
CANCEL_FROM_OUTSIDE = """
import subprocess, sys, time
@data_loader
def load(*args, **kwargs):
    command = [sys.executable, "-m", "refold.cli", "cancel", kwargs["pipeline_run_id"]]
    subprocess.run(command, cwd=kwargs["repo_path"], check=True, stdout=sys.stderr.fileno())
    time.sleep(60)
"""
KILL_THE_ENGINE = """
import os, psutil, signal, time
@data_loader
def load(*args, **kwargs):
    os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    time.sleep(60)
"""
LOAD = """
@data_loader
def load(*args, **kwargs):
    return [1]
"""


def refold(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "refold.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
    )


def make_project(folder: Path, source: str) -> Path:
    """A project with a pipeline `demo` of one loader."""
    (folder / "pipelines" / "demo").mkdir(parents=True)
    (folder / "data_loaders").mkdir()
    (folder / "metadata.yaml").write_text("name: demo\n", encoding="utf-8")
    (folder / "data_loaders" / "load.py").write_text(source, encoding="utf-8")
    (folder / "pipelines" / "demo" / "metadata.yaml").write_text(
        "blocks: [{uuid: load, name: load, type: data_loader, language: python, upstream_blocks: []}]\n",
        encoding="utf-8",
    )
    return folder


def test_ctrl_c_cancels_and_says_how_to_go_on(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", PRESS_CTRL_C)
    done = refold("run", ".", "demo", "--executor", "inline", cwd=project)
    assert done.returncode == 1
    assert ": cancelled after" in done.stdout
    assert "refold retry" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_is_cancelled_from_another_process(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", CANCEL_FROM_OUTSIDE)
    done = refold("run", ".", "demo", "--executor", "processes", "--workers", "1", "--json", cwd=project)
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "cancelled"
    assert "cancelling... (Ctrl-C again to kill)" in done.stderr
    again = refold("cancel", "latest", cwd=project)
    assert again.returncode == 2
    assert "the run is over" in again.stderr


def test_a_run_whose_process_died_is_interrupted_and_can_be_cancelled(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", KILL_THE_ENGINE)
    assert refold("run", ".", "demo", "--executor", "processes", "--workers", "1", cwd=project).returncode == -9
    shown = json.loads(refold("show", "latest", "--json", cwd=project).stdout)
    assert shown["status"] == "interrupted"
    done = refold("cancel", "latest", cwd=project)
    assert done.stdout == f"run {shown['run_id']}: cancelled\n"
    assert json.loads(refold("show", "latest", "--json", cwd=project).stdout)["status"] == "cancelled"


def test_a_terminal_shows_a_table_that_gives_way_to_the_report(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", LOAD)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "refold.cli", "run", ".", "demo", "--executor", "inline"],
        stdout=theirs,
        stderr=theirs,
        cwd=project,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65_536):
            seen += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    text = seen.decode()
    _table, header, after = text.rpartition("a second")
    assert header
    erased = after.split("\x1b[1A\x1b[2K")
    assert len(erased) > 2
    assert ": completed after" in erased[-1]
