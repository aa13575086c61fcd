"""A block run that waits for something outside holds no slot of its pool: another worker has it meanwhile.

Blocks here wait for files, as `trigger_pipeline` waits for another pipeline's run; the tests never look at a clock.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from refold.executors import crew, processes
from refold.executors.memory import Memory, SystemMemory
from refold.executors.processes import ProcessExecutor
from refold.model.pool_settings import PoolSettings
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE
from refold.testing.told import Told

HEAD = """
import asyncio, os, time
from pathlib import Path
from refold.executors.caller import calling, giving_way

folder = Path({folder!r})

def until(n):
    (folder / f"begun {{n}}").write_text(str(os.getpid()))
    while not (folder / f"go {{n}}").exists():
        time.sleep(0.001)
"""
AWAY = HEAD + "@transformer\ndef f(n):\n    with giving_way(calling()):\n        until(n)\n    return os.getpid()\n"
"""Waits outside of the pool."""
BUSY = HEAD + "@transformer\ndef f(n):\n    until(n)\n    return os.getpid()\n"
"""Is at work as long."""
BACK = (
    HEAD + "@transformer\ndef f(n):\n    with giving_way(calling()):\n        until(n)\n"
    "    until(f'{{n}} back')\n    return os.getpid()\n"
)
"""Waits, then is at work."""
AWAITS = (
    HEAD + "@transformer\nasync def f(n):\n    with giving_way(calling()):\n"
    "        await asyncio.get_running_loop().run_in_executor(None, until, n)\n    return os.getpid()\n"
)


class Scarce(SystemMemory):
    """As much memory as the test says."""

    free = 0

    def look(self) -> Memory | None:
        return Memory(self.free, 100 * 2**30)


class Pool:
    """A bench over a pool, with blocks whose children wait until they are let go."""

    def __init__(self, folder: Path, maximum: int, memory: SystemMemory | None = None) -> None:
        self.folder = folder
        self.executor = ProcessExecutor(
            settings=PoolSettings(minimum=1, maximum=maximum, idle_seconds=600.0), memory=memory
        )
        self.bench = Bench(folder / "project", self.executor)

    def block(self, code: str, timeout: float | None = None) -> int:
        return self.bench.block(code.format(folder=str(self.folder)), timeout=timeout)

    def give(self, block: int, *numbers: object) -> Told:
        """Submits a batch as soon as a worker is free for it."""
        self.bench.until(lambda: self.executor.free_slots() > 0)
        return self.bench.submit(block, [self.bench.items(*numbers)], len(numbers))

    def begun(self, *numbers: object) -> None:
        self.bench.until(lambda: all((self.folder / f"begun {n}").exists() for n in numbers))

    def pid(self, number: object) -> int:
        return int((self.folder / f"begun {number}").read_text())

    def go(self, *numbers: object) -> None:
        for n in numbers:
            (self.folder / f"go {n}").touch()

    @property
    def size(self) -> int:
        """How many worker processes there are."""
        return sum(len(server.children()) for server in psutil.Process().children())


@contextmanager
def pool_of(folder: Path, maximum: int, memory: SystemMemory | None = None) -> Iterator[Pool]:
    pool = Pool(folder, maximum, memory)
    try:
        yield pool
        pool.bench.close()
    finally:
        pool.executor.close()


@pytest.mark.parametrize("code", [AWAY, AWAITS], ids=["def", "async def"])
def test_a_pool_of_one_goes_on_while_its_worker_waits(tmp_path: Path, code: str) -> None:
    with pool_of(tmp_path, 1) as pool:
        away, quick = pool.block(code), pool.block(DOUBLE)
        first = pool.give(away, 1)
        pool.begun(1)
        second = pool.give(quick, 21)
        pool.bench.until(lambda: second.complete)
        assert not first.outcomes
        pool.go(1)
        pool.bench.finish()
        assert second.value() == 42
        assert first.outcome is Outcome.COMPLETED


def test_a_worker_that_is_at_work_keeps_its_slot(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1) as pool:
        busy = pool.block(BUSY)
        pool.give(busy, 1)
        pool.begun(1)
        for _ in range(3):
            pool.bench.hear(pool.executor.wait(0.01))
        assert pool.executor.free_slots() == 0
        pool.go(1)
        pool.bench.finish()


def test_many_more_wait_than_the_pool_has_workers(tmp_path: Path) -> None:
    with pool_of(tmp_path, 2) as pool:
        away = pool.block(AWAY)
        told = [pool.give(away, n) for n in range(12)]
        pool.begun(*range(12))
        pool.go(*range(12))
        pool.bench.finish()
        assert len({each.value() for each in told}) == 12
        pool.bench.until(lambda: pool.size <= 2)


def test_those_behind_it_in_its_batch_are_taken_back(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1) as pool:
        told = pool.give(pool.block(AWAY), 1, 2, 3)
        pool.begun(1)
        pool.bench.until(lambda: len(told.outcomes) == 2)
        assert told.where(Outcome.UNSTARTED) == [1, 2]
        pool.go(1)
        pool.bench.finish()


def test_one_that_goes_on_has_its_place_again_before_others_begin(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1) as pool:
        back, busy = pool.block(BACK), pool.block(BUSY)
        pool.give(back, 1)
        pool.begun(1)
        pool.give(busy, 2)
        pool.begun(2)
        pool.go(1)
        pool.begun("1 back")  # at once, though the one that has its place is at work
        pool.go(2)
        pool.bench.until(lambda: pool.size == 1)
        for _ in range(3):
            pool.bench.hear(pool.executor.wait(0.01))
        assert pool.executor.free_slots() == 0
        pool.go("1 back")
        pool.bench.finish()
        third = pool.give(busy, 3)
        pool.go(3)
        pool.bench.finish()
        assert third.complete


def test_nothing_is_given_ahead_to_one_that_waits_and_keeps_its_slot(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1, Scarce()) as pool:
        away = pool.block(AWAY)
        pool.go(*range(1, 10))
        for n in range(1, 10):  # so that batches of this block are known to be short
            assert pool.bench.over_items(away, [n]).complete
        pool.give(away, 0)
        pool.begun(0)
        pool.bench.hear(pool.executor.wait(0.01))
        assert pool.executor.free_slots() == 0
        pool.go(0)
        pool.bench.finish()


def test_a_worker_with_a_paused_generator_begins_nothing_while_there_are_too_many(tmp_path: Path) -> None:
    generate = "@data_loader\ndef load():\n    yield 1\n    yield 2\n"
    with pool_of(tmp_path, 1) as pool:
        back, producer = pool.block(BACK), pool.bench.producer(generate)
        first = pool.give(back, 1)
        pool.begun(1)
        pool.bench.until(lambda: pool.executor.free_slots() > 0)
        paused = pool.bench.submit(producer, [], 1, credit=1)
        pool.bench.until(lambda: bool(paused.paused))
        assert pool.executor.free_slots() == 1
        pool.go(1)
        pool.begun("1 back")
        pool.bench.hear(pool.executor.wait(0.01))
        assert pool.executor.free_slots() == 0
        pool.go("1 back")
        pool.bench.until(lambda: first.complete)
        pool.bench.pull(paused, 9)
        pool.bench.finish()
        assert paused.outcome is Outcome.COMPLETED


def test_it_may_wait_again_and_again(tmp_path: Path) -> None:
    twice = AWAY.replace("    return", "    with giving_way(calling()):\n        until(f'{{n}} again')\n    return")
    with pool_of(tmp_path, 1) as pool:
        away, quick = pool.block(twice), pool.block(DOUBLE)
        first = pool.give(away, 1)
        for name in (1, "1 again"):
            pool.begun(name)
            told = pool.give(quick, 4)
            pool.bench.until(lambda told=told: told.complete)  # type: ignore[misc]
            assert not first.outcomes
            pool.go(name)
        pool.bench.finish()
        assert first.outcome is Outcome.COMPLETED


def test_a_worker_killed_while_it_waits_costs_that_run_alone(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1) as pool:
        away, quick = pool.block(AWAY), pool.block(DOUBLE)
        first = pool.give(away, 1)
        pool.begun(1)
        second = pool.give(quick, 1)
        pool.bench.until(lambda: second.complete)
        os.kill(pool.pid(1), signal.SIGKILL)
        pool.bench.finish()
        assert first.outcome is Outcome.FAILED
        assert "was killed (SIGKILL)" in first.failure.error
        third = pool.give(quick, 2)
        pool.bench.finish()
        assert third.value() == 4
        pool.bench.until(lambda: pool.size == 1)


def test_a_cancel_stops_one_that_waits(tmp_path: Path) -> None:
    with pool_of(tmp_path, 1) as pool:
        told = pool.give(pool.block(AWAY), 1)
        pool.begun(1)
        pool.bench.cancel()
        pool.bench.finish()
        assert told.outcome is Outcome.CANCELLED


def test_the_time_that_it_waits_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "KILL_GRACE", 60.0)
    with pool_of(tmp_path, 1) as pool:
        away, quick = pool.block(AWAY, timeout=0.3), pool.block(DOUBLE)
        told = pool.give(away, 1)
        pool.bench.finish()
        assert told.outcome is Outcome.FAILED
        assert "longer than its timeout of 0.3 seconds" in told.failure.error
        second = pool.give(quick, 3)
        pool.bench.finish()
        assert second.value() == 6
        assert pool.size == 1


def test_no_slot_is_lent_while_there_is_no_memory_for_another_worker(tmp_path: Path) -> None:
    memory = Scarce()
    with pool_of(tmp_path, 1, memory) as pool:
        away, quick = pool.block(AWAY), pool.block(DOUBLE)
        pool.give(away, 1)
        pool.begun(1)
        for _ in range(3):
            pool.bench.hear(pool.executor.wait(0.05))
        assert pool.executor.free_slots() == 0
        memory.free = 50 * 2**30
        told = pool.give(quick, 5)
        pool.bench.until(lambda: told.complete)
        pool.go(1)
        pool.bench.finish()


def test_no_more_slots_are_lent_than_processes_are_good_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "MOST_AWAY", 2)
    with pool_of(tmp_path, 1) as pool:
        away = pool.block(AWAY)
        for n in range(3):
            pool.give(away, n)
        pool.begun(0, 1, 2)
        for _ in range(3):
            pool.bench.hear(pool.executor.wait(0.01))
        assert pool.executor.free_slots() == 0
        assert pool.size == 3
        pool.go(0, 1, 2)
        pool.bench.finish()
