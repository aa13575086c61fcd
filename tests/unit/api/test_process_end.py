"""The end of a process that is not a child, as something to wait for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from refold.api.process_end import ProcessEnd, await_end, patience
from refold.engine.ownership import process_of, this_process

WAIT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(WAIT, stdin=subprocess.PIPE) as process:
        yield process


def test_a_process_is_over_once_it_has_ended(process: subprocess.Popen[bytes]) -> None:
    owner = process_of(process.pid)
    assert owner is not None
    end = ProcessEnd.of(owner)
    assert end is not None
    assert not end.is_over()
    await_end(end, 0.01)
    process.communicate()
    await_end(end, 600.0)
    assert end.is_over()
    end.close()
    end.close()
    assert ProcessEnd.of(owner) is None
    assert process_of(process.pid) is None


def test_another_process_that_has_the_number_now_is_not_it() -> None:
    assert ProcessEnd.of(replace(this_process(), started_at=1.0)) is None


def test_somebody_else_may_end_the_wait(process: subprocess.Popen[bytes]) -> None:
    owner = process_of(process.pid)
    assert owner is not None
    end = ProcessEnd.of(owner)
    ours, theirs = os.pipe()
    os.write(theirs, b"1")
    await_end(end, 600.0, ours)
    await_end(None, 600.0, ours)
    assert end is not None
    end.close()
    os.close(ours)
    os.close(theirs)
    process.communicate()


def test_where_the_system_tells_nobody_it_is_looked_for(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    owner = process_of(process.pid)
    assert owner is not None
    end = ProcessEnd.of(owner)
    assert end is not None
    assert patience(end, 60.0) < 1.0
    process.communicate()
    assert end.is_over()
