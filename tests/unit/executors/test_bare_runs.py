"""Runs that are nothing but a call take a short way; whatever they are called with, they come to the same as by the
long one, which the runs of a block take that has conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.executors import bare_runs
from refold.executors.inline import InlineExecutor
from refold.executors.worker import open_output_store
from refold.ports.executor import InputKind, Spans
from refold.ports.output_store import Item
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench
from refold.testing.told import Told


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


FRAME = pd.DataFrame({"n": [1, 2]})
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**63, -(2**63), 1.5, math.nan, math.inf, -0.0, "\ud800", "", b"x", date(2024, 1, 2)])
    | st.sampled_from([Colour.RED, Text("a"), FRAME])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b"]) | st.integers(0, 1), inner, max_size=2)
    ),
    max_leaves=5,
)
batches = st.lists(values, min_size=1, max_size=12)

BODIES = {
    "as it is": "    return value\n",
    "in a list": "    return [value]\n",
    "in a tuple": "    return value, value\n",
    "twice": "    return [value, value]\n",
    "changed": "    if type(value) in (list, dict):\n        value.clear()\n    return value\n",
    "kept by others": "    kept.append(value)\n    return kept\n",
    "changed later": "    [each.append('late') for each in kept]\n    kept.append([value])\n    return kept[-1]\n",
    "sometimes fails": "    return 1 / len(value)\n",
    "sometimes leaves": "    if value is None:\n        raise SystemExit(3)\n    return type(value).__name__\n",
    "a generator": "    return (each for each in [value])\n",
    "prints": "    print(type(value).__name__, end='')\n    return 1\n",
    "takes the streams": "    import io, sys\n    sys.stdout = io.StringIO()\n    print('lost')\n",
}
SIGNATURES = ["value", "value, *more", "value=5", "value, **kwargs", "value: dict", "*values", "value, other"]
ALWAYS = "@condition\ndef always(*_values, **_keywords):\n    return True\n"


@contextmanager
def an_inline_bench() -> Iterator[Bench]:
    executor = InlineExecutor(open_output_store)
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), executor)
        yield bench
        bench.close()
        executor.close()


def code(body: str, signature: str = "value") -> str:
    first = "    value = values[0]\n" if signature == "*values" else ""
    return f"{'kept = []' if 'kept' in body else ''}\n\n@transformer\ndef f({signature}):\n{first}{body}"


def picture(value: object) -> object:
    """The value with every type spelled out."""
    if isinstance(value, dict):
        return [(picture(key), picture(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [picture(inner) for inner in value]
    if isinstance(value, pd.DataFrame):
        return value.to_dict("list")
    return type(value), repr(value)


def came_of(told: Told) -> list[object]:
    """What each run came to."""
    return [
        (
            outcome,
            told.failures[position].error if position in told.failures else None,
            (told.output(position).shape, picture(told.value(position))) if position in told.outputs else None,
        )
        for position, outcome in sorted(told.outcomes.items())
    ]


def both_ways(bench: Bench, text: str, kind: InputKind, inputs: Spans, length: int) -> tuple[Told, Told]:
    """What came of the same runs by the short way and by the long one."""
    blocks = bench.block(text, (kind,)), bench.block(text, (kind,), conditions=ALWAYS)
    short, long = (bench.submit(block, [inputs], length) for block in blocks)
    bench.finish()
    return short, long


@settings(max_examples=60)
@given(st.data())
def test_runs_come_to_the_same_by_either_way(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([InputKind.ITEM, InputKind.CHILD]))
    text = code(data.draw(st.sampled_from(sorted(BODIES.values()))), data.draw(st.sampled_from(SIGNATURES)))
    with an_inline_bench() as bench:
        store: Callable[..., Spans] = bench.items if kind is InputKind.ITEM else bench.outputs
        first, second = data.draw(batches), data.draw(batches)
        inputs = (*store(*first), *store(*second))
        short, long = both_ways(bench, text, kind, inputs, len(first) + len(second))
        assert came_of(short) == came_of(long)
        again = bench.submit(short.batch.block, [inputs], short.batch.length)
        bench.finish()
        if "kept" not in text:
            assert came_of(again) == came_of(short), "nobody's input was changed"


@pytest.mark.parametrize("kind", [InputKind.ITEM, InputKind.CHILD], ids=lambda kind: kind.value)
@pytest.mark.parametrize("signature", SIGNATURES)
def test_lists_and_tuples_are_outputs_of_children_by_either_way(kind: InputKind, signature: str) -> None:
    given: list[object] = [[1, 2], [3], [], (4, 5), (6,), (), {"a": 7}, [[8]], 9, None, [None]]
    with an_inline_bench() as bench:
        inputs = bench.items(*given) if kind is InputKind.ITEM else bench.outputs(*given)
        short, long = both_ways(bench, code(BODIES["as it is"], signature), kind, inputs, len(given))
        assert came_of(short) == came_of(long)


@pytest.mark.parametrize("body", ["prints", "takes the streams"])
def test_what_runs_print_is_theirs_by_either_way(body: str) -> None:
    with an_inline_bench() as bench:
        text = code("    print(value)\n" + BODIES[body])
        short, long = both_ways(bench, text, InputKind.ITEM, bench.items(1, "x", (2,)), 3)
        bench.close()
        said = [(line.block_run.partition(":"), line.stream, line.text) for line in bench.log()]
        by_block = [
            [(label, *rest) for (block, _, label), *rest in said if block == f"block_{told.batch.block}"]
            for told in (short, long)
        ]
        assert by_block[0] == by_block[1]
        assert next(text for _, _, text in by_block[0]) == "1"
        assert {label for label, _, _ in by_block[0]} == {"0", "1", "2"}


@settings(max_examples=20)
@given(batches, st.sampled_from([InputKind.STATIC, InputKind.REDUCED]))
def test_an_input_that_runs_share_is_each_ones_own(returned: list[object], kind: InputKind) -> None:
    with an_inline_bench() as bench:
        inputs = bench.outputs(*(returned if kind is InputKind.REDUCED else returned[:1]))
        short, long = both_ways(bench, code(BODIES["changed"]), kind, inputs, 3)
        assert came_of(short) == came_of(long)
        assert len({repr(each) for each in came_of(short)}) == 1


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_keywords_are_the_same_by_either_way_and_each_runs_own(named: list[bool]) -> None:
    text = (
        "@transformer\ndef f(value, *, region, **kwargs):\n"
        "    new = not kwargs['context'] and kwargs['retry'].pop('attempts')\n"
        "    kwargs['context']['seen'] = True\n"
        "    names = 'block_run_uuid', 'dynamic_block_index', 'dynamic_block_key', 'at', 'pipeline_run_id', 'ds'\n"
        "    return new, region, [kwargs.get(name) for name in names]\n"
    )
    taken: dict[str, object] = {"region": "south", "block_run_uuid": "taken", "dynamic_block_key": 1}
    given = [{**taken, "block_uuid": f"x:{at}", "at": at} if one else None for at, one in enumerate(named)]
    with an_inline_bench() as bench:
        items = bench.items(*(Item(at, metadata) for at, metadata in enumerate(given)))
        names = bench.names(len(named), items if any(named) else None)
        blocks = bench.block(text), bench.block(text, conditions=ALWAYS)
        told = [bench.submit(block, [items], len(named), names=names, failures={0: 2}) for block in blocks]
        bench.finish()
        for block, each in zip(blocks, told, strict=True):
            for at, one in enumerate(named):
                uuid = f"block_{block}:x%3A{at}" if one else f"block_{block}:{at}"
                kept = [uuid, at, (at,), at if one else None, "run-1", "2023-11-14"]
                assert each.value(at) == (1 if at else 3, "south" if one else "north", kept)


def test_a_run_with_a_timeout_takes_the_short_way_and_is_interrupted() -> None:
    with an_inline_bench() as bench:
        text = "import time\n\n@transformer\ndef f(n):\n    time.sleep(600 if n == 1 else 0)\n    return n\n"
        told = bench.over_items(bench.block(text, timeout=0.1), [0, 1, 2])
        assert told.values() == {0: 0, 2: 2}
        assert told.failure.error == "BlockTimeoutError: ran longer than its timeout of 0.1 seconds"


def test_a_run_begins_when_the_one_before_it_has_ended() -> None:
    with an_inline_bench() as bench:
        told = bench.over_items(bench.block(code(BODIES["sometimes fails"])), ["a", "", "b", [], (1,), {"a": 1}] * 50)
        times = [told.times[position] for position in range(300)]
        assert all(began <= ended for began, ended in times)
        assert all(ended <= began + 1e-3 for (_, ended), (began, _) in pairwise(times))
        assert len(told.where(Outcome.FAILED)) == 100


def test_large_outputs_are_published_before_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare_runs, "LARGEST", 1000)
    with an_inline_bench() as bench:
        told = bench.over_items(bench.block("@transformer\ndef f(n):\n    return 'x' * 400\n"), range(30))
        assert len(told.chunks) == 10
        assert told.values() == dict.fromkeys(range(30), "x" * 400)
