"""A run that Python code has started, as that code sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from refold.api.awaiting import wait_for_end
from refold.api.following import Followed
from refold.api.process_end import ProcessEnd
from refold.api.run_summary import INTERRUPTED
from refold.api.running import is_interrupted
from refold.api.wiring import open_project_store
from refold.executors.caller import calling
from refold.model.block import JsonValue
from refold.model.keys import RunId
from refold.model.project import Project
from refold.ports.clock import SystemClock
from refold.ports.run_store import Owner, RunRecord, RunStatus

_OVER = ("completed", "failed", "upstream_failed", "condition_failed", "cancelled")


@dataclass(slots=True)
class TriggeredRun:
    """A pipeline run that was started, as it was when it was last looked at."""

    id: str
    pipeline_uuid: str
    status: str
    """`initial`, `running`, `completed`, `failed`, `cancelled`, or `interrupted`: its engine is gone."""
    variables: Mapping[str, JsonValue]
    """Over the pipeline's own."""
    project: str
    """The project's folder."""
    created_at: float
    """Seconds since the epoch."""
    started_at: float | None
    completed_at: float | None
    engine: str | None = field(default=None, repr=False)
    """The process that was started for it, as `Owner.text`; None where there was one before."""

    @property
    def completed(self) -> bool:
        """Whether it completed."""
        return self.status == RunStatus.COMPLETED

    @property
    def ended(self) -> bool:
        """Whether it is over, or nobody goes on with it."""
        return self.status not in {RunStatus.INITIAL, RunStatus.RUNNING}

    def refresh(self) -> Self:
        """Looks again; itself. Raises NotFoundError when the run was deleted."""
        with closing(open_project_store(Project.load(Path(self.project)))) as store:
            self._take(store.get(RunId(self.id)))
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Waits until it is over; itself. Who stops waiting leaves it as it is.

        Raises PipelineRunTimeoutError when it is not over after so many seconds.
        """
        project = Project.load(Path(self.project))
        followed = Followed(project, RunId(self.id), math.inf, timeout, _tell_nobody)
        engine = None if self.engine is None else ProcessEnd.of(Owner.parse(self.engine))
        self._take(wait_for_end(followed, engine, calling()))
        return self

    @classmethod
    def of(cls, project: Project, record: RunRecord, engine: Owner | None = None) -> Self:
        """The run of this record; `engine` was started for it."""
        return cls(
            id=record.id,
            pipeline_uuid=record.pipeline_uuid,
            status=status_of(record),
            variables=record.variables,
            project=str(project.path),
            created_at=record.created_at,
            started_at=record.started_at,
            completed_at=record.completed_at,
            engine=None if engine is None else engine.text,
        )

    def _take(self, record: RunRecord) -> None:
        self.status, self.started_at, self.completed_at = status_of(record), record.started_at, record.completed_at


def status_of(record: RunRecord) -> str:
    """The word that users see."""
    return INTERRUPTED if is_interrupted(record, SystemClock().now()) else record.status.value


def progress_text(record: RunRecord) -> str:
    """The run, its status, and how many of its block runs are over, where it has said so."""
    blocks = record.summary.get("blocks")
    counts = [each for each in blocks.values() if isinstance(each, Mapping)] if isinstance(blocks, Mapping) else []
    over = sum(number for each in counts for word in _OVER if isinstance(number := each.get(word), int))
    total = sum(number for each in counts if isinstance(number := each.get("total"), int))
    progress = f", {over:,} of {total:,} block runs are over" if counts else ""
    return f"run {record.id} of `{record.pipeline_uuid}`: {status_of(record)}{progress}"


def _tell_nobody(_record: RunRecord) -> None:
    """Nobody wants to know how it goes on."""
