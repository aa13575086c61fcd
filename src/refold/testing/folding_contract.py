"""What every executor promises of folds: of what a run reads over a reducing edge, and of what is folded ahead of it.

Inherited as `executor_contract.ExecutorContract` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from refold.model.block import JsonValue
from refold.ports.executor import Folding, Grouping, InputKind, Spans
from refold.ports.output_store import Item
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.executor_contract import DOUBLE, ExecutorBenchFixtures
from refold.testing.told import Told

COMPLETED, FAILED = Outcome.COMPLETED, Outcome.FAILED

READ = "@transformer\ndef read(folded):\n    return {'folded': folded}\n"
"""A dict, so that what was folded is seen in its own shape."""
JOIN = "def join(text, value):\n    return f'{text}{value}'\n\n@transformer\ndef rows(n):\n    return n\n"
ASYNC_JOIN = "import asyncio\n\n" + JOIN.replace("def join", "async def join").replace(
    "    return f", "    await asyncio.sleep(0)\n    return f"
)
LOUD_JOIN = JOIN.replace("    return f", "    print('joined', value)\n    return f")
DIVIDE = (
    "def divide(number, value):\n    return helper(number, value)\n\n"
    "def helper(number, value):\n    return number / value\n"
)


def frame(*ids: int) -> pd.DataFrame:
    """A frame of one column."""
    return pd.DataFrame({"id": ids})


@dataclass(frozen=True)
class Example:
    """A strategy, values of runs in key order, and what they come to; whole, and cut where a fold stopped."""

    strategy: str
    returned: Sequence[object]
    folded: object
    code: str | None = None
    initial: JsonValue = None

    def folding(self, bench: Bench) -> Folding:
        """How they are folded."""
        return bench.folding(self.strategy, self.code, initial=self.initial)


EXAMPLES = [
    Example("list", [[1, 2], (3,), None, [], "text", {"a": 1}], [1, 2, 3, None, "text", {"a": 1}]),
    Example("sum", [1, [2, None, 3], None, 4.5], 10.5),
    Example("merge", [{"a": 1, "b": 1}, None, [{"b": 2}, {"c": 3}]], {"a": 1, "b": 2, "c": 3}),
    Example("count", [[1, None], 2, None, []], 2),
    Example("min", [3, None, [5, 2], 4], 2),
    Example("max", [3, None, [5, 2], 4], 5),
    Example("concat", [frame(1, 2), None, (frame(3), frame(4))], frame(1, 2, 3, 4)),
    Example("join", ["a", None, ["b", "c"], "d"], "abcd", JOIN),
    Example("join", ["a", None, ["b", "c"], "d"], ">abcd", JOIN, ">"),
    Example("join", ["a", None, ["b", "c"], "d"], "abcd", ASYNC_JOIN),
]
BY_STRATEGY = pytest.mark.parametrize(
    "example",
    EXAMPLES,
    ids=["list", "sum", "merge", "count", "min", "max", "concat", "function", "initial", "async function"],
)


def same(found: object, expected: object) -> bool:
    """Whether a run read what it should have."""
    assert isinstance(found, dict)
    value = found["folded"]
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(value.reset_index(drop=True), expected)
        return True
    return type(value) is type(expected) and bool(value == expected)


def read(bench: Bench, folding: Folding, records: Spans, count: int, partials: int = 0) -> Told:
    """One run that reads what these records fold to."""
    reader = bench.block(READ, (InputKind.REDUCED,), axes=0, foldings=(folding,))
    told = bench.submit(reader, [records], 1, groupings=[Grouping((partials,), (count,))])
    bench.finish()
    return told


def folded_ahead(bench: Bench, folds: int, folding: Folding, *stretches: Sequence[object]) -> Spans:
    """The partials of these stretches, folded one after the other; an empty one is not."""
    partials: Spans = ()
    for stretch in filter(None, stretches):
        told = bench.fold(folds, bench.outputs(*stretch), partials if folding.cumulative else ())
        bench.finish()
        partials = told.record if folding.cumulative else (*partials, *told.record)
    return partials


class FoldingContract(ExecutorBenchFixtures):
    """Inherit, override `executor`, and the promises are tested."""

    # What a run reads

    @BY_STRATEGY
    def test_a_run_reads_what_the_outputs_fold_to(self, bench: Bench, example: Example) -> None:
        records = bench.outputs(*example.returned)
        told = read(bench, example.folding(bench), records, len(example.returned))
        assert same(told.value(), example.folded), told.value()

    @BY_STRATEGY
    def test_it_reads_the_same_whatever_was_folded_ahead(self, bench: Bench, example: Example) -> None:
        folding = example.folding(bench)
        folds = bench.block(DOUBLE, folds_own=folding)
        reader = bench.block(READ, (InputKind.REDUCED,), axes=0, foldings=(folding,))
        for cut in range(len(example.returned) + 1):
            partials = folded_ahead(bench, folds, folding, example.returned[:cut], example.returned[cut : cut + 1])
            rest = example.returned[cut + 1 :]
            records = (*partials, *bench.outputs(*rest))
            grouping = Grouping((len(partials),), (len(partials) + len(rest),))
            told = bench.submit(reader, [records], 1, groupings=[grouping])
            bench.finish()
            assert same(told.value(), example.folded), (cut, told.value())

    @pytest.mark.parametrize(
        ("strategy", "folded"),
        [("list", []), ("sum", 0), ("merge", {}), ("count", 0), ("min", None), ("max", None)],
    )
    def test_nothing_folds_to_what_the_strategy_begins_with(self, bench: Bench, strategy: str, folded: object) -> None:
        assert same(read(bench, bench.folding(strategy), (), 0).value(), folded)

    def test_no_frames_are_an_empty_frame(self, bench: Bench) -> None:
        assert same(read(bench, bench.folding("concat"), (), 0).value(), pd.DataFrame())

    @pytest.mark.parametrize("strategy", ["list", "sum"])
    def test_items_contribute_themselves(self, bench: Bench, strategy: str) -> None:
        records = bench.items([1], Item([2], {"block_uuid": "two"})) if strategy == "list" else bench.items(1, 2)
        told = read(bench, bench.folding(strategy, items=True), records, 2)
        assert same(told.value(), [[1], [2]] if strategy == "list" else 3)

    def test_the_rows_of_a_frame_contribute_themselves(self, bench: Bench) -> None:
        producer = bench.producer(
            "import pandas as pd\n\n@data_loader\ndef give():\n    return pd.DataFrame({'id': [1, 2, 3]})\n"
        )
        reader = bench.block(
            "@transformer\ndef read(rows):\n    return [int(row['id']) for row in rows]\n",
            (InputKind.REDUCED,),
            axes=0,
            foldings=(bench.folding(items=True),),
        )
        rows = bench.produce(producer).spans
        told = bench.submit(reader, [rows], 1)
        bench.finish()
        assert told.value() == [1, 2, 3]

    def test_a_folded_list_of_one_is_a_list(self, bench: Bench) -> None:
        reader = bench.block(READ, (InputKind.GROUP,), foldings=(bench.folding(items=True),))
        told = bench.submit(reader, [bench.items([7])], 1)
        bench.finish()
        assert same(told.value(), [[7]])

    def test_each_run_reads_its_own_group(self, bench: Bench) -> None:
        reader = bench.block(
            "@transformer\ndef read(total, item):\n    return [total, item]\n",
            (InputKind.GROUP, InputKind.ITEM),
            foldings=(bench.folding("sum"), None),
        )
        records = bench.outputs(1, 2, [10, 20], 30, 400)
        grouping = Grouping((0, 0, 0, 0), (2, 0, 2, 1))
        told = bench.submit(reader, [records, bench.items(*"abcd")], 4, groupings=[grouping, None])
        bench.finish()
        assert told.values() == {0: [3, "a"], 1: [0, "b"], 2: [60, "c"], 3: [400, "d"]}

    def test_what_was_folded_ahead_comes_first_in_each_group(self, bench: Bench) -> None:
        folding = bench.folding("join", JOIN)
        folds, reader = (
            bench.block(DOUBLE, folds_own=folding),
            bench.block(READ, (InputKind.GROUP,), foldings=(folding,)),
        )
        ahead = [bench.fold(folds, bench.outputs(*stretch)) for stretch in ("ab", "xy")]
        bench.finish()
        records = (*ahead[0].record, *bench.outputs("c"), *bench.outputs("m", "n"), *ahead[1].record)
        told = bench.submit(reader, [records], 3, groupings=[Grouping((1, 0, 1), (2, 2, 1))])
        bench.finish()
        assert told.values() == {0: {"folded": "abc"}, 1: {"folded": "mn"}, 2: {"folded": "xy"}}

    @pytest.mark.parametrize("strategy", ["list", "merge"])
    @pytest.mark.parametrize("kind", [InputKind.REDUCED, InputKind.GROUP], ids=["reduced", "group"])
    def test_a_run_that_changes_what_it_reads_changes_nobody_elses(
        self, bench: Bench, kind: InputKind, strategy: str
    ) -> None:
        change = "folded.append(0)" if strategy == "list" else "folded[item] = 0"
        reader = bench.block(
            f"@transformer\ndef change(folded, item):\n    {change}\n    return len(folded)\n",
            (kind, InputKind.ITEM),
            foldings=(bench.folding(strategy), None),
        )
        runs = 3
        outputs = bench.outputs(*[{"a": 1}] * runs)
        told = bench.submit(reader, [outputs, bench.items(*"xyz")], runs)
        bench.finish()
        read_by_each = runs if kind is InputKind.REDUCED and strategy == "list" else 1
        assert told.values() == dict.fromkeys(range(runs), read_by_each + 1)

    def test_what_all_runs_of_a_batch_read_is_folded_once(self, bench: Bench) -> None:
        reader = bench.block(
            "@transformer\ndef read(folded, item):\n    return folded + item\n",
            (InputKind.REDUCED, InputKind.ITEM),
            foldings=(bench.folding("join", LOUD_JOIN), None),
        )
        told = bench.submit(reader, [bench.outputs("a", "b", "c"), bench.items(*"xyz")], 3)
        bench.finish()
        bench.close()
        assert told.values() == {0: "abcx", 1: "abcy", 2: "abcz"}
        assert [(line.block_run, line.text) for line in bench.log()] == [
            ("block_0:0", "joined b"),
            ("block_0:0", "joined c"),
        ]

    def test_what_cannot_be_copied_is_folded_for_each_run_that_reads_it(self, bench: Bench) -> None:
        code = "def pair(lock, value):\n    return __import__('threading').Lock()\n"
        reader = bench.block(
            "@transformer\ndef read(lock, item):\n    return lock.acquire(blocking=False)\n",
            (InputKind.REDUCED, InputKind.ITEM),
            foldings=(bench.folding("pair", code), None),
        )
        told = bench.submit(reader, [bench.outputs(1, 2), bench.items(1, 2)], 2)
        bench.finish()
        assert told.values() == {0: True, 1: True}

    # Read piece by piece

    @pytest.mark.parametrize("kind", [InputKind.REDUCED, InputKind.GROUP], ids=["reduced", "group"])
    def test_a_lazy_list_is_read_as_the_list_and_each_object_is_the_readers_own(
        self, bench: Bench, kind: InputKind
    ) -> None:
        reader = bench.block(
            "@transformer\ndef read(values, item):\n    values[0]['seen'] = item\n    del values[-1]['id']\n"
            "    return [type(values).__name__, len(values), list(values), item]\n",
            (kind, InputKind.ITEM),
            foldings=(replace(bench.folding("list"), lazy=True), None),
        )
        runs = 2
        outputs = bench.outputs([{"id": 1}], ({"id": 2}, {"id": 3}))
        told = bench.submit(reader, [outputs, bench.items(*"xy")], runs)
        bench.finish()
        whole = [{"id": 1}, {"id": 2}, {"id": 3}]
        seen = [whole, whole] if kind is InputKind.REDUCED else [whole[:1], whole[1:]]
        assert told.values() == {at: ["LazyList", len(seen[at]), seen[at], "xy"[at]] for at in range(runs)}

    def test_lazy_frames_are_one_file_for_all_runs_that_read_them(self, bench: Bench) -> None:
        reader = bench.block(
            "import pandas as pd\n\n@transformer\ndef read(path, item):\n    return str(path), pd.read_parquet(path)\n",
            (InputKind.REDUCED, InputKind.ITEM),
            foldings=(replace(bench.folding("concat"), lazy=True), None),
        )
        outputs = bench.outputs(frame(1, 2), None, [frame(3)])
        told = bench.submit(reader, [outputs, bench.items(*"xyz")], 3)
        bench.finish()
        values = [value for value in told.values().values() if isinstance(value, tuple)]
        assert len(values) == 3
        assert len({path for path, _ in values}) == 1
        assert all(found.equals(frame(1, 2, 3)) for _, found in values)

    # What cannot be folded

    @pytest.mark.parametrize(
        ("strategy", "returned"),
        [
            ("sum", [1, "two"]),
            ("merge", [{"a": 1}, 2]),
            ("min", [1, "two"]),
            ("concat", [frame(1), {"id": 2}]),
        ],
        ids=["sum", "merge", "min", "concat"],
    )
    def test_values_that_a_strategy_does_not_take_fail_who_reads_them(
        self, bench: Bench, strategy: str, returned: Sequence[object]
    ) -> None:
        failure = read(bench, bench.folding(strategy), bench.outputs(*returned), len(returned)).failure
        assert failure.error.startswith("ReduceError: ")
        assert f"`{strategy}` over `rows`" in failure.error

    def test_a_function_that_raises_fails_who_reads_with_its_traceback(self, bench: Bench) -> None:
        failure = read(bench, bench.folding("divide", DIVIDE), bench.outputs(1, 0), 2).failure
        assert failure.error == "ReduceError: `divide` over `rows` raised ZeroDivisionError: division by zero"
        frames = [line for line in failure.traceback.splitlines() if line.lstrip().startswith("File ")]
        assert len(frames) == 2
        assert all("rows.py" in frame for frame in frames)
        assert "return number / value" in failure.traceback

    @pytest.mark.parametrize("statement", ["import sys; sys.exit(3)", "raise KeyboardInterrupt"])
    def test_no_exception_of_a_function_ends_more_than_who_reads(self, bench: Bench, statement: str) -> None:
        sound = bench.block(DOUBLE)
        told = read(bench, bench.folding("leave", f"def leave(a, b):\n    {statement}\n"), bench.outputs(1, 2), 2)
        assert told.failure.error.startswith("ReduceError: `leave` over `rows` raised ")
        assert bench.over_items(sound, [1]).value() == 2

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("def other(a, b):\n    return a\n", "defines no function `join`"),
            ("def join(:\n", "syntax error"),
            ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ],
        ids=["missing", "syntax", "interrupts"],
    )
    def test_a_function_that_is_not_there_fails_who_reads(self, bench: Bench, code: str, says: str) -> None:
        assert says in read(bench, bench.folding("join", code), bench.outputs("a", "b"), 2).failure.error

    def test_nothing_to_begin_with_is_an_error(self, bench: Bench) -> None:
        assert "`join` over `rows`" in read(bench, bench.folding("join", JOIN), bench.outputs(None), 1).failure.error

    def test_a_group_that_cannot_be_folded_fails_its_own_run(self, bench: Bench) -> None:
        reader = bench.block(READ, (InputKind.GROUP,), foldings=(bench.folding("divide", DIVIDE),))
        grouping = Grouping((0, 0, 0), (2, 2, 2))
        told = bench.submit(reader, [bench.outputs(4, 2, 4, 0, 4, 1)], 3, groupings=[grouping])
        bench.finish()
        assert told.where(FAILED) == [1]
        assert told.values() == {0: {"folded": 2.0}, 2: {"folded": 4.0}}

    def test_what_cannot_be_folded_is_tried_once_for_all_who_read_it(self, bench: Bench) -> None:
        reader = bench.block(
            READ.replace("folded)", "folded, item)"),
            (InputKind.REDUCED, InputKind.ITEM),
            foldings=(bench.folding("loud", "def loud(a, b):\n    print('tried')\n    return a / b\n"), None),
        )
        told = bench.submit(reader, [bench.outputs(1, 0), bench.items(1, 2, 3)], 3)
        bench.finish()
        bench.close()
        assert told.where(FAILED) == [0, 1, 2]
        assert len({failure.error for failure in told.failures.values()}) == 1
        assert [line.text for line in bench.log()] == ["tried"]

    def test_the_time_of_a_run_counts_while_its_input_is_folded(self, bench: Bench) -> None:
        endless = bench.folding("wait", "def wait(a, b):\n    while True: pass\n")
        reader = bench.block(READ, (InputKind.REDUCED,), axes=0, foldings=(endless,), timeout=0.2)
        told = bench.submit(reader, [bench.outputs(1, 2)], 1)
        bench.finish()
        assert "longer than its timeout of 0.2 seconds" in told.failure.error
        assert "killed" not in told.failure.error

    def test_async_children_read_their_groups(self, bench: Bench) -> None:
        reader = bench.block(
            READ.replace("def", "async def"), (InputKind.GROUP,), foldings=(bench.folding("divide", DIVIDE),)
        )
        grouping = Grouping((0, 0, 0), (2, 2, 2))
        told = bench.submit(reader, [bench.outputs(4, 2, 4, 0, 4, 1)], 3, width=3, groupings=[grouping])
        bench.finish()
        assert told.where(FAILED) == [1]
        assert told.failure.error.startswith("ReduceError: ")
        assert told.values() == {0: {"folded": 2.0}, 2: {"folded": 4.0}}

    # Folding ahead

    def test_a_fold_holds_a_slot(self, bench: Bench) -> None:
        folds = bench.block(DOUBLE, folds_own=bench.folding("sum"))
        bench.over_items(folds, [1])
        free = bench.executor.free_slots()
        told = bench.fold(folds, bench.outputs(1, 2))
        assert bench.executor.free_slots() == free - 1
        bench.finish()
        assert told.complete
        assert bench.executor.free_slots() == free

    def test_folds_and_batches_are_served_one_after_the_other(self, bench: Bench) -> None:
        folds = bench.block(DOUBLE, folds_own=bench.folding("sum"))
        runs, ahead = [], []
        for number in range(4):
            runs.append(bench.submit(folds, [bench.items(number)], 1))
            ahead.append(bench.fold(folds, bench.outputs(number, 1)))
        bench.finish()
        assert [told.value() for told in runs] == [0, 2, 4, 6]
        assert [told.value for told in ahead] == [1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("folding", "returned", "says"),
        [
            (lambda bench: bench.folding("sum"), [1, "two"], "ReduceError: `sum` over `rows`"),
            (lambda bench: bench.folding("divide", DIVIDE), [1, 0], "raised ZeroDivisionError"),
            (lambda bench: bench.folding("leave", "def leave(a, b):\n    raise SystemExit(3)\n"), [1, 0], "SystemExit"),
            (lambda bench: bench.folding("join", "x = 1\n"), [1, 0], "defines no function `join`"),
            (
                lambda bench: bench.folding("lock", "def lock(a, b):\n    return __import__('threading').Lock()\n"),
                [1, 0],
                "stored",
            ),
        ],
        ids=["types", "raises", "exits", "missing", "cannot be stored"],
    )
    def test_a_fold_that_fails_says_why_and_ends_nothing_else(
        self, bench: Bench, folding: Callable[[Bench], Folding], returned: Sequence[object], says: str
    ) -> None:
        folds = bench.block(DOUBLE, folds_own=folding(bench))
        told = bench.fold(folds, bench.outputs(*returned))
        bench.finish()
        assert says in told.failure.error
        assert bench.over_items(folds, [4]).value() == 8

    def test_what_a_function_prints_is_kept_under_the_block(self, bench: Bench) -> None:
        told = bench.fold(bench.block(DOUBLE, folds_own=bench.folding("join", LOUD_JOIN)), bench.outputs("a", "b"))
        bench.finish()
        assert told.complete
        assert [(line.block_run, line.text) for line in bench.log()] == [("block_0", "joined b")]

    def test_a_fold_is_no_output_of_the_block(self, bench: Bench) -> None:
        """It would be the latest one of a block without axes."""
        folds = bench.block(DOUBLE, axes=0, folds_own=bench.folding("sum"))
        bench.fold(folds, bench.outputs(1, 2))
        bench.finish()
        assert not (bench.project / ".mage_data" / "pipe" / "block_0").exists()

    def test_a_fold_may_take_longer_than_the_timeout_of_its_block(self, bench: Bench) -> None:
        slow = "import time\n\ndef slow(a, b):\n    time.sleep(0.3)\n    return a + b\n"
        folds = bench.block(DOUBLE, timeout=0.1, folds_own=bench.folding("slow", slow))
        told = bench.fold(folds, bench.outputs(1, 2))
        bench.finish()
        assert told.value == [3]

    def test_a_cancel_before_a_fold_began_is_reported(self, bench: Bench) -> None:
        folds = bench.block(DOUBLE, folds_own=bench.folding("sum"))
        told = [bench.fold(folds, bench.outputs(1, 2)) for _ in range(5)]
        bench.cancel()
        bench.finish()
        assert all(each.complete for each in told)
