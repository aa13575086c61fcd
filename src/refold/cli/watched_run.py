"""A run while a command waits for it: its progress is shown, and what came of it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from refold.api.run_summary import RunSummary
from refold.api.wiring import open_project_store
from refold.cli.command_line import load
from refold.cli.endings import FAILED, Exit
from refold.cli.output_format import json_line, stdout_for
from refold.cli.progress_view import open_view
from refold.cli.project_folder import project_option
from refold.cli.run_report import report_lines
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


def watch(pipeline: Pipeline, shown: Shown, start: Callable[[Observer], RunRecord], known: RunId | None = None) -> None:
    """Runs with a view of its progress, then reports. Raises Exit unless the run completed."""
    view = open_view(pipeline.uuid, [block.uuid for block in pipeline.running_blocks], shown.as_json)
    try:
        with view, stdout_for(shown.as_json):
            record = start(view)
    except StoreError as error:
        raise _with_way_on(error, pipeline.project, view.run_id or known) from error
    # How the run ended is told by the exit code, whether or not anybody reads on.
    with suppress(BrokenPipeError):
        _report(pipeline.project, record, shown)
    if record.status is not RunStatus.COMPLETED:
        raise Exit(FAILED)


def _report(project: Project, record: RunRecord, shown: Shown) -> None:
    with closing(RunSummary(project, record, open_project_store(project))) as reader:
        out = sys.stderr if shown.as_json else sys.stdout
        if shown.tests:
            load("refold.cli.tests_report:print_tests")(reader, out)
        if shown.as_json:
            print(json_line(reader.head()), flush=True)
        else:
            print("\n".join(report_lines(reader)), flush=True)


def _with_way_on(error: StoreError, project: Project, run: RunId | None) -> StoreError:
    """The same error, and how to go on with the run that it ended."""
    if run is None:
        return error
    fix = f"When that is mended, go on: `refold retry {run}{project_option(project)}`."
    return StoreError(error.message, where=error.where, fix=fix if error.fix is None else f"{error.fix}\n{fix}")
