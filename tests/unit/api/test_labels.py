"""Keys become labels and labels keys, whatever kind of axis they stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader
from refold.errors import NotFoundError
from refold.model.keys import Key


@pytest.fixture
def run(market: Pipeline) -> Iterator[RunReader]:
    with pytest.raises(Exception, match="no partner"):
        market.execute_sync()
    reader = RunReader.open("latest", market.project)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("block", "key", "labels"),
    [
        ("users", (), ()),
        ("orders", (2,), ("cyn",)),
        ("price", (2, 1), ("cyn", "o1")),
        ("flat", (2,), ("ann.o2",)),
        ("flat", (3,), ("cyn.o0",)),
        ("zipped", (2,), ("cyn",)),
        ("after_zip", (3,), ("3",)),
    ],
)
def test_labels_and_keys_are_each_others(run: RunReader, block: str, key: Key, labels: tuple[str, ...]) -> None:
    axes = run.plan[block].axes
    assert run.labels.of(axes, key) == labels
    assert run.labels.key(axes, labels) == key


@pytest.mark.parametrize(
    ("uuid", "message"),
    [
        ("flat:ann.o9", r"the runs of `orders` gave no item `ann.o9`[\s\S]*Did you mean `ann.o"),
        ("flat:bob.o0", "gave no item `bob.o0`"),
        ("zipped:4", "gave no item `4`"),
        ("zipped:dora", "gave no item `dora`"),
        ("price:bob:o0", "`orders:bob` gave no item `o0`"),
    ],
)
def test_a_label_that_is_not_there_is_not_found(run: RunReader, uuid: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        run.resolve(uuid)


@pytest.mark.parametrize("block", ["users", "orders", "price", "per_user", "flat", "zipped", "after_zip"])
def test_the_keys_that_exist_are_those_that_have_rows(run: RunReader, block: str) -> None:
    rows = [view.key for view in run.block_runs(block)]
    assert list(run.labels.keys(run.plan[block].axes)) == rows


def test_keys_under_an_outer_key_are_those_of_its_group(run: RunReader) -> None:
    axes = run.plan["price"].axes
    assert list(run.labels.keys(axes, (2,))) == [(2, 0), (2, 1), (2, 2)]
    assert list(run.labels.keys(axes, (1,))) == []


def test_an_item_of_a_flat_axis_is_made_of_the_items_that_its_run_stands_at(run: RunReader) -> None:
    [axis] = run.plan["flat"].axes
    positions = list(run.labels.positions(axis, (), 4))
    assert [(each.block, each.flat, each.outer, each.label) for each in positions] == [
        ("users", False, (), "cyn"),
        ("orders", False, (2,), "o1"),
        ("orders", True, (), "cyn.o1"),
    ]
    assert (positions[-1].giver, positions[-1].item) == ((2,), 1)
