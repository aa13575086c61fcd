"""Runs that wait side by side in worker processes, beside what their workers' main threads do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refold.executors.processes import ProcessExecutor
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE

FAILED, UNSTARTED = Outcome.FAILED, Outcome.UNSTARTED
WAIT = {
    "threads": "import time\nfrom pathlib import Path\n\n@transformer\ndef f(n):\n",
    "async": "import asyncio\nfrom pathlib import Path\n\n@transformer\nasync def f(n):\n",
}
"""Blocks whose runs touch a file named after their number, then wait for the file `go`."""
PAUSE = {"threads": "time.sleep(0.01)", "async": "await asyncio.sleep(0.01)"}
WAYS = pytest.mark.parametrize("way", WAIT)


def waiting(way: str, folder: Path) -> str:
    return (
        f"{WAIT[way]}    Path({str(folder)!r}, str(n)).touch()\n"
        f"    while not Path({str(folder / 'go')!r}).exists():\n        {PAUSE[way]}\n    return n\n"
    )


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(maximum=1)
    yield executor
    executor.close()


@pytest.fixture
def bench(executor: ProcessExecutor, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()


@WAYS
def test_a_plain_run_is_executed_while_others_wait(bench: Bench, tmp_path: Path, way: str) -> None:
    waits = bench.block(waiting(way, tmp_path))
    touch = f"    Path({str(tmp_path)!r}, n).touch()\n"
    opens = bench.block(f"from pathlib import Path\n\n@transformer\ndef f(n):\n{touch}")
    told = bench.submit(waits, [bench.items(0, 1, 2)], 3, width=3)
    bench.until(lambda: all((tmp_path / str(n)).exists() for n in range(3)))
    assert bench.executor.free_slots() == 1
    bench.submit(opens, [bench.items("go")], 1)
    bench.finish()
    assert told.values() == {0: 0, 1: 1, 2: 2}


@WAYS
def test_runs_of_later_batches_begin_while_earlier_ones_wait(bench: Bench, tmp_path: Path, way: str) -> None:
    block = bench.block(waiting(way, tmp_path))
    told = [bench.submit(block, [bench.items(n)], 1, width=3) for n in range(3)]
    bench.until(lambda: all((tmp_path / str(n)).exists() for n in range(3)))
    (tmp_path / "go").touch()
    bench.finish()
    assert [each.value() for each in told] == [0, 1, 2]


@WAYS
def test_batches_together_have_no_more_under_way_than_each_may(bench: Bench, tmp_path: Path, way: str) -> None:
    block, other = bench.block(waiting(way, tmp_path)), bench.block(DOUBLE)
    told = [bench.submit(block, [bench.items(2 * n, 2 * n + 1)], 2, width=2) for n in range(2)]
    bench.until(lambda: all((tmp_path / str(n)).exists() for n in range(2)))
    meanwhile = bench.submit(other, [bench.items(1)], 1)
    bench.until(lambda: meanwhile.complete)
    assert not any((tmp_path / str(n)).exists() for n in (2, 3))
    (tmp_path / "go").touch()
    bench.finish()
    assert [each.values() for each in told] == [{0: 0, 1: 1}, {0: 2, 1: 3}]


def test_what_has_not_begun_is_taken_back_for_a_worker_that_is_idle(tmp_path: Path) -> None:
    executor = ProcessExecutor(maximum=2)
    try:
        bench = Bench(tmp_path / "project", executor)
        block = bench.block(waiting("async", tmp_path))
        assert bench.over_items(bench.block(DOUBLE), [1]).complete
        told = bench.submit(block, [bench.items(0, 1, 2, 3, 4)], 5, width=2)
        bench.until_ended(told, 3)
        (tmp_path / "go").touch()
        bench.finish()
        assert told.where(UNSTARTED)[-3:] == [2, 3, 4]
        assert set(told.outcomes.values()) <= {UNSTARTED, Outcome.COMPLETED}
        bench.close()
    finally:
        executor.close()


def test_what_one_worker_has_not_begun_is_shared_with_one_that_has_fewer(tmp_path: Path) -> None:
    """Though it could have all of them under way: its loop does not come to them."""
    executor = ProcessExecutor(maximum=2)
    try:
        bench = Bench(tmp_path / "project", executor)
        block = bench.block(waiting("async", tmp_path).replace(PAUSE["async"], "__import__('time').sleep(0.01)"))
        told = bench.submit(block, [bench.items(*range(300))], 300, width=1000)
        bench.until_ended(told, 200)
        taken_back = told.where(UNSTARTED)
        assert taken_back == list(range(taken_back[0], 300))
        again = bench.submit(block, [bench.items(*taken_back)], len(taken_back), width=1000)
        bench.until((tmp_path / str(taken_back[0])).exists)
        (tmp_path / "go").touch()
        bench.finish()
        assert told.values() == {at: at for at in range(taken_back[0])}
        assert again.value(0) == taken_back[0]
        bench.close()
    finally:
        executor.close()


# Workers that die


def test_a_worker_that_dies_of_one_of_many_costs_all_that_were_under_way(bench: Bench) -> None:
    block = bench.block(
        "import asyncio, os\n\nbarrier = asyncio.Barrier(3)\n\n"
        "@transformer\nasync def f(n):\n    await barrier.wait()\n"
        "    if n == 2:\n        os._exit(3)\n    await asyncio.sleep(600)\n"
    )
    told = bench.over_items(block, range(5), width=3)
    assert told.where(FAILED) == [0, 1, 2]
    assert "ended with exit code 3" in told.failures[0].error
    assert told.where(UNSTARTED) == [3, 4]


@WAYS
def test_where_nobody_can_tell_which_run_it_was_nobody_pays_until_it_is_known(
    bench: Bench, tmp_path: Path, way: str
) -> None:
    """They are executed again, apart from each other: then it is plain."""
    waits = bench.block(waiting(way, tmp_path))
    exits = bench.block(
        "import os, time\nfrom pathlib import Path\n\n@transformer\ndef f(n):\n"
        f"    while not Path({str(tmp_path)!r}, '1').exists():\n        time.sleep(0.01)\n    os._exit(3)\n"
    )
    told, guilty = (
        bench.submit(waits, [bench.items(0, 1)], 2, width=2),
        bench.submit(exits, [bench.items(5, 6)], 2),
    )
    bench.finish()
    assert told.where(UNSTARTED) == [0, 1]
    assert guilty.where(UNSTARTED) == [0, 1]
    guilty = bench.over_items(exits, [5, 6])
    assert guilty.where(FAILED) == [0]
    assert guilty.where(UNSTARTED) == [1]
    (tmp_path / "go").touch()
    assert bench.over_items(waits, [0, 1], width=2).values() == {0: 0, 1: 1}


def test_a_run_that_is_killed_for_being_late_is_the_only_one_to_pay(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refold.executors.processes.KILL_GRACE", 0.3)
    waits = bench.block(waiting("async", tmp_path))
    late = bench.block("@transformer\ndef f(n):\n    return sum(range(10**12))\n", timeout=0.2)
    told = bench.submit(waits, [bench.items(0, 1)], 2, width=2)
    bench.until((tmp_path / "1").exists)
    killed = bench.submit(late, [bench.items(1)], 1)
    bench.finish()
    assert "its worker was killed" in killed.failure.error
    assert told.where(UNSTARTED) == [0, 1]


def test_runs_that_keep_the_loop_from_going_round_are_killed_when_they_are_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refold.executors.processes.KILL_GRACE", 0.3)
    block = bench.block(
        "import asyncio, time\n\n@transformer\nasync def f(n):\n    await asyncio.sleep(0)\n"
        "    if n == 1:\n        time.sleep(600)\n    await asyncio.sleep(600)\n",
        timeout=0.4,
    )
    told = bench.over_items(block, range(3), width=2)
    assert told.where(FAILED) == [0, 1]
    assert "its worker was killed" in told.failures[1].error
    assert told.where(UNSTARTED) == [2]


# Threads that do not come back

STUCK = (
    "import os, threading\n\n@transformer\ndef f(n):\n"
    "    if n < 0:\n        threading.Event().wait()\n    return os.getpid()\n"
)


def test_a_worker_with_threads_that_do_not_come_back_is_replaced(bench: Bench) -> None:
    block = bench.block(STUCK, timeout=0.3)
    told = bench.over_items(block, [1, -1, 2], width=2)
    assert told.where(FAILED) == [1]
    before = told.value(0)
    assert isinstance(before, int)
    bench.until(lambda: not psutil.pid_exists(before))
    assert bench.over_items(block, [1], width=2).value() != before


def test_where_no_thread_comes_back_another_worker_executes_the_rest(bench: Bench) -> None:
    block = bench.block(STUCK, timeout=0.3)
    told = bench.over_items(block, [-1, -2, 1, 2], width=2)
    assert told.where(FAILED) == [0, 1]
    assert told.where(UNSTARTED) == [2, 3]
    assert set(bench.over_items(block, [1, 2], width=2).outcomes.values()) == {Outcome.COMPLETED}


def test_a_cancel_does_not_wait_for_threads(bench: Bench) -> None:
    block = bench.block(
        STUCK.replace("    if n < 0", "    print('begun')\n    if n < 0"),
        callbacks="@callback('cancelled')\ndef f(**kwargs):\n    print('stopped')\n",
    )
    told = bench.submit(block, [bench.items(1, -1, -2, -3)], 4, width=2)
    bench.until_ended(told, 1)
    bench.cancel()
    bench.finish()
    bench.close()
    assert told.where(Outcome.CANCELLED) == [1, 2, 3]
    said = {(line.block_run, line.text) for line in bench.log()}
    assert ("block_0:1", "stopped") in said
    assert ("block_0:3", "begun") not in said
