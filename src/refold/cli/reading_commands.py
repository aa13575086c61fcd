"""Commands that read runs: runs, show, block-runs, output, logs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

from refold.api.reading import BlockRunView, RunReader, list_runs
from refold.cli.duration import duration_text
from refold.cli.options import (
    BlockRunArgument,
    JsonOption,
    OptionalProject,
    ProjectOption,
    RunArgument,
)
from refold.cli.output_format import clock_time, iso_time, json_line, json_of, local_time, value_text
from refold.cli.parameters import Argument, Option
from refold.cli.project_folder import project_around
from refold.cli.run_report import report_lines
from refold.cli.text_table import one_line, table_lines
from refold.executors.capture import LogLine
from refold.model.block import JsonValue
from refold.model.keys import encode_key, parse_block_run_uuid


def runs(
    project: OptionalProject = None,
    pipeline: Annotated[
        str | None, Option("--pipeline", metavar="PIPELINE", help="Only runs of this pipeline.")
    ] = None,
    limit: Annotated[int | None, Option("--limit", metavar="N", minimum=1, help="At most so many runs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    found = list_runs(project_around(project), pipeline, limit)
    if as_json:
        for reader in found:
            print(json_line(reader.head()))
        return
    header = ("run", "pipeline", "status", "started", "took")
    lines = table_lines(header, (_run_row(reader) for reader in found))
    head, first = next(lines), next(lines, None)
    if first is None:
        print("no runs yet")
        return
    print(head)
    print(first)
    for line in lines:
        print(line)


def _run_row(reader: RunReader) -> tuple[str, ...]:
    record, seconds = reader.record, reader.seconds
    took = "-" if seconds is None else duration_text(seconds)
    return (record.id, record.pipeline_uuid, reader.status, local_time(record.started_at), took)


def show(run: RunArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show one run: counts, and failures by kind."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        if as_json:
            print(json_line(reader.head()))
        else:
            print("\n".join(report_lines(reader)))


def block_runs(
    run: RunArgument,
    block: Annotated[str | None, Option("--block", metavar="BLOCK", help="Only runs of this block.")] = None,
    status: Annotated[
        str | None, Option("--status", metavar="STATUS", help="Only runs of this status, such as `failed`.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the block runs of a run, in key order."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        found = reader.block_runs(block, status)
        if as_json:
            for view in found:
                sys.stdout.write(f"{json_line(_block_run_json(view))}\n")
            return
        header = ("block run", "status", "attempts", "took", "error")
        for line in table_lines(header, map(_block_run_row, found), frozenset({2, 3})):
            sys.stdout.write(f"{line}\n")


def _block_run_json(view: BlockRunView) -> JsonValue:
    return {
        "block_run_uuid": view.block_run_uuid,
        "block_uuid": view.block_uuid,
        "label": view.label,
        "key": [*view.key],
        "status": view.status,
        "attempts": view.attempts,
        "started_at": iso_time(view.started_at),
        "completed_at": iso_time(view.completed_at),
        "error": view.error,
    }


def _block_run_row(view: BlockRunView) -> tuple[str, ...]:
    took = "-"
    if view.started_at is not None and view.completed_at is not None:
        took = f"{max(0.0, view.completed_at - view.started_at):.3f}s"
    return (view.block_run_uuid, view.status, str(view.attempts), took, one_line(view.error or "", 120))


def output(
    run: RunArgument, block_run: BlockRunArgument, project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Print what a block run returned."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        value = reader.output(block_run)
        print(json_line(json_of(value)) if as_json else value_text(value))


def logs(
    run: RunArgument,
    block_run: Annotated[
        str | None, Argument(metavar="BLOCK_RUN", help="One block run, or a block: all its runs.")
    ] = None,
    follow: Annotated[bool, Option("--follow", "-f", help="Go on until the run is over.")] = False,
    project: ProjectOption = None,
) -> None:
    """Print what blocks printed and logged."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        if block_run is not None and parse_block_run_uuid(block_run)[1]:
            reader.resolve(block_run)
        for text in _log_texts(reader.logs(block_run, follow), named=block_run):
            sys.stdout.write(f"{text}\n")
            if follow:
                sys.stdout.flush()
        if block_run is not None:
            sys.stdout.write(_traceback(reader, block_run))


def _traceback(reader: RunReader, block_run: str) -> str:
    """Why this block run failed; empty if it did not, or where a block with many runs is named."""
    block, labels = parse_block_run_uuid(block_run)
    if len(labels) != len(reader.plan[block].axes):
        return ""
    snapshot, key = reader.resolve(block_run)
    failure = reader.store.failure(reader.record.id, snapshot.uuid, encode_key(key))
    return "" if failure is None else f"{failure.traceback.rstrip()}\n"


def _log_texts(lines: Iterator[LogLine], named: str | None) -> Iterator[str]:
    """Lines with time and, unless only one is asked for, the block run."""
    for line in lines:
        who = "" if line.block_run == named else f"  {line.block_run}"
        level = "" if line.level is None else f"  {line.level}"
        yield f"{clock_time(line.at)}{who}{level}  {line.text}"
