"""What every executor promises for the runs of plain blocks, as tests to inherit; `production_contract` has the rest.

    class TestMyExecutor(ExecutorContract):
        @pytest.fixture
        def executor(self) -> Iterator[Executor]: ...

Blocks here may take their time; the tests never do: they wait for reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.model.block import BlockType
from refold.ports.executor import Executor, InputKind, NamePart, Span
from refold.ports.output_store import ChunkRef, Item, Shape
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench

DOUBLE = """
@transformer
def double(number):
    return number * 2
"""
KINDS = "", "async "
COMPLETED, FAILED = Outcome.COMPLETED, Outcome.FAILED


class ExecutorBenchFixtures:
    """The fixtures that the contracts share."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        """A new executor; closed afterwards."""
        raise NotImplementedError("the adapter's tests say how its executor is made")

    @pytest.fixture
    def bench(self, executor: Executor, tmp_path: Path) -> Iterator[Bench]:
        """A run of a project of its own on the executor."""
        bench = Bench(tmp_path / "project", executor)
        yield bench
        bench.close()


class ExecutorContract(ExecutorBenchFixtures):
    """Inherit, override `executor`, and the promises are tested."""

    def test_every_run_of_a_batch_is_reported_once_with_its_output(self, bench: Bench) -> None:
        told = bench.over_items(bench.block(DOUBLE), range(100))
        assert told.values() == {number: 2 * number for number in range(100)}
        assert set(told.outcomes.values()) == {COMPLETED}

    def test_runs_say_when_they_began_and_ended(self, bench: Bench) -> None:
        told = bench.over_items(bench.block(DOUBLE), range(3))
        times = [told.times[position] for position in range(3)]
        assert all(began <= ended for began, ended in times)
        assert [began for began, _ in times] == sorted(began for began, _ in times)

    def test_a_thousand_children_make_a_handful_of_chunks_and_reports(self, bench: Bench) -> None:
        told = bench.over_items(bench.block(DOUBLE), range(1000))
        assert told.values() == {number: 2 * number for number in range(1000)}
        assert len(told.chunks) <= 50
        assert told.reports <= 50

    def test_a_batch_after_the_other_is_served(self, bench: Bench) -> None:
        block, other = bench.block(DOUBLE), bench.block(DOUBLE.replace("* 2", "* 3"))
        told = [bench.submit(number, [bench.items(5)], 1) for number in (block, other, block, other)]
        bench.finish()
        assert [each.value() for each in told] == [10, 15, 10, 15]

    def test_what_is_returned_keeps_its_shape(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef shape(kind):\n    return {'list': [1], 'tuple': (1, 2)}.get(kind)\n")
        told = bench.over_items(block, ["list", "tuple", "none"])
        assert told.values() == {0: [1], 1: (1, 2), 2: None}
        assert [told.output(at).shape for at in range(3)] == [Shape.LIST, Shape.TUPLE, Shape.VALUE]

    def test_inputs_of_every_kind_arrive(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef gather(item, child, static, reduced):\n    return [item, child, static, reduced]\n",
            (InputKind.ITEM, InputKind.CHILD, InputKind.STATIC, InputKind.REDUCED),
        )
        inputs = [bench.items(1, 2), bench.outputs(["a"], "b"), bench.outputs([7, 8]), bench.outputs([1, 2], (3,), 4)]
        told = bench.submit(block, inputs, 2)
        bench.finish()
        assert told.values() == {0: [1, "a", [7, 8], [1, 2, 3, 4]], 1: [2, "b", [7, 8], [1, 2, 3, 4]]}

    def test_a_run_that_changes_its_input_changes_nobody_elses(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef change(item, static, reduced):\n    static.append(0)\n    reduced.append(0)\n"
            "    return [len(static), len(reduced)]\n",
            (InputKind.ITEM, InputKind.STATIC, InputKind.REDUCED),
        )
        told = bench.submit(block, [bench.items(1, 2), bench.outputs([1]), bench.outputs(1, 2)], 2)
        bench.finish()
        assert told.values() == {0: [2, 3], 1: [2, 3]}

    def test_keywords_name_the_run(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef keywords(item, **kwargs):\n"
            "    names = ('block_uuid', 'block_run_uuid', 'dynamic_block_index', 'region', 'city', 'pipeline_run_id')\n"
            "    return [*(kwargs.get(name) for name in names), kwargs['retry']['attempts']]\n"
        )
        items = bench.items(Item(1, {"block_uuid": "rome", "city": "Rome"}), Item(2, None))
        told = bench.submit(block, [items], 2, names=bench.names(2, items), failures={1: 2})
        bench.finish()
        assert told.value(0) == ["block_0", "block_0:rome", 0, "north", "Rome", "run-1", 1]
        assert told.value(1) == ["block_0", "block_0:1", 1, "north", None, "run-1", 3]

    def test_a_label_of_several_parts_is_joined_by_dots(self, bench: Bench) -> None:
        """The one axis over the items of several runs: each label is that of the run, then that of the item."""
        names = ("block_run_uuid", "dynamic_block_index", "dynamic_block_key", "region", "city", "both")
        block = bench.block(
            f"@transformer\ndef keywords(item, **kwargs):\n    return [kwargs.get(name) for name in {names}]\n"
        )
        north = Item(None, {"block_uuid": "north", "region": 1, "both": "run"})
        items = bench.items(Item(10, {"block_uuid": "a", "city": 2, "both": "item"}), Item(11, None), Item(12, None))
        runs = tuple(span for _ in range(2) for span in bench.items(north)) + bench.items(Item(None, None))
        parts = NamePart((0, 0, 1), runs), NamePart((5, 6, 5), items)
        told = bench.submit(block, [items], 3, names=(parts,))
        bench.finish()
        assert told.values() == {
            0: ["block_0:north.a", 0, (0,), 1, 2, "item"],
            1: ["block_0:north.6", 1, (1,), 1, None, "run"],
            2: ["block_0:1.5", 2, (2,), "north", None, None],
        }

    def test_labels_are_the_indices_of_the_items_where_nothing_names_them(self, bench: Bench) -> None:
        """Within the run that gave them, whatever their place on the axis."""
        block = bench.block("@transformer\ndef name(item, **kwargs):\n    return kwargs['block_run_uuid']\n", axes=2)
        names = ((NamePart((0, 1), None),), (NamePart((0, 1), None), NamePart((3, 0), None)))
        told = bench.submit(block, [bench.items(1, 2)], 2, names=names)
        bench.finish()
        assert told.values() == {0: "block_0:0:0.3", 1: "block_0:1:1.0"}

    # Digests

    def test_digests_tell_outputs_apart_and_equal_ones_not(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef same(value):\n    return value\n", digests=True)
        values = [1, 2, [1], (1,), ["1", "23"], ["12", "3"], (1, b"x"), 1, [1], (1, b"x")]
        told = bench.over_items(block, values)
        digests = [told.digests[position] for position in range(len(values))]
        assert digests[7:] == [digests[0], digests[2], digests[6]]
        assert len(set(digests)) == 7

    def test_digests_are_those_of_completed_runs_in_their_order(self, bench: Bench) -> None:
        blocks = [bench.block(f"@transformer\n{kind}def f(n):\n    return 4 // n\n", digests=True) for kind in KINDS]
        plain, concurrent = (bench.over_items(block, [1, 0, 2, 0, 4], width=5) for block in blocks)
        assert sorted(plain.digests) == sorted(concurrent.digests) == [0, 2, 4]
        assert plain.digests == concurrent.digests

    def test_a_digest_that_nobody_wants_is_not_made(self, bench: Bench) -> None:
        assert not bench.over_items(bench.block(DOUBLE), range(3)).digests

    # Failures

    def test_a_failing_child_does_not_stop_its_siblings(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef divide(number):\n    return helper(number)\n\n"
            "def helper(number):\n    return 10 // number\n"
        )
        told = bench.over_items(block, [1, 0, 5])
        assert told.values() == {0: 10, 2: 2}
        assert told.where(FAILED) == [1]
        assert told.failure.error.startswith("ZeroDivisionError: ")
        assert not told.failure.for_good

    def test_a_traceback_shows_the_users_frames_only(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef divide(number):\n    try:\n        helper(number)\n"
            "    except ValueError as error:\n        raise KeyError('outer') from error\n\n"
            "def helper(number):\n    raise ValueError('inner')\n"
        )
        failure = bench.over_items(block, [0]).failure
        path = str(bench.file(block))
        frames = [line for line in failure.traceback.splitlines() if line.lstrip().startswith("File ")]
        assert len(frames) == 3
        assert all(path in frame for frame in frames)
        assert "raise ValueError('inner')" in failure.traceback
        assert failure.traceback.rstrip().endswith("KeyError: 'outer'")

    def test_the_line_of_an_error_is_its_type_and_the_first_line_of_its_message(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef fail(kind):\n"
            "    error = ValueError('rows are missing\\nrow 5\\nrow 9')\n"
            "    if kind == 'noted':\n        error.add_note('seen on a Tuesday')\n"
            "    raise error\n"
        )
        told = bench.over_items(block, ["plain", "noted"])
        assert {failure.error for failure in told.failures.values()} == {"ValueError: rows are missing"}
        assert "row 9" in told.failures[0].traceback
        assert "seen on a Tuesday" in told.failures[1].traceback

    def test_failures_that_differ_in_numbers_and_names_are_of_one_group(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef fail(n):\n    raise ValueError(f'user {n} has no {chr(97 + n)!r}')\n")
        told = bench.over_items(block, range(3))
        assert len({failure.group for failure in told.failures.values()}) == 1
        assert len({failure.error for failure in told.failures.values()}) == 3

    @pytest.mark.parametrize(
        ("statement", "error"),
        [
            ("import sys; sys.exit(3)", "SystemExit: 3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise GeneratorExit", "GeneratorExit"),
            ("class Own(BaseException): pass\n        raise Own('mine')", "Own: mine"),
        ],
        ids=["sys.exit", "KeyboardInterrupt", "GeneratorExit", "own"],
    )
    def test_no_exception_ends_more_than_its_child(self, bench: Bench, statement: str, error: str) -> None:
        block = bench.block(f"@transformer\ndef leave(n):\n    if n == 1:\n        {statement}\n    return n\n")
        told = bench.over_items(block, range(3))
        assert told.values() == {0: 0, 2: 2}
        assert told.failure.error.endswith(error)

    def test_recursion_without_end_fails_its_child(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef fall(n):\n    return fall(n) if n else n\n")
        told = bench.over_items(block, range(3))
        assert told.values() == {0: 0}
        assert {failure.error[:14] for failure in told.failures.values()} == {"RecursionError"}

    @pytest.mark.parametrize(
        "returned",
        ["__import__('threading').Lock()", "[(i for i in 'ab')]", "Broken()"],
        ids=["lock", "generator", "raises"],
    )
    def test_an_output_that_cannot_be_stored_fails_its_child(self, bench: Bench, returned: str) -> None:
        block = bench.block(
            "class Broken:\n    def __reduce__(self):\n        raise ValueError('not me')\n\n"
            f"@transformer\ndef give(n):\n    return {returned} if n == 1 else n\n"
        )
        told = bench.over_items(block, range(3))
        assert told.values() == {0: 0, 2: 2}
        assert "stored" in told.failure.error

    def test_a_generator_of_a_block_that_is_not_dynamic_is_an_error_that_says_so(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef give(n):\n    if n == 1:\n        return (i for i in 'ab')\n    return n\n"
        )
        told = bench.over_items(block, range(3))
        assert told.values() == {0: 0, 2: 2}
        assert "not dynamic" in told.failure.error
        assert "dynamic: true" in told.failure.traceback

    def test_arguments_that_do_not_fit_are_an_error_with_the_signature(self, bench: Bench) -> None:
        told = bench.over_items(bench.block("@transformer\ndef two(a, b):\n    return a\n"), [1])
        assert "two(a, b)" in told.failure.error

    @pytest.mark.parametrize(
        "kind", [InputKind.ITEM, InputKind.CHILD, InputKind.STATIC, InputKind.REDUCED], ids=lambda kind: kind.value
    )
    @pytest.mark.parametrize("action", ["raise ValueError('unreadable')", "raise SystemExit"], ids=["raises", "exits"])
    def test_an_input_that_cannot_be_read_back_fails_its_children_alone(
        self, bench: Bench, kind: InputKind, action: str
    ) -> None:
        maker = bench.block(
            "class Broken:\n    def __reduce__(self):\n        return _restore, ()\n\n"
            f"def _restore():\n    {action}\n\n"
            "@transformer\ndef make(n):\n    return Broken()\n"
        )
        reader = bench.block("@transformer\ndef read(value):\n    return 1\n", (kind,))
        sound = bench.block(DOUBLE)
        if kind is InputKind.ITEM:
            giver = bench.block(
                bench.file(maker).read_text().replace("return Broken()", "yield Broken()"), dynamic=True
            )
            told = bench.over_items(giver, [1])
            inputs = tuple(_span(report.chunk, report.first) for report in told.produced)
        else:
            told = bench.over_items(maker, [1])
            inputs = (_span(*told.outputs[0]),)
        read = bench.submit(reader, [inputs], 1)
        after = bench.submit(sound, [bench.items(4)], 1)
        bench.finish()
        assert read.outcome is FAILED
        assert read.failure.error
        assert after.value() == 8

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("@transformer\ndef broken(:\n", "syntax error"),
            ("import no_such_module_at_all\n\n@transformer\ndef f(n):\n    return n\n", "no_such_module_at_all"),
            ("def undecorated(n):\n    return n\n", "@transformer"),
            ("raise SystemExit(3)\n", "SystemExit"),
            ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ],
        ids=["syntax", "import", "undecorated", "exits", "interrupts"],
    )
    def test_a_file_that_cannot_be_loaded_fails_every_run_of_its_block_alone(
        self, bench: Bench, code: str, says: str
    ) -> None:
        broken, sound = bench.block(code), bench.block(DOUBLE)
        told = bench.over_items(broken, range(3))
        assert told.where(FAILED) == [0, 1, 2]
        assert all(says in failure.error for failure in told.failures.values())
        assert bench.over_items(sound, [1]).value() == 2

    # Conditions, tests, sensors

    def test_conditions_are_asked_child_by_child_with_the_blocks_arguments(self, bench: Bench) -> None:
        block = bench.block(DOUBLE, conditions="@condition\ndef odd(number, **kwargs):\n    return number % 2\n")
        told = bench.over_items(block, range(4))
        assert told.where(Outcome.CONDITION_FAILED) == [0, 2]
        assert told.values() == {1: 2, 3: 6}

    def test_a_condition_that_raises_fails_its_child(self, bench: Bench) -> None:
        block = bench.block(DOUBLE, conditions="@condition\ndef known(number):\n    return 1 // number\n")
        told = bench.over_items(block, [0, 1])
        assert told.where(FAILED) == [0]
        assert told.values() == {1: 2}

    def test_a_function_annotated_bool_that_says_false_completes_and_says_so(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef even(n) -> bool:\n    return n % 2 == 0\n")
        told = bench.over_items(block, range(3))
        assert told.where(COMPLETED) == [0, 2]
        assert told.where(Outcome.COMPLETED_FALSE) == [1]
        assert told.values() == {0: True, 1: False, 2: True}

    def test_a_test_that_does_not_hold_fails_its_child(self, bench: Bench) -> None:
        block = bench.block(
            DOUBLE + "\n@test\ndef small(output, *args):\n    assert output < 5, f'{output} is too much'\n"
        )
        told = bench.over_items(block, range(4))
        assert told.values() == {0: 0, 1: 2, 2: 4}
        assert "small: 6 is too much" in told.failure.error

    def test_a_sensor_is_asked_once_and_says_not_yet(self, bench: Bench) -> None:
        block = bench.block("@sensor\ndef ready(n):\n    return n > 1\n", (InputKind.ITEM,), kind=BlockType.SENSOR)
        told = bench.over_items(block, range(3))
        assert told.where(Outcome.NOT_YET) == [0, 1]
        assert told.values() == {2: True}

    # Callbacks

    CALLBACKS = """
@callback('success')
def well(output, **kwargs):
    print('success', output, kwargs['block_run_uuid'])

@callback('failure')
def badly(**kwargs):
    print('failure', type(kwargs['__error']).__name__, kwargs['block_run_uuid'])

@callback('cancelled')
def stopped(**kwargs):
    print('cancelled', kwargs['block_run_uuid'])
"""

    def test_callbacks_are_called_for_each_child_by_what_it_came_to(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef f(n):\n    return 4 // n\n", callbacks=self.CALLBACKS)
        bench.over_items(block, [0, 1, 2])
        bench.close()
        assert sorted(line.text for line in bench.log()) == [
            "failure ZeroDivisionError block_0:0",
            "success 2 block_0:2",
            "success 4 block_0:1",
        ]

    def test_an_output_that_cannot_be_stored_is_no_success_to_callbacks(self, bench: Bench) -> None:
        block = bench.block(
            "@transformer\ndef f(n):\n    return __import__('threading').Lock()\n", callbacks=self.CALLBACKS
        )
        bench.over_items(block, [0])
        bench.close()
        assert [line.text for line in bench.log()] == ["failure StoreError block_0:0"]

    @pytest.mark.parametrize("statement", ["raise ValueError('oops')", "raise SystemExit"], ids=["raises", "exits"])
    @pytest.mark.parametrize("status", ["success", "failure"])
    def test_a_callback_that_fails_changes_nothing_and_is_logged(
        self, bench: Bench, status: str, statement: str
    ) -> None:
        block = bench.block(
            "@transformer\ndef f(n):\n    return 4 // n\n",
            callbacks=f"@callback('{status}')\ndef back(*args, **kwargs):\n    {statement}\n",
        )
        told = bench.over_items(block, [0, 1])
        bench.close()
        assert told.values() == {1: 4}
        assert told.failure.error.startswith("ZeroDivisionError")
        assert any("callback back failed" in line.text for line in bench.log())

    # What is printed

    def test_what_is_printed_and_logged_is_kept_under_the_run_that_said_it(self, bench: Bench) -> None:
        block = bench.block(
            "import logging, sys\n\n@transformer\ndef speak(n, **kwargs):\n"
            "    print('out', n)\n    print('err', n, file=sys.stderr)\n"
            "    logging.getLogger('x').warning('log %s', n)\n"
            "    kwargs['logger'].info('info %s', n)\n    print('open', n, end='')\n"
        )
        bench.over_items(block, [Item(0, {"block_uuid": "zero"}), 1])
        bench.close()
        said = {(line.block_run, line.stream, line.text) for line in bench.log()}
        for number, name in enumerate(["block_0:zero", "block_0:1"]):
            assert {(stream, text) for run, stream, text in said if run == name} == {
                ("stdout", f"out {number}"),
                ("stdout", f"open {number}"),
                ("stderr", f"err {number}"),
                ("log", f"log {number}"),
                ("log", f"info {number}"),
            }

    # async def

    def test_async_children_run_side_by_side_up_to_the_width(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio\n\nbarrier = asyncio.Barrier(3)\nrunning = 0\nmost = 0\n\n"
            "@transformer\nasync def meet(n):\n    global running, most\n    running += 1\n"
            "    most = max(most, running)\n    await barrier.wait()\n    running -= 1\n    return most\n"
        )
        told = bench.over_items(block, range(9), width=3)
        assert set(told.values().values()) == {3}

    def test_async_children_fail_print_and_call_back_on_their_own(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio, sys\n\n@transformer\nasync def f(n):\n    await asyncio.sleep(0)\n    print('on', n)\n"
            "    await asyncio.sleep(0)\n    if n == 3:\n        sys.exit('left')\n    print('off', n)\n"
            "    return 4 // n\n",
            callbacks=self.CALLBACKS,
        )
        told = bench.over_items(block, range(4), width=4)
        bench.close()
        assert told.values() == {1: 4, 2: 2}
        assert [told.failures[at].error for at in (0, 3)] == [
            "ZeroDivisionError: integer division or modulo by zero",
            "SystemExit: left",
        ]
        said = {(line.block_run, line.text) for line in bench.log()}
        assert {("block_0:2", "on 2"), ("block_0:2", "off 2"), ("block_0:3", "on 3")} <= said
        assert ("block_0:3", "failure SystemExit block_0:3") in said

    def test_an_async_child_that_is_late_is_interrupted_and_its_siblings_are_not(self, bench: Bench) -> None:
        block = bench.block(
            "import asyncio\n\n@transformer\nasync def f(n):\n    await asyncio.sleep(600 if n == 1 else 0)\n"
            "    return n\n",
            timeout=0.2,
        )
        told = bench.over_items(block, range(3), width=3)
        assert told.values() == {0: 0, 2: 2}
        assert "longer than its timeout of 0.2 seconds" in told.failure.error

    # Timeouts and cancel

    @pytest.mark.parametrize("statement", ["while True: pass", "__import__('time').sleep(600)"], ids=["loop", "sleep"])
    def test_a_child_that_is_late_is_interrupted_and_its_siblings_are_not(self, bench: Bench, statement: str) -> None:
        block = bench.block(
            f"@transformer\ndef f(n):\n    if n == 1:\n        {statement}\n    return n\n", timeout=0.2
        )
        told = bench.over_items(block, range(3))
        assert told.values() == {0: 0, 2: 2}
        assert "longer than its timeout of 0.2 seconds" in told.failure.error
        assert "killed" not in told.failure.error

    @pytest.mark.parametrize(
        "body",
        [
            "def f(n):\n    try:\n        while n == 1: pass\n    except BaseException: pass\n    return n\n",
            "def f(n, **kwargs):\n    try:\n        while n == 1: pass\n    finally:\n        return n\n",
            "async def f(n):\n    try: await asyncio.sleep(600 * (n == 1))\n    finally: return n\n",
            "async def f(n):\n    time.sleep(0.4 if n == 1 else 0)\n    return n\n",
        ],
        ids=["swallows", "returns at last", "async", "never awaits"],
    )
    def test_a_child_that_does_not_mind_its_timeout_was_late_all_the_same(self, bench: Bench, body: str) -> None:
        told = bench.over_items(
            bench.block("import asyncio, time\n\n@transformer\n" + body, timeout=0.2), [0, 1, 2], width=1
        )
        assert told.values() == {0: 0, 2: 2}
        assert told.failure.error == "BlockTimeoutError: ran longer than its timeout of 0.2 seconds"

    def test_a_child_that_was_late_tells_its_callback(self, bench: Bench) -> None:
        block = bench.block("@transformer\ndef f(n):\n    while True: pass\n", timeout=0.1, callbacks=self.CALLBACKS)
        bench.over_items(block, [0])
        bench.close()
        assert [line.text for line in bench.log()] == ["failure BlockTimeoutError block_0:0"]

    def test_a_cancel_before_anything_began_is_reported_for_every_run(self, bench: Bench) -> None:
        sync, asynchronous = bench.block(DOUBLE), bench.block(DOUBLE.replace("def", "async def"))
        dynamic = bench.block("@data_loader\ndef f():\n    yield 1\n", (), kind=BlockType.DATA_LOADER, dynamic=True)
        told = [
            bench.submit(block, [bench.items(*range(50))] if block != dynamic else [], 50, width=10)
            for block in (sync, asynchronous, dynamic)
        ]
        bench.cancel()
        bench.finish()
        assert {outcome for each in told for outcome in each.outcomes.values()} <= {COMPLETED, Outcome.CANCELLED}

    def test_runs_of_two_projects_do_not_see_each_other(self, executor: Executor, tmp_path: Path) -> None:
        benches = [Bench(tmp_path / name, executor, f"run-{name}") for name in ("one", "two")]
        told = []
        for bench in benches:
            (bench.project / f"only_{bench.project.name}.py").write_text(f"NAME = '{bench.project.name}'\n")
            name = f"only_{bench.project.name}"
            block = bench.block(f"import {name}\n\n@transformer\ndef f(n):\n    return {name}.NAME\n")
            told.append(bench.submit(block, [bench.items(1)], 1))
        for _ in range(600):
            if all(each.complete for each in told):
                break
            reports = executor.wait(0.1)
            for bench in benches:
                bench.hear(reports)
        assert [each.value() for each in told] == ["one", "two"]
        for bench in benches:
            bench.close()


def _span(chunk: ChunkRef, position: int) -> Span:

    return Span(chunk, position, position + 1)
