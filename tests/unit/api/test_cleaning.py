"""Old runs are deleted, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.api.cleaning import Cleaned, clean
from refold.api.pipeline import Pipeline
from refold.api.reading import list_runs
from refold.api.variables import get_variable
from refold.api.wiring import open_project_store
from refold.engine.ownership import this_process
from refold.model.keys import RunId
from refold.ports.run_store import NewRun, Owner, RunRecord

LATER = 4e9
"""A moment when all runs are old."""


def runs(pipeline: Pipeline) -> list[str]:
    return [reader.record.id for reader in list_runs(pipeline.project)]


def folders(pipeline: Pipeline) -> list[str]:
    return sorted(folder.name for folder in (pipeline.project.data_folder / "daily" / ".runs").iterdir())


def start(pipeline: Pipeline, run: str, owner: Owner) -> None:
    store = open_project_store(pipeline.project)
    store.create(NewRun(RunId(run), str(pipeline.project.path), pipeline.uuid, 90.0, {}, {}, []))
    store.acquire(RunId(run), owner, 100.0, 20.0)
    store.close()


def test_the_newest_runs_are_kept_and_the_others_go_with_their_files(users: Pipeline) -> None:
    kept = [users.execute_sync().id for _ in range(3)][1:]
    cleaned = clean(users.project, keep=2, older_than=None, now=LATER)
    assert cleaned.runs == 1
    assert cleaned.bytes > 0
    assert runs(users) == kept[::-1]
    assert folders(users) == kept


def test_runs_are_kept_by_pipeline(users: Pipeline) -> None:
    other = Pipeline.create("weekly", users.project)
    first, second = users.execute_sync().id, other.execute_sync().id
    assert clean(users.project, keep=1, older_than=None, now=LATER).runs == 0
    assert runs(users) == [second, first]


def test_runs_that_ended_lately_are_kept(users: Pipeline) -> None:
    old, new = users.execute_sync(), users.execute_sync()
    assert clean(users.project, None, 60.0, ended(old) + 59.0).runs == 0
    assert clean(users.project, None, ended(new) - ended(old), ended(new)).runs == 1
    assert runs(users) == [new.id]


def ended(record: RunRecord) -> float:
    assert record.completed_at is not None
    return record.completed_at


def test_either_rule_protects_a_run(users: Pipeline) -> None:
    record = users.execute_sync()
    assert clean(users.project, 1, 0.0, LATER).runs == 0
    assert clean(users.project, 0, 60.0, ended(record)).runs == 0
    assert clean(users.project, 0, 60.0, LATER).runs == 1


def test_without_a_rule_no_run_is_deleted(users: Pipeline) -> None:
    users.execute_sync()
    assert clean(users.project, None, None, LATER) == Cleaned(0, 0)


def test_the_visible_outputs_stay(users: Pipeline) -> None:
    users.execute_sync()
    assert clean(users.project, 0, None, LATER).runs == 1
    assert runs(users) == folders(users) == []
    assert get_variable("daily", "save", repo_path=users.project.path) == {"sum": 12}


def test_a_running_run_is_never_deleted_and_an_interrupted_one_is(users: Pipeline) -> None:
    start(users, "20260101-000000-000aaaa", this_process())
    start(users, "20260101-000000-000bbbb", Owner(this_process().host, 2**22 + 1, 0.0))
    assert clean(users.project, 0, None, 110.0).runs == 1
    assert runs(users) == ["20260101-000000-000aaaa"]


def test_folders_of_another_stores_runs_stay(users: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    run = users.execute_sync().id
    monkeypatch.delenv("REFOLD_DATABASE_URL")
    users.execute_sync()
    assert clean(users.project, 0, None, LATER).runs == 1
    assert folders(users) == [run]
