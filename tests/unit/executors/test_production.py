"""What one run of a dynamic block gives, up to its limit and in whichever way it gives it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.executors.inline import InlineExecutor
from refold.executors.worker import open_output_store
from refold.model.keys import BlockUuid
from refold.ports.executor import NamedWait
from refold.scheduler.events import OPEN, Outcome
from refold.testing.executor_bench import PLENTY, Bench
from refold.testing.told import Told

LIST = "@data_loader\ndef give():\n    return [[{items}], [{metadata}]]\n"
FRAME = "import pandas as pd\n@data_loader\ndef give():\n    return [pd.DataFrame({{'n': [{items}]}}), [{metadata}]]\n"
GENERATOR = """
@data_loader
def give():
    try:
        for item in zip([{items}], [{metadata}]):
            yield item
    finally:
        print('closed')
"""
ASYNC = GENERATOR.replace("def give", "async def give")
WAYS = pytest.mark.parametrize("way", [LIST, FRAME, GENERATOR, ASYNC], ids=["list", "frame", "generator", "async"])
GENERATORS = pytest.mark.parametrize("way", [GENERATOR, ASYNC], ids=["generator", "async"])
WHOLE = pytest.mark.parametrize("way", [LIST, FRAME], ids=["list", "frame"])
SEEING = """
@test
def look(items, metadata):
    print('seen', len(items), [each['block_uuid'] for each in metadata])
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    executor = InlineExecutor(open_output_store)
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()
    executor.close()


def code(way: str, *named: str) -> str:
    """A block that gives one item for each of these: `a` is its label, `b(a,c)` one that names others."""
    metadata = []
    for each in named:
        label, _, names = each.rstrip(")").partition("(")
        order = f", 'upstream_blocks': {names.split(',')}" if names else ""
        metadata.append(f"{{'block_uuid': '{label}'{order}}}")
    return way.format(items=", ".join(map(str, range(len(named)))), metadata=", ".join(metadata))


def labels(told: Told) -> list[object]:
    return [(item.metadata or {}).get("block_uuid") for item in told.items()]


def printed(bench: Bench) -> list[str]:
    return [line.text for line in bench.log()]


@WAYS
def test_as_many_items_as_the_limit_are_given_without_a_word(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "c"), max_items=3))
    assert (labels(told), told.outcome) == (["a", "b", "c"], Outcome.COMPLETED)
    bench.close()
    assert not [line for line in printed(bench) if "max_child_block_runs" in line]


@WHOLE
def test_a_list_beyond_the_limit_fails_for_good_before_any_item_is_given(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "c"), max_items=2))
    assert told.outcome is Outcome.FAILED_FOR_GOOD
    assert told.failure.error == "ChildLimitError: gave 3 items, and `max_child_block_runs` admits 2"
    assert not told.produced


@GENERATORS
def test_a_generator_fails_for_good_at_the_item_too_many_and_is_closed(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "c", "d"), max_items=2))
    assert told.outcome is Outcome.FAILED_FOR_GOOD
    assert told.failure.error == "ChildLimitError: gave more than 2 items, and `max_child_block_runs` admits 2"
    assert labels(told) == ["a", "b"]
    bench.close()
    assert printed(bench) == ["closed"]


@WAYS
def test_what_is_beyond_the_limit_may_be_left_out_with_one_warning(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "c", "d") + SEEING, max_items=2, cuts_items=True))
    assert (labels(told), told.outcome) == (["a", "b"], Outcome.COMPLETED)
    bench.close()
    warnings = [line for line in bench.log() if "max_child_block_runs" in line.text]
    assert [(line.block_run, line.level) for line in warnings] == [("block_0", "WARNING")]
    assert "seen 2 ['a', 'b']" in printed(bench)


@GENERATORS
def test_a_generator_is_closed_where_the_rest_is_left_out(bench: Bench, way: str) -> None:
    bench.produce(bench.producer(code(way, "a", "b"), max_items=1, cuts_items=True))
    bench.close()
    assert "closed" in printed(bench)


@GENERATORS
def test_a_generator_that_fails_when_the_rest_is_left_out_fails(bench: Bench, way: str) -> None:
    block = code(way, "a", "b").replace("print('closed')", "raise ValueError('closing')")
    told = bench.produce(bench.producer(block, max_items=1, cuts_items=True))
    assert told.failure.error == "ValueError: closing"


@GENERATORS
def test_the_limit_counts_items_of_an_earlier_attempt(bench: Bench, way: str) -> None:
    block = bench.producer(code(way, "a", "b", "c"), max_items=2, cuts_items=True)
    told = bench.produce(block, known=bench.produce(block).fingerprints()[:8])
    assert (labels(told), told.outcome) == (["b"], Outcome.COMPLETED)


@WAYS
def test_items_wait_for_items_before_and_behind_them_and_for_blocks(bench: Bench, way: str) -> None:
    clean, load = BlockUuid("clean"), BlockUuid("load")
    block = bench.producer(
        code(way, "a(c,clean:b)", "b(load)", "c(b)"), siblings=frozenset({clean}), statics=frozenset({load})
    )
    told = bench.produce(block)
    assert told.outcome is Outcome.COMPLETED
    resolved = {wait for wait in told.waits() if wait.target != OPEN}
    assert resolved == {
        NamedWait(0, None, 2),
        NamedWait(0, clean, 1),
        NamedWait(1, load, None),
        NamedWait(2, None, 1),
    }


@GENERATORS
def test_what_comes_together_is_never_told_as_open(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a(b,c)", "b", "c")))
    for report in told.produced:
        stop = report.start + report.length
        closed = [wait for wait in report.waits if wait.target != OPEN and wait.item >= report.start]
        open_ones = [wait for wait in report.waits if wait.target == OPEN]
        later = [wait for other in told.produced for wait in other.waits if other.start >= stop]
        assert len(open_ones) == len([wait for wait in later if wait.item < stop and wait.target != OPEN])
        assert len(closed) + len(open_ones) == (2 if report.start == 0 else 0)


@GENERATORS
def test_what_is_known_does_not_stand_for_what_is_still_to_come(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b(z,a)", "z")), credit=2)
    first = told.waits()
    bench.pull(told, 9)
    bench.finish()
    assert sorted(first) == [NamedWait(1, None, OPEN), NamedWait(1, None, 0)]
    assert told.waits()[2:] == [NamedWait(1, None, 2)]


@WHOLE
@pytest.mark.parametrize(
    ("named", "error"),
    [
        (["a", "b(z)"], "DependencyError: item 'b' waits for 'z', and no item of that name came"),
        (["a(b)", "b(a)"], "DependencyError: items wait for each other in a circle: 'b' -> 'a' -> 'b'"),
    ],
)
def test_a_wrong_order_of_a_list_fails_before_any_item_is_given(
    bench: Bench, way: str, named: list[str], error: str
) -> None:
    told = bench.produce(bench.producer(code(way, *named)))
    assert (told.outcome, told.failure.error) == (Outcome.FAILED, error)
    assert not told.produced


@GENERATORS
def test_a_name_that_never_came_fails_a_generator_at_its_end(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a(z)", "b")))
    assert told.failure.error == "DependencyError: item 'a' waits for 'z', and no item of that name came"
    assert labels(told) == ["a", "b"]


@GENERATORS
def test_a_circle_fails_a_generator_at_the_item_that_closes_it(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a(b)", "b(a)", "c")))
    assert told.failure.error.startswith("DependencyError: items wait for each other in a circle")
    assert labels(told) == ["a"]


@WAYS
def test_a_name_that_was_left_out_with_the_rest_fails(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a(c)", "b", "c"), max_items=2, cuts_items=True))
    assert told.failure.error.endswith("no item of that name came; the items after the first 2 were left out")


@pytest.mark.parametrize("way", [LIST, GENERATOR, ASYNC], ids=["list", "generator", "async"])
def test_another_attempt_tells_what_new_items_wait_for_and_what_waited_for_them(bench: Bench, way: str) -> None:
    block = bench.producer(code(way, "a(c)", "b", "c(b)"))
    whole = bench.produce(block)
    told = bench.produce(block, known=whole.fingerprints()[:16])
    assert labels(told) == ["c"]
    assert sorted(told.waits()) == [NamedWait(0, None, 2), NamedWait(2, None, 1)]


@WHOLE
def test_labels_of_a_list_are_told_apart_before_any_item_is_given(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "a")))
    assert told.failure.error.startswith("DuplicateLabelError: items 0 and 2 are both named 'a'")
    assert not told.produced


@GENERATORS
def test_a_generator_gives_back_its_slot_at_its_credit_and_goes_on(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b", "c") + SEEING), credit=1)
    assert (labels(told), told.paused) == (["a"], {0})
    bench.pull(told, 5)
    bench.finish()
    assert (labels(told), told.outcome) == (["a", "b", "c"], Outcome.COMPLETED)
    bench.close()
    assert printed(bench)[:2] == ["closed", "seen 3 ['a', 'b', 'c']"]


@GENERATORS
def test_a_paused_generator_that_is_cancelled_is_closed(bench: Bench, way: str) -> None:
    told = bench.produce(bench.producer(code(way, "a", "b")), credit=1)
    bench.cancel()
    bench.finish()
    assert told.outcome is Outcome.CANCELLED
    bench.close()
    assert printed(bench) == ["closed"]


@GENERATORS
def test_a_generator_that_gives_other_items_than_before_fails_for_good(bench: Bench, way: str) -> None:
    block, other = bench.producer(code(way, "a", "b")), bench.producer(code(way, "a", "c"))
    told = bench.produce(other, known=bench.produce(block).fingerprints())
    assert told.outcome is Outcome.FAILED_FOR_GOOD
    assert "another item at index 1" in told.failure.error


# Items of which nothing is special are given by a shorter way

plain: st.SearchStrategy[object] = st.integers(0, 2) | st.sampled_from([None, "", 1.5, [], {"a": [1]}, {"b": "x"}])
special = st.sampled_from([(1,), (1, 2), math.nan, 2**70, b"x", "\ud800", date(2024, 1, 2)])
named = st.tuples(plain, st.fixed_dictionaries({"block_uuid": st.sampled_from(["a", "b", "1", "2", "", None])}))
waiting = st.tuples(plain, st.just({"block_uuid": "w", "upstream_blocks": ["a"]}))
YIELDS = "from datetime import date\nimport math\nnan = math.nan\ndate = date\n" + GENERATOR.replace(
    "zip([{items}], [{metadata}])", "[{items}]"
).replace("            yield item\n", "            yield item\n            changed(item)\n").replace(
    "@data_loader",
    "def changed(item):\n    if type(item) in (list, dict):\n        item.clear()\n\n@data_loader",
)


def told_of(told: Told) -> object:
    """All that was told of a run."""
    failure = told.failures.get(0)
    items = [(repr(item.value), item.metadata) for item in told.items()]
    return items, told.outcome, told.fingerprints(), told.waits(), failure.error if failure else None


@settings(max_examples=60)
@given(
    st.lists(plain | plain | special | named | waiting, max_size=12),
    st.integers(1, 5),
    st.sampled_from([1, 20, PLENTY]),
    st.none() | st.integers(1, 12),
    st.booleans(),
    st.booleans(),
)
def test_items_are_the_same_by_the_short_way_and_by_the_long_one(
    items: list[object], credit: int, credit_bytes: int, most: int | None, cuts: bool, is_async: bool
) -> None:
    text = YIELDS.format(items="".join(f"{_source(item)}, " for item in items))
    text = text.replace("def give", "async def give") if is_async else text
    executor = InlineExecutor(open_output_store)
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), executor)
        blocks = [bench.producer(text, max_items=most, cuts_items=cuts, timeout=timeout) for timeout in (None, 600.0)]
        told = [bench.produce(block, credit=credit, credit_bytes=credit_bytes) for block in blocks]
        pulls = [pulled(bench, each, credit, credit_bytes) for each in told]
        assert told_of(told[0]) == told_of(told[1])
        assert pulls[0] == pulls[1]
        bench.close()
        executor.close()


def pulled(bench: Bench, told: Told, credit: int, credit_bytes: int) -> list[int]:
    """Lets a generator come to its end; how many items it had given at each pause."""
    given = []
    while told.paused:
        given.append(len(told.items()))
        bench.pull(told, credit, size=credit_bytes)
        bench.rest()
    return given


def _source(item: object) -> str:
    return "date(2024, 1, 2)" if isinstance(item, date) else repr(item)


def test_what_an_async_generator_has_begun_goes_on_though_it_waits_for_nothing(bench: Bench) -> None:
    told = bench.produce(
        bench.producer(
            "import asyncio\n\nasync def mark(seen):\n    seen.append(1)\n\n"
            "@data_loader\nasync def give():\n    seen = []\n    task = asyncio.create_task(mark(seen))\n"
            "    for _ in range(300):\n        yield len(seen)\n"
        )
    )
    assert (told.item_values()[0], told.item_values()[-1]) == (0, 1)
