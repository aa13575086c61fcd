"""Blocks that do their worst to the process that executes them: a child pays for what it does, and no sibling."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from refold.api.reading import RunReader
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.testing.lab import Lab, load, statuses, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
CHILDREN = 6
GUILTY = 2
IMPORTS = "import ctypes, io, logging, multiprocessing, os, signal, sys, threading, time, traceback, warnings\n\n"

Spoilt = Callable[[str, ExecutorKind], RunReader]
"""Runs six children, of which number 2 executes these lines."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def spoilt(lab: Lab) -> Spoilt:
    def run(body: str, kind: ExecutorKind) -> RunReader:
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        code = (
            f"{IMPORTS}@transformer\ndef child(number):\n    if number == {GUILTY}:\n{lines}\n    return number * 10\n"
        )
        lab.add("load", load(f"list(range({CHILDREN}))"), dynamic=True)
        lab.add("child", code, ["load"])
        return lab.run(kind)

    return run


def run_in_one_process(lab: Lab, kind: ExecutorKind) -> RunReader:
    """So that all children meet what one of them has done to its process."""
    return lab.read(run_pipeline(lab.pipeline, RunOptions(executor=kind, workers=1)).id)


def only_the_guilty_paid(reader: RunReader) -> str:
    """Asserts that all other children completed; the error of the guilty one."""
    assert values(reader, "child") == {str(n): n * 10 for n in range(CHILDREN) if n != GUILTY}
    (failure,) = reader.failures()
    assert [*failure.block_runs] == [f"child:{GUILTY}"]
    return failure.error


def all_completed(reader: RunReader) -> None:
    assert not reader.failures()
    assert values(reader, "child") == {str(n): n * 10 for n in range(CHILDREN)}


def said(reader: RunReader, block_run: str) -> list[str]:
    return [line.text for line in reader.logs(block_run)]


# Children that raise, or return what cannot be kept: all of them siblings in one run.

RAISING: Mapping[str, tuple[str, str]] = {
    "exits with 0": ("sys.exit(0)", "SystemExit: 0"),
    "exits with a text": ("sys.exit('gone')", "SystemExit: gone"),
    "raises an error without a text": ("raise Mute()", "Mute: <exception str() failed>"),
    "raises an error that cannot be shown": ("raise Unshowable()", "Unshowable, which cannot be shown"),
    "raises what ends iterations": ("raise StopIteration(5)", "StopIteration: 5"),
    "raises a group": (
        "raise ExceptionGroup('many', [ValueError('one'), KeyError('two')])",
        "ExceptionGroup: many (2 sub-exceptions)",
    ),
    "raises a message of empty lines": ("raise ValueError('\\n\\n  rows are missing')", "ValueError: rows are missing"),
    "raises a message that is no text": ("raise ValueError('\\ud800 \\0')", "ValueError: \\ud800 \\x00"),
    "raises a message of a megabyte": ("raise ValueError('y' * 1_000_000)", f"ValueError: {'y' * 1000}"),
    "returns a coroutine": (
        "return {'a': pause()}",
        "a coroutine at ['a'] cannot be stored: nobody awaited it",
    ),
    "returns an open file": (
        "return sys.__stdout__",
        "StoreError: a value of type _io.TextIOWrapper cannot be stored",
    ),
    "returns a lock in a dict": ("return {'a': threading.Lock()}", "_thread.lock at ['a'] cannot be stored"),
    "returns what raises when it is stored": (
        "return Unstorable()",
        "StoreError: a value of type Unstorable cannot be stored: ValueError: not me",
    ),
}
CLASSES = """
class Mute(Exception):
    def __str__(self):
        raise SystemExit("no text")

class Unshowable(Exception):
    @property
    def __notes__(self):
        raise ValueError("no notes either")

class Unstorable:
    def __reduce__(self):
        raise ValueError("not me")

async def pause():
    return 1

"""


@pytest.fixture(scope="module", params=[ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def raised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    """A run with a child for each way to raise, and one that does nothing wrong after each."""
    lab = Lab(tmp_path_factory.mktemp("raising"))
    names = [name for guilty in RAISING for name in (guilty, f"after one that {guilty}")]
    lab.add("load", load(f"[{names!r}, [{{'block_uuid': name}} for name in {names!r}]]"), dynamic=True)
    branches = "".join(f"    if name == {name!r}:\n        {body}\n" for name, (body, _) in RAISING.items())
    lab.add("child", f"{IMPORTS}@transformer\ndef child(name):\n{branches}    return name\n{CLASSES}", ["load"])
    return run_in_one_process(lab, request.param)


@pytest.mark.parametrize("name", RAISING)
def test_a_child_fails_by_what_it_did_and_the_next_one_does_not(raised: RunReader, name: str) -> None:
    errors: dict[str, str] = {run: failure.error for failure in raised.failures() for run in failure.block_runs}
    assert RAISING[name][1] in errors[f"child:{name}"]
    assert "refold_block_" not in errors[f"child:{name}"]
    assert raised.output(f"child:after one that {name}") == f"after one that {name}"


def test_no_story_of_a_failure_is_longer_than_a_screenful_of_pages(raised: RunReader) -> None:
    stories = [failure.traceback for failure in raised.store.failures(raised.record.id)]
    assert len(stories) == len(RAISING)
    assert max(map(len, stories)) < 50_000
    (cut,) = (story for story in stories if "characters left out" in story)
    assert cut.startswith("Traceback")


def test_what_a_child_left_unawaited_is_not_told_of_its_siblings(raised: RunReader) -> None:
    assert not [line.text for line in raised.logs() if "never awaited" in line.text]


# Children that end their worker.

ENDING: Mapping[str, tuple[str, str]] = {
    "leaves at once": ("os._exit(0)", "ended with exit code 0"),
    "reads where there is nothing": ("ctypes.string_at(0)", "ended by SIGSEGV"),
    "recurses in C": (
        "sys.setrecursionlimit(10**7)\ndef fall(n):\n    return list(map(fall, [n]))\nfall(1)",
        "",
    ),
    "asks to be terminated": ("os.kill(os.getpid(), signal.SIGTERM)", "ended by SIGTERM"),
    "sends a signal without a name": ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", "ended by signal "),
    "closes all files": ("os.closerange(3, 1000)", "ended with exit code 1"),
    "forgets the worker's modules": (
        "for name in [name for name in sys.modules if name.startswith('refold')]:\n    del sys.modules[name]",
        "ended with exit code 1",
    ),
    "takes away what Python needs": ("import builtins; builtins.len = None", "ended with exit code 1"),
}


@pytest.mark.parametrize("name", ENDING)
def test_a_child_that_ruins_its_worker_pays_alone(spoilt: Spoilt, name: str) -> None:
    body, expected = ENDING[name]
    error = only_the_guilty_paid(spoilt(body, ExecutorKind.PROCESSES))
    assert expected in error


@pytest.mark.parametrize("body", ["os._exit(0)", "os.closerange(3, 1000)"], ids=["leaves", "closes all files"])
def test_children_that_all_ruin_their_workers_all_fail(lab: Lab, body: str) -> None:
    lab.add("load", load("list(range(6))"), dynamic=True)
    lab.add("child", f"{IMPORTS}@transformer\ndef child(number):\n    {body}\n", ["load"])
    reader = run_in_one_process(lab, ExecutorKind.PROCESSES)
    assert reader.record.status == "failed"
    assert statuses(reader, "child") == {str(number): "failed" for number in range(6)}


def test_what_a_worker_wrote_when_it_crashed_is_pointed_at(spoilt: Spoilt) -> None:
    reader = spoilt("ctypes.string_at(0)", ExecutorKind.PROCESSES)
    (failure,) = reader.store.failures(reader.record.id)
    _, found, path = failure.traceback.partition("What it wrote last is in ")
    assert found
    assert "in child" in Path(path.strip()).read_text(encoding="utf-8")


def test_a_worker_is_missed_though_a_process_that_it_forked_lives_on(spoilt: Spoilt, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = (
        f"pid = os.fork()\nif pid == 0:\n    time.sleep(600)\n"
        f"with open({str(pid)!r}, 'w') as file:\n    file.write(str(pid))\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    try:
        assert "was killed (SIGKILL)" in only_the_guilty_paid(spoilt(body, ExecutorKind.PROCESSES))
    finally:
        os.kill(int(pid.read_text(encoding="utf-8")), signal.SIGKILL)


# Forks.

FORKING: Mapping[str, str] = {
    "returns": "os.fork()",
    "exits": (
        "pid = os.fork()\nif pid == 0:\n    sys.exit(3)\nassert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3"
    ),
    "raises": (
        "pid = os.fork()\nif pid == 0:\n    raise ValueError('from the fork')\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1"
    ),
    "is a pool": (
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    assert pool.map(abs, [-1, -2]) == [1, 2]"
    ),
}


@KINDS
@pytest.mark.parametrize("name", FORKING)
def test_a_forked_process_ends_with_the_childs_code_and_repeats_nothing(
    lab: Lab, kind: ExecutorKind, name: str, tmp_path: Path
) -> None:
    body = "\n".join(f"        {line}" for line in FORKING[name].splitlines())
    ran = tmp_path / "ran"
    code = (
        f"{IMPORTS}@transformer\ndef child(number):\n    with open({str(ran)!r}, 'a') as file:\n"
        f"        file.write(f'{{number}}\\n')\n    if number == {GUILTY}:\n{body}\n    return number * 10\n"
    )
    lab.add("load", load(f"list(range({CHILDREN}))"), dynamic=True)
    lab.add("child", code, ["load"])
    all_completed(run_in_one_process(lab, kind))
    assert sorted(ran.read_text(encoding="utf-8").split()) == [str(number) for number in range(CHILDREN)]


@KINDS
def test_what_a_forked_process_prints_is_the_childs(spoilt: Spoilt, kind: ExecutorKind) -> None:
    reader = spoilt(
        "print('before')\nprocess = multiprocessing.get_context('fork').Process(target=print, args=('forked',))\n"
        "process.start()\nprocess.join()\nif os.fork() == 0:\n    raise ValueError('went wrong')\nos.wait()",
        kind,
    )
    all_completed(reader)
    lines = said(reader, f"child:{GUILTY}")
    assert lines.count("before") == lines.count("forked") == 1
    assert lines[-1] == "ValueError: went wrong"


# What a child changes in its process.


def refold(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refold.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


CHANGING = {
    "streams closed": "sys.stdout.close(); sys.stderr.close()",
    "streams replaced": "sys.stdout = io.StringIO(); sys.stderr = None; print('into nowhere')",
    "streams shut": "os.close(0); os.close(1)",
    "folder left": "os.chdir('/')",
    "folder gone": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    "variables gone": "os.environ.clear()",
    "signals taken": "[signal.signal(n, signal.SIG_DFL) for n in (signal.SIGALRM, signal.SIGUSR1, signal.SIGHUP)]",
    "logging off": "logging.disable(); logging.shutdown()",
    "traced": "sys.settrace(lambda *_: None)",
    "warnings are errors": "warnings.simplefilter('error')",
}
CHANGING_A_WORKER = {
    **CHANGING,
    "path gone": "sys.path.clear()",
    "hardly any stack": "sys.setrecursionlimit(80)",
}
"""In its own process the command itself would be without them."""


@pytest.mark.parametrize(
    ("options", "changing"),
    [(("inline",), CHANGING), (("processes", "--workers", "1"), CHANGING_A_WORKER)],
    ids=["inline", "processes"],
)
def test_what_a_child_changes_in_its_process_costs_no_sibling_its_result_or_its_prints(
    lab: Lab, options: tuple[str, ...], changing: Mapping[str, str]
) -> None:
    names = list(changing)
    branches = "".join(f"    if name == {name!r}:\n        {body}\n" for name, body in changing.items())
    shown = "    print('here is', name)\n"
    lab.add("load", load(f"[{names!r}, [{{'block_uuid': name}} for name in {names!r}]]"), dynamic=True)
    lab.add("child", f"{IMPORTS}@transformer\ndef child(name):\n{shown}{branches}    return name\n", ["load"])
    done = refold("run", ".", "lab", "--json", "--executor", *options, cwd=lab.project.path)
    assert json.loads(done.stdout)["failures"] == []
    assert done.returncode == 0, done.stderr
    reader = lab.read(json.loads(done.stdout)["run_id"])
    assert values(reader, "child") == {name: name for name in names}
    assert {name: said(reader, f"child:{name}")[0] for name in names} == {name: f"here is {name}" for name in names}


@KINDS
def test_streams_take_bytes_and_settings_and_any_text(spoilt: Spoilt, kind: ExecutorKind) -> None:
    reader = spoilt(
        "sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)\nsys.stdout.buffer.write('é\\n'.encode())\n"
        "print('\\ud800 is no text')\nfor _ in range(20_000):\n    print('.', end='')\nprint()\n"
        "print('\\n'.join(['a line'] * 20_000))",
        kind,
    )
    all_completed(reader)
    assert said(reader, f"child:{GUILTY}") == ["é", "\\ud800 is no text", "." * 20_000, *["a line"] * 20_000]


@KINDS
def test_an_alarm_that_a_child_leaves_behind_interrupts_no_sibling(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("load", load("[0, 1]"), dynamic=True)
    lab.add(
        "child",
        f"{IMPORTS}@transformer\ndef child(number):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.05) if number == 0 else signal.pause()\n    return number\n",
        ["load"],
    )
    reader = run_in_one_process(lab, kind)
    assert values(reader, "child") == {"0": 0, "1": 1}


@KINDS
def test_a_timeout_holds_after_a_sibling_has_taken_its_signal(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("load", load("[0, 1]"), dynamic=True)
    lab.add(
        "child",
        f"{IMPORTS}@transformer\ndef child(number):\n"
        "    signal.signal(signal.SIGALRM, signal.SIG_DFL) if number == 0 else time.sleep(600)\n    return number\n",
        ["load"],
        timeout=0.2,
    )
    reader = run_in_one_process(lab, kind)
    assert values(reader, "child") == {"0": 0}
    (failure,) = reader.failures()
    assert "ran longer than its timeout of 0.2 seconds" in failure.error


def test_threads_that_outlive_their_child_keep_no_run_from_its_end(spoilt: Spoilt) -> None:
    body = (
        "threading.Thread(target=time.sleep, args=(600,)).start()\nthreading.Thread(target=print, daemon=True).start()"
    )
    all_completed(spoilt(body, ExecutorKind.PROCESSES))


@KINDS
def test_no_duration_is_negative_where_a_child_sets_the_clock_back(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("load", load("[0, 1]"), dynamic=True)
    code = "@transformer\ndef child(number):\n    time.time = lambda: 1000.0\n    return number\n"
    lab.add("child", f"import time\n\n{code}", ["load"])
    real = time.time
    try:
        reader = run_in_one_process(lab, kind)
    finally:
        time.time = real
    assert values(reader, "child") == {"0": 0, "1": 1}
    assert (reader.seconds or 0.0) >= 0.0
    shown = refold("block-runs", "latest", cwd=lab.project.path)
    assert re.findall(r"-?\d+\.\d+s", shown.stdout)
    assert "-" not in shown.stdout
