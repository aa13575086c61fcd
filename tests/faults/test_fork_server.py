"""Commands whose workers come from a fork server: what blocks find in them, and what is left when a command ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from refold.testing.lab import Lab

PATIENCE = 30.0
REFOLD = [sys.executable, "-m", "refold.cli"]


def run(lab: Lab, *options: str, **given: object) -> subprocess.CompletedProcess[str]:
    """Runs the lab's pipeline in worker processes, by the command, to its end."""
    command = [*REFOLD, "run", str(lab.project.path), "lab", "--executor", "processes", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **given)  # type: ignore[call-overload,no-any-return]


def output(lab: Lab, block: str) -> object:
    """What a block returned in the latest run."""
    done = subprocess.run(
        [*REFOLD, "output", "latest", block, "--json"], cwd=lab.project.path, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def loader(body: str) -> str:
    """A loader that returns what the lines of `body` leave in `found`."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"import os, signal, sys\n\n@data_loader\ndef load():\n{lines}    return found\n"


def test_signals_are_in_a_block_what_they_are_in_any_program(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    body = """
names = ("SIGTERM", "SIGCHLD", "SIGPIPE")
found = {name: str(signal.getsignal(getattr(signal, name))) for name in names}
found["masked"] = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    lab.add("load", loader(body))
    assert run(lab).returncode == 0
    plain = subprocess.run(
        [sys.executable, "-c", f"import signal\n{body}\nimport json; print(json.dumps(found))"],
        capture_output=True,
        check=True,
    )
    assert output(lab, "load") == json.loads(plain.stdout)


def test_a_block_may_start_processes_of_its_own(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    body = """
import multiprocessing, subprocess
found = [subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode]
for method in ("fork", "spawn", "forkserver"):
    with multiprocessing.get_context(method).Pool(1) as pool:
        found.append(pool.apply(abs, (-3,)))
"""
    lab.add("load", loader(body))
    assert run(lab).returncode == 0
    assert output(lab, "load") == [7, 3, 3, 3]


def test_no_worker_has_the_random_numbers_of_another(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    meet = tmp_path / "meet"
    os.mkfifo(meet)
    lab.add("load", "@data_loader\ndef load():\n    return [0, 1]\n", dynamic=True)
    # Each waits for the other: so they are in two workers.
    lab.add(
        "draw",
        "import os, random, tempfile, uuid\n\n@transformer\ndef draw(number):\n"
        f"    open({str(meet)!r}, 'rw'[number]).close()\n"
        "    with tempfile.NamedTemporaryFile() as file:\n"
        "        return {'pid': os.getpid(), 'found': [random.random(), str(uuid.uuid4()), file.name]}\n",
        ["load"],
        reduce_output=True,
    )
    lab.add("keep", "@data_exporter\ndef keep(rows):\n    return {'rows': rows}\n", ["draw"])
    assert run(lab, "--workers", "2").returncode == 0
    kept = output(lab, "keep")
    assert isinstance(kept, dict)
    first, second = kept["rows"]
    assert first["pid"] != second["pid"]
    assert all(one != other for one, other in zip(first["found"], second["found"], strict=True))


def test_blocks_do_not_get_what_the_command_inherited(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    lab.add("load", loader(f"found = os.path.realpath('/dev/fd/{writing}')"))
    assert run(lab, close_fds=False).returncode == 0
    os.close(writing)
    os.close(reading)
    assert "pipe" not in str(output(lab, "load"))


def test_a_command_whose_streams_are_closed_has_workers_all_the_same(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("load", loader("found = sys.stdin.read()"))
    command = " ".join(["exec", *REFOLD, "run", str(lab.project.path), "lab", "--executor", "processes", "<&-", ">&-"])
    assert subprocess.run(["/bin/sh", "-c", command], check=False, timeout=60).returncode == 0
    assert output(lab, "load") == ""


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_ctrl_c_while_the_command_loads_ends_it_without_a_word(tmp_path: Path, executor: str) -> None:
    lab = Lab(tmp_path)
    lab.add("load", loader("found = 1"))
    script = (
        "import signal, sys\n"
        "class PressesCtrlC:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'refold.api.running':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, PressesCtrlC())\n"
        "from refold.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", str(lab.project.path), "lab", "--executor", executor],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")
    assert not (lab.project.path / ".mage_data").exists()


def test_nothing_is_left_of_a_command_that_is_refused(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("load", loader("found = 1"))
    command = [*REFOLD, "run", str(lab.project.path), "none_such", "--executor", "processes"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        assert process.wait(PATIENCE) == 2
        assert _of_session(process.pid) == []


@pytest.mark.parametrize("work", ["time.sleep(600)", "sum(range(10**12))"], ids=["sleeping", "in C code"])
def test_nothing_is_left_of_a_command_that_is_killed(tmp_path: Path, work: str) -> None:
    lab = Lab(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lab.add("load", loader(f"import time\nopen({str(pipe)!r}, 'w').close()\n{work}\nfound = 1"))
    command = [*REFOLD, "run", str(lab.project.path), "lab", "--executor", "processes"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        pipe.read_text()
        left = [each for each in _of_session(process.pid) if each.pid != process.pid]
        process.kill()
    assert len(left) > 1
    assert psutil.wait_procs(left, PATIENCE)[1] == []


def _of_session(leader: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found
