"""Deleting old runs: `refold clean`.

A run's folder is deleted before its rows: what a crash leaves between the two is a run that is still known to be old,
and goes with the next cleaning. A folder whose run this store does not know may be another store's, and stays. Visible
outputs, the latest of each block, lie elsewhere and stay.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from refold.api.running import is_interrupted
from refold.api.wiring import open_project_store, run_folder, stored_as
from refold.errors import StoreError
from refold.model.keys import PipelineUuid
from refold.model.project import Project
from refold.ports.run_store import RunRecord, RunStore


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted."""

    runs: int
    """How many runs."""
    bytes: int
    """How much room their files took."""


def clean(project: Project, keep: int | None, older_than: float | None, now: float) -> Cleaned:
    """Deletes runs that are over, or interrupted: all but the newest `keep` of each pipeline, and but those that ended
    less than `older_than` seconds before `now` (seconds since the epoch). Given both, either protects a run; given
    neither, no run is deleted. Raises StoreError when something cannot be deleted.
    """
    store = open_project_store(project)
    try:
        records = list(store.list_runs(stored_as(project)))
        old = [] if keep is None and older_than is None else list(_old(records, keep, older_than, now))
        freed = sum(_delete(project, store, record) for record in old)
    finally:
        store.close()
    return Cleaned(len(old), freed)


def _old(records: Iterable[RunRecord], keep: int | None, older_than: float | None, now: float) -> Iterator[RunRecord]:
    """Runs to delete, of runs that are given newest first."""
    newer: Counter[PipelineUuid] = Counter()
    for record in records:
        newer[record.pipeline_uuid] += 1
        if keep is not None and newer[record.pipeline_uuid] <= keep:
            continue
        if not record.status.ended and not is_interrupted(record, now):
            continue
        ended = record.completed_at or record.started_at or record.created_at
        if older_than is not None and now - ended < older_than:
            continue
        yield record


def _delete(project: Project, store: RunStore, record: RunRecord) -> int:
    folder = run_folder(project, record.pipeline_uuid, record.id)
    freed = _delete_folder(folder) if folder.is_dir() else 0
    store.delete([record.id])
    return freed


def _delete_folder(folder: Path) -> int:
    """Deletes a folder; how many bytes its files took. Raises StoreError."""
    try:
        size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(
            f"an old run's files cannot be deleted: {error.strerror or error}",
            where=str(folder),
            fix="Make the folder one that this user can write to, then clean again.",
        ) from error
    return size
