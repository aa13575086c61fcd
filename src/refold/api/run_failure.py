"""Why a pipeline run did not complete, as the error that Python code gets which asked for the run."""

from __future__ import annotations

from contextlib import closing

from refold.api.run_engine import written_by_engine
from refold.api.run_summary import RunSummary
from refold.api.wiring import open_project_store
from refold.errors import PipelineRunError
from refold.model.project import Project
from refold.ports.run_store import RunRecord

_SHOWN = 5
_ENDS = {"cancelled": "was cancelled", "interrupted": "was interrupted: its engine is gone"}


def not_completed(project: Project, record: RunRecord) -> PipelineRunError:
    """The error for a run that did not complete: its failures by kind, each with its first block runs."""
    with closing(RunSummary(project, record, open_project_store(project))) as reader:
        lines = [f"the pipeline `{record.pipeline_uuid}` {_ENDS.get(reader.status, 'failed')}"]
        for failure in reader.failures():
            some = ", ".join(failure.block_runs[:_SHOWN])
            more = failure.count - min(len(failure.block_runs), _SHOWN)
            lines.append(f"  {some}{f' and {more} more' if more > 0 else ''}: {failure.error}")
        said = written_by_engine(reader.folder) if len(lines) == 1 else ""
    return PipelineRunError(
        "\n".join([*lines, said] if said else lines),
        where=f"run {record.id}",
        fix=f"`refold show {record.id}` tells more, `refold retry {record.id}` runs what is incomplete.",
    )
