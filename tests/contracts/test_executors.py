"""The executor's contract, over every adapter; and what only one of them does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.errors import StoreError
from refold.executors import processes
from refold.executors.inline import InlineExecutor
from refold.executors.processes import ProcessExecutor
from refold.executors.worker import open_output_store
from refold.outputs import FileOutputStore
from refold.outputs.record_builder import RecordBuilder
from refold.ports.executor import Executor, InputKind
from refold.ports.output_store import ChunkRef
from refold.scheduler.events import Outcome
from refold.testing.concurrency_contract import ConcurrencyContract
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE, ExecutorContract
from refold.testing.folding_contract import READ, FoldingContract, read
from refold.testing.production_contract import LOADER, ProductionContract

SLEEPY = "import time\n\n@transformer\ndef f(n):\n    if n == 1:\n        time.sleep(600)\n    return n\n"
ASYNC_SLEEPY = (
    "import asyncio\n\n@transformer\nasync def f(n):\n    await asyncio.sleep(600 if n == 1 else 0)\n    return n\n"
)

WAITING_FOLD = (
    "import os, time\nfrom pathlib import Path\n\ndef wait(a, b):\n    Path({begun!r}).touch()\n    time.sleep(600)\n"
)


class TestInlineExecutor(ExecutorContract, FoldingContract, ProductionContract, ConcurrencyContract):
    concurrent = False

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = InlineExecutor(open_output_store)
        yield executor
        executor.close()

    @pytest.fixture
    def interrupted(self, executor: InlineExecutor) -> Iterator[None]:
        """Ctrl-C interrupts the executor, as it does under `refold run`."""
        before = signal.signal(signal.SIGINT, lambda _number, _frame: executor.interrupt())
        yield
        signal.signal(signal.SIGINT, before)

    KILL = "import os, signal, time, asyncio\n\ndef interrupt():\n    os.kill(os.getpid(), signal.SIGINT)\n\n"

    @pytest.mark.usefixtures("interrupted")
    @pytest.mark.parametrize(
        "body",
        [
            "def f(n):\n    if n == 1:\n        interrupt()\n        time.sleep(600)\n    return n\n",
            "async def f(n):\n    if n == 1:\n        interrupt()\n        await asyncio.sleep(600)\n    return n\n",
        ],
        ids=["def", "async def"],
    )
    def test_an_interrupt_stops_the_child_at_work_and_begins_no_other(self, bench: Bench, body: str) -> None:
        told = bench.over_items(bench.block(self.KILL + "@transformer\n" + body), range(4))
        assert told.values() == {0: 0}
        assert told.where(Outcome.CANCELLED) == [1, 2, 3]

    @pytest.mark.usefixtures("interrupted")
    def test_an_interrupt_stops_a_fold_and_what_waits_behind_it(self, bench: Bench) -> None:
        wait = self.KILL + "def wait(a, b):\n    print('folds')\n    interrupt()\n    time.sleep(600)\n"
        folds = bench.block(DOUBLE, folds_own=bench.folding("wait", wait))
        told = [bench.fold(folds, bench.outputs(1, 2)) for _ in range(2)]
        bench.finish()
        bench.close()
        assert [each.failure.error for each in told] == ["the run was cancelled"] * 2
        assert [line.text for line in bench.log()] == ["folds"]

    @pytest.mark.usefixtures("interrupted")
    def test_an_interrupt_stops_a_run_whose_input_is_folded(self, bench: Bench) -> None:
        wait = bench.folding("wait", self.KILL + "def wait(a, b):\n    interrupt()\n    time.sleep(600)\n")
        told = read(bench, wait, bench.outputs(1, 2), 2)
        assert told.outcome is Outcome.CANCELLED

    @pytest.mark.usefixtures("interrupted")
    def test_an_interrupt_stops_a_generator(self, bench: Bench) -> None:
        told = bench.produce(bench.producer(self.KILL + LOADER + "    yield 1\n    interrupt()\n    time.sleep(600)\n"))
        assert told.outcome is Outcome.CANCELLED


class FullDisk(FileOutputStore):
    """An output store that cannot publish."""

    def builder(self, writer: str) -> RecordBuilder:
        builder = super().builder(writer)

        def publish() -> ChunkRef:
            raise StoreError("no space left on the device")

        builder.publish = publish  # type: ignore[method-assign]
        return builder


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Bench]:
    executor = InlineExecutor(lambda context: FullDisk(context.run_folder))
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()
    executor.close()


def test_runs_whose_outputs_cannot_be_written_fail_and_say_why(full: Bench) -> None:
    told = full.over_items(full.block("@transformer\ndef f(n):\n    return 4 // n\n"), range(3))
    assert told.where(Outcome.FAILED) == [0, 1, 2]
    assert told.failures[0].error.startswith("ZeroDivisionError")
    assert "no space left" in told.failures[1].error


def test_a_generator_whose_items_cannot_be_written_fails_and_says_why(full: Bench) -> None:
    told = full.produce(full.producer(LOADER + "    yield 1\n    yield 2\n"), credit=1)
    if told.paused:
        full.pull(told, 5)
        full.finish()
    assert told.outcome is Outcome.FAILED
    assert "no space left" in told.failure.error
    assert not told.produced


def test_what_fails_for_good_says_why_though_nothing_can_be_written(full: Bench) -> None:
    block = full.block("@transformer\ndef give(n):\n    yield n\n", dynamic=True)
    told = full.submit(block, [full.items(1, 2)], 2, known={1: b"x" * 8})
    full.finish()
    assert told.where(Outcome.FAILED_FOR_GOOD) == [1]
    assert told.failures[1].error.startswith("ChangedItemsError")


class TestProcessExecutor(ExecutorContract, FoldingContract, ProductionContract, ConcurrencyContract):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = ProcessExecutor(maximum=1)
        yield executor
        executor.close()

    @pytest.mark.parametrize(("code", "width"), [(SLEEPY, 1), (ASYNC_SLEEPY, 2)], ids=["def", "async def"])
    def test_a_cancel_keeps_what_has_ended_and_interrupts_the_child_at_work(
        self, bench: Bench, code: str, width: int
    ) -> None:
        block = bench.block(code, callbacks="@callback('cancelled')\ndef f(**kwargs):\n    print('stopped')\n")
        told = bench.submit(block, [bench.items(0, 1, 1, 1)], 4, width=width)
        waiting = bench.submit(block, [bench.items(0, 0)], 2)
        bench.until_ended(told, 1)
        bench.cancel()
        bench.finish()
        bench.close()
        assert told.values() == {0: 0}
        assert told.where(Outcome.CANCELLED) == [1, 2, 3]
        assert waiting.where(Outcome.CANCELLED) == [0, 1]
        assert ("block_0:1", "stopped") in {(line.block_run, line.text) for line in bench.log()}

    def test_a_cancel_interrupts_a_fold_and_gives_up_those_behind_it(self, bench: Bench, tmp_path: Path) -> None:
        folds = bench.block(DOUBLE, folds_own=bench.folding("wait", WAITING_FOLD.format(begun=str(tmp_path / "begun"))))
        told = [bench.fold(folds, bench.outputs(1, 2)) for _ in range(3)]
        bench.until((tmp_path / "begun").exists)
        bench.cancel()
        bench.finish()
        assert [each.failure.error for each in told] == ["the run was cancelled"] * 3

    def test_a_cancel_interrupts_a_run_whose_input_is_folded(self, bench: Bench, tmp_path: Path) -> None:
        wait = bench.folding("wait", WAITING_FOLD.format(begun=str(tmp_path / "begun")))
        reader = bench.block(READ, (InputKind.REDUCED,), axes=0, foldings=(wait,))
        told = bench.submit(reader, [bench.outputs(1, 2)], 1)
        bench.until((tmp_path / "begun").exists)
        bench.cancel()
        bench.finish()
        assert told.outcome is Outcome.CANCELLED

    def test_a_cancel_of_another_run_leaves_a_fold_alone(self, executor: Executor, tmp_path: Path) -> None:
        ours, theirs = (Bench(tmp_path / "project", executor, run) for run in ("ours", "theirs"))
        folds = [bench.block(DOUBLE, folds_own=bench.folding("sum")) for bench in (ours, theirs)]
        sleepy = ours.block(SLEEPY)
        long = ours.submit(sleepy, [ours.items(0, 1)], 2)
        ours.until_ended(long, 1)
        told = [bench.fold(number, bench.outputs(1, 2)) for bench, number in zip((ours, theirs), folds, strict=True)]
        ours.cancel()
        while not (long.complete and told[0].complete and told[1].complete):
            reports = executor.wait(1.0)
            ours.hear(reports)
            theirs.hear(reports)
        assert told[0].failure.error == "the run was cancelled"
        assert told[1].value == 3
        ours.close()
        theirs.close()

    def test_a_worker_that_dies_in_a_fold_costs_no_child_an_attempt(self, bench: Bench, tmp_path: Path) -> None:
        kill = WAITING_FOLD.format(begun=str(tmp_path / "begun")).replace("time.sleep(600)", "os._exit(7)")
        folds = bench.block(DOUBLE, folds_own=bench.folding("wait", kill))
        bench.over_items(folds, [1])
        told, behind = bench.fold(folds, bench.outputs(1, 2)), bench.submit(folds, [bench.items(1, 2)], 2)
        bench.finish()
        assert "ended with exit code 7" in told.failure.error
        assert behind.where(Outcome.UNSTARTED) == [0, 1]
        assert bench.over_items(folds, [4]).value() == 8

    def test_a_fold_that_cannot_be_interrupted_is_killed_when_its_run_is_cancelled(
        self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "CANCEL_GRACE", 0.3)
        deaf = WAITING_FOLD.format(begun=str(tmp_path / "begun")).replace("time.sleep(600)", "sum(range(10**12))")
        told = bench.fold(bench.block(DOUBLE, folds_own=bench.folding("wait", deaf)), bench.outputs(1, 2))
        bench.until((tmp_path / "begun").exists)
        bench.cancel()
        bench.finish()
        assert told.failure.error == "the run was cancelled"

    def test_a_fold_is_told_of_while_a_batch_behind_it_goes_on(self, bench: Bench) -> None:
        folds, long = bench.block(DOUBLE, folds_own=bench.folding("sum")), bench.block(SLEEPY)
        told, behind = bench.fold(folds, bench.outputs(1, 2)), bench.submit(long, [bench.items(1)], 1)
        bench.until(lambda: told.complete)
        assert told.value == 3
        assert not behind.outcomes
        bench.cancel()
        bench.finish()

    def test_a_fold_is_not_killed_for_the_timeout_of_its_block(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "KILL_GRACE", 0.0)
        slow = "import time\n\ndef slow(a, b):\n    time.sleep(0.5)\n    return a + b\n"
        folds = bench.block(DOUBLE, timeout=0.1, folds_own=bench.folding("slow", slow))
        told = bench.fold(folds, bench.outputs(1, 2))
        bench.finish()
        assert told.value == [3]

    def test_a_cancel_while_thousands_of_async_children_begin_is_reported_for_all_of_them(self, bench: Bench) -> None:
        block = bench.block(ASYNC_SLEEPY)
        told = [bench.submit(block, [bench.items(*[1] * 2000)], 2000, width=2000) for _ in range(3)]
        bench.cancel()
        bench.finish()
        assert all(set(each.outcomes.values()) == {Outcome.CANCELLED} for each in told)

    def test_a_cancelled_run_takes_nothing_from_another_on_the_same_worker(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        ours, theirs = (Bench(tmp_path / "project", executor, run) for run in ("ours", "theirs"))
        gate = tmp_path / "go"
        long = ours.block(
            "import os, time\n\n@transformer\ndef f(n):\n"
            f"    while n >= 0 and not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n    return n\n"
        )
        quick = ours.block(DOUBLE)
        theirs_double = theirs.block(DOUBLE)
        assert theirs.over_items(theirs_double, [1]).value() == 2
        first = ours.submit(quick, [ours.items(5)], 1)
        ours.finish()
        held = ours.submit(long, [ours.items(-1, 0, 1)], 3)
        ours.until_ended(held, 1)
        waiting = theirs.submit(theirs_double, [theirs.items(1, 2)], 2)
        theirs.cancel()
        theirs.finish()
        assert waiting.where(Outcome.CANCELLED) == [0, 1]
        gate.touch()
        ours.finish()
        assert first.value() == 10
        assert held.values() == {0: -1, 1: 0, 2: 1}
        ours.close()
        theirs.close()

    def test_what_a_run_printed_is_on_disk_when_the_run_is_reported(self, bench: Bench) -> None:
        told = bench.submit(
            bench.block(SLEEPY.replace("    if", "    print('said', n)\n    if")), [bench.items(0, 1)], 2
        )
        bench.until_ended(told, 1)
        assert ("block_0:0", "said 0") in {(line.block_run, line.text) for line in bench.log()}
        bench.cancel()
        bench.finish()

    def test_what_is_not_begun_is_taken_back_when_somebody_is_idle(self, tmp_path: Path) -> None:
        executor = ProcessExecutor(maximum=2)
        try:
            bench = Bench(tmp_path / "project", executor)
            gate = tmp_path / "go"
            block = bench.block(
                "import os, time\n\n@transformer\ndef f(n):\n"
                f"    while n == 0 and not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n    return n\n"
            )
            assert bench.over_items(block, [1, 2]).complete
            told = bench.submit(block, [bench.items(0, 1, 2)], 3)
            bench.until_ended(told, 2)
            gate.touch()
            bench.finish()
            assert told.values() == {0: 0}
            assert told.where(Outcome.UNSTARTED) == [1, 2]
            bench.close()
        finally:
            executor.close()

    def test_much_said_at_once_in_both_directions_does_not_choke(self, bench: Bench) -> None:
        """A pipe that is full in one direction must not keep the other one from being read."""
        block = bench.block("@transformer\ndef fail(n):\n    raise ValueError('x' * 2000)\n")
        items = [bench.items(*range(4000)) for _ in range(11)]
        attempts = {position: 10**9 + position for position in range(4000)}
        told = [bench.submit(block, [items[0]], 4000)]
        bench.until_ended(told[0], 1)
        told += [bench.submit(block, [spans], 4000, failures=attempts) for spans in items[1:]]
        bench.cancel()
        bench.finish()
        assert all(set(each.outcomes.values()) <= {Outcome.FAILED, Outcome.CANCELLED} for each in told)
