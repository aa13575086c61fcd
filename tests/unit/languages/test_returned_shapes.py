"""What dynamic blocks may return: each shape is checked, and docs/dynamic-outputs.md is made of them.

`python tests/unit/languages/test_returned_shapes.py --write` writes the page anew.
"""

from __future__ import annotations

import asyncio
import collections
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from refold.errors import DuplicateLabelError, OutputShapeError
from refold.languages.unfolding import ItemList, ItemRows, ItemStream, LabelCheck, label_of, split_yield, unfold
from refold.ports.output_store import Item

PAGE = Path(__file__).parents[3] / "docs" / "dynamic-outputs.md"
REGENERATE = "run `python tests/unit/languages/test_returned_shapes.py --write`"

Point = collections.namedtuple("Point", "x y")


@dataclass(frozen=True)
class Accepted:
    returned: str
    items: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Refused:
    returned: str
    received: str
    """How the message shows what was received."""
    fix: str
    """Words of what the message says to do."""


ACCEPTED = [
    Accepted(
        "[[{'id': 1}, {'id': 2}], [{'block_uuid': 'a'}, {'block_uuid': 'b'}]]", ["{'id': 1}", "{'id': 2}"], ["a", "b"]
    ),
    Accepted("([1, 2], [{'block_uuid': 'a'}, {'block_uuid': 'b'}])", ["1", "2"], ["a", "b"]),
    Accepted("[[1, 2, 3], [{'block_uuid': 'a'}]]", ["1", "2", "3"], ["a", "1", "2"]),
    Accepted("[[1, 2], [{}, {'block_uuid': ''}]]", ["1", "2"], ["0", "1"]),
    Accepted("[[1, 2], [{'block_uuid': 7}, {'block_uuid': None}]]", ["1", "2"], ["7", "1"]),
    Accepted("[[1, 2], []]", ["1", "2"], ["0", "1"]),
    Accepted("[[1, 2], None]", ["1", "2"], ["0", "1"]),
    Accepted("[[1, 2]]", ["1", "2"], ["0", "1"]),
    Accepted("[(1, 2)]", ["1", "2"], ["0", "1"]),
    Accepted("([1, 2],)", ["1", "2"], ["0", "1"]),
    Accepted("[[], []]", [], []),
    Accepted("[[]]", [], []),
    Accepted("[]", [], []),
    Accepted("[{'id': 1}, {'id': 2}, {'id': 3}]", ["{'id': 1}", "{'id': 2}", "{'id': 3}"], ["0", "1", "2"]),
    Accepted("[{'id': 1}]", ["{'id': 1}"], ["0"]),
    Accepted("[{'id': 1}, [{'block_uuid': 'a'}]]", ["{'id': 1}", "[{'block_uuid': 'a'}]"], ["0", "1"]),
    Accepted("[[1, 2], [3, 4]]", ["[1, 2]", "[3, 4]"], ["0", "1"]),
    Accepted("[[1, 2], ({'block_uuid': 'a'},)]", ["[1, 2]", "({'block_uuid': 'a'},)"], ["0", "1"]),
    Accepted("[[1], [2], [3]]", ["[1]", "[2]", "[3]"], ["0", "1", "2"]),
    Accepted("['a', None]", ["'a'", "None"], ["0", "1"]),
    Accepted("(1, 2, 3)", ["1", "2", "3"], ["0", "1", "2"]),
    Accepted("[Point(1, 2)]", ["Point(x=1, y=2)"], ["0"]),
    Accepted("frame", ["row 0", "row 1"], ["0", "1"]),
    Accepted("[frame]", ["row 0", "row 1"], ["0", "1"]),
    Accepted("[frame, [{'block_uuid': 'a'}, {'block_uuid': 'b'}]]", ["row 0", "row 1"], ["a", "b"]),
    Accepted("[frame, None]", ["row 0", "row 1"], ["0", "1"]),
    Accepted("(frame, [{'block_uuid': 'a'}])", ["row 0", "row 1"], ["a", "1"]),
    Accepted("polars_frame", ["row 0", "row 1"], ["0", "1"]),
    Accepted("frame[:0]", [], []),
    Accepted("[frame, frame]", ["frame", "frame"], ["0", "1"]),
    Accepted("[Point(1, 2), Point(3, 4)]", ["Point(x=1, y=2)", "Point(x=3, y=4)"], ["0", "1"]),
    Accepted("[range(2)]", ["range(0, 2)"], ["0"]),
    Accepted("generator(1, 2)", ["1", "2"], ["0", "1"]),
    Accepted("generator((1, {'block_uuid': 'a'}), 2)", ["1", "2"], ["a", "1"]),
    Accepted("generator((1, 2), [3])", ["(1, 2)", "[3]"], ["0", "1"]),
    Accepted("generator((1, {'id': 2}))", ["(1, {'id': 2})"], ["0"]),
    Accepted("generator(([1], {'block_uuid': 7}), [[2]])", ["[1]", "[[2]]"], ["7", "1"]),
    Accepted("generator([[1], [{'block_uuid': 'a'}]])", ["[[1], [{'block_uuid': 'a'}]]"], ["0"]),
    Accepted("generator(None)", ["None"], ["0"]),
    Accepted("generator()", [], []),
    Accepted("(n * 2 for n in (1, 2))", ["2", "4"], ["0", "1"]),
    Accepted("async_generator()", [], []),
    Accepted("async_generator((1, {'block_uuid': 'a'}), 2)", ["1", "2"], ["a", "1"]),
]

REFUSED = [
    Refused("None", "returned None, which", "Return [] when there is nothing to do"),
    Refused("5", "returned int: 5, which", "Return [value]"),
    Refused("'users'", "returned str of 5 characters: 'users', which", "Return [value]"),
    Refused(
        "{'id': 1}", "returned dict of 1 key: {'id': 1}, which", "Return [value] for one item, or list(value.items())"
    ),
    Refused("Point(1, 2)", "Point: Point(x=1, y=2), which", "Return [value]"),
    Refused("True", "returned bool: True, which", "Return [value]"),
    Refused("b'ab'", "returned bytes of 2 bytes: b'ab', which", "Return [value]"),
    Refused("{1}", "returned set of 1 element: {1}, which", "Return list(value)"),
    Refused("range(3)", "returned range: range(0, 3), which", "Return list(value)"),
    Refused("iter([1, 2])", "returned list_iterator: <list_iterator", "Return list(value), or `yield from` it"),
    Refused("frame['id']", "returned pandas Series of 2 values, which", "`.tolist()` (pandas) or `.to_list()`"),
    Refused("polars_frame['id']", "returned polars Series of 2 values, which", "`.tolist()` (pandas) or `.to_list()`"),
    Refused("arrow_table", "returned pyarrow Table: pyarrow.Table", "`.to_pylist()` or `.to_pandas()`"),
    Refused("np.arange(3)", "returned numpy ndarray of shape (3,): array([0, 1, 2]), which", "`.tolist()`"),
    Refused(
        "[[1], [{'block_uuid': 'a'}, {'block_uuid': 'b'}]]",
        "returned metadata of length 2 for items of length 1",
        "one metadata dict an item",
    ),
]


def generator(*objects: object) -> Iterator[object]:
    yield from objects


async def async_generator(*objects: object) -> AsyncIterator[object]:
    for each in objects:
        yield each


FRAME = pd.DataFrame({"id": [1, 2]})
NAMES = {
    "Point": Point,
    "frame": FRAME,
    "polars_frame": pl.DataFrame({"id": [1, 2]}),
    "arrow_table": pa.table({"id": [1, 2]}),
    "np": np,
    "generator": generator,
    "async_generator": async_generator,
}


async def drain(iterator: AsyncIterator[object]) -> list[object]:
    return [each async for each in iterator]


def unfolded_items(returned: object) -> tuple[list[str], list[str]]:
    """The items and labels, as text."""
    unfolded = unfold(returned)
    if isinstance(unfolded, ItemRows):
        items = [Item(f"row {index}", None) for index in range(len(unfolded))]
        items[: len(unfolded.metadata or ())] = [
            Item(item.value, metadata) for item, metadata in zip(items, unfolded.metadata or (), strict=False)
        ]
        return [str(item.value) for item in items], labels_of([item.metadata for item in items])
    if isinstance(unfolded, ItemList):
        items = list(unfolded.items())
    elif unfolded.is_async:
        items = [split_yield(each) for each in asyncio.run(drain(cast("AsyncIterator[object]", unfolded.iterator)))]
    else:
        items = [split_yield(each) for each in cast("Iterator[object]", unfolded.iterator)]
    shown = ["frame" if item.value is FRAME else repr(item.value) for item in items]
    return shown, labels_of([item.metadata for item in items])


def labels_of(metadata: Sequence[Mapping[str, object] | None]) -> list[str]:
    check = LabelCheck()
    return [check.add(label_of(each)) for each in metadata]


@pytest.mark.parametrize("shape", ACCEPTED, ids=lambda shape: shape.returned)
def test_an_accepted_shape_gives_these_items_and_labels(shape: Accepted) -> None:
    assert unfolded_items(eval(shape.returned, NAMES)) == (shape.items, shape.labels)


@pytest.mark.parametrize("shape", REFUSED, ids=lambda shape: shape.returned)
def test_a_refused_shape_is_shown_with_what_to_return_instead(shape: Refused) -> None:
    with pytest.raises(OutputShapeError) as caught:
        unfold(eval(shape.returned, NAMES))
    assert shape.received in caught.value.message
    assert shape.fix in (caught.value.fix or "")


def test_an_error_lists_the_accepted_shapes() -> None:
    with pytest.raises(OutputShapeError, match=r"\[items\] or \[items, metadata\].*flat list.*DataFrame.*yields"):
        unfold(7)


def test_a_coroutine_that_nobody_awaited_is_told_so() -> None:
    async def load() -> list[int]:
        return [1]

    coroutine = load()
    with pytest.raises(OutputShapeError, match="Await it inside the block"):
        unfold(coroutine)
    coroutine.close()


def test_a_huge_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(OutputShapeError) as caught:
        unfold(dict.fromkeys(range(10_000), "x" * 1000))
    assert "dict of 10000 keys" in caught.value.message
    assert len(caught.value.message) < 800


def test_a_value_whose_repr_fails_is_refused_all_the_same() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(OutputShapeError, match="Broken"):
        unfold(Broken())


@pytest.mark.parametrize("frame", [FRAME, pl.DataFrame({"id": [1, 2]}), type("GeoFrame", (pd.DataFrame,), {})(FRAME)])
def test_frames_of_either_library_and_their_subclasses_are_rows(frame: object) -> None:
    unfolded = unfold(frame)
    assert isinstance(unfolded, ItemRows)
    assert unfolded.frame is frame
    assert len(unfolded) == 2


def test_a_generator_is_not_started_by_unfolding() -> None:
    started: list[str] = []

    def load() -> Iterator[int]:
        started.append("load")
        yield 1

    unfolded = unfold(load())
    assert isinstance(unfolded, ItemStream)
    assert started == []


def test_metadata_is_handed_on_as_given() -> None:
    metadata = {"block_uuid": "a", "region": "US"}
    assert split_yield((1, metadata)) == Item(1, metadata)
    unfolded = unfold([[1], [metadata]])
    assert isinstance(unfolded, ItemList)
    assert list(unfolded.items()) == [Item(1, metadata)]


@pytest.mark.parametrize(
    ("metadata", "count", "message"),
    [
        ([{"block_uuid": "for_1"}, {}, {"block_uuid": "for_1"}], 3, "items 0 and 2 are both named 'for_1'"),
        ([{"block_uuid": "1"}], 2, "items 0 and 1 are both named '1'"),
        ([{}, {"block_uuid": "0"}], 2, "items 0 and 1 are both named '0'"),
        ([{}, {}, {"block_uuid": 1}], 3, "items 1 and 2 are both named '1'"),
        ([{"block_uuid": 3}, {}, {"block_uuid": "x"}, {}], 4, "items 0 and 3 are both named '3'"),
    ],
)
def test_two_items_of_one_name_are_an_error_that_names_both(
    metadata: list[dict[str, object]], count: int, message: str
) -> None:
    with pytest.raises(DuplicateLabelError, match=message):
        labels_of([*metadata, *[None] * (count - len(metadata))])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["0", "1", "2"], ["0", "1", "2"]),
        (["1", "0"], ["1", "0"]),
        ([None, "x", "y", None], ["0", "x", "y", "3"]),
        ([None, "01", "00", "²", "9" * 30], ["0", "01", "00", "²", "9" * 30]),
        ([None, "5", None], ["0", "5", "2"]),
    ],
)
def test_names_that_look_like_indices_collide_only_with_nameless_items(
    labels: list[str | None], names: list[str]
) -> None:
    check = LabelCheck()
    assert [check.add(label) for label in labels] == names
    assert [check.position_of(name) for name in names] == list(range(len(names)))
    assert sorted(check.names()) == sorted(names)


def test_a_name_that_nobody_has_is_not_found() -> None:
    check = LabelCheck()
    for label in (None, "a", None, "1"):
        check.add(label)
    assert [check.position_of(name) for name in ("b", "4", "02", "", "²", "9" * 30)] == [None] * 6


def test_a_duplicate_is_found_as_soon_as_it_comes() -> None:
    check = LabelCheck()
    check.add("a")
    check.add(None)
    with pytest.raises(DuplicateLabelError, match="items 0 and 2"):
        check.add("a")


def test_unfolding_plain_values_loads_no_data_frame_library() -> None:
    code = """
        import sys
        from refold.languages.unfolding import unfold
        from refold.languages.python.block_file import BlockFile
        unfold([[1], [{"block_uuid": "a"}]])
        heavy = {"pandas", "polars", "pyarrow", "numpy", "jinja2", "ruamel", "sqlalchemy"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


TEXT = """\
# What a dynamic block may return

Made from the shapes of `tests/unit/languages/test_returned_shapes.py`, each of which is checked; to change this page,
change them and {regenerate}.

A list or tuple of one or two elements is `[items]` or `[items, metadata]` exactly when its first element is a list,
tuple or DataFrame and its second is None or a list of dicts. Any other list or tuple is a flat list of items. A
DataFrame is its rows. Of a generator each `yield` is one item, and `yield item, {{"block_uuid": ...}}` names it. A
named tuple is one value, never a container of items.

An item's label is its metadata's `block_uuid`, else its index. Two items of one label are an error. What else metadata
may ask for is told in [what an item's children wait for](dependencies.md).

How many items one run may give is limited by `max_child_block_runs`: in the block's `configuration.dynamic`, else in
`dynamic_blocks` of the pipeline's or the project's metadata.yaml, else in the environment as
`DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS`; 0 lifts the limit. More items fail the run, of a returned list or frame before any
child starts, of a generator at the item too many. With `on_max_child_block_runs_exceeded: limit` (or
`DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR`) the rest is left out with a warning, and a generator is closed.

In the tables `frame` is a DataFrame of two rows, `Point` a named tuple, and `generator(1, 2)` yields 1, then 2.

## Accepted

| returned | items | labels |
|-|-|-|
{accepted}

## Refused

| returned | the error shows | and says |
|-|-|-|
{refused}
"""


def render() -> str:
    accepted = [f"| `{each.returned}` | {cell(each.items)} | {cell(each.labels)} |" for each in ACCEPTED]
    refused = [
        f"| `{each.returned}` | {each.received.removeprefix('returned ').removesuffix(', which')} | {each.fix} |"
        for each in REFUSED
    ]
    return TEXT.format(regenerate=REGENERATE, accepted="\n".join(accepted), refused="\n".join(refused))


def cell(texts: list[str]) -> str:
    return ", ".join(f"`{each}`" for each in texts) or "none"


def test_the_page_on_dynamic_outputs_says_what_these_shapes_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), REGENERATE


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(render(), encoding="utf-8")
