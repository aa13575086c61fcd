"""Asking whether a pipeline, or a block of it, has run in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from refold import check_status
from refold.api.run_setup import prepare
from refold.api.single_block import run_block
from refold.api.wiring import ExecutorKind, open_project_store
from refold.errors import BadInputError, PipelineError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, PipelineUuid, RunId, encode_key
from refold.model.pipeline import Pipeline
from refold.ports.run_store import BlockRunRow, NewRun, Owner, RunStatus, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.lab import Lab, load
from refold.testing.postgres_schema import fresh_schema

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
HERE = Owner("here", 1, 0.0)
COMPLETED = {"total": 3, "total_final": True, "completed": 3, "condition_failed": 0}


class Past:
    """A project whose pipeline `lab` has the runs that a test says."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder)
        self.lab.add("users", load("[1, 2, 3]"), dynamic=True)
        self.lab.add("each", "@transformer\ndef f(n):\n    return n\n", ["users"])
        self.folder = self.lab.project.path
        self.runs = 0

    def run(
        self,
        hours_ago: float,
        status: RunStatus | None = RunStatus.COMPLETED,
        users: Status | None = Status.COMPLETED,
        each: Mapping[str, JsonValue] | None = COMPLETED,
        options: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """A run whose execution date is so long ago; without a status it goes on."""
        self.runs += 1
        store, run = self._store(), RunId(f"run-{self.runs}")
        created = (NOW - timedelta(hours=hours_ago)).timestamp()
        blocks = [self._snapshot(block) for block in ("users", "each")]
        name = PipelineUuid("lab")
        store.create(NewRun(run, str(self.folder), name, created, {}, options or {}, blocks))
        lease = store.acquire(run, HERE, created, 60.0)
        batch = WriteBatch(summary={} if each is None else {"blocks": {"each": dict(each)}})
        if users is not None:
            batch.rows.append(BlockRunRow(BlockUuid("users"), encode_key(()), users, 1, created, created, None, None))
        if status is None:
            store.write(lease, batch, created, 60.0)
        else:
            store.finish(lease, batch, status, created)
        store.close()

    def _snapshot(self, block: str) -> Mapping[str, JsonValue]:
        return next(each for each in prepare(self.lab.pipeline).snapshot({}) if each["uuid"] == block)

    def _store(self) -> RunStore:
        return open_project_store(self.lab.project)

    def says(self, block: str | None = None, hours: float = 24, at: datetime | date | str | None = NOW) -> bool:
        return check_status("lab", at, block, hours, self.folder)


@pytest.fixture(params=["sqlite", "postgres"])
def past(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Past]:
    if request.param == "sqlite":
        yield Past(tmp_path)
        return
    with fresh_schema() as url:
        monkeypatch.setenv("REFOLD_DATABASE_URL", url)
        yield Past(tmp_path)


def test_a_run_counts_whose_execution_date_is_within_the_hours(past: Past) -> None:
    assert not past.says()
    past.run(25)
    assert not past.says()
    assert past.says(hours=26)
    past.run(23)
    assert past.says()
    assert not past.says(hours=22.5)


def test_a_run_of_later_says_nothing_of_earlier(past: Past) -> None:
    past.run(-1)
    assert not past.says()
    assert past.says(at=NOW + timedelta(hours=1))


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED, None])
def test_a_run_that_did_not_complete_does_not_count_but_its_blocks_may(past: Past, status: RunStatus | None) -> None:
    past.run(1, status)
    assert not past.says()
    assert past.says("users")
    assert past.says("each")


def test_any_run_in_the_hours_will_do(past: Past) -> None:
    past.run(2)
    past.run(1, RunStatus.FAILED, Status.FAILED, None)
    assert past.says()
    assert past.says("users")


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.CONDITION_FAILED, None])
def test_a_block_that_did_not_complete_does_not_count(past: Past, status: Status | None) -> None:
    past.run(1, RunStatus.COMPLETED, status)
    assert not past.says("users")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"total_final": False}, False),
        ({"completed": 2, "failed": 1}, False),
        ({"completed": 2}, False),
        ({"completed": 2, "condition_failed": 1}, True),
        ({"completed": 0, "condition_failed": 3}, False),
        ({"completed": 0, "total": 0}, True),
    ],
)
def test_a_block_with_children_counts_when_all_of_them_are_over_and_well(
    past: Past, counts: dict[str, JsonValue], said: bool
) -> None:
    past.run(1, RunStatus.COMPLETED, each={**COMPLETED, **counts})
    assert past.says("each") is said


def test_another_pipeline_does_not_count(past: Past) -> None:
    past.run(1)
    Pipeline.create("other", past.lab.project)
    assert not check_status("other", NOW, repo_path=past.folder)
    with pytest.raises(PipelineError):
        check_status("nobody", NOW, repo_path=past.folder)


@pytest.mark.parametrize(
    "moment",
    ["2026-05-06T12:00:00+00:00", "2026-05-06 12:00", date(2026, 5, 7), NOW.replace(tzinfo=None)],
    ids=str,
)
def test_a_date_may_be_written_in_several_ways(past: Past, moment: datetime | date | str) -> None:
    past.run(1)
    assert past.says(at=moment)


def test_what_nobody_could_ever_answer_is_an_error(past: Past) -> None:
    with pytest.raises(BadInputError, match="no block `user`"):
        past.says("user")
    with pytest.raises(BadInputError, match="which is no date"):
        past.says(at="yesterday")
    with pytest.raises(BadInputError, match="`hours` is 0"):
        past.says(hours=0)


def test_a_block_that_ran_alone_answers_for_itself_alone(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("users", load("[1, 2, 3]"))
    folder = lab.project.path
    assert not check_status("lab", repo_path=folder)
    run_block(lab.pipeline, "users")
    assert not check_status("lab", repo_path=folder)
    assert check_status("lab", block_uuid="users", repo_path=folder)
    lab.run(ExecutorKind.INLINE)
    assert check_status("lab", repo_path=folder)


def test_asking_makes_no_store(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("users", load("[1]"))
    assert not check_status("lab", repo_path=lab.project.path)
    assert not lab.project.data_folder.exists()


def test_a_sensor_waits_for_a_block_of_another_pipeline(tmp_path: Path) -> None:
    """It is asked before that pipeline has run; then it runs, and it is asked again."""
    lab = Lab(tmp_path)
    other = Pipeline.create("other", lab.project)
    other.add_block("x", "data_loader", content=load("[1]"))
    sensor = (
        "from mage_ai.orchestration.run_status_checker import check_status\n"
        "from mage_ai.orchestration.triggers.api import trigger_pipeline\n\n"
        "asked = []\n\n@sensor\ndef ask(*args, **kwargs):\n"
        "    found = check_status('other', kwargs['execution_date'] if asked else None, block_uuid='x', hours=24)\n"
        "    if not asked:\n        trigger_pipeline('other', check_status=True)\n"
        "    asked.append(found)\n    print('asked', found)\n"
        "    return check_status('other', block_uuid='x', hours=24) and len(asked) > 1\n"
    )
    lab.add("wait", sensor, poll_interval=0.1)
    lab.add("after", load("'done'"), ["wait"])
    reader = lab.run(ExecutorKind.PROCESSES)
    assert reader.status == "completed"
    assert [line.text for line in reader.logs() if line.text.startswith("asked")] == ["asked False", "asked False"]
