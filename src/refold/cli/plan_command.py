"""`refold plan`: what would run, how often, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from refold.api.planning_view import PlannedBlockView, PlanView, describe_plan
from refold.api.snapshot import EdgeSnapshot
from refold.cli.endings import note_warnings
from refold.cli.options import JsonOption, PipelineArgument, ProjectArgument
from refold.cli.output_format import json_line
from refold.cli.parameters import Option
from refold.cli.project_folder import project_at
from refold.cli.text_table import table_lines
from refold.errors import BadInputError
from refold.model.block import LIST, JsonValue
from refold.model.pipeline import Pipeline
from refold.scheduler.plan import EdgeKind


def plan(
    project: ProjectArgument,
    pipeline: PipelineArgument,
    assume: Annotated[
        list[str] | None,
        Option(
            "--assume", metavar="BLOCK=N", help="Take it that each run of a dynamic block gives N items; repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would run, and run nothing."""
    found = Pipeline.get(pipeline, project_at(project))
    note_warnings(found.warnings)
    view = describe_plan(found, parse_assumptions(assume or ()))
    if as_json:
        print(json_line(_plan_json(view)))
        return
    for line in plan_lines(view):
        print(line)


def parse_assumptions(texts: Sequence[str]) -> dict[str, int]:
    """The number of items of each block that `BLOCK=N` names. Raises BadInputError for anything else."""
    assumed: dict[str, int] = {}
    for text in texts:
        block, _, number = text.rpartition("=")
        digits = number.replace(",", "").replace("_", "").strip()
        if not block or not (digits.isascii() and digits.isdecimal()):
            raise BadInputError(
                f"{text!r} says nothing about a block's items", where="--assume", fix="Write `--assume users=1000`."
            )
        assumed[block.strip()] = int(digits)
    return assumed


def plan_lines(view: PlanView) -> Iterator[str]:
    """A table, one line a block; then what is not ordinary about some of them; then how many runs there are."""
    counted = bool(view.assumed)
    header = ("block", "type", "runs", *(("assumed",) if counted else ()), "upstreams ([all in one list])")
    rows = (
        (
            block.uuid,
            block.type.value + (", dynamic" if block.dynamic else ""),
            block.count,
            *((block.assumed_count,) if counted else ()),
            ", ".join(map(_upstream, block.edges)) or "-",
        )
        for block in view.blocks
    )
    yield from table_lines(header, rows, frozenset({3}) if counted else frozenset())
    notes = [f"{block.uuid}: {note}" for block in view.blocks for note in block.notes]
    if notes:
        yield ""
        yield from notes
    if counted:
        yield ""
        yield _total(view)


def _upstream(edge: EdgeSnapshot) -> str:
    if edge.kind is not EdgeKind.FOLDED:
        return edge.upstream
    return f"[{edge.upstream}]" if edge.strategy == LIST else f"{edge.strategy}[{edge.upstream}]"


def _total(view: PlanView) -> str:
    if not view.missing:
        return f"in all: {view.number:,} block runs"
    asked = " ".join(f"--assume {uuid}=N" for uuid in view.missing)
    return f"in all: {view.number:,} block runs and those that depend on more ({asked})"


def _plan_json(view: PlanView) -> JsonValue:
    return {
        "pipeline_uuid": view.pipeline_uuid,
        "blocks": [_block_json(block) for block in view.blocks],
        "assumed": {str(uuid): items for uuid, items in view.assumed.items()},
        "total": None if view.missing else view.number,
        "missing": [*view.missing],
    }


def _block_json(block: PlannedBlockView) -> JsonValue:
    return {
        "uuid": block.uuid,
        "type": block.type.value,
        "upstream_blocks": [*block.upstreams],
        "reduced_upstream_blocks": [*block.reduces],
        "inputs": [
            {
                "upstream": edge.upstream,
                "kind": edge.kind.value,
                "levels": edge.levels,
                "strategy": edge.strategy if edge.kind is EdgeKind.FOLDED else None,
            }
            for edge in block.edges
        ],
        "axes": [axis.block for axis in block.axes],
        "join": block.join.value,
        "dynamic": block.dynamic,
        "runs": block.count,
        "assumed_runs": block.number,
        "notes": [*block.notes],
    }
