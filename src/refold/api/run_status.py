"""Asking whether a pipeline, or a block of it, has run: what sensors that wait for other pipelines ask.

A run belongs to its execution date: the moment when it was asked for. What counts are the runs whose execution date
lies within so many hours before the asker's, whenever they complete: so a run of this morning that completes while a
sensor of noon asks again and again is found, and one of tomorrow does not answer a question about today.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

from refold.api.run_summary import closable
from refold.api.snapshot import PlanSnapshot
from refold.api.triggering import project_of
from refold.api.wiring import has_store, open_project_store, stored_as
from refold.errors import BadInputError, NotFoundError
from refold.model.keys import BlockUuid, encode_key
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.model.suggestion import suggestion
from refold.ports.clock import SystemClock
from refold.ports.run_store import RunRecord, RunStatus, RunStore
from refold.scheduler.status import Status

_COMPLETED = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})
_HOUR = 3600.0


def check_status(
    pipeline_uuid: str,
    execution_date: datetime | date | str | None = None,
    block_uuid: str | None = None,
    hours: float = 24,
    repo_path: Project | Path | str | None = None,
) -> bool:
    """Whether a run of the pipeline completed that was asked for within so many hours before `execution_date`.

    With `block_uuid`: whether the block completed in such a run, all its block runs of it, whatever became of the rest;
    condition_failed ones are passed over. `execution_date` is the asker's (`kwargs['execution_date']`), a text in ISO
    8601, or None for now; without a zone it is in UTC. `repo_path` as for `trigger_pipeline`.

    Raises BadInputError for a pipeline or a block that there is not: nobody would ever see it complete.
    """
    latest = _seconds(execution_date)
    if isinstance(hours, bool) or not hours > 0:
        raise BadInputError(f"`hours` is {hours!r}", fix="Give a number of hours above zero.")
    project = project_of(repo_path)
    pipeline = Pipeline.get(str(pipeline_uuid), project)
    if block_uuid is not None and block_uuid not in {block.uuid for block in pipeline.running_blocks}:
        known = [block.uuid for block in pipeline.running_blocks]
        raise NotFoundError(
            f"the pipeline `{pipeline.uuid}` has no block `{block_uuid}`", fix=suggestion(block_uuid, known, "blocks")
        )
    if not has_store(project):
        return False
    with closing(open_project_store(project)) as store:
        found = store.runs_between(stored_as(project), pipeline.uuid, latest - hours * _HOUR, latest)
        with closing(closable(found)) as records:
            return any(_holds(store, record, block_uuid) for record in records)


def _holds(store: RunStore, record: RunRecord, block: str | None) -> bool:
    alone = record.options.get("block")
    if block is None:
        return alone is None and record.status is RunStatus.COMPLETED
    if alone is not None and alone != block:
        return False
    plan = PlanSnapshot.of(record)
    if block not in plan:
        return False
    uuid = BlockUuid(block)
    if not plan[uuid].axes:
        row = store.block_run(record.id, uuid, encode_key(()))
        return row is not None and Status(row.status) in _COMPLETED
    blocks = record.summary.get("blocks")
    counts = blocks.get(block) if isinstance(blocks, Mapping) else None
    return isinstance(counts, Mapping) and _is_complete(counts)


def _is_complete(counts: Mapping[str, object]) -> bool:
    """Whether all runs of a block with axes are over and well; none at all is normal, none but skipped ones is not."""
    if counts.get("total_final") is not True:
        return False
    completed, skipped, total = (_number(counts, name) for name in ("completed", "condition_failed", "total"))
    return completed + skipped == total and (completed > 0 or total == 0)


def _number(counts: Mapping[str, object], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) else 0


def _seconds(moment: datetime | date | str | None) -> float:
    """Seconds since the epoch. Raises BadInputError."""
    if moment is None:
        return SystemClock().now()
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, AttributeError, OverflowError) as error:
        raise BadInputError(
            f"`execution_date` is {moment!r}, which is no date",
            fix="Give a datetime, such as `kwargs['execution_date']`, or a text such as `2026-01-31T12:00:00+00:00`.",
        ) from error
