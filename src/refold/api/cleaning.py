"""Deleting old runs: `refold clean`.

A run's rows are deleted before its folder: what a crash leaves between the two is a folder without a run, which the
next cleaning finds. Visible outputs, the latest of each block, lie elsewhere and stay.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from refold.api.running import is_interrupted
from refold.api.wiring import RUNS, open_project_store, run_folder, stored_as
from refold.errors import StoreError
from refold.model.keys import PipelineUuid
from refold.model.project import Project
from refold.ports.run_store import RunRecord, RunStore


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted."""

    runs: int
    """How many runs, folders without a run not counted."""
    bytes: int
    """How much room their files took."""


def clean(project: Project, keep: int | None, older_than: float | None, now: float) -> Cleaned:
    """Deletes runs that are over, or interrupted: all but the newest `keep` of each pipeline, and but those that ended
    less than `older_than` seconds before `now` (seconds since the epoch). Given both, either protects a run; given
    neither, no run is deleted.

    Folders of runs that the store does not know are deleted too, unless it knows no run at all: they then belong to
    another store. Raises StoreError when something cannot be deleted.
    """
    folders = list(_run_folders(project))  # before the rows: a run's row comes before its folder
    store = open_project_store(project)
    try:
        records = list(store.list_runs(stored_as(project)))
        old = [] if keep is None and older_than is None else list(_old(records, keep, older_than, now))
        freed = sum(_delete(project, store, record) for record in old)
    finally:
        store.close()
    known = {_folder(project, record) for record in records}
    if records:
        freed += sum(_delete_folder(folder) for folder in folders if folder not in known)
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
    store.delete([record.id])
    folder = _folder(project, record)
    return _delete_folder(folder) if folder.is_dir() else 0


def _folder(project: Project, record: RunRecord) -> Path:
    return run_folder(project, record.pipeline_uuid, record.id)


def _run_folders(project: Project) -> Iterator[Path]:
    return (folder for folder in project.data_folder.glob(f"*/{RUNS}/*") if folder.is_dir() and not folder.is_symlink())


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
