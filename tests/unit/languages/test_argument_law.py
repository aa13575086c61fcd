"""The argument law, case by case: each case is checked by a real call, and docs/arguments.md is made of them.

`python tests/unit/languages/test_argument_law.py --write` writes the page anew.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from refold.errors import ArgumentsError
from refold.languages.arguments import Argument, Feed, Signature, bind, spread
from refold.ports.output_store import Output

PAGE = Path(__file__).parents[3] / "docs" / "arguments.md"
REGENERATE = "run `python tests/unit/languages/test_argument_law.py --write`"


@dataclass(frozen=True)
class Case:
    upstreams: Sequence[tuple[Feed, str]]
    """How each upstream feeds the run, and what it handed over, as an expression."""
    parameters: str
    arrives: str
    """What each parameter gets; a refusal begins with `error: `, followed by words of its message."""
    keywords: dict[str, object] = field(default_factory=dict)
    mage_outputs: bool = False

    def __str__(self) -> str:
        handed = " + ".join(f"{feed.value} {returned}" for feed, returned in self.upstreams)
        return f"{handed} -> f({self.parameters})"


ITEM, STATIC, CHILD, REDUCED = Feed.ITEM, Feed.STATIC, Feed.CHILD, Feed.REDUCED

POSITIONAL = [
    Case([], "", "nothing"),
    Case([], "*args, **kwargs", "args=()"),
    Case([(ITEM, "{'id': 1}")], "data", "data={'id': 1}"),
    Case([(ITEM, "[1, 2]")], "a, b=None", "a=[1, 2], b=None"),
    Case([(ITEM, "[1]")], "data", "data=[1]"),
    Case([(ITEM, "(1, 2)")], "*args", "args=((1, 2),)"),
    Case([(ITEM, "None")], "data", "data=None"),
    Case([(ITEM, "row(id=1)")], "data", "data=row(id=1)"),
    Case([(ITEM, "row(id=1)")], "data: dict", "data={'id': 1}"),
    Case([(ITEM, "row(id=1)")], "data: 'Dict[str, int]', *args", "data={'id': 1}, args=()"),
    Case([(STATIC, "'x'"), (ITEM, "row(id=1)")], "prefix, data: dict", "prefix='x', data={'id': 1}"),
    Case([(STATIC, "(1, 2)"), (ITEM, "row(id=1)")], "a, b, data: dict", "a=1, b=2, data={'id': 1}"),
    Case([(STATIC, "{'id': 1}")], "data", "data={'id': 1}"),
    Case([(STATIC, "None")], "data", "data=None"),
    Case([(STATIC, "[1, 2]")], "data", "data=[1, 2]"),
    Case([(STATIC, "[1, 2]")], "a, b=None", "a=[1, 2], b=None"),
    Case([(STATIC, "[1]")], "data", "data=[1]"),
    Case([(STATIC, "[]")], "data", "data=[]"),
    Case([(STATIC, "(1, 2)")], "a, b", "a=1, b=2"),
    Case([(STATIC, "(1, 2)")], "a, b, *args", "a=1, b=2, args=()"),
    Case([(STATIC, "(1, 2)")], "*args", "args=(1, 2)"),
    Case([(STATIC, "(1, 2)")], "data", "data=[1, 2]"),
    Case([(STATIC, "(1,)")], "data", "data=1"),
    Case([(STATIC, "()")], "data", "data=[]"),
    Case([(CHILD, "[{'id': 100}]")], "data, *args", "data={'id': 100}, args=()"),
    Case([(CHILD, "{'id': 100}")], "data", "data={'id': 100}"),
    Case([(CHILD, "[1, 2]")], "a, b", "a=1, b=2"),
    Case([(CHILD, "[1, 2]")], "a, b=None", "a=1, b=2"),
    Case([(CHILD, "[1, 2]")], "data", "data=[1, 2]"),
    Case([(CHILD, "[1, 2]")], "*args", "args=(1, 2)"),
    Case([(CHILD, "[[1, 2]]")], "data", "data=[1, 2]"),
    Case([(CHILD, "(1,)")], "data", "data=1"),
    Case([(CHILD, "[]")], "data", "data=[]"),
    Case([(CHILD, "[]")], "*args", "args=([],)"),
    Case([(CHILD, "None")], "data", "data=None"),
    Case([(CHILD, "[None]")], "data", "data=None"),
    Case([(REDUCED, "[1, 2, 3]")], "data", "data=[1, 2, 3]"),
    Case([(REDUCED, "[1, 2, 3]")], "*args", "args=([1, 2, 3],)"),
    Case([(REDUCED, "[1]")], "data", "data=[1]"),
    Case([(REDUCED, "[]")], "data", "data=[]"),
    Case([(REDUCED, "6")], "total", "total=6"),
    Case([(REDUCED, "{'a': 1}")], "data, **kwargs", "data={'a': 1}"),
    Case([(REDUCED, "None")], "least", "least=None"),
    Case([(REDUCED, "(1, 2)")], "a, b=None", "a=(1, 2), b=None"),
    Case([(ITEM, "1"), (REDUCED, "[2, 3]")], "item, group", "item=1, group=[2, 3]"),
    Case([(STATIC, "1"), (CHILD, "[2]")], "a, b", "a=1, b=2"),
    Case([(CHILD, "[1, 2]"), (STATIC, "[3, 4]")], "a, b, c", "a=1, b=2, c=[3, 4]"),
    Case([(CHILD, "[1, 2]"), (CHILD, "[3, 4]")], "a, b, c, d", "a=1, b=2, c=3, d=4"),
    Case([(CHILD, "[1, 2]"), (CHILD, "[3, 4]")], "a, b", "a=[1, 2], b=[3, 4]"),
    Case([(CHILD, "[1, 2]"), (CHILD, "[3, 4]")], "a, b, c=None", "a=[1, 2], b=[3, 4], c=None"),
    Case([(CHILD, "[1, 2]"), (CHILD, "[3, 4]")], "a, b, c", "a=1, b=2, c=[3, 4]"),
    Case([(CHILD, "[1, 2]"), (CHILD, "[3, 4, 5]")], "*args", "args=(1, 2, 3, 4, 5)"),
    Case([(CHILD, "[]"), (CHILD, "[3, 4]")], "a, b, c", "a=[], b=3, c=4"),
    Case([(ITEM, "1")], "", "error: `f()` takes 0 positional arguments, and 1 would have been passed: (int)"),
    Case(
        [(STATIC, "'x'")],
        "a, b",
        "error: `f(a, b)` takes 2 positional arguments, and 1 would have been passed: (str of 1 character)",
    ),
    Case(
        [(CHILD, "[1, {'id': 2}]")],
        "a, b, c, *args",
        "error: `f(a, b, c, *args)` takes 3 or more positional arguments, and 2 would have been passed: "
        "(int, dict of 1 key)",
    ),
    Case(
        [(STATIC, "1"), (STATIC, "2")],
        "a",
        "error: `f(a)` takes 1 positional argument, and 2 would have been passed: (int, int)",
    ),
]

KEYWORDS = [
    Case([(ITEM, "1")], "data", "data=1", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, **kwargs", "data=1, kwargs={'env': 'dev'}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, *, env='prod'", "data=1, env='prod'", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, *, env", "data=1, env='dev'", keywords={"env": "dev", "ds": "2024-01-01"}),
    Case([(ITEM, "1")], "data, *, env='prod', **kwargs", "data=1, env='dev', kwargs={}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "env, **kwargs", "env=1, kwargs={}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "env, /, **kwargs", "env=1, kwargs={'env': 'dev'}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, env, **kwargs", "data=1, env='dev', kwargs={}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, env='prod'", "data=1, env='prod'", keywords={"env": "dev"}),
    Case([], "env, **kwargs", "env='dev', kwargs={}", keywords={"env": "dev"}),
    Case([(ITEM, "1")], "data, *, env", "error: `f(data, *, env)` needs the keyword argument `env`, which this run"),
    Case(
        [(ITEM, "1")],
        "data, env",
        "error: `f(data, env)` takes 2 positional arguments, and 1 would have been passed: (int)",
        keywords={"env": "dev"},
    ),
]

MAGE = [
    Case([(STATIC, "(1, 2)")], "*args", "args=([1, 2],)", mage_outputs=True),
    Case([(STATIC, "[1]")], "data", "data=1", mage_outputs=True),
    Case([(STATIC, "[1, 2]")], "a, b=None", "a=[1, 2], b=None", mage_outputs=True),
    Case([(STATIC, "()")], "data", "data=[]", mage_outputs=True),
    Case([(CHILD, "[1, 2]")], "a, b=None", "a=[1, 2], b=None", mage_outputs=True),
    Case([(CHILD, "[1]")], "data", "data=1", mage_outputs=True),
    Case([(ITEM, "[1]")], "data", "data=[1]", mage_outputs=True),
    Case([(REDUCED, "[1]")], "data", "data=[1]", mage_outputs=True),
    Case([(CHILD, "[1, 2]"), (STATIC, "[3]")], "a, b", "a=[1, 2], b=3", mage_outputs=True),
]


def row(**values: object) -> object:
    """A row of a pandas data frame."""
    return pd.DataFrame([values]).iloc[0]


def shown(value: object) -> str:
    if isinstance(value, pd.Series):
        return f"row({', '.join(f'{name}={each!r}' for name, each in value.items())})"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def define(parameters: str) -> Callable[..., dict[str, object]]:
    namespace: dict[str, object] = {}
    exec(f"from typing import Dict\ndef f({parameters}):\n    return dict(locals())", namespace)
    function = namespace["f"]
    assert callable(function)
    return function


def outcome(case: Case) -> str:
    function = define(case.parameters)
    arguments = [Argument(feed, Output.of(eval(returned, {"row": row}))) for feed, returned in case.upstreams]
    try:
        args, kwargs = bind(Signature(function), arguments, case.keywords, case.mage_outputs)
    except ArgumentsError as error:
        return f"error: {error.message}"
    arrived = function(*args, **kwargs)
    if not case.keywords:
        arrived.pop("kwargs", None)
    return ", ".join(f"{name}={shown(value)}" for name, value in arrived.items()) or "nothing"


@pytest.mark.parametrize("case", [*POSITIONAL, *KEYWORDS, *MAGE], ids=str)
def test_what_upstreams_hand_over_arrives_as_the_law_says(case: Case) -> None:
    if case.arrives.startswith("error: "):
        assert outcome(case).startswith(case.arrives)
    else:
        assert outcome(case) == case.arrives


def test_an_error_says_what_to_do_about_the_parameters() -> None:
    with pytest.raises(ArgumentsError, match="one parameter for each upstream block"):
        bind(Signature(define("")), [Argument(ITEM, Output.of(1))], {})


def test_a_function_without_a_signature_is_left_to_judge_for_itself() -> None:
    args, kwargs = bind(Signature(min), [Argument(CHILD, Output.of([3, 1, 2]))], {})
    assert (args, dict(kwargs)) == ((3, 1, 2), {})


def test_a_partial_takes_what_is_left_of_its_function() -> None:
    args, kwargs = bind(Signature(functools.partial(define("a, b"), 1)), [Argument(ITEM, Output.of(2))], {"env": "x"})
    assert (args, dict(kwargs)) == ((2,), {})


def test_the_keywords_of_many_runs_are_never_changed() -> None:
    keywords: dict[str, object] = {"env": "dev", "ds": "today"}
    bind(Signature(define("env, **kwargs")), [Argument(ITEM, Output.of(1))], keywords)
    assert keywords == {"env": "dev", "ds": "today"}


@pytest.mark.parametrize(
    ("returned", "from_child", "arrives"),
    [
        (1, False, (1,)),
        ((1, 2), False, (1, 2)),
        ([1, 2], False, ([1, 2],)),
        ([1, 2], True, (1, 2)),
        ([1], True, (1,)),
        ([], True, ([],)),
        ([], False, ([],)),
        ((), False, ([],)),
        (None, True, (None,)),
    ],
)
def test_tests_get_outputs_one_by_one(returned: object, from_child: bool, arrives: tuple[object, ...]) -> None:
    assert spread(Output.of(returned), from_child) == arrives


TEXT = """\
# What a block's function is called with

Made from the cases of `tests/unit/languages/test_argument_law.py`, each of which is checked by a real call; to change
this page, change them and {regenerate}.

A block's function gets one positional argument for each upstream block, in `upstream_blocks` order. What an upstream
hands over depends on what it is:

- **item**: one item of a dynamic block. It arrives as it is.
- **static**: what a block that runs once returned. A tuple holds several outputs; a list is one value.
- **child**: what one run of a block with several runs returned. A tuple or a list holds outputs.
- **reduced**: what a reducing edge folded: a list, or what another strategy made of it ([folds](folds.md)). It arrives
  as it is. So do the items of one run, as a list, in a block that a dynamic block is no parent of (`parent: [uuids]`).

One output arrives as itself, none as an empty list. Several are spread over the positional parameters where the
function takes that many arguments, else each upstream's arrive as one list where it takes that; between the two,
upstreams are spread from the first on, as far as the parameters go. `row(id=1)` stands for a row of a pandas DataFrame.

{positional}

## Keyword arguments

A function that takes `**kwargs` gets every keyword; one that does not gets only what its keyword-only parameters need.
A keyword whose parameter a positional argument has filled is dropped. Functions here are fed the item `1`, save the one
of a block without upstreams.

{keywords}

## With `features: {{mage_outputs: true}}`

Several outputs arrive as one list, and a list or tuple of one arrives as its element, whichever block it comes from.

{mage}
"""


def render() -> str:
    keywords = ["| keywords | function | what arrives |", "|-|-|-|"]
    keywords += [f"| `{case.keywords}` | `def f({case.parameters})` | {arrival(case)} |" for case in KEYWORDS]
    return TEXT.format(
        regenerate=REGENERATE, positional=table(POSITIONAL), keywords="\n".join(keywords), mage=table(MAGE)
    )


def table(cases: Sequence[Case]) -> str:
    lines = ["| upstreams | hand over | function | what arrives |", "|-|-|-|-|"]
    for case in cases:
        feeds = ", ".join(feed.value for feed, _ in case.upstreams) or "none"
        handed = ", ".join(f"`{returned}`" for _, returned in case.upstreams)
        lines.append(f"| {feeds} | {handed} | `def f({case.parameters})` | {arrival(case)} |")
    return "\n".join(lines)


def arrival(case: Case) -> str:
    if case.arrives.startswith("error: "):
        return f"an error: {outcome(case).removeprefix('error: ')}"
    return case.arrives if case.arrives == "nothing" else f"`{case.arrives}`"


def test_the_page_on_arguments_says_what_these_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), REGENERATE


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(render(), encoding="utf-8")
