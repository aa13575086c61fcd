"""`refold run` and `refold retry`: a pipeline runs, its progress is shown, and what came of it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from refold.api.reading import RunReader
from refold.api.running import retry_run, run_pipeline
from refold.api.single_block import run_block
from refold.cli.block_report import report_block
from refold.cli.command_group import FAILED, note, note_warnings
from refold.cli.options import JsonOption, ProjectOption, RunArgument
from refold.cli.output_format import json_line, stdout_for
from refold.cli.progress_view import open_view
from refold.cli.project_folder import project_around, project_at, project_option
from refold.cli.run_report import lines_of_tests, report_lines
from refold.cli.run_request import RunRequest
from refold.engine.engine import Observer
from refold.errors import StoreError
from refold.model.keys import RunId
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.ports.run_store import RunRecord, RunStatus


@dataclass(frozen=True, slots=True)
class Shown:
    """What is printed of a run."""

    as_json: bool = False
    tests: bool = False
    """Whether the results of tests are."""


def run(request: RunRequest) -> None:
    """Run a pipeline and show its progress."""
    options = request.options()
    pipeline = Pipeline.get(request.pipeline, project_at(request.project))
    note_warnings(pipeline.warnings)
    if request.block_uuid is not None:
        if request.executor is not None or request.workers is not None:
            note("note: one block runs in this process; --executor and --workers have no meaning for it")
        with stdout_for(request.as_json):
            result = run_block(pipeline, request.block_uuid, request.child, options.variables, options.run_tests)
        report_block(result, request.as_json)
        return
    _watch(
        pipeline,
        Shown(request.as_json, request.test),
        lambda observer: run_pipeline(pipeline, options, observer),
    )


def retry(
    run: RunArgument,
    from_block: Annotated[
        str | None, typer.Option("--from-block", metavar="BLOCK", help="Run this block and all that follows anew.")
    ] = None,
    block_run: Annotated[
        list[str] | None,
        typer.Option(
            "--block-run", metavar="BLOCK_RUN", help="Run this one and what descends from it anew; repeatable."
        ),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run what did not complete of a run."""
    reader = RunReader.open(run, project_around(project))
    try:
        record, store = reader.record, reader.store
        pipeline = Pipeline.get(record.pipeline_uuid, reader.project)
        named = [(block.uuid, key) for block, key in map(reader.resolve, block_run or ())]
        _watch(
            pipeline,
            Shown(as_json),
            lambda observer: retry_run(pipeline, record, store, from_block, observer, named),
            record.id,
        )
    finally:
        reader.close()


def _watch(
    pipeline: Pipeline, shown: Shown, start: Callable[[Observer], RunRecord], known: RunId | None = None
) -> None:
    """Runs with a view of its progress, then reports. Raises typer.Exit unless the run completed."""
    view = open_view(pipeline.uuid, [block.uuid for block in pipeline.running_blocks], shown.as_json)
    try:
        with view, stdout_for(shown.as_json):
            record = start(view)
    except StoreError as error:
        raise _with_way_on(error, pipeline.project, view.run_id or known) from error
    # How the run ended is told by the exit code, whether or not anybody reads on.
    with suppress(BrokenPipeError):
        _report(pipeline.project, record.id, shown)
    if record.status is not RunStatus.COMPLETED:
        raise typer.Exit(FAILED)


def _report(project: Project, run: RunId, shown: Shown) -> None:
    reader = RunReader.open(run, project)
    try:
        out = sys.stderr if shown.as_json else sys.stdout
        if shown.tests:
            for line in lines_of_tests(reader.logs()):
                print(line, file=out)
        if shown.as_json:
            print(json_line(reader.head()), flush=True)
        else:
            print("\n".join(report_lines(reader)), flush=True)
    finally:
        reader.close()


def _with_way_on(error: StoreError, project: Project, run: RunId | None) -> StoreError:
    """The same error, and how to go on with the run that it ended."""
    if run is None:
        return error
    fix = f"When that is mended, go on: `refold retry {run}{project_option(project)}`."
    return StoreError(error.message, where=error.where, fix=fix if error.fix is None else f"{error.fix}\n{fix}")
