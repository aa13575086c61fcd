"""Memory that is scarce: whoever takes too much pays alone, and is tried once more before it is called failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from refold.executors import crew
from refold.executors.memory import Memory
from refold.executors.processes import ProcessExecutor
from refold.executors.second_chances import ADVICE
from refold.model.pool_settings import PoolSettings
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.told import Told

MB = 10**6
BEGIN = """
import os, time
from pathlib import Path

FOLDER = Path({folder!r})

def note(n, what):
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{{n}} {{what}} {{os.getpid()}} {{time.monotonic()}}\\n")

def begun(n):
    lines = (FOLDER / "notes").read_text().splitlines()
    return [int(line.split()[2]) for line in lines if line.startswith(f"{{n}} begin")]
"""
HOLD_UNTIL_ONE_IS_STOPPED = """
def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False

@transformer
def f(n):
    note(n, "begin")
    other = 1 - n
    while not begun(other):
        time.sleep(0.001)
    memory = bytearray(300 * 10**6)
    while not (is_gone(begun(other)[-1]) or (FOLDER / f"{other} is over").exists()):
        time.sleep(0.001)
    (FOLDER / f"{n} is over").touch()
    return n
"""
TOO_LARGE = """
@transformer
def f(n):
    note(n, "begin")
    if n == 3:
        memory = bytearray(10**9)
        time.sleep(600)
    return n
"""
LARGE = """
@transformer
def f(n):
    note(n, "begin")
    memory = bytearray(300 * 10**6)
    note(n, "end")
    return n
"""
MANY = """
import asyncio

@transformer
async def f(n):
    memory = bytearray(20 * 10**6)
    await asyncio.sleep(1)
    return n
"""
CACHES = """
CACHE = []

@transformer
def f(n):
    note(n, "begin")
    if not CACHE:
        CACHE.append(bytearray(200 * 10**6))
    return n
"""
FAILS = """
@transformer
def f(n):
    note(n, "begin")
    if n == 1 and len(begun(1)) <= {times}:
        {act}
    return n
"""
GENERATOR = """
@data_loader
def f():
    note(0, "begin")
    yield 1
    raise MemoryError("no room")
"""


class Supply:
    """As much memory as the test says."""

    def __init__(self) -> None:
        self.memory: Memory | None = None
        self.counted = 0
        self.counts = False

    def look(self) -> Memory | None:
        return self.memory

    def kills(self) -> int:
        self.counted += self.counts
        return self.counted


class Pool:
    """A bench over a pool of two workers, and what its children noted."""

    def __init__(self, folder: Path, supply: Supply, memory: int | None) -> None:
        self.folder = folder
        settings = PoolSettings(maximum=2, idle_seconds=1e9, memory=memory)
        self.executor = ProcessExecutor(settings=settings, memory=supply)
        self.bench = Bench(folder / "project", self.executor)

    def code(self, text: str) -> str:
        return BEGIN.format(folder=str(self.folder)) + text

    def close(self) -> None:
        self.bench.close()
        self.executor.close()

    def execute(self, block: int, numbers: Sequence[int]) -> dict[int, Told]:
        """What became of runs of a block, each in a batch of its own; those that are handed back are given anew."""
        found: dict[int, Told] = {}
        left = list(numbers)
        while left:
            found |= {n: self.bench.submit(block, [self.bench.items(n)], 1) for n in left}
            self.bench.finish()
            left = [n for n in left if found[n].outcome is Outcome.UNSTARTED]
        return found

    def notes(self, what: str) -> list[tuple[int, int, float]]:
        """Number of the child, process, moment."""
        lines = [line.split() for line in (self.folder / "notes").read_text().splitlines()]
        return [(int(n), int(pid), float(moment)) for n, word, pid, moment in lines if word == what]


@pytest.fixture
def supply() -> Supply:
    return Supply()


@pytest.fixture
def pool(tmp_path: Path, supply: Supply) -> Iterator[Pool]:
    pool = Pool(tmp_path, supply, 400 * MB)
    yield pool
    pool.close()


def test_of_two_that_are_too_much_together_one_is_stopped_and_executed_alone_then(pool: Pool) -> None:
    bench = pool.bench
    block = bench.block(pool.code(HOLD_UNTIL_ONE_IS_STOPPED))
    told = [bench.submit(block, [bench.items(n)], 1) for n in range(2)]
    bench.finish()
    assert [each.value() for each in told] == [0, 1]
    assert len(pool.notes("begin")) == 3


def test_who_is_too_large_alone_fails_and_says_so_and_its_siblings_complete(pool: Pool) -> None:
    block = pool.bench.block(pool.code(TOO_LARGE))
    told = pool.execute(block, range(6))
    assert told.pop(3).outcome is Outcome.FAILED
    assert {n: each.value() for n, each in told.items()} == {0: 0, 1: 1, 2: 2, 4: 4, 5: 5}
    begun = [n for n, _, _ in pool.notes("begin")]
    assert begun.count(3) == 2
    assert {begun.count(n) for n in told} == {1}


def test_the_failure_says_how_much_it_had_and_what_to_do(pool: Pool) -> None:
    error = pool.execute(pool.bench.block(pool.code(TOO_LARGE)), [3])[3].failure.error
    assert error.startswith("OutOfMemoryError: it needed more memory than there is: its worker had ")
    assert " of 400 MB when it was stopped, and running it alone did not help. " in error
    assert error.endswith(ADVICE)


def test_the_unstarted_behind_one_that_is_too_large_are_handed_back(pool: Pool) -> None:
    told = pool.bench.over_items(pool.bench.block(pool.code(TOO_LARGE)), range(6))
    assert told.where(Outcome.FAILED) == [3]
    assert {4, 5} <= set(told.where(Outcome.UNSTARTED))


def test_those_known_to_be_large_are_executed_one_after_the_other(pool: Pool) -> None:
    block = pool.bench.block(pool.code(LARGE))
    pool.execute(block, [0])
    assert {n: each.value() for n, each in pool.execute(block, range(1, 6)).items()} == {n: n for n in range(1, 6)}
    begins, ends = [sorted(moment for _, _, moment in pool.notes(what)) for what in ("begin", "end")]
    assert len(begins) == 6
    assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))


def test_those_that_are_held_back_are_told_of_when_their_run_is_cancelled(pool: Pool) -> None:
    bench = pool.bench
    block = bench.block(pool.code(LARGE))
    assert bench.over_items(block, [0]).complete
    told = [bench.submit(block, [bench.items(n)], 1) for n in range(1, 6)]
    bench.cancel()
    bench.finish()
    assert all(each.outcome in {Outcome.CANCELLED, Outcome.COMPLETED} for each in told)
    assert told[-1].outcome is Outcome.CANCELLED


@pytest.mark.parametrize("fails", [1, 9], ids=["once", "always"])
def test_a_memory_error_is_tried_once_more_in_a_process_that_is_empty(pool: Pool, fails: int) -> None:
    bench = pool.bench
    block = bench.block(pool.code(FAILS.format(times=fails, act="raise MemoryError('no room')")))
    told = bench.over_items(block, range(3))
    assert told.where(Outcome.COMPLETED) == ([0, 1, 2] if fails == 1 else [0, 2])
    first, second = [pid for n, pid, _ in pool.notes("begin") if n == 1]
    assert first != second
    if fails > 1:
        assert told.failure.error == f"MemoryError: no room, and running it alone did not help. {ADVICE}"


def test_a_generator_that_gave_items_is_not_executed_again_by_the_pool(pool: Pool) -> None:
    told = pool.bench.produce(pool.bench.producer(pool.code(GENERATOR)))
    assert told.failure.error == f"MemoryError: no room. {ADVICE}"
    assert told.item_values() == [1]
    assert len(pool.notes("begin")) == 1


@pytest.mark.parametrize("fails", [1, 9], ids=["once", "always"])
def test_whom_the_system_stops_for_want_of_memory_is_tried_alone(pool: Pool, supply: Supply, fails: int) -> None:
    supply.counts = True
    block = pool.bench.block(pool.code(FAILS.format(times=fails, act="os.kill(os.getpid(), 9)")))
    told = pool.execute(block, [1])[1]
    assert len(pool.notes("begin")) == 2
    if fails == 1:
        assert told.value() == 1
    else:
        assert "the system stopped its worker, and running it alone did not help" in told.failure.error


def test_whom_somebody_else_kills_is_not_tried_again(pool: Pool) -> None:
    block = pool.bench.block(pool.code(FAILS.format(times=1, act="os.kill(os.getpid(), 9)")))
    assert "SIGKILL" in pool.bench.over_items(block, [1]).failure.error


def test_the_machine_without_memory_stops_the_largest_worker(tmp_path: Path, supply: Supply) -> None:
    pool = Pool(tmp_path, supply, None)
    bench = pool.bench
    told = bench.submit(bench.block(pool.code(TOO_LARGE)), [bench.items(3)], 1)
    supply.memory = Memory(10 * MB, 10**10)
    bench.finish()
    assert "of 10 GB when it was stopped, and running it alone did not help" in told.failure.error
    pool.close()


def workers() -> list[psutil.Process]:
    return [worker for server in psutil.Process().children() for worker in server.children()]


def test_of_many_at_once_fewer_are_at_once_then(pool: Pool) -> None:
    """Forty of them hold twice as much as there may be; ten of them half of it."""
    bench = pool.bench
    block = bench.block(MANY)
    told = bench.over_items(block, range(40), width=40)
    while left := told.where(Outcome.UNSTARTED):
        again = bench.over_items(block, left, width=40)
        assert not again.where(Outcome.FAILED)
        told.outcomes |= {position: again.outcomes[at] for at, position in enumerate(left)}
    assert told.where(Outcome.COMPLETED) == [*range(40)]


def test_memory_that_a_child_leaves_is_given_back(pool: Pool) -> None:
    """Small pieces of memory, of which the C library would keep the room."""
    bench = pool.bench
    garbage = "pieces = [[0] * 50 for _ in range(300_000)]; pieces.append(pieces)"
    block = bench.block(pool.code(FAILS.format(times=99, act=garbage)))
    assert bench.over_items(block, [0]).complete
    [before] = [worker.memory_info().rss for worker in workers()[:1]]
    assert bench.over_items(block, [1]).complete
    bench.until(lambda: max(worker.memory_info().rss for worker in workers()) < before + 80 * MB)


def test_a_worker_that_keeps_much_is_replaced_and_one_that_comes_to_the_same_is_not(
    tmp_path: Path, supply: Supply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "MUCH", 150 * MB)
    pool = Pool(tmp_path, supply, None)
    block = pool.bench.block(pool.code(CACHES))
    for n in range(8):
        pool.execute(block, [n])
    first, second = dict.fromkeys(pid for _, pid, _ in pool.notes("begin"))
    pool.bench.until(lambda: not psutil.pid_exists(first))
    assert psutil.pid_exists(second)
    pool.close()
