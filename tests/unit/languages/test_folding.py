"""The folds, case by case: each is checked, folded at once and in pieces, and docs/folds.md is made of them.

`python tests/unit/languages/test_folding.py --write` writes the page anew.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import cast

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import ReduceError
from refold.languages.folding import Reducer
from refold.languages.python.block_function import BlockFunction
from refold.model.block import STRATEGIES, JsonValue
from refold.model.keys import BlockUuid
from refold.outputs.codecs import decode, encode
from refold.ports.executor import Folding

PAGE = Path(__file__).parents[3] / "docs" / "folds.md"
REGENERATE = "run `python tests/unit/languages/test_folding.py --write`"


def frame(**columns: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def polars_frame(**columns: Sequence[object]) -> pl.DataFrame:
    return pl.DataFrame(columns)


def arrow_table(**columns: Sequence[object]) -> pa.Table:
    return pa.table(columns)


def longer(acc: str, value: str) -> str:
    return value if len(value) > len(acc) else acc


def collect(acc: list[object], value: object) -> list[object]:
    acc.append(value)
    return acc


async def join(acc: str, value: str) -> str:
    await asyncio.sleep(0)
    return f"{acc}-{value}"


def forget(acc: object, value: object) -> None:
    return None


def fail(acc: object, value: object) -> object:
    raise LookupError("no such thing")


@dataclass(frozen=True)
class Case:
    strategy: str
    values: str
    comes_to: str
    """As an expression; a refusal begins with `error: `, followed by words of its message."""
    initial: str | None = None

    def __str__(self) -> str:
        return f"{self.strategy} of {self.values}"


CASES = [
    Case("list", "[1, 'a', None, [2]]", "[1, 'a', None, [2]]"),
    Case("list", "[]", "[]"),
    Case("concat", "[frame(x=[1, 2]), frame(x=[3])]", "frame(x=[1, 2, 3])"),
    Case("concat", "[frame(x=[1]), None, frame(x=[2])]", "frame(x=[1, 2])"),
    Case("concat", "[frame(x=[1])]", "frame(x=[1])"),
    Case("concat", "[frame(x=[1]).set_index('x').assign(y=2)]", "frame(y=[2])"),
    Case("concat", "[frame(x=[1], y=['a']), frame(y=['b'])]", "frame(x=[1.0, None], y=['a', 'b'])"),
    Case("concat", "[frame(x=[1]), frame(x=[0.5])]", "frame(x=[1.0, 0.5])"),
    Case("concat", "[frame(x=[]), frame(x=[])]", "frame(x=[])"),
    Case("concat", "[polars_frame(x=[1, 2]), polars_frame(x=[3])]", "polars_frame(x=[1, 2, 3])"),
    Case("concat", "[polars_frame(x=[1]), polars_frame(y=[0.5])]", "polars_frame(x=[1, None], y=[None, 0.5])"),
    Case("concat", "[arrow_table(x=[1, 2]), arrow_table(x=[3])]", "arrow_table(x=[1, 2, 3])"),
    Case("concat", "[arrow_table(x=[1]), arrow_table(x=[0.5], y=['a'])]", "arrow_table(x=[1.0, 0.5], y=[None, 'a'])"),
    Case("concat", "[]", "pd.DataFrame()"),
    Case("concat", "[None, None]", "pd.DataFrame()"),
    Case(
        "concat",
        "[frame(x=[1]), {'x': 1}]",
        "error: `concat` over `clean` takes data frames (pandas, polars or pyarrow), and met dict of 1 key: {'x': 1}",
    ),
    Case(
        "concat",
        "[frame(x=[1])['x']]",
        "error: `concat` over `clean` takes data frames (pandas, polars or pyarrow), and met pandas Series of 1 value",
    ),
    Case(
        "concat",
        "[frame(x=[1]), polars_frame(x=[2])]",
        "error: `concat` over `clean` met polars DataFrame of 1 row among frames of pandas",
    ),
    Case(
        "concat",
        "[arrow_table(x=[1]), arrow_table(x=['a'])]",
        "error: `concat` over `clean`: pyarrow makes no frame of these 2: ArrowTypeError",
    ),
    Case("sum", "[1, 2, 3]", "6"),
    Case("sum", "[0.5, None, True]", "1.5"),
    Case("sum", "[Decimal('0.1'), Decimal('0.2')]", "Decimal('0.3')"),
    Case("sum", "[]", "0"),
    Case("sum", "[None]", "0"),
    Case("sum", "[frame(x=[1]), frame(x=[2])]", "frame(x=[3])"),
    Case("sum", "['a', 'b']", "error: `sum` over `clean` cannot add str of 1 character: 'a' to int: 0"),
    Case("sum", "[1, {'n': 1}]", "error: `sum` over `clean` cannot add dict of 1 key: {'n': 1} to int: 1"),
    Case("merge", "[{'a': 1, 'b': 2}, {'b': 3}, {'c': 4}]", "{'a': 1, 'b': 3, 'c': 4}"),
    Case("merge", "[{'a': {'x': 1}}, {'a': {'y': 2}}]", "{'a': {'y': 2}}"),
    Case("merge", "[{'a': 1}, None]", "{'a': 1}"),
    Case("merge", "[]", "{}"),
    Case("merge", "[None]", "{}"),
    Case("merge", "[{'a': 1}, 5]", "error: `merge` over `clean` takes dicts, and met int: 5"),
    Case("count", "['a', [], 0, False]", "4"),
    Case("count", "[1, None, 2]", "2"),
    Case("count", "[]", "0"),
    Case("count", "[None]", "0"),
    Case("min", "[3, 1, 2]", "1"),
    Case("min", "['pear', 'apple']", "'apple'"),
    Case("min", "[date(2024, 5, 1), None, date(2024, 4, 1)]", "date(2024, 4, 1)"),
    Case("min", "[1, 1.0]", "1"),
    Case("min", "[]", "None"),
    Case("min", "[None]", "None"),
    Case("min", "[1, 'a']", "error: `min` over `clean` cannot compare str of 1 character: 'a' with int: 1"),
    Case("max", "[3, None, 5, 4]", "5"),
    Case("max", "[1, 1.0]", "1"),
    Case("max", "[]", "None"),
    Case("max", "[None]", "None"),
    Case("max", "[{'a': 1}, {'a': 2}]", "error: `max` over `clean` cannot compare dict of 1 key: {'a': 2} with dict"),
    Case(
        "max",
        "[frame(x=[1, 2]), frame(x=[3, 4])]",
        "error: `max` over `clean` cannot compare pandas DataFrame of 2 rows with pandas DataFrame of 2 rows",
    ),
    Case("longer", "['a', 'abc', None, 'ab']", "'abc'"),
    Case("longer", "['a']", "'a'"),
    Case("longer", "['a', 'abc']", "'longest'", "'longest'"),
    Case("longer", "[]", "'none'", "'none'"),
    Case("longer", "[]", "error: `longer` over `clean` has nothing to fold and nothing to begin with"),
    Case("longer", "[None]", "error: `longer` over `clean` has nothing to fold and nothing to begin with"),
    Case("collect", "[1, None, 2]", "[1, 2]", "[]"),
    Case("join", "['a', 'b', 'c']", "'a-b-c'"),
    Case("join", "[1]", "'None-1'", "None"),
    Case("forget", "[1, 2]", "None"),
    Case("fail", "[1]", "1"),
    Case("fail", "[1, 2]", "error: what the function raises"),
]

FUNCTIONS: dict[str, Callable[..., object]] = {
    "longer": longer,
    "collect": collect,
    "join": join,
    "forget": forget,
    "fail": fail,
}


NAMES = {
    "date": date,
    "Decimal": Decimal,
    "pd": pd,
    "frame": frame,
    "polars_frame": polars_frame,
    "arrow_table": arrow_table,
}


def values_of(case: Case) -> list[object]:
    values: list[object] = eval(case.values, NAMES)
    return values


def result_of(case: Case) -> object:
    return eval(case.comes_to, NAMES)


def reducer(strategy: str, initial: str | None = None) -> Reducer:
    given: JsonValue = None if initial is None else eval(initial)
    folding = Folding(BlockUuid("clean"), False, strategy, given, initial is not None)
    function = FUNCTIONS.get(strategy)
    return Reducer.of(folding, None if function is None else BlockFunction.of(function))


def folded(case: Case, values: Sequence[object], cuts: Sequence[int] = ()) -> object:
    """The values folded, in pieces that end at the cuts: each in a fold of its own, as another process would."""
    stops = sorted({0, *cuts, len(values)})
    partials: list[object] = []
    for start, stop in itertools.pairwise(stops):
        ahead = reducer(case.strategy, case.initial)
        if ahead_replaces(case.strategy):
            ahead.begin(partials)
            partials.clear()
        ahead.extend(values[start:stop])
        partials.append(decode(*encode(ahead.partial())))
    last = reducer(case.strategy, case.initial)
    last.begin(partials)
    return last.value()


def ahead_replaces(strategy: str) -> bool:
    return strategy != "list" and Folding(BlockUuid("clean"), False, strategy).cumulative


def at_once(case: Case, values: Sequence[object]) -> object:
    whole = reducer(case.strategy, case.initial)
    for value in values:
        whole.extend([value])
    return whole.value()


def check_same(found: object, expected: object) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(cast("pd.DataFrame", found), expected)
    elif isinstance(expected, pl.DataFrame | pa.Table):
        assert found.equals(expected)  # type: ignore[attr-defined]
    else:
        assert found == expected


@pytest.mark.parametrize("case", [case for case in CASES if not case.comes_to.startswith("error")], ids=str)
def test_values_come_to(case: Case) -> None:
    check_same(at_once(case, values_of(case)), result_of(case))


@pytest.mark.parametrize("case", [case for case in CASES if not case.comes_to.startswith("error")], ids=str)
def test_a_fold_in_pieces_comes_to_the_same(case: Case) -> None:
    count = len(values_of(case))
    for cuts in ([1], [count - 1], list(range(count)), [0]):
        check_same(folded(case, values_of(case), cuts), result_of(case))


@pytest.mark.parametrize("case", [case for case in CASES if case.comes_to.startswith("error: `")], ids=str)
def test_values_that_cannot_be_folded_name_block_strategy_and_what_was_met(case: Case) -> None:
    with pytest.raises(ReduceError) as caught:
        at_once(case, values_of(case))
    assert case.comes_to.removeprefix("error: ") in caught.value.message
    assert caught.value.fix


def test_what_a_function_raises_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError, match="no such thing"):
        at_once(Case("fail", "", ""), [1, 2])


def test_a_strategy_that_is_nothing_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ReduceError, match="`reduce: smu` of `clean` is neither a strategy nor a function") as caught:
        reducer("smu")
    assert "sum" in str(caught.value.fix)


def test_every_strategy_has_cases_of_nothing_and_of_none() -> None:
    for strategy in STRATEGIES - {"list"}:
        assert {"[]", "[None]"} & {case.values for case in CASES if case.strategy == strategy}


def test_one_fold_does_not_change_the_initial_value_of_the_next() -> None:
    function = BlockFunction.of(collect)
    folding = Folding(BlockUuid("clean"), False, "collect", [], True)
    for _ in range(2):
        fold = Reducer.of(folding, function)
        fold.extend([1])
        assert fold.value() == [1]


def test_an_async_function_is_awaited_inside_a_running_loop_too() -> None:
    async def main() -> object:
        return at_once(Case("join", "", ""), ["a", "b"])

    assert asyncio.run(main()) == "a-b"


def test_a_generator_of_values_is_read_once() -> None:
    fold = reducer("count")
    fold.extend(iter([1, None, 2]))
    assert fold.value() == 2


COLUMNS: dict[str, list[object]] = {
    "int": [1, 2],
    "float": [0.5, None],
    "bool": [True, False],
    "text": ["a", None],
    "none": [None, None],
    "empty": [],
}


@given(st.data())
def test_frames_of_any_columns_make_the_same_frame_in_pieces(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6))
    names = data.draw(st.lists(st.sampled_from("xy"), min_size=len(kinds), max_size=len(kinds)))
    cuts = data.draw(st.lists(st.integers(0, len(kinds))))
    frames = [frame(**{name: COLUMNS[kind]}) for name, kind in zip(names, kinds, strict=True)]
    case = Case("concat", "", "")
    check_same(folded(case, frames, cuts), at_once(case, frames))


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False))), st.data())
@pytest.mark.parametrize("strategy", ["sum", "min", "max", "count", "list"])
def test_numbers_come_to_the_same_in_pieces_to_the_last_digit(
    strategy: str, values: list[float | None], data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(values))))
    case = Case(strategy, "", "")
    assert repr(folded(case, values, cuts)) == repr(at_once(case, values))


def test_folding_plain_values_loads_no_data_frame_library() -> None:
    code = """
        import sys
        from refold.languages.folding import Reducer
        from refold.ports.executor import Folding
        for strategy in ("sum", "merge", "count", "min", "list"):
            fold = Reducer.of(Folding("clean", False, strategy))
            fold.extend([] if strategy == "merge" else [1, 2])
            fold.value()
        heavy = {"pandas", "polars", "pyarrow", "numpy", "asyncio"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


TEXT = """\
# What the outputs of many runs come to

Made from the cases of `tests/unit/languages/test_folding.py`, each of which is checked; to change this page, change
them and {regenerate}.

Where a block reduces, the block behind it gets one value for all of its runs, or with `levels: 1` one for each outer
key. `configuration.dynamic.reduce` names the strategy, `list` where it says nothing:

```yaml
configuration:
  reduce_output: true
  dynamic:
    reduce: sum                                       # or
    reduce: {{strategy: longer, initial: '', levels: 1}}
```

The values are those that the runs returned, in the order of their keys whatever finished first. A run that returned a
list or tuple contributes its elements, none where it is empty; any other value contributes itself. Over a dynamic block
the values are its items. `list` keeps None, every other strategy passes over it.

- **list**: all values, as one list.
- **concat**: data frames of one library as one frame, rows numbered anew. Columns that some frames lack are filled.
- **sum**: 0, and each value added to it, from left to right.
- **merge**: dicts as one dict; of a key that is there twice the later value counts.
- **count**: how many values there are.
- **min**, **max**: the least or greatest value; of equal ones the first.
- Any other name is that of a function `f(acc, value)` in the file of the block that reduces, plain or `async def`. It
  begins with `initial`, or with the first value. It must not be decorated, and must take two positional arguments. A
  function that has the name of a strategy is not found by it.

What cannot be folded is an error of the run that would have got the value; it names the block, the strategy and what
was met. Workers fold ahead while runs finish; what comes out is the same however much was folded ahead.

## Read piece by piece

What many runs come to may be more than fits into memory. The block behind says how it wants it:

```yaml
configuration:
  dynamic:
    reduce_input: lazy                                # default: list
```

It changes what `list` and `concat` hand over to this block, nothing else: other strategies give their value as ever,
and other blocks behind the same one get what they asked for. What is read piece by piece is not folded ahead.

**list** gives a sequence with the same elements (`collections.abc.Sequence`, no `list`). It is counted without reading
them (`len`), each is read when it is asked for (`values[7]`, `values[-1]`, a loop, `reversed`), and anew when it is
asked for again: every access gives another object, and going through it holds one stored chunk at a time. A slice is a
plain list, and so is the whole where it is returned, pickled or copied. Threads may share it. It can be used as long as
the run's files are there.

```python
@data_exporter
def export(values):
    for value in values:                              # one at a time, however many there are
        write(value)
```

**concat** gives the path (`pathlib.Path`) of a Parquet file in the run's folder that holds what the eager `concat`
would have put together, a row group for each frame:

```python
@data_exporter
def export(path):
    with pyarrow.parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            write(file.read_row_group(group).to_pandas())
```

- Rows are in order, without the index of their frames. Frames without rows have no group. Of more than 1,000 frames,
  the small ones behind them share groups of about a megabyte.
- Columns stand in the order in which they first appeared. One that a frame lacks is null there. Types are those that
  the library finds for the eager frame; what it could only keep as Python objects of several types (a number here, a
  text there) is an error that names the column, both types, and the frames, counted from 0 as `refold trace` lists
  them. Parquet keeps no time unit coarser than milliseconds.
- No frames at all are a file without columns and rows. Frames without rows leave their columns.
- The file is written once for all block runs that read it, when the first of them begins, and one frame is in memory
  meanwhile. It appears under its name when it is whole, and may not be written to. A retry finds it again where the
  outputs are those of before.

With `levels: 1` there is a sequence or a file for each outer key.

## Cases

In the table `frame`, `polars_frame` and `arrow_table` make tables of these columns, and the functions are

```python
def longer(acc, value):
    return value if len(value) > len(acc) else acc

def collect(acc, value):
    acc.append(value)
    return acc

async def join(acc, value):
    return f"{{acc}}-{{value}}"

def forget(acc, value):
    return None

def fail(acc, value):
    raise LookupError("no such thing")
```

| strategy | values | come to |
|-|-|-|
{cases}
"""


def render() -> str:
    lines = []
    for case in CASES:
        strategy = case.strategy if case.initial is None else f"{case.strategy}, initial: {case.initial}"
        refused = case.comes_to.startswith("error: ")
        result = f"an {case.comes_to}" if refused else f"`{case.comes_to}`"
        lines.append(f"| `{strategy}` | `{case.values}` | {result} |")
    return TEXT.format(regenerate=REGENERATE, cases="\n".join(lines))


def test_the_page_on_folds_says_what_these_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), REGENERATE


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(render(), encoding="utf-8")
