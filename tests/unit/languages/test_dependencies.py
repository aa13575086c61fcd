"""What items wait for, case by case: each is checked for a list and a generator; docs/dependencies.md is made of them.

`python tests/unit/languages/test_dependencies.py --write` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import DependencyError, DuplicateLabelError
from refold.languages.dependencies import Dependencies
from refold.languages.unfolding import LabelCheck, label_of
from refold.model.block import BlockType, Language
from refold.model.keys import BlockUuid, RunId
from refold.ports.executor import BlockTask, NamedWait, Source
from refold.scheduler.events import OPEN

PAGE = Path(__file__).parents[3] / "docs" / "dependencies.md"
REGENERATE = "run `python tests/unit/languages/test_dependencies.py --write`"

LOAD, CLEAN, SCORE, REFRESH = map(BlockUuid, ("load", "clean", "score", "refresh"))
TASK = BlockTask(
    run=RunId("run"),
    number=0,
    block=LOAD,
    type=BlockType.DATA_LOADER,
    language=Language.PYTHON,
    source=Source(LOAD, Path("load.py"), ""),
    configuration={},
    inputs=(),
    axes=0,
    dynamic=True,
    siblings=frozenset({CLEAN, SCORE}),
    statics=frozenset({REFRESH}),
)
Items = Sequence[Mapping[str, object] | None]


@dataclass(frozen=True)
class Case:
    items: str
    """Their metadata: `a` is an item of that label, `b(a)` one that names another, `-` one without metadata."""
    comes_to: list[str]
    """What waits for what; or one refusal, that begins with `error: `."""

    def __str__(self) -> str:
        return self.items


CASES = [
    Case("a b", []),
    Case("a b(a)", ["b: a"]),
    Case("a b(a) c(a,b)", ["b: a", "c: a", "c: b"]),
    Case("a(b) b", ["a: b"]),
    Case("a(c) b c(b)", ["a: c", "c: b"]),
    Case("a b(clean:a)", ["b: clean:a"]),
    Case("a(clean:b) b(score:c) c", ["a: clean:b", "b: score:c"]),
    Case("a b(refresh)", ["b: refresh"]),
    Case("a b(refresh,a,clean:a)", ["b: refresh", "b: a", "b: clean:a"]),
    Case("a b(a,a)", ["b: a"]),
    Case("- - c(0,1)", ["c: 0", "c: 1"]),
    Case("a(2) - -", ["a: 2"]),
    Case("a(b) c(b) b", ["a: b", "c: b"]),
    Case("a(z)", ["error: item 'a' waits for 'z', and no item of that name came"]),
    Case("for_1 for_2 for_3(for_11)", ["error: item 'for_3' waits for 'for_11', and no item of that name came"]),
    Case("a b(clean:z)", ["error: item 'b' waits for 'clean:z', and no item of that name came"]),
    Case("a b(claen:a)", ["error: item 'b' waits for 'claen:a', and no item of that name came"]),
    Case("a b(clean)", ["error: item 'b' waits for 'clean', and no item of that name came"]),
    Case("a(a)", ["error: item 'a' waits for itself"]),
    Case("a(clean:a)", ["error: item 'a' waits for itself"]),
    Case("a(b) b(a)", ["error: items wait for each other in a circle: 'b' -> 'a' -> 'b'"]),
    Case(
        "a(b) b(score:c) c(d) d(a)", ["error: items wait for each other in a circle: 'd' -> 'a' -> 'b' -> 'c' -> 'd'"]
    ),
    Case("a refresh b(refresh)", ["error: item 'b' waits for 'refresh', which is the name of an item and of a block"]),
    Case("a(refresh) refresh", ["error: item 'a' waits for 'refresh', which is the name of an item and of a block"]),
]

ODD = [
    ("{'upstream_blocks': 'a'}", ["b: a"]),
    ("{'dynamic_upstream_block_uuids': ['a']}", ["b: a"]),
    ("{'upstream_blocks': ('a',), 'dynamic_upstream_block_uuids': 'refresh'}", ["b: a", "b: refresh"]),
    ("{'upstream_blocks': []}", []),
    ("{'upstream_blocks': None}", []),
    ("{'upstream_blocks': ''}", []),
    ("{'upstream_blocks': [1]}", ["b: 1"]),
    ("{'upstream_blocks': {'a': 1}}", ["error: item 'b' waits for dict of 1 key: {'a': 1}, which is no name"]),
    ("{'upstream_blocks': [None]}", ["error: item 'b' waits for None, which is no name"]),
    ("{'upstream_blocks': 3}", ["error: item 'b' waits for int: 3, which is no name"]),
    ("{'upstream_blocks': [True]}", ["error: item 'b' waits for bool: True, which is no name"]),
]


def metadata(items: str) -> Items:
    given: list[Mapping[str, object] | None] = []
    for item in items.split():
        label, _, names = item.rstrip(")").partition("(")
        own: dict[str, object] = {} if label == "-" else {"block_uuid": label}
        if names:
            own["upstream_blocks"] = names.split(",")
        given.append(own or None)
    return given


def shown(items: Items, waits: Sequence[NamedWait]) -> list[str]:
    check = LabelCheck()
    names = [check.add(label_of(each)) for each in items]
    return [
        f"{names[item]}: {':'.join(([] if block is None else [block]) + ([] if target is None else [names[target]]))}"
        for item, block, target in waits
    ]


def at_once(items: Items, task: BlockTask = TASK) -> list[str]:
    return shown(items, Dependencies(task).resolve([each or {} for each in items], len(items)))


def one_by_one(items: Items) -> list[str]:
    """What a generator's items wait for in the end; an open wait is closed by the item that it was for, once."""
    dependencies = Dependencies(TASK)
    known: list[NamedWait] = []
    for index, each in enumerate(items):
        for wait in dependencies.add(each):
            if wait.item == index:
                known.append(wait)
            else:
                assert wait.target == index
                known[known.index(wait._replace(target=OPEN))] = wait
    dependencies.finish()
    assert all(wait.target != OPEN for wait in known)
    return shown(items, known)


def check(items: Items, comes_to: list[str]) -> None:
    if comes_to and comes_to[0].startswith("error: "):
        for read in (at_once, one_by_one):
            with pytest.raises(DependencyError) as caught:
                read(items)
            assert caught.value.message == comes_to[0].removeprefix("error: ")
            assert caught.value.fix
    else:
        assert sorted(at_once(items)) == sorted(comes_to)
        assert sorted(one_by_one(items)) == sorted(comes_to)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_items_wait_for(case: Case) -> None:
    check(metadata(case.items), case.comes_to)


@pytest.mark.parametrize(("names", "comes_to"), ODD)
def test_names_may_be_written(names: str, comes_to: list[str]) -> None:
    check([{"block_uuid": "a"}, None, {"block_uuid": "b", **eval(names)}], comes_to)


@pytest.mark.parametrize(
    ("items", "fix"),
    [
        ("for_user_1 b(for_user_2)", "Did you mean `for_user_1`?"),
        ("a b(claen:a)", "Did you mean `clean:a`?"),
        ("a b(clean)", "Say at which item: `clean:a`."),
        ("for_user_1 b(clean:for_user_2)", "Did you mean `for_user_1`?"),
        ("a b(refersh)", "Did you mean `refresh`?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(items: str, fix: str) -> None:
    with pytest.raises(DependencyError) as caught:
        at_once(metadata(items))
    assert caught.value.fix == fix


def test_a_name_that_was_left_out_with_the_rest_is_told_so() -> None:
    dependencies = Dependencies(TASK)
    for each in metadata("a(z) b"):
        dependencies.add(each)
    with pytest.raises(DependencyError, match="the items after the first 2 were left out"):
        dependencies.finish(cut=True)


def test_an_item_to_come_is_open_until_it_comes() -> None:
    dependencies = Dependencies(TASK)
    assert list(dependencies.add({"block_uuid": "a", "upstream_blocks": ["clean:b"]})) == [NamedWait(0, CLEAN, OPEN)]
    assert list(dependencies.add({"block_uuid": "b"})) == [NamedWait(0, CLEAN, 1)]
    dependencies.finish()


def test_waits_of_a_list_are_in_the_order_of_its_items() -> None:
    waits = Dependencies(TASK).resolve([each or {} for each in metadata("a(c) b(a) c")], 3)
    assert list(waits) == [NamedWait(0, None, 2), NamedWait(1, None, 0)]


def test_an_order_is_refused_where_children_have_runs_for_more_than_an_item() -> None:
    task = replace(TASK, lone_children=False)
    assert at_once(metadata("a b"), task) == []
    with pytest.raises(DependencyError, match="item 'b' waits for 'a', but a block downstream of `load`"):
        at_once(metadata("a b(a)"), task)


def test_a_label_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DuplicateLabelError, match="items 0 and 1 are both named 'a'"):
        at_once(metadata("a a"))


def test_items_beyond_the_metadata_are_known_by_their_index() -> None:
    waits = Dependencies(TASK).resolve([{"upstream_blocks": ["2"]}], 3)
    assert list(waits) == [NamedWait(0, None, 2)]


@given(st.lists(st.frozensets(st.integers(0, 7)), min_size=8, max_size=8))
def test_exactly_items_in_a_circle_are_refused(names: list[frozenset[int]]) -> None:
    items: Items = [{"upstream_blocks": [str(name) for name in sorted(own)]} for own in names]
    reached = [set(own) for own in names]
    for _ in names:
        for own in reached:
            own.update(*(reached[target] for target in list(own)))
    circular = any(index in own for index, own in enumerate(reached))
    for read in (at_once, one_by_one):
        if circular:
            with pytest.raises(DependencyError, match=r"waits for itself|in a circle"):
                read(items)
        else:
            assert len(read(items)) == sum(map(len, names))


def test_a_chain_of_many_items_is_checked_in_one_pass() -> None:
    count = 100_000
    forwards: Items = [{"upstream_blocks": [str(index + 1)]} for index in range(count)]
    backwards: Items = [{"upstream_blocks": [str(index)]} for index in range(count)]
    assert len(Dependencies(TASK).resolve([*map(dict, filter(None, forwards))], count + 1)) == count
    assert len(Dependencies(TASK).resolve([{}, *map(dict, filter(None, backwards))], count + 1)) == count


TEXT = """\
# What an item's children wait for

Made from the cases of `tests/unit/languages/test_dependencies.py`, each of which is checked; to change this page,
change them and {regenerate}.

The metadata of an item may name, under `upstream_blocks` (or `dynamic_upstream_block_uuids`), what the blocks
downstream of the dynamic block wait for at this item:

```python
return [
    [users, orders, report],
    [
        {{"block_uuid": "users"}},
        {{"block_uuid": "orders"}},
        {{"block_uuid": "report", "upstream_blocks": ["users", "clean:orders", "refresh"]}},
    ],
]
```

- `users`, the label of an item (its `block_uuid`, or its index): each block waits for its own run at that item.
- `clean:orders`: for the run of the block `clean` at that item. `clean` is a child of the same dynamic block, has one
  run for each of its items, and follows none of its other children.
- `refresh`, a block without axes that does not follow the dynamic block: for its run.

It is an order, no input: what is waited for is not handed over. What was waited for and did not complete makes the
waiting run `upstream_failed`. Items may be named before they come; a name that never came fails the dynamic block's
run, and so does a circle: for a returned list before any child starts. Of a generator only `yield item, {{...}}` with a
`block_uuid` carries metadata.

In the table `b(a)` is an item of the label `b` that names `a`, and `-` an item without metadata. The children of the
dynamic block are `clean` and `score`; `refresh` is a block without axes.

| items | what waits for what |
|-|-|
{cases}

The names may be written in several ways; here they are those of an item `b`, after an item `a` and a nameless one.

| metadata | what waits for what |
|-|-|
{odd}
"""


def render() -> str:
    cases = [f"| `{case.items}` | {cell(case.comes_to)} |" for case in CASES]
    odd = [f"| `{names}` | {cell(comes_to)} |" for names, comes_to in ODD]
    return TEXT.format(regenerate=REGENERATE, cases="\n".join(cases), odd="\n".join(odd))


def cell(comes_to: list[str]) -> str:
    if comes_to and comes_to[0].startswith("error: "):
        return f"an {comes_to[0]}"
    return ", ".join(f"`{each}`" for each in comes_to) or "nothing"


def test_the_page_on_dependencies_says_what_these_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), REGENERATE


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(render(), encoding="utf-8")
