"""A pool of workers: it grows with the work and shrinks without it, and nobody waits behind one that takes long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from refold.executors.processes import ProcessExecutor
from refold.model.pool_settings import PoolSettings
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE

WAITS = """
import os, time
from pathlib import Path

@transformer
def f(n):
    (Path({folder!r}) / f"begun {{n}}").write_text(str(os.getpid()))
    while not (Path({folder!r}) / f"go {{n}}").exists():
        time.sleep(0.001)
    return os.getpid()
"""
IDLE = 0.05


class Pool:
    """A bench over a pool, with blocks whose children wait until they are let go."""

    def __init__(self, folder: Path, settings: PoolSettings) -> None:
        self.folder = folder
        self.executor = ProcessExecutor(settings=settings)
        self.bench = Bench(folder / "project", self.executor)

    def waiting_block(self) -> int:
        return self.bench.block(WAITS.format(folder=str(self.folder)))

    def has_begun(self, *numbers: int) -> bool:
        return all((self.folder / f"begun {n}").exists() for n in numbers)

    def let_go(self, *numbers: int) -> None:
        for n in numbers:
            (self.folder / f"go {n}").touch()

    @property
    def size(self) -> int:
        """How many worker processes there are."""
        return sum(len(server.children()) for server in psutil.Process().children())


@contextmanager
def pool_of(folder: Path, minimum: int, maximum: int, idle_seconds: float = IDLE) -> Iterator[Pool]:
    pool = Pool(folder, PoolSettings(minimum=minimum, maximum=maximum, idle_seconds=idle_seconds))
    try:
        yield pool
        pool.bench.close()
    finally:
        pool.executor.close()


def test_it_grows_with_the_work_and_shrinks_to_its_minimum(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1, 4) as pool:
        block = pool.waiting_block()
        told = [pool.bench.submit(block, [pool.bench.items(n)], 1) for n in range(4)]
        pool.bench.until(lambda: pool.has_begun(0, 1, 2, 3))
        assert pool.size == 4
        pool.let_go(0, 1, 2, 3)
        pool.bench.finish()
        assert len({each.value() for each in told}) == 4
        pool.bench.until(lambda: pool.size == 1)
        again = [pool.bench.submit(block, [pool.bench.items(n)], 1) for n in range(4, 7)]
        pool.let_go(4, 5, 6)
        pool.bench.finish()
        assert all(each.complete for each in again)


def test_it_keeps_as_many_as_it_is_told_from_the_first_moment(tmp_path: Path) -> None:
    with pool_of(tmp_path, 3, 4) as pool:
        block = pool.waiting_block()
        pool.let_go(*range(4))
        told = pool.bench.submit(block, [pool.bench.items(0)], 1)
        pool.bench.finish()
        assert told.complete
        assert pool.size == 3
        others = [pool.bench.submit(block, [pool.bench.items(n)], 1) for n in range(4)]
        pool.bench.finish()
        assert all(each.complete for each in others)
        pool.bench.until(lambda: pool.size == 3)


def test_the_time_of_workers_counts_those_that_are_there_and_those_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1000.0
    monkeypatch.setattr("refold.executors.crew.time.monotonic", lambda: moment)
    with pool_of(tmp_path, 2, 2, idle_seconds=1e9) as pool:
        pool.bench.over_items(pool.bench.block(DOUBLE), [1])
        assert pool.executor.worker_seconds == 0.0
        moment += 10.0
        assert pool.executor.worker_seconds == 20.0
    assert pool.executor.worker_seconds == 20.0
    moment += 10.0
    assert pool.executor.worker_seconds == 20.0


def test_no_batch_waits_behind_one_that_takes_long(tmp_path: Path) -> None:
    with pool_of(tmp_path, 2, 2) as pool:
        bench, block = pool.bench, pool.waiting_block()
        pool.let_go(*range(1, 10))
        for n in range(1, 10):  # so that batches of this block are known to be short
            assert bench.over_items(block, [n]).complete
        long = bench.submit(block, [bench.items(0)], 1)
        bench.until(lambda: pool.has_begun(0))
        busy = int((tmp_path / "begun 0").read_text())
        bench.until(lambda: pool.executor.free_slots() == 1)  # it is not short after all
        told = [bench.submit(block, [bench.items(10)], 1)]
        while pool.executor.free_slots():
            told.append(bench.submit(block, [bench.items(10 + len(told))], 1))
        pool.let_go(*range(10, 20))
        bench.until(lambda: all(each.complete for each in told))
        assert busy not in [each.value() for each in told]
        pool.let_go(0)
        bench.finish()
        assert long.value() == busy


def test_two_short_batches_at_a_time_keep_a_worker_busy(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1, 1) as pool:
        block = pool.bench.block(DOUBLE)
        for n in range(5):
            assert pool.bench.over_items(block, [n]).complete
        pool.bench.submit(block, [pool.bench.items(5)], 1)
        assert pool.executor.free_slots() == 1
        pool.bench.submit(block, [pool.bench.items(6)], 1)
        assert pool.executor.free_slots() == 0
        pool.bench.finish()
