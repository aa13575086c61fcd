"""`refold run`: a pipeline runs, or one block of it."""

from __future__ import annotations

from refold.api.running import run_pipeline
from refold.cli.command_line import load
from refold.cli.endings import note_warnings
from refold.cli.project_folder import project_at
from refold.cli.run_request import RunRequest, command_of
from refold.cli.watched_run import Shown, watch
from refold.model.pipeline import Pipeline


def run(request: RunRequest) -> None:
    """Run a pipeline and show its progress."""
    options = request.options()
    pipeline = Pipeline.get(request.pipeline, project_at(request.project))
    note_warnings(pipeline.warnings)
    if request.block_uuid is not None:
        load("refold.cli.block_command:run_alone")(pipeline, request.block_uuid, request, options)
        return
    shown = Shown(request.as_json, request.test)
    watch(pipeline, shown, lambda observer: run_pipeline(pipeline, options, observer))


run_as_asked = command_of(RunRequest, run)
"""`refold run`."""
