"""What every executor promises for blocks of which many runs are under way at once, as tests to inherit.

That runs overlap is shown by runs that wait for each other: they could not end if one of them were not under way. None
of the tests looks at a clock.
"""

from __future__ import annotations

import pytest

from refold.ports.executor import InputKind
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import ExecutorBenchFixtures

COMPLETED, FAILED = Outcome.COMPLETED, Outcome.FAILED
MEET = {
    "threads": (
        "import threading\n\nbarrier = threading.Barrier({parties}, timeout=25)\n\n"
        "@transformer\ndef meet(n):\n    barrier.wait()\n    return n\n"
    ),
    "async": (
        "import asyncio\n\nbarrier = asyncio.Barrier({parties})\n\n"
        "@transformer\nasync def meet(n):\n    await barrier.wait()\n    return n\n"
    ),
}
"""Blocks whose runs go on when so many of them are under way."""
WAYS = pytest.mark.parametrize("way", MEET)
KINDS = pytest.mark.parametrize("kind", ["", "async "], ids=["threads", "async"])
CALLBACKS = """
@callback('success')
def well(output, **kwargs):
    print('success', kwargs['block_run_uuid'])

@callback('failure')
def badly(**kwargs):
    print('failure', type(kwargs['__error']).__name__, kwargs['block_run_uuid'])

@callback('cancelled')
def stopped(**kwargs):
    print('cancelled', kwargs['block_run_uuid'])
"""


class ConcurrencyContract(ExecutorBenchFixtures):
    """Inherit, override `executor`, and the promises are tested."""

    @WAYS
    @pytest.mark.parametrize("parties", [2, 30])
    def test_as_many_runs_as_the_width_says_are_under_way_at_once(self, bench: Bench, way: str, parties: int) -> None:
        block = bench.block(MEET[way].format(parties=parties))
        told = bench.over_items(block, range(2 * parties), width=parties)
        assert told.values() == {number: number for number in range(2 * parties)}

    @KINDS
    def test_never_more_runs_than_the_width_says_are_under_way(self, bench: Bench, kind: str) -> None:
        pause = "await asyncio.sleep(0.001)" if kind else "time.sleep(0.001)"
        block = bench.block(
            "import asyncio, threading, time\n\nlock = threading.Lock()\nunder_way = 0\n\n"
            f"@transformer\n{kind}def count(n):\n    global under_way\n"
            f"    with lock:\n        under_way += 1\n        found = under_way\n    {pause}\n"
            "    with lock:\n        under_way -= 1\n    return found\n"
        )
        told = bench.over_items(block, range(60), width=3)
        assert set(told.outcomes.values()) == {COMPLETED}
        assert max(value for value in told.values().values() if isinstance(value, int)) <= 3

    def test_thousands_of_async_runs_are_under_way_at_once(self, bench: Bench) -> None:
        block = bench.block(MEET["async"].format(parties=3000))
        told = bench.over_items(block, range(3000), width=5000)
        assert told.values() == {number: number for number in range(3000)}

    @KINDS
    def test_what_runs_come_to_is_told_of_each(self, bench: Bench, kind: str) -> None:
        block = bench.block(
            f"import sys\n\n@transformer\n{kind}def f(n):\n    if n == 3:\n        sys.exit('left')\n"
            "    return 4 // n\n",
            callbacks=CALLBACKS,
        )
        told = bench.over_items(block, range(5), width=5)
        bench.close()
        assert told.values() == {1: 4, 2: 2, 4: 1}
        assert [told.failures[at].error for at in (0, 3)] == [
            "ZeroDivisionError: integer division or modulo by zero",
            "SystemExit: left",
        ]
        assert sorted(line.text for line in bench.log()) == [
            "failure SystemExit block_0:3",
            "failure ZeroDivisionError block_0:0",
            "success block_0:1",
            "success block_0:2",
            "success block_0:4",
        ]

    @KINDS
    def test_conditions_tests_and_keywords_are_those_of_each_run(self, bench: Bench, kind: str) -> None:
        block = bench.block(
            f"@transformer\n{kind}def f(n, **kwargs):\n    return [n, kwargs['block_run_uuid']]\n\n"
            "@test\ndef small(n, uuid):\n    assert n < 38\n",
            conditions="@condition\ndef odd(n, **kwargs):\n    return n % 2\n",
        )
        told = bench.over_items(block, range(40), width=8)
        assert told.where(Outcome.CONDITION_FAILED) == list(range(0, 40, 2))
        assert told.where(FAILED) == [39]
        assert told.values() == {n: [n, f"block_0:{n}"] for n in range(1, 39, 2)}

    @pytest.mark.parametrize("where", ["condition", "test", "callback"])
    def test_what_is_async_beside_async_runs_waits_side_by_side(self, bench: Bench, where: str) -> None:
        meet = "import asyncio\n\nbarrier = asyncio.Barrier(4)\n\n"
        function = "async def meet(*args, **kwargs):\n    await barrier.wait()\n    return True\n"
        main = "@transformer\nasync def f(n):\n    return n\n\n"
        beside = f"{meet}@{where}{'(' + repr('success') + ')' if where == 'callback' else ''}\n{function}"
        block = bench.block(
            f"{beside}\n{main}" if where == "test" else main,
            conditions=beside if where == "condition" else None,
            callbacks=beside if where == "callback" else None,
        )
        assert bench.over_items(block, range(8), width=4).values() == {number: number for number in range(8)}

    @WAYS
    def test_what_is_printed_belongs_to_the_run_that_printed_it(self, bench: Bench, way: str) -> None:
        code = MEET[way].format(parties=6).replace("    return n", "    print('after', n)\n    return n")
        block = bench.block(code.replace("def meet(n):\n", "def meet(n):\n    print('before', n, end=' ')\n"))
        bench.over_items(block, range(6), width=6)
        bench.close()
        said = {(line.block_run, line.text) for line in bench.log()}
        assert said == {(f"block_0:{n}", f"before {n} after {n}") for n in range(6)}

    @KINDS
    def test_an_output_is_what_it_was_when_its_run_returned_it(self, bench: Bench, kind: str) -> None:
        """Whoever uses an object again, for the next run on his thread, changes no output."""
        block = bench.block(
            "import threading\n\nown = threading.local()\n\n"
            f"@transformer\n{kind}def f(n):\n    if not hasattr(own, 'rows'):\n        own.rows = []\n"
            "    own.rows.clear()\n    own.rows.append(n)\n    return {'rows': own.rows}\n"
        )
        told = bench.over_items(block, range(200), width=4)
        assert told.values() == {n: {"rows": [n]} for n in range(200)}

    @KINDS
    def test_runs_side_by_side_have_inputs_of_their_own(self, bench: Bench, kind: str) -> None:
        block = bench.block(
            f"@transformer\n{kind}def change(item, static, reduced):\n    static.append(0)\n    reduced.append(0)\n"
            "    return [len(static), len(reduced)]\n",
            (InputKind.ITEM, InputKind.STATIC, InputKind.REDUCED),
        )
        inputs = [bench.items(*range(20)), bench.outputs([1]), bench.outputs(1, 2)]
        told = bench.submit(block, inputs, 20, width=8)
        bench.finish()
        assert told.values() == {n: [2, 3] for n in range(20)}

    @KINDS
    def test_an_output_that_cannot_be_stored_fails_its_run(self, bench: Bench, kind: str) -> None:
        block = bench.block(
            f"import threading\n\n@transformer\n{kind}def give(n):\n    return threading.Lock() if n == 1 else n\n",
            callbacks=CALLBACKS,
        )
        told = bench.over_items(block, range(3), width=3)
        assert told.values() == {0: 0, 2: 2}
        assert "stored" in told.failure.error

    # Timeouts

    @KINDS
    def test_each_run_has_its_own_time_from_its_own_beginning(self, bench: Bench, kind: str) -> None:
        """One after the other they take longer than each of them may."""
        pause = "await asyncio.sleep(0.05)" if kind else "time.sleep(0.05)"
        code = f"import asyncio, time\n\n@transformer\n{kind}def f(n):\n    {pause}\n    return n\n"
        told = bench.over_items(bench.block(code, timeout=5.0), range(240), width=2)
        assert set(told.outcomes.values()) == {COMPLETED}

    def test_a_late_run_on_a_thread_is_told_of_while_its_code_goes_on(self, bench: Bench) -> None:
        block = bench.block(
            "import threading\n\n@transformer\ndef f(n):\n    if n == 1:\n        threading.Event().wait()\n"
            "    return n\n",
            timeout=0.3,
            callbacks=CALLBACKS,
        )
        told = bench.over_items(block, range(6), width=3)
        assert told.values() == {n: n for n in range(6) if n != 1}
        assert told.failure.error == "BlockTimeoutError: ran longer than its timeout of 0.3 seconds"
        bench.close()
        assert "failure BlockTimeoutError block_0:1" in {line.text for line in bench.log()}

    def test_what_a_late_run_comes_to_in_the_end_is_nobodys(self, bench: Bench) -> None:
        """Its thread returns when others are under way; each run is told of once, as it was first."""
        block = bench.block(
            "import threading\n\nlate = threading.Event()\n\n@transformer\ndef f(n):\n"
            "    if n == 0:\n        late.wait()\n    late.set()\n    return n\n",
            timeout=0.3,
        )
        late = bench.over_items(block, [0], width=2)
        told = bench.over_items(block, range(1, 40), width=2)
        assert late.outcome is FAILED
        assert told.values() == {at: at + 1 for at in range(39)}

    # On the loop

    def test_what_async_runs_open_on_the_loop_serves_those_of_later_batches(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio\n\nshared = []\n\n@transformer\nasync def f(n):\n"
            "    if not shared:\n        shared.append(asyncio.get_running_loop().create_future())\n"
            "        shared[0].set_result('open')\n    return await shared[0]\n"
        )
        assert [bench.over_items(block, [number], width=4).value() for number in range(3)] == ["open"] * 3

    def test_a_cancelled_error_of_a_runs_own_making_fails_it(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio\n\n@transformer\nasync def f(n):\n    task = asyncio.create_task(asyncio.sleep(600))\n"
            "    task.cancel()\n    await task\n"
        )
        told = bench.over_items(block, range(2), width=2)
        assert told.where(FAILED) == [0, 1]
        assert told.failures[0].error.startswith("asyncio.exceptions.CancelledError")

    def test_what_a_run_leaves_on_the_loop_harms_nobody(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio, sys\n\nasync def leave():\n    sys.exit('left alone')\n\n"
            "@transformer\nasync def f(n):\n    task = asyncio.create_task(leave()) if n == 0 else None\n"
            "    await asyncio.sleep(0.01)\n    return n\n"
        )
        assert bench.over_items(block, range(4), width=4).values() == {n: n for n in range(4)}

    # Processes of their own

    def test_a_process_that_a_run_on_a_thread_forks_ends_with_its_function(self, bench: Bench) -> None:
        block = bench.block(
            "import os\n\n@transformer\ndef f(n):\n    child = os.fork()\n"
            "    return n if child == 0 else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        )
        assert bench.over_items(block, range(4), width=2).values() == dict.fromkeys(range(4), 0)
