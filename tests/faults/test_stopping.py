"""How a run is stopped from outside: it ends cancelled, tells how to go on, and leaves nothing behind.

Blocks say through a pipe that they are at work, so that nothing waits for the right moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path

import psutil
import pytest

from refold.api.reading import RunReader
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.engine.pipeline_run import PipelineRun
from refold.testing.lab import Lab, load, statuses

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
SLEEP = "time.sleep(600)"
DEAF = "sum(range(10**12))"
"""C code, which nothing interrupts."""


class Running:
    """A pipeline of two blocks, of which the first one tells that it is at work, and does this for long."""

    def __init__(self, folder: Path, work: str) -> None:
        self.lab = Lab(folder)
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)
        said = f"    with open({str(self.pipe)!r}, 'w') as pipe:\n        pipe.write(f'{{os.getpid()}}')\n"
        self.lab.add("work", f"import os, signal, time\n\n@data_loader\ndef work():\n{said}    {work}\n    return 1\n")
        self.lab.add("next", "@transformer\ndef follow(value):\n    return value\n", ["work"])
        self.process: subprocess.Popen[str] | None = None
        self.worker = 0
        """The process in which the block is at work."""

    def start(
        self,
        *options: str,
        stdout: int = subprocess.PIPE,
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """Runs it; back when the block is at work."""
        command = [sys.executable, "-m", "refold.cli", "run", ".", "lab", *options]
        self.process = subprocess.Popen(
            command,
            cwd=self.lab.project.path,
            stdin=stdout if stdout >= 0 else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 # no thread runs here
        )
        self.worker = int(self.pipe.read_text(encoding="utf-8"))
        return self.process

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it printed."""
        assert self.process is not None
        out, errors = self.process.communicate(timeout=60)
        return self.process.returncode, (out or "") + (errors or "")

    def stored(self) -> RunReader:
        """What can be read of the run."""
        return RunReader.open("latest", self.lab.project)

    def cancelled_cleanly(self) -> None:
        """Asserts that it was cancelled, that nothing failed, and that the block's process is gone."""
        reader = self.stored()
        assert (reader.status, [*reader.failures()]) == ("cancelled", [])
        assert [*statuses(reader, "work").values(), *statuses(reader, "next").values()] == ["cancelled", "cancelled"]
        assert not psutil.pid_exists(self.worker)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    made: list[Running] = []

    def make(work: str) -> Running:
        made.append(Running(tmp_path, work))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


Make = Callable[[str], Running]
EXECUTOR = pytest.mark.parametrize("executor", ["inline", "processes"])


@EXECUTOR
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_cancels_the_run_and_says_how_to_go_on(running: Make, executor: str, number: signal.Signals) -> None:
    run = running(SLEEP)
    process = run.start("--executor", executor)
    process.send_signal(number)
    code, said = run.ended()
    assert code == 1
    assert ": cancelled after" in said
    assert "refold retry" in said
    assert "Traceback" not in said
    run.cancelled_cleanly()


def test_a_signal_to_all_processes_of_a_run_is_no_failure_of_a_child(running: Make) -> None:
    run = running(SLEEP)
    process = run.start("--executor", "processes")
    os.killpg(process.pid, signal.SIGTERM)
    assert run.ended()[0] == 1
    run.cancelled_cleanly()


@EXECUTOR
def test_a_terminal_that_is_closed_cancels_the_run(running: Make, executor: str) -> None:
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        ioctl(0, termios.TIOCSCTTY, 0)

    run = running(SLEEP)
    run.start("--executor", executor, stdout=theirs, prepare=take_terminal)
    os.close(theirs)
    os.close(ours)
    assert run.ended()[0] == 1
    run.cancelled_cleanly()


def test_a_run_that_was_told_to_ignore_the_end_of_its_terminal_goes_on(running: Make) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    run = running("open('go').read()")
    os.mkfifo(run.lab.project.path / "go")
    process = run.start("--executor", "processes", prepare=ignore)
    os.killpg(process.pid, signal.SIGHUP)
    (run.lab.project.path / "go").write_text("", encoding="utf-8")
    assert run.ended()[0] == 0
    assert run.stored().status == "completed"


def test_a_second_ctrl_c_ends_the_command_and_its_workers_at_once_and_a_retry_can_follow(running: Make) -> None:
    run = running(DEAF)
    process = run.start("--executor", "processes")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    while "Ctrl-C again to kill" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert run.ended()[0] == 128 + signal.SIGINT
    assert run.stored().status == "interrupted"
    psutil.wait_procs([psutil.Process(run.worker)] if psutil.pid_exists(run.worker) else [], timeout=20)
    assert not psutil.pid_exists(run.worker)
    run.lab.edit("work", "@data_loader\ndef work():\n    return 5\n")
    retry = [sys.executable, "-m", "refold.cli", "retry", "latest", "--json"]
    done = subprocess.run(retry, cwd=run.lab.project.path, capture_output=True, check=True)
    assert json.loads(done.stdout)["status"] == "completed"


@EXECUTOR
def test_a_child_that_terminates_the_engine_cancels_the_run(running: Make, executor: str) -> None:
    target = "os.getpid()" if executor == "inline" else "psutil.Process(os.getppid()).ppid()"
    run = running(f"import psutil; os.kill({target}, signal.SIGTERM); {SLEEP}")
    run.start("--executor", executor)
    assert run.ended()[0] == 1
    run.cancelled_cleanly()


@KINDS
def test_ctrl_c_before_the_first_block_has_begun_runs_none(tmp_path: Path, kind: ExecutorKind) -> None:
    lab = Lab(tmp_path)
    ran = tmp_path / "ran"
    lab.add("load", f"@data_loader\ndef load():\n    open({str(ran)!r}, 'w').close()\n    return 1\n")
    seen: list[PipelineRun] = []

    def press_ctrl_c(run: PipelineRun) -> None:
        if not seen:
            signal.raise_signal(signal.SIGINT)
        seen.append(run)

    record = run_pipeline(lab.pipeline, RunOptions(executor=kind), press_ctrl_c)
    assert record.status == "cancelled"
    assert not ran.exists()


def test_a_process_that_a_block_forks_can_be_terminated(tmp_path: Path) -> None:
    """A forked process has the command's own handlers: of those it would not end."""
    lab = Lab(tmp_path)
    lab.add(
        "load",
        "import multiprocessing, time\n\n@data_loader\ndef load():\n"
        "    context = multiprocessing.get_context('fork')\n    ours, theirs = context.Pipe()\n"
        "    process = context.Process(target=wait, args=(theirs,))\n    process.start()\n    ours.recv()\n"
        "    process.terminate()\n    process.join()\n    return process.exitcode\n\n"
        "def wait(pipe):\n    pipe.send('here')\n    time.sleep(600)\n",
    )
    lab.add("next", load("5").replace("data_loader", "transformer"), ["load"])
    reader = lab.run(ExecutorKind.INLINE)
    assert reader.output("load") == -signal.SIGTERM
    assert reader.record.status == "completed"
