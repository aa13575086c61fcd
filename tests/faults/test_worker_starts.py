"""Workers that the system has no room for, or that never do anything: an error with the reason, not an endless try."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.errors import RefoldError
from refold.executors.processes import ProcessExecutor
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE

TIRED = """
import sys

def end_when_given_something(event, arguments):
    if event == "os.mkdir":
        sys.exit("too tired to work")

sys.addaudithook(end_when_given_something)
"""
"""A `sitecustomize` by which a worker ends when it makes the folder of a run's logs: it is at no child yet."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    executor = ProcessExecutor(maximum=1)
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()
    executor.close()


def test_a_system_without_room_for_a_worker_is_named(bench: Bench) -> None:
    block, items = bench.block(DOUBLE), bench.items(1)
    next_descriptor = os.dup(0)
    os.close(next_descriptor)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor, before[1]))
    try:
        with pytest.raises(RefoldError, match="a worker process could not start: Too many open files") as raised:
            bench.submit(block, [items], 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "--workers" in (raised.value.fix or "")


def test_workers_that_die_without_a_word_are_not_started_for_ever(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, folder = bench.block(DOUBLE), tmp_path / "modules"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TIRED, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for _ in range(4):
        bench.submit(block, [bench.items(1)], 1)
        bench.finish()
    bench.submit(block, [bench.items(1)], 1)
    with pytest.raises(RefoldError, match="5 worker processes in a row ended without a word") as raised:
        bench.finish()
    assert "ended with exit code 1" in raised.value.message
    assert "too tired to work" in str(raised.value)
