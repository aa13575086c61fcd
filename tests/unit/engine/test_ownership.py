"""Whether the process that holds a lease is still there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from refold.engine.ownership import is_alive, this_process
from refold.ports.run_store import Owner


def test_this_process_is_told_as_every_system_tells_it() -> None:
    assert this_process().pid == os.getpid()
    assert this_process().started_at == pytest.approx(psutil.Process().create_time(), abs=0.05)
    assert is_alive(this_process()) is True


def test_another_process_of_the_same_number_is_not_the_owner() -> None:
    assert is_alive(replace(this_process(), started_at=this_process().started_at - 60)) is False
    assert is_alive(replace(this_process(), pid=2**22 + 1)) is False


def test_nobody_knows_of_processes_of_other_hosts() -> None:
    assert is_alive(replace(this_process(), host="elsewhere")) is None


def test_a_process_that_has_ended_is_gone_even_if_nobody_asked_how() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(this_process().host, process.pid, psutil.Process(process.pid).create_time())
    assert is_alive(owner) is True
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays to be asked
    assert is_alive(owner) is False
    process.wait()


def test_a_process_may_have_any_name(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    shutil.copy("/bin/cat", program)
    process = subprocess.Popen([program], stdin=subprocess.PIPE)
    try:
        created = psutil.Process(process.pid).create_time()
        assert is_alive(Owner(this_process().host, process.pid, created)) is True
    finally:
        process.kill()
        process.communicate()
