"""What every run store promises of pipeline runs: their records, their leases, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from refold.errors import LeaseError, NotFoundError, StoreError
from refold.model.block import JsonValue
from refold.model.keys import PipelineUuid, RunId, encode_key
from refold.ports.run_store import ChunkRow, Control, Lease, Owner, RunStatus, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.run_store_samples import (
    FOLD,
    HERE,
    LOAD,
    NOW,
    SPLIT,
    THERE,
    TTL,
    OpenStore,
    StoreUnderTest,
    failure,
    fold,
    items,
    new_run,
    row,
)


class RunsContract(StoreUnderTest):
    """A run is created once, driven by one engine at a time, and deleted with all that belongs to it."""

    def test_a_new_run_reads_as_it_was_created(self, store: RunStore, open_store: OpenStore) -> None:
        run = new_run()
        store.create(run)
        record = open_store().get(run.id)
        assert (record.id, record.project, record.pipeline_uuid) == (run.id, run.project, run.pipeline_uuid)
        assert (record.variables, record.options, list(record.blocks)) == (run.variables, run.options, run.blocks)
        assert (record.status, record.created_at, record.summary) == (RunStatus.INITIAL, NOW, {})
        assert (record.started_at, record.completed_at, record.owner, record.lease_expires_at) == (None,) * 4

    def test_a_run_without_blocks_and_variables_is_a_run(self, store: RunStore) -> None:
        run = replace(new_run(blocks=()), variables={}, options=MappingProxyType({}))
        store.create(run)
        assert list(store.get(run.id).blocks) == []
        assert list(store.block_runs(run.id)) == []

    def test_an_id_is_given_once(self, store: RunStore) -> None:
        run = new_run()
        store.create(run)
        with pytest.raises(StoreError, match=run.id):
            store.create(replace(run, created_at=NOW + 1))
        assert store.get(run.id).created_at == NOW

    def test_what_is_not_json_is_refused_with_its_type(self, store: RunStore) -> None:
        run = new_run()
        variables: Mapping[str, JsonValue] = {"day": object()}  # type: ignore[dict-item]
        with pytest.raises(StoreError, match="object"):
            store.create(replace(run, variables=variables))
        with pytest.raises(NotFoundError):
            store.get(run.id)

    def test_later_changes_of_what_was_given_do_not_reach_the_store(self, store: RunStore) -> None:
        variables: dict[str, JsonValue] = {"day": 1}
        run = replace(new_run(), variables=variables)
        store.create(run)
        variables["day"] = 2
        assert store.get(run.id).variables == {"day": 1}

    def test_a_run_that_is_not_there_is_named(self, store: RunStore) -> None:
        missing = RunId("no-such-run")
        with pytest.raises(NotFoundError, match=missing):
            store.get(missing)
        with pytest.raises(NotFoundError, match=missing):
            store.acquire(missing, HERE, NOW, TTL)
        with pytest.raises(NotFoundError, match=missing):
            store.request(missing, Control.CANCEL, NOW)

    def test_a_run_that_is_not_there_has_nothing(self, store: RunStore) -> None:
        missing = RunId("no-such-run")
        store.steal(missing, HERE.text)
        store.clear_requests(missing)
        store.delete([missing])
        assert list(store.requests(missing)) == []
        assert [*store.block_runs(missing), *store.failures(missing), *store.chunks(missing)] == []
        assert [*store.items(missing, LOAD), *store.folds(missing, LOAD), *store.failure_groups(missing)] == []
        assert store.block_run(missing, LOAD, b"") is None
        assert store.failure(missing, LOAD, b"") is None

    def test_runs_are_listed_newest_first_then_by_id(self, store: RunStore) -> None:
        for name, created_at in (("b", 2.0), ("a", 2.0), ("B", 2.0), ("old", 1.0), ("new", 3.0)):
            store.create(new_run(name, created_at=created_at))
        assert [record.id for record in store.list_runs()] == ["new", "b", "a", "B", "old"]
        assert [record.id for record in store.list_runs(limit=2)] == ["new", "b"]
        assert list(store.list_runs(limit=0)) == []

    def test_runs_are_listed_by_project_and_pipeline(self, store: RunStore) -> None:
        theirs = [("p", "one"), ("p", "two"), ("q", "one")]
        for number, (project, pipeline) in enumerate(theirs):
            run = replace(new_run(f"{project}-{pipeline}", created_at=number), project=project)
            store.create(replace(run, pipeline_uuid=PipelineUuid(pipeline)))
        assert [record.id for record in store.list_runs(project="p")] == ["p-two", "p-one"]
        assert [record.id for record in store.list_runs(pipeline=PipelineUuid("one"))] == ["q-one", "p-one"]
        [record] = store.list_runs("p", PipelineUuid("one"), limit=5)
        assert record == store.get(RunId("p-one"))

    def test_runs_of_a_pipeline_are_found_by_when_they_were_created(self, store: RunStore) -> None:
        for number in range(5):
            store.create(new_run(f"run-{number}", created_at=float(number)))
        here, pipeline = store.get(RunId("run-0")).project, store.get(RunId("run-0")).pipeline_uuid
        store.create(replace(new_run("elsewhere", created_at=2.0), project="elsewhere"))
        store.create(replace(new_run("other", created_at=2.0), pipeline_uuid=PipelineUuid("other")))
        found = [record.id for record in store.runs_between(here, pipeline, 1.0, 3.0)]
        assert found == ["run-3", "run-2", "run-1"]
        anywhere = [record.id for record in store.runs_between(None, pipeline, 2.0, 2.0)]
        assert anywhere == ["run-2", "elsewhere"]
        [record] = store.runs_between(here, pipeline, 3.5, 9.0)
        assert record == store.get(RunId("run-4"))

    def test_a_deleted_run_leaves_nothing_and_others_stay(self, store: RunStore, lease: Lease) -> None:
        gone = new_run()
        store.create(gone)
        doomed = store.acquire(gone.id, HERE, NOW, TTL)
        batch = WriteBatch(
            chunks=[ChunkRow(0, "s", 0, 9)],
            items=[items(SPLIT, (), 0, 2)],
            rows=[row(LOAD), row(SPLIT, 0, status=Status.FAILED)],
            failures=[failure(SPLIT, 0)],
            folds=[fold(SPLIT, (), 1)],
        )
        for held in (lease, doomed):
            store.write(held, batch, NOW, TTL)
            store.request(held.run, Control.CANCEL, NOW)
        store.delete(record.id for record in store.list_runs() if record.id == gone.id)
        with pytest.raises(NotFoundError):
            store.get(gone.id)
        with pytest.raises(LeaseError, match="deleted"):
            store.write(doomed, WriteBatch(), NOW, TTL)
        store.create(gone)
        assert [*store.block_runs(gone.id), *store.failures(gone.id), *store.chunks(gone.id)] == []
        assert [*store.items(gone.id, SPLIT), *store.folds(gone.id, SPLIT), *store.requests(gone.id)] == []
        assert len(list(store.block_runs(lease.run))) == 2
        assert list(store.folds(lease.run, SPLIT)) == batch.folds
        assert list(store.requests(lease.run)) == [Control.CANCEL]

    def test_a_run_of_the_same_id_does_not_answer_to_the_lease_of_the_deleted_one(
        self, store: RunStore, lease: Lease
    ) -> None:
        again = replace(new_run(), id=lease.run)
        store.delete([lease.run])
        store.create(again)
        store.acquire(again.id, THERE, NOW, TTL)
        with pytest.raises(LeaseError, match=THERE.host):
            store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)

    # Leases

    def test_acquiring_starts_the_run(self, lease: Lease, open_store: OpenStore) -> None:
        record = open_store().get(lease.run)
        assert (record.status, record.started_at, record.completed_at) == (RunStatus.RUNNING, NOW, None)
        assert (record.owner, record.lease_expires_at) == (HERE.text, NOW + TTL)
        assert (lease.owner, Owner.parse(lease.owner.text)) == (HERE, HERE)

    def test_a_living_lease_keeps_others_off(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        with pytest.raises(LeaseError, match=r"(?s)process 1 on host.*refold cancel"):
            open_store().acquire(lease.run, THERE, NOW + TTL - 0.5, TTL)
        store.write(lease, WriteBatch(), NOW + 1, TTL)

    def test_an_expired_lease_is_taken_and_its_old_holder_fenced(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        taken = open_store().acquire(lease.run, THERE, NOW + TTL, TTL)
        assert taken.token > lease.token
        with pytest.raises(LeaseError, match=THERE.host):
            store.write(lease, WriteBatch(), NOW + TTL, TTL)
        assert store.get(lease.run).owner == THERE.text

    def test_the_same_owner_takes_its_own_living_lease(self, store: RunStore, lease: Lease) -> None:
        again = store.acquire(lease.run, HERE, NOW + 1, TTL)
        assert again.token > lease.token
        with pytest.raises(LeaseError):
            store.write(lease, WriteBatch(), NOW + 1, TTL)
        store.write(again, WriteBatch(), NOW + 1, TTL)

    def test_an_expired_lease_that_nobody_took_still_writes(self, store: RunStore, lease: Lease) -> None:
        store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW + 10 * TTL, TTL)
        assert store.block_run(lease.run, LOAD, b"") == row(LOAD)

    def test_each_write_renews_the_lease(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        store.write(lease, WriteBatch(), NOW + 20, 40.0)
        assert open_store().get(lease.run).lease_expires_at == NOW + 60
        with pytest.raises(LeaseError):
            open_store().acquire(lease.run, THERE, NOW + 59, TTL)

    def test_a_lease_is_stolen_from_the_dead_only(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        open_store().steal(lease.run, THERE.text)
        store.write(lease, WriteBatch(), NOW, TTL)
        open_store().steal(lease.run, HERE.text)
        record = store.get(lease.run)
        assert (record.owner, record.lease_expires_at, record.status) == (None, None, RunStatus.RUNNING)
        with pytest.raises(LeaseError, match="given back"):
            store.write(lease, WriteBatch(), NOW, TTL)
        store.acquire(lease.run, THERE, NOW, TTL)

    def test_finishing_writes_sets_the_status_and_gives_the_lease_back(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        batch = WriteBatch(rows=[row(FOLD)], summary={"done": 1})
        store.finish(lease, batch, RunStatus.FAILED, NOW + 5)
        record = open_store().get(lease.run)
        assert (record.status, record.completed_at, record.summary) == (RunStatus.FAILED, NOW + 5, {"done": 1})
        assert (record.owner, record.lease_expires_at) == (None, None)
        assert list(store.block_runs(lease.run)) == [row(FOLD)]
        with pytest.raises(LeaseError):
            store.write(lease, WriteBatch(), NOW + 6, TTL)
        with pytest.raises(LeaseError):
            store.finish(lease, WriteBatch(), RunStatus.COMPLETED, NOW + 6)
        assert store.get(lease.run).status is RunStatus.FAILED

    def test_a_retry_starts_a_finished_run_anew_and_keeps_its_rows(self, store: RunStore, lease: Lease) -> None:
        store.finish(lease, WriteBatch(rows=[row(LOAD)], summary={"done": 1}), RunStatus.FAILED, NOW + 5)
        again = store.acquire(lease.run, THERE, NOW + 6, TTL)
        record = store.get(lease.run)
        assert (record.status, record.started_at, record.completed_at) == (RunStatus.RUNNING, NOW + 6, None)
        assert record.created_at == NOW
        assert record.summary == {"done": 1}
        assert again.token > lease.token
        assert list(store.block_runs(lease.run)) == [row(LOAD)]

    def test_without_the_lease_nothing_is_written(self, store: RunStore, lease: Lease) -> None:
        before = WriteBatch(
            chunks=[ChunkRow(0, "s", 0, 9)],
            items=[items(SPLIT, (), 0, 2)],
            rows=[row(SPLIT, 0, status=Status.FAILED)],
            failures=[failure(SPLIT, 0)],
            folds=[fold(SPLIT, (), 1)],
            summary={"old": True},
        )
        store.write(lease, before, NOW, TTL)
        store.acquire(lease.run, THERE, NOW + TTL, TTL)
        record = store.get(lease.run)
        late = WriteBatch(
            chunks=[ChunkRow(1, "s", 9, 9)],
            items=[items(SPLIT, (), 2, 2)],
            rows=[row(SPLIT, 0), row(LOAD)],
            failures=[failure(SPLIT, 1)],
            folds=[fold(SPLIT, (), 1, chunk=1), fold(SPLIT, (), 2)],
            forgotten=[(SPLIT, encode_key((0,)))],
            forgotten_items=[(SPLIT, b"")],
            summary={"late": True},
        )
        with pytest.raises(LeaseError):
            store.write(lease, late, NOW + TTL, TTL)
        with pytest.raises(LeaseError):
            store.finish(lease, late, RunStatus.COMPLETED, NOW + TTL)
        with pytest.raises(LeaseError):
            store.update_plan(lease, [{"uuid": "other"}])
        assert store.get(lease.run) == record
        assert list(store.block_runs(lease.run)) == before.rows
        assert list(store.failures(lease.run)) == before.failures
        assert list(store.items(lease.run, SPLIT)) == before.items
        assert list(store.folds(lease.run, SPLIT)) == before.folds
        assert list(store.chunks(lease.run)) == before.chunks

    # Requests

    def test_requests_are_heard_in_order_until_cleared(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        assert list(store.requests(lease.run)) == []
        open_store().request(lease.run, Control.CANCEL, NOW)
        open_store().request(lease.run, Control.CANCEL, NOW)
        assert list(store.requests(lease.run)) == [Control.CANCEL, Control.CANCEL]
        store.clear_requests(lease.run)
        assert list(store.requests(lease.run)) == []

    def test_requests_of_other_runs_are_theirs(self, store: RunStore, lease: Lease) -> None:
        other = new_run()
        store.create(other)
        store.request(other.id, Control.CANCEL, NOW)
        assert list(store.requests(lease.run)) == []
        store.clear_requests(lease.run)
        assert list(store.requests(other.id)) == [Control.CANCEL]
