"""Of what children get and return, one at a time is in memory: what may be large is gone before the next one comes."""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.executors.inline import InlineExecutor
from refold.executors.worker import open_output_store
from refold.scheduler.events import Outcome
from refold.testing.executor_bench import Bench


class Counted:
    """A value that is stored as a pickle, and knows how many like it there are."""

    alive: weakref.WeakSet[Counted]
    when_made: list[int]
    """How many there were before, whenever one was made."""
    when_stored: list[int]
    """How many there were, whenever one was stored."""

    def __init__(self) -> None:
        Counted.when_made.append(len(Counted.alive))
        Counted.alive.add(self)

    def __reduce__(self) -> tuple[type[Counted], tuple[()]]:
        Counted.when_stored.append(len(Counted.alive))
        return Counted, ()


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that blocks import, and that pickles name."""
    module = types.ModuleType("counted")
    module.__dict__["Counted"] = Counted
    monkeypatch.setitem(sys.modules, "counted", module)
    monkeypatch.setattr(Counted, "__module__", "counted")
    Counted.alive, Counted.when_made, Counted.when_stored = weakref.WeakSet(), [], []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    executor = InlineExecutor(open_output_store)
    bench = Bench(tmp_path / "project", executor)
    yield bench
    bench.close()
    executor.close()


def run_over_four(bench: Bench, code: str, outcome: Outcome = Outcome.COMPLETED) -> None:
    """Runs a block over four of them; from then on is counted."""
    block, items = bench.block("from counted import Counted\n\n" + code), bench.items(*(Counted() for _ in range(4)))
    Counted.when_made.clear()
    Counted.when_stored.clear()
    told = bench.submit(block, [items], 4)
    bench.finish()
    assert [told.outcomes[at] for at in range(4)] == [outcome] * 4


TAKE = "@transformer\ndef take(value{more}):\n    return 1\n"
WAYS = pytest.mark.parametrize(
    ("more", "beside"),
    [("", ""), (", **kwargs", ""), ("", "\n@test\ndef check(output):\n    assert output\n")],
    ids=["bare", "keywords", "tested"],
)


@WAYS
def test_an_input_is_gone_before_the_next_one_is_read(bench: Bench, more: str, beside: str) -> None:
    run_over_four(bench, TAKE.format(more=more) + beside)
    assert Counted.when_made == [0, 0, 0, 0]


def test_an_input_of_a_run_that_failed_is_gone_too(bench: Bench) -> None:
    run_over_four(bench, "@transformer\ndef fail(value):\n    raise ValueError\n", Outcome.FAILED)
    assert Counted.when_made == [0, 0, 0, 0]


@pytest.mark.parametrize("more", ["", ", **kwargs"], ids=["bare", "keywords"])
def test_an_input_is_gone_before_the_output_is_stored_and_that_before_the_next_input(bench: Bench, more: str) -> None:
    run_over_four(bench, f"@transformer\ndef give(value{more}):\n    return Counted()\n")
    assert Counted.when_made == [0, 1] * 4
    assert set(Counted.when_stored) == {1}


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("item", ["Counted()", "(Counted(), {'block_uuid': str(number)})"], ids=["bare", "named"])
def test_an_item_is_gone_before_the_generator_goes_on(bench: Bench, kind: str, item: str) -> None:
    code = f"@data_loader\n{kind} give():\n    for number in range(4):\n        yield {item}\n"
    told = bench.produce(bench.producer("from counted import Counted\n\n" + code))
    assert told.outcome is Outcome.COMPLETED
    assert Counted.when_made == [0, 0, 0, 0]
