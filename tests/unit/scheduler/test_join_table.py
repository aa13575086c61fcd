"""Joins, case by case: each is planned and its runs are worked out by the law; docs/joins.md is made of them.

`python tests/unit/scheduler/test_join_table.py --write` writes the page anew.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from refold.errors import PlanError
from refold.model.block import Block, BlockType, DynamicSettings, Join, Language, Reduction
from refold.model.keys import BlockUuid, Key
from refold.scheduler.plan import Axis, EdgeKind, Plan
from refold.scheduler.planning import make_plan
from refold.scheduler.status import Status
from refold.testing.naive import evaluate
from refold.testing.scripted import Act, Script, Source

PAGE = Path(__file__).parents[3] / "docs" / "joins.md"
REGENERATE = "run `python tests/unit/scheduler/test_join_table.py --write`"

_BLOCK = re.compile(r"(\w+)(?:\[([\d,]*)])?(?:\(([\w, ]*)\))?( reduces(?: 1)?)?(?: (align|zip))?")


@dataclass(frozen=True)
class Case:
    pipeline: str
    """`A[3]` is a dynamic block of three items a run (`A[1,2]`: of one, then two), `B(A)` a block that reads it."""
    axes: str
    """Of the last block: `A, B`; a zip is `A+B`, a flat axis `*A`. A refusal begins with `error: `."""
    runs: str = ""
    """All runs of the last block; `!` marks those that fail for want of a partner."""
    last: str = ""
    """What the last of the runs that complete gets."""

    def __str__(self) -> str:
        return self.pipeline


PRODUCT = [
    Case("A[3]; B(A)", "A", "0 1 2", "A.2"),
    Case("S; B(S)", "", "B", "S"),
    Case("A[2]; B[3]; C(A, B)", "A, B", "0:0 0:1 0:2 1:0 1:1 1:2", "A.1, B.2"),
    Case("S; A[2]; C(S, A)", "A", "0 1", "S, A.1"),
    Case("A[2]; B(A); C(A); D(B, C)", "A, A", "0:0 0:1 1:0 1:1", "B:1, C:1"),
    Case("A[2]; B(A); C(B); D(B, C)", "A, A", "0:0 0:1 1:0 1:1", "B:1, C:1"),
    Case("A[2]; B[1,2](A); C(B)", "A, B", "0:0 1:0 1:1", "B:1.1"),
    Case("A[2]; B[1,2](A); C(A, B)", "A, A, B", "0:0:0 0:1:0 0:1:1 1:0:0 1:1:0 1:1:1", "A.1, B:1.1"),
    Case("A[0]; B[2]; C(A, B)", "A, B", "", ""),
    Case("A[2]; B(A) reduces; C(A, B)", "A", "0 1", "A.1, all of B"),
]
ALIGN = [
    Case("A[3]; B(A); C(B); D(B, C) align", "A", "0 1 2", "B:2, C:2"),
    Case("A[3]; B(A); D(A, B) align", "A", "0 1 2", "A.2, B:2"),
    Case("A[2]; B[2]; C(A, B) align", "A, B", "0:0 0:1 1:0 1:1", "A.1, B.1"),
    Case("A[2]; B[1,2](A); C[2,1](A); D(B, C) align", "A, B, C", "0:0:0 0:0:1 1:0:0 1:1:0", "B:1.1, C:1.0"),
    Case("A[2]; B[1,2](A); C(B); D(A, C) align", "A, B", "0:0 1:0 1:1", "A.1, C:1:1"),
    Case("A[2]; B[1,2](A); C(B); D(C, A) align", "A, B", "0:0 1:0 1:1", "C:1:1, A.1"),
    Case("S; A[2]; B(A); C(S, A, B) align", "A", "0 1", "S, A.1, B:1"),
    Case("A[2]; B[1,2](A); R(B) reduces 1; C(A, R) align", "A", "0 1", "A.1, R under 1"),
    Case("A[2]; B[1,2](A) reduces; C(B)", "*B", "0 1 2", "*B.2"),
    Case("A[2]; B[1,2](A) reduces; C(B); D(B, C) align", "*B", "0 1 2", "*B.2, C:2"),
    Case("A[2]; B(A); C(A, B); D(C, A) align", "error: twice"),
    Case("A[2]; B(A) align", "error: two upstream"),
]
ZIP = [
    Case("A[2]; B[2]; C(A, B) zip", "A+B", "0 1", "A.1, B.1"),
    Case("A[2]; B[3]; C(A, B) zip", "A+B", "0 1 2!", "A.1, B.1"),
    Case("A[3]; B[1]; C(A, B) zip", "A+B", "0 1! 2!", "A.0, B.0"),
    Case("A[2]; B[0]; C(A, B) zip", "A+B", "0! 1!", ""),
    Case("A[2]; B[2]; E[2]; C(A, B, E) zip", "A+B+E", "0 1", "A.1, B.1, E.1"),
    Case("A[2]; B(A); C(A); D(B, C) zip", "A", "0 1", "B:1, C:1"),
    Case("S; A[2]; B[2]; C(S, A, B) zip", "A+B", "0 1", "S, A.1, B.1"),
    Case("A[2]; B[1,2](A); C[2,2](A); D(B, C) zip", "A, B+C", "0:0 0:1! 1:0 1:1", "B:1.1, C:1.1"),
    Case("A[2]; B[1,2](A); C[2]; D(B, C) zip", "A, B+C", "0:0 0:1! 1:0 1:1", "B:1.1, C.1"),
    Case("A[2]; B[2]; C(A, B) zip; D(C, A) align", "A+B", "0 1", "C:1, A.1"),
    Case("A[2]; B[2]; C(A, B) zip; D(C, B) align", "error: B"),
]
CASES = [*PRODUCT, *ALIGN, *ZIP]


def script_of(pipeline: str) -> Script:
    """The pipeline, planned, and how many items each run of its dynamic blocks gives."""
    blocks: list[Block] = []
    fixed: dict[tuple[str, Key], Act] = {}
    for text in pipeline.split("; "):
        found = _BLOCK.fullmatch(text)
        assert found, text
        name, items, upstreams, reduces, join = found.groups()
        counts = [int(count) for count in (items or "").split(",") if count]
        fixed[name, ()] = Act(items=counts[0] if counts else 0)
        fixed |= {(name, (place,)): Act(items=count) for place, count in enumerate(counts) if len(counts) > 1}
        settings = DynamicSettings(
            dynamic=items is not None,
            reduce_output=bool(reduces),
            reduction=Reduction(levels=1 if reduces == " reduces 1" else None),
            join=Join(join or "product"),
        )
        blocks.append(
            Block(
                uuid=BlockUuid(name),
                name=name,
                type=BlockType.CUSTOM,
                language=Language.PYTHON,
                file=Path(f"{name}.py"),
                upstream_blocks=tuple(BlockUuid(each) for each in (upstreams or "").split(", ") if each),
                dynamic=settings,
            )
        )
    return Script(make_plan(blocks), fixed=fixed)


def shown_axes(plan: Plan) -> str:
    def axis_name(axis: Axis) -> str:
        paired = [plan.blocks[number].uuid for number in (axis.block, *axis.zipped)]
        return "*" * axis.flat + "+".join(paired)

    return ", ".join(map(axis_name, plan.blocks[-1].axes))


def shown_runs(script: Script) -> str:
    last = script.plan.blocks[-1].uuid
    runs = evaluate(script).runs[last]
    return " ".join(
        (":".join(map(str, key)) or last) + "!" * (run.status is Status.FAILED) for key, run in sorted(runs.items())
    )


def shown_last(script: Script) -> str:
    last = script.plan.blocks[-1]
    completed = [key for key, run in evaluate(script).runs[last.uuid].items() if run.status is Status.COMPLETED]
    sources = script.sources(last.number, max(completed)) if completed else ()
    return ", ".join(shown_source(script.plan, source) for source in sources)


def shown_source(plan: Plan, source: Source) -> str:
    upstream = plan.blocks[source.edge.upstream].uuid
    if source.edge.kind is EdgeKind.FOLDED:
        return f"{upstream} under {':'.join(map(str, source.key))}" if source.key else f"all of {upstream}"
    run = ":".join([upstream, *map(str, source.key)])
    flat = "*" * (source.edge.kind is EdgeKind.FLAT)
    return f"{flat}{run}" if source.item is None else f"{flat}{run}.{source.item}"


def refusal(case: Case) -> PlanError:
    with pytest.raises(PlanError) as caught:
        script_of(case.pipeline)
    return caught.value


@pytest.mark.parametrize("case", [case for case in CASES if not case.axes.startswith("error: ")], ids=str)
def test_axes_join_and_make_these_runs(case: Case) -> None:
    script = script_of(case.pipeline)
    assert (shown_axes(script.plan), shown_runs(script), shown_last(script)) == (case.axes, case.runs, case.last)


@pytest.mark.parametrize("case", [case for case in CASES if case.axes.startswith("error: ")], ids=str)
def test_what_cannot_be_joined_is_refused_before_anything_runs(case: Case) -> None:
    error = refusal(case)
    assert case.axes.removeprefix("error: ") in error.message
    assert f"block `{case.pipeline.split('; ')[-1].partition('(')[0]}`" in str(error.where)
    assert error.fix


TEXT = """\
# How several upstream blocks meet

Made from the cases of `tests/unit/scheduler/test_join_table.py`, each of which is planned and worked out; to change
this page, change them and {regenerate}.

A block has a run for each position on its axes: the items of the dynamic blocks that it follows. Where several
upstream blocks have axes, `configuration.dynamic.join` says how they meet:

- **product** (default): every run of one with every run of the other, axes that both have included; the first upstream
  is slowest.
- **align**: an axis that several have is one axis, and they meet at its items; the rest multiplies.
- **zip**: the last axes are paired by index, and take the names of the first; those before them are aligned. What has
  no partner fails, once it is sure that none will come.

A block without axes is the same for every run, and so is what a reducing block hands on. Products are plans: only what
is run takes space.

In the tables `A[3]` is a dynamic block whose runs give three items each (`A[1,2]`: the first one, the second two), and
`B(A)` is a block that reads `A`. `A.2` is the item of index 2 of the one run of `A`, `B:1.0` that of index 0 of the run
`B:1`, and `*B.3` that of index 3 of all the items of `B`, a dynamic block that reduces: its axis is `*B`. `A+B` is an
axis of pairs. A run that fails for want of a partner carries a `!`. The axes and runs are those of the last block.

## product

{product}

## align

{align}

## zip

{zip}
"""


def table(cases: list[Case]) -> str:
    lines = ["| pipeline | axes | runs | the last one gets |", "|-|-|-|-|"]
    for case in cases:
        if case.axes.startswith("error: "):
            lines.append(f"| `{case.pipeline}` | an error: {refusal(case).message} | | |")
        else:
            cells = " | ".join(f"`{text}`" if text else "none" for text in (case.axes, case.runs, case.last))
            lines.append(f"| `{case.pipeline}` | {cells} |")
    return "\n".join(lines)


def render() -> str:
    return TEXT.format(regenerate=REGENERATE, product=table(PRODUCT), align=table(ALIGN), zip=table(ZIP))


def test_the_page_on_joins_says_what_these_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), REGENERATE


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(render(), encoding="utf-8")
