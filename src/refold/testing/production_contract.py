"""What every executor promises for the runs of dynamic blocks: items, credits, labels, and other attempts.

Inherited as `executor_contract.ExecutorContract` is.
"""

from __future__ import annotations

import pytest

from refold.model.keys import BlockUuid
from refold.ports.executor import NamedWait
from refold.ports.output_store import Item
from refold.scheduler.events import OPEN, Outcome
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE, ExecutorBenchFixtures

COMPLETED, FAILED = Outcome.COMPLETED, Outcome.FAILED

LOADER = "@data_loader\ndef give():\n"
COUNT_TO_FIVE = LOADER + "    for number in range(5):\n        yield number\n"
DEAF = "    try:\n        __import__('time').sleep(600)\n    except BaseException:\n"
CALLBACKS = """
@callback('success')
def well(items, **kwargs):
    print('success', items, kwargs['block_run_uuid'])

@callback('failure')
def badly(**kwargs):
    print('failure', type(kwargs['__error']).__name__, kwargs['block_run_uuid'])

@callback('cancelled')
def stopped(**kwargs):
    print('cancelled', kwargs['block_run_uuid'])
"""


class ProductionContract(ExecutorBenchFixtures):
    """Inherit, override `executor`, and the promises are tested."""

    concurrent = True
    """Whether runs are executed while the engine does something else; an adapter's tests may say no."""

    @pytest.mark.parametrize(
        ("body", "items"),
        [
            ("    return [1, [2], None]\n", [1, [2], None]),
            ("    return [[{'id': 1}, {'id': 2}]]\n", [{"id": 1}, {"id": 2}]),
            ("    return []\n", []),
            ("    yield from 'ab'\n", ["a", "b"]),
            ("    return\n    yield\n", []),
            ("    yield 1, 2\n    yield [3]\n", [(1, 2), [3]]),
        ],
        ids=["list", "nested", "none", "generator", "empty generator", "tuples"],
    )
    def test_items_arrive_before_the_run_is_over(self, bench: Bench, body: str, items: list[object]) -> None:
        told = bench.produce(bench.producer(LOADER + body))
        assert told.item_values() == items
        assert told.outcome is COMPLETED
        assert not told.outputs

    def test_the_rows_of_a_frame_are_items(self, bench: Bench) -> None:
        code = "import pandas as pd\n" + LOADER + "    return pd.DataFrame({'id': [1, 2], 'name': ['a', 'b']})\n"
        told = bench.produce(bench.producer(code))
        assert [dict(row) for row in told.item_values()] == [  # type: ignore[call-overload] # a pandas.Series
            {"id": 1, "name": "a"},
            {"id": 2, "name": "b"},
        ]

    @pytest.mark.parametrize("body", ["    return [[1, 2], [{'block_uuid': 'x', 'n': 1}, {'n': 2}]]\n", "GENERATOR"])
    def test_metadata_comes_with_its_item(self, bench: Bench, body: str) -> None:
        if body == "GENERATOR":
            body = "    yield 1, {'block_uuid': 'x', 'n': 1}\n    yield 2, {'block_uuid': None, 'n': 2}\n"
        told = bench.produce(bench.producer(LOADER + body))
        assert [(item.value, (item.metadata or {}).get("n")) for item in told.items()] == [(1, 1), (2, 2)]
        assert all(report.named for report in told.produced)

    def test_every_run_of_a_batch_gives_items_of_its_own(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef give(n):\n    for i in range(n):\n        yield n * 10 + i\n", dynamic=True
        )
        told = bench.over_items(block, [2, 0, 3])
        assert [told.item_values(position) for position in range(3)] == [[20, 21], [], [30, 31, 32]]

    def test_ten_thousand_items_make_a_handful_of_chunks(self, bench: Bench) -> None:
        told = bench.produce(bench.producer(LOADER + "    yield from range(10_000)\n"))
        assert told.item_values() == list(range(10_000))
        assert len(told.chunks) <= 100

    def test_items_come_while_the_generator_is_still_at_work(self, bench: Bench) -> None:
        if not self.concurrent:
            pytest.skip("its reports come when the batch is over")
        told = bench.submit(bench.producer(LOADER + "    yield 1\n    import time; time.sleep(600)\n"), [], 1)
        bench.until_given(told, 1)
        assert not told.outcomes
        bench.cancel()
        bench.finish()
        assert told.outcome is Outcome.CANCELLED

    # What is refused

    @pytest.mark.parametrize("returned", ["None", "5", "'text'", "{'a': 1}"])
    def test_what_cannot_be_unfolded_fails_and_shows_what_came(self, bench: Bench, returned: str) -> None:
        told = bench.produce(bench.producer(LOADER + f"    return {returned}\n"))
        assert told.outcome is FAILED
        assert told.failure.error.startswith("OutputShapeError: ")

    def test_a_label_twice_in_a_list_fails_before_any_item_is_given(self, bench: Bench) -> None:
        code = LOADER + "    return [[1, 2, 3], [{'block_uuid': 'a'}, {'block_uuid': 'b'}, {'block_uuid': 'a'}]]\n"
        told = bench.produce(bench.producer(code))
        assert told.failure.error.startswith("DuplicateLabelError: ")
        assert not told.produced

    def test_a_label_twice_from_a_generator_fails_at_the_second_and_the_generator_is_closed(self, bench: Bench) -> None:
        code = LOADER + (
            "    try:\n        for name in 'aba':\n            yield 1, {'block_uuid': name}\n"
            "    finally:\n        print('closed')\n"
        )
        told = bench.produce(bench.producer(code))
        bench.close()
        assert told.failure.error.startswith("DuplicateLabelError: ")
        assert len(told.items()) == 2
        assert [(line.block_run, line.text) for line in bench.log()] == [("block_0", "closed")]

    def test_a_generator_that_fails_midway_has_given_what_came_before(self, bench: Bench) -> None:
        told = bench.produce(bench.producer(LOADER + "    yield 1\n    yield 2\n    raise ValueError('midway')\n"))
        assert told.item_values() == [1, 2]
        assert told.failure.error == "ValueError: midway"

    def test_an_item_that_cannot_be_stored_fails_the_generator_after_those_before_it(self, bench: Bench) -> None:
        told = bench.produce(bench.producer(LOADER + "    yield 1\n    yield (n for n in 'ab')\n    yield 3\n"))
        assert told.item_values() == [1]
        assert "stored" in told.failure.error

    def test_a_test_sees_all_items_and_its_failure_fails_the_run(self, bench: Bench) -> None:
        code = COUNT_TO_FIVE + "\n@test\ndef few(items, *args):\n    assert len(items) < 5, f'{len(items)} items'\n"
        told = bench.produce(bench.producer(code))
        assert told.item_values() == [0, 1, 2, 3, 4]
        assert "few: 5 items" in told.failure.error

    # Async generators

    def test_an_async_generator_gives_items(self, bench: Bench) -> None:
        code = (
            "import asyncio\n\n@data_loader\nasync def give():\n    for number in range(3):\n"
            "        await asyncio.sleep(0)\n        yield number\n"
        )
        told = bench.produce(bench.producer(code), credit=1)
        bench.pull(told, 5)
        bench.finish()
        assert told.item_values() == [0, 1, 2]

    def test_an_async_function_may_return_its_items(self, bench: Bench) -> None:
        code = (
            "import asyncio\n\n@data_loader\nasync def give():\n    await asyncio.sleep(0)\n    return [[1, 2], None]\n"
        )
        told = bench.produce(bench.producer(code))
        assert told.item_values() == [1, 2]

    @pytest.mark.parametrize("statement", ["raise ValueError('midway')", "yield 1, {'block_uuid': 'a'}"])
    def test_an_async_generator_that_fails_is_closed(self, bench: Bench, statement: str) -> None:
        code = (
            "@data_loader\nasync def give():\n    try:\n        yield 1, {'block_uuid': 'a'}\n"
            f"        {statement}\n    finally:\n        print('closed')\n"
        )
        told = bench.produce(bench.producer(code))
        bench.close()
        assert told.outcome is FAILED
        assert [(line.block_run, line.text) for line in bench.log()] == [("block_0", "closed")]

    # Credits

    def test_a_generator_pauses_at_its_credit_and_goes_on_when_pulled(self, bench: Bench) -> None:
        told = bench.produce(bench.producer(COUNT_TO_FIVE), credit=2)
        assert told.paused == {0}
        assert told.item_values() == [0, 1]
        bench.pull(told, 2)
        bench.rest()
        assert told.item_values() == [0, 1, 2, 3]
        bench.pull(told, 10)
        bench.finish()
        assert told.item_values() == [0, 1, 2, 3, 4]
        assert told.outcome is COMPLETED

    def test_a_generator_pauses_when_its_items_take_too_many_bytes(self, bench: Bench) -> None:
        code = LOADER + "    for number in range(5):\n        yield 'x' * 1000\n"
        told = bench.produce(bench.producer(code), credit_bytes=1500)
        assert told.paused == {0}
        assert len(told.items()) == 2
        bench.pull(told, 100, size=1500)
        bench.rest()
        assert len(told.items()) == 4
        bench.pull(told, 100, size=1500)
        bench.finish()
        assert len(told.items()) == 5

    def test_a_paused_generator_holds_no_slot(self, bench: Bench) -> None:
        producer, child = bench.producer(COUNT_TO_FIVE), bench.block(DOUBLE)
        told = bench.produce(producer, credit=2)
        assert bench.executor.free_slots() >= 1
        doubled = [bench.submit(child, [bench.items(value)], 1) for value in told.item_values()]
        bench.rest()
        assert [each.value() for each in doubled] == [0, 2]
        bench.pull(told, 10)
        bench.finish()
        assert len(told.items()) == 5

    def test_generators_of_one_batch_pause_and_go_on_by_themselves(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef give(n):\n    for i in range(n):\n        yield n * 10 + i\n", dynamic=True
        )
        told = bench.submit(block, [bench.items(3, 1, 4)], 3, credit=2)
        bench.rest()
        assert told.paused == {0, 2}
        bench.pull(told, 5, position=2)
        bench.rest()
        assert told.paused == {0}
        bench.pull(told, 5, position=0)
        bench.finish()
        assert [told.item_values(position) for position in range(3)] == [[30, 31, 32], [10], [40, 41, 42, 43]]

    def test_a_generator_that_fails_after_a_pause_says_why(self, bench: Bench) -> None:
        code = LOADER + "    yield 1\n    yield 2\n    raise ValueError('late')\n"
        told = bench.produce(bench.producer(code, callbacks=CALLBACKS), credit=1)
        bench.pull(told, 10)
        bench.finish()
        bench.close()
        assert told.item_values() == [1, 2]
        assert told.failure.error == "ValueError: late"
        assert [line.text for line in bench.log()] == ["failure ValueError block_0"]

    def test_a_timeout_counts_all_that_a_generator_takes(self, bench: Bench) -> None:
        code = LOADER + "    yield 1\n    while True: pass\n"
        told = bench.produce(bench.producer(code, timeout=0.2), credit=1)
        bench.pull(told, 10)
        bench.finish()
        assert "longer than its timeout of 0.2 seconds" in told.failure.error
        assert told.item_values() == [1]

    @pytest.mark.parametrize("ending", ["return", "yield 2"])
    def test_a_generator_that_does_not_mind_its_timeout_was_late_all_the_same(self, bench: Bench, ending: str) -> None:
        code = LOADER + f"    yield 1\n{DEAF}        {ending}\n"
        told = bench.produce(bench.producer(code, timeout=0.2))
        assert told.outcome is FAILED
        assert "longer than its timeout of 0.2 seconds" in told.failure.error

    def test_a_function_that_makes_its_list_too_late_was_late_all_the_same(self, bench: Bench) -> None:
        code = LOADER + f"{DEAF}        return [1]\n"
        told = bench.produce(bench.producer(code, timeout=0.2))
        assert told.outcome is FAILED
        assert not told.produced

    # What items wait for

    def test_an_item_of_a_list_waits_for_another_wherever_it_is(self, bench: Bench) -> None:
        """Items are stored in portions: where the other is of a later one, the wait is open until it comes."""
        code = LOADER + (
            "    names = [{'block_uuid': name} for name in 'abcd']\n"
            "    names[0]['upstream_blocks'] = ['d', 'b']\n    names[2]['upstream_blocks'] = 'a'\n"
            "    return [['x' * 2**20, 'x' * 2**20, 3, 4], names]\n"
        )
        told = bench.produce(bench.producer(code))
        assert told.outcome is COMPLETED
        assert [(report.start, sorted(report.waits)) for report in told.produced] == [
            (0, [(0, None, OPEN), (0, None, OPEN)]),
            (1, [(0, None, 1)]),
            (2, [(0, None, 3), (2, None, 0)]),
        ]

    def test_an_item_of_a_generator_waits_for_one_that_comes_later(self, bench: Bench) -> None:
        code = LOADER + (
            "    yield 1, {'block_uuid': 'a', 'upstream_blocks': ['c', 'other:b']}\n"
            "    yield 2, {'block_uuid': 'b', 'upstream_blocks': ['load']}\n    yield 3, {'block_uuid': 'c'}\n"
        )
        block = bench.producer(code, siblings=frozenset({BlockUuid("other")}), statics=frozenset({BlockUuid("load")}))
        told = bench.produce(block, credit=1)
        while told.paused:
            bench.pull(told, 1)
            bench.rest()
        assert told.outcome is COMPLETED
        assert [(report.start, sorted(map(str, report.waits))) for report in told.produced] == [
            (0, sorted(map(str, [NamedWait(0, None, OPEN), NamedWait(0, BlockUuid("other"), OPEN)]))),
            (1, sorted(map(str, [NamedWait(0, BlockUuid("other"), 1), NamedWait(1, BlockUuid("load"), None)]))),
            (2, [str(NamedWait(0, None, 2))]),
        ]

    def test_rows_of_a_frame_wait_for_each_other(self, bench: Bench) -> None:
        code = (
            "import pandas as pd\n"
            + LOADER
            + (
                "    names = [{'block_uuid': 'a', 'upstream_blocks': ['b']}, {'block_uuid': 'b'}]\n"
                "    return [pd.DataFrame({'id': [1, 2]}), names]\n"
            )
        )
        assert bench.produce(bench.producer(code)).waits() == [NamedWait(0, None, 1)]

    @pytest.mark.parametrize("ending", ["print('closed')", "raise ValueError('closing')", "raise SystemExit"])
    def test_a_cancelled_generator_is_closed_whatever_it_does_then(self, bench: Bench, ending: str) -> None:
        code = LOADER + f"    try:\n        yield 1\n        yield 2\n    finally:\n        {ending}\n"
        told = bench.produce(bench.producer(code, callbacks=CALLBACKS), credit=1)
        bench.cancel()
        bench.finish()
        bench.close()
        assert told.outcome is Outcome.CANCELLED
        assert "cancelled block_0" in [line.text for line in bench.log()]

    def test_callbacks_get_the_items(self, bench: Bench) -> None:
        bench.produce(bench.producer(COUNT_TO_FIVE, callbacks=CALLBACKS))
        bench.close()
        assert [line.text for line in bench.log()] == ["success [0, 1, 2, 3, 4] block_0"]

    # Another attempt

    @pytest.mark.parametrize(
        "body", ["    yield from range(5)\n", "    return list(range(5))\n"], ids=["yields", "returns"]
    )
    def test_the_same_items_again_are_not_stored_again(self, bench: Bench, body: str) -> None:
        block = bench.producer(LOADER + body)
        first = bench.produce(block)
        again = bench.produce(block, known=first.fingerprints(), credit=1)
        assert not again.produced
        assert again.outcome is COMPLETED

    def test_items_after_the_known_ones_are_stored_on_credit(self, bench: Bench) -> None:
        block = bench.producer(COUNT_TO_FIVE)
        first = bench.produce(block, credit=2)
        assert first.paused
        again = bench.produce(block, known=first.fingerprints(), credit=2)
        assert again.paused == {0}
        assert again.item_values() == [2, 3]
        assert again.produced[0].start == 2

    @pytest.mark.parametrize(
        "body",
        ["    yield from (0, 9)\n", "    yield 0\n", "    return [0, 9, 2]\n", "    yield 0\n    yield 1, {'a': 1}\n"],
        ids=["another", "fewer", "list", "metadata"],
    )
    def test_other_items_than_before_fail_for_good(self, bench: Bench, body: str) -> None:
        blocks = [bench.producer(COUNT_TO_FIVE), bench.producer(LOADER + body)]
        first = bench.produce(blocks[0], credit=2)
        again = bench.produce(blocks[1], known=first.fingerprints())
        assert again.outcome is Outcome.FAILED_FOR_GOOD
        assert again.failure.for_good
        assert again.failure.error.startswith("ChangedItemsError: ")
        assert not again.produced

    def test_a_frame_again_is_known_by_its_rows(self, bench: Bench) -> None:
        code = "import pandas as pd\n" + LOADER + "    return pd.DataFrame({'id': [1, 2, %s]})\n"
        blocks = [bench.producer(code % 3), bench.producer(code % 4)]
        first = bench.produce(blocks[0])
        assert bench.produce(blocks[0], known=first.fingerprints()).outcome is COMPLETED
        assert bench.produce(blocks[1], known=first.fingerprints()).outcome is Outcome.FAILED_FOR_GOOD

    def test_items_are_named_again_when_they_were_named(self, bench: Bench) -> None:
        block = bench.producer(LOADER + "    yield 1, {'block_uuid': 'a'}\n    yield 2, {'block_uuid': 'a'}\n")
        first = bench.produce(block)
        again = bench.produce(block, known=first.fingerprints())
        assert again.failure.error.startswith("DuplicateLabelError: ")
        assert first.items() == [Item(1, {"block_uuid": "a"})]
