"""What every run store promises of earlier results: a completed block run is found by its fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from refold.model.keys import PipelineUuid, RunId, encode_key
from refold.ports.run_store import BlockRunRow, Lease, RunStatus, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.run_store_samples import (
    FOLD,
    HERE,
    LOAD,
    NOW,
    SPLIT,
    TTL,
    OpenStore,
    StoreUnderTest,
    new_run,
    row,
)

PROJECT, PIPELINE = new_run().project, new_run().pipeline_uuid
ONE, TWO, THREE = (bytes([number]) * 16 for number in (0, 127, 255))


def result(block: str, *key: int, of: bytes, status: Status = Status.COMPLETED, chunk: int = 0) -> BlockRunRow:
    """A block run with a fingerprint."""
    return row(block, *key, status=status, chunk=chunk)._replace(digest=b"\0\xffdigest", fingerprint=of)


class CacheContract(StoreUnderTest):
    """Only what completed answers, only for the same block of the same pipeline; the newest run before all others."""

    def test_a_completed_block_run_is_found_by_its_fingerprint(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        rows = [
            result(SPLIT, 0, of=ONE),
            result(SPLIT, 1, of=TWO, status=Status.COMPLETED_FALSE)._replace(kept=True),
            row(SPLIT, 2),
        ]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        found = open_store().cached(PROJECT, PIPELINE, SPLIT, [ONE, TWO, THREE, ONE])
        assert found == {ONE: (lease.run, rows[0]), TWO: (lease.run, rows[1])}
        assert [type(one.kept) for _, one in found.values()] == [bool, bool]
        assert store.cached(PROJECT, PIPELINE, SPLIT, {TWO}) == {TWO: (lease.run, rows[1])}
        assert store.cached(PROJECT, PIPELINE, SPLIT, []) == {}

    @pytest.mark.parametrize("status", sorted(set(Status) - {Status.COMPLETED, Status.COMPLETED_FALSE}))
    def test_what_did_not_complete_answers_nothing(self, store: RunStore, lease: Lease, status: Status) -> None:
        store.write(lease, WriteBatch(rows=[result(SPLIT, 0, of=ONE, status=status)]), NOW, TTL)
        assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE]) == {}

    def test_results_are_of_their_block_pipeline_and_project(self, store: RunStore) -> None:
        runs = [
            replace(new_run(), pipeline_uuid=PipelineUuid("other")),
            replace(new_run(), project="/other"),
            new_run(blocks=[FOLD, SPLIT, LOAD]),
        ]
        rows = []
        for number, run in enumerate(runs):
            store.create(run)
            lease = store.acquire(run.id, HERE, NOW, TTL)
            rows.append([result(SPLIT, number, of=ONE), result(LOAD, number, of=TWO)])
            store.write(lease, WriteBatch(rows=rows[-1]), NOW, TTL)
        for run, (split, load) in zip(runs, rows, strict=True):
            assert store.cached(run.project, run.pipeline_uuid, SPLIT, [ONE, TWO]) == {ONE: (run.id, split)}
            assert store.cached(run.project, run.pipeline_uuid, LOAD, [ONE, TWO]) == {TWO: (run.id, load)}
            assert store.cached(run.project, run.pipeline_uuid, FOLD, [ONE, TWO]) == {}
        assert store.cached("/other", PipelineUuid("other"), SPLIT, [ONE]) == {}

    def test_the_newest_run_answers_whatever_became_of_it(self, store: RunStore) -> None:
        expected: list[tuple[RunId, BlockRunRow]] = []
        for number, end in enumerate([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, None]):
            run = new_run(created_at=NOW + number)
            store.create(run)
            lease = store.acquire(run.id, HERE, NOW, TTL)
            rows = [result(SPLIT, number, of=ONE, chunk=number), result(SPLIT, 9, of=bytes([number + 1]) * 16)]
            store.write(lease, WriteBatch(rows=rows), NOW, TTL)
            if end is not None:
                store.finish(lease, WriteBatch(), end, NOW)
            expected.append((run.id, rows[0]))
            assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE]) == {ONE: expected[-1]}
        while expected:
            assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE]) == {ONE: expected[-1]}
            store.delete([expected.pop()[0]])
        assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE]) == {}

    def test_a_run_under_way_does_not_answer_itself(self, store: RunStore, lease: Lease) -> None:
        store.write(lease, WriteBatch(rows=[result(SPLIT, 0, of=ONE)]), NOW, TTL)
        assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE], but=lease.run) == {}
        later = new_run(created_at=NOW + 1)
        store.create(later)
        after = store.acquire(later.id, HERE, NOW, TTL)
        store.write(after, WriteBatch(rows=[result(SPLIT, 1, of=ONE)]), NOW, TTL)
        [(run, _)] = store.cached(PROJECT, PIPELINE, SPLIT, [ONE], but=later.id).values()
        assert run == lease.run

    def test_of_block_runs_that_are_alike_the_last_answers(self, store: RunStore, lease: Lease) -> None:
        rows = [result(SPLIT, *key, of=ONE, chunk=sum(key)) for key in [(1, 0), (256,), (1, 7), (0, 3)]]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE]) == {ONE: (lease.run, rows[1])}

    def test_a_result_that_is_gone_answers_nothing(self, store: RunStore, lease: Lease) -> None:
        rows = [result(SPLIT, 0, of=ONE), result(SPLIT, 1, of=TWO), result(LOAD, of=THREE)]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        anew = row(SPLIT, 0, attempts=2)[:8]
        store.write(lease, WriteBatch(rows=[anew], forgotten=[(SPLIT, encode_key((1,)))]), NOW, TTL)  # type: ignore[list-item]
        assert store.cached(PROJECT, PIPELINE, SPLIT, [ONE, TWO]) == {}
        assert store.cached(PROJECT, PIPELINE, LOAD, [THREE]) == {THREE: (lease.run, rows[2])}
        store.update_plan(lease, [{"uuid": SPLIT}])
        store.update_plan(lease, [{"uuid": LOAD}])
        assert store.cached(PROJECT, PIPELINE, LOAD, [THREE]) == {}

    def test_a_hundred_thousand_fingerprints_are_looked_up_at_once(self, store: RunStore, lease: Lease) -> None:
        asked: Sequence[bytes] = [number.to_bytes(16) for number in range(100_000)]
        rows = [result(SPLIT, number, of=asked[number]) for number in range(0, 100_000, 50)]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        found = store.cached(PROJECT, PIPELINE, SPLIT, asked)
        assert found == {one.fingerprint: (lease.run, one) for one in rows}
