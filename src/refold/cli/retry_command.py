"""`refold retry`: what did not complete of a run is run."""

from __future__ import annotations

from typing import Annotated

from refold.api.reading import RunReader
from refold.api.running import retry_run
from refold.cli.options import JsonOption, ProjectOption, RunArgument
from refold.cli.parameters import Option
from refold.cli.project_folder import project_around
from refold.cli.watched_run import Shown, watch
from refold.model.pipeline import Pipeline


def retry(
    run: RunArgument,
    from_block: Annotated[
        str | None, Option("--from-block", metavar="BLOCK", help="Run this block and all that follows anew.")
    ] = None,
    block_run: Annotated[
        list[str] | None,
        Option("--block-run", metavar="BLOCK_RUN", help="Run this one and what descends from it anew; repeatable."),
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
        watch(
            pipeline,
            Shown(as_json),
            lambda observer: retry_run(pipeline, record, store, from_block, observer, named),
            record.id,
        )
    finally:
        reader.close()
