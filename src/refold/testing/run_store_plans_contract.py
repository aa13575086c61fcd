"""What every run store promises of a run's plan, which a retry may change."""

from __future__ import annotations

import pytest

from refold.errors import StoreError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, encode_key
from refold.ports.run_store import Lease, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.run_store_samples import (
    FOLD,
    LOAD,
    NOW,
    SPLIT,
    TTL,
    StoreUnderTest,
    columns,
    failure,
    fold,
    items,
    row,
)


class PlansContract(StoreUnderTest):
    """Blocks that stay keep what is theirs; blocks that leave take it along."""

    def test_a_changed_plan_keeps_the_rows_of_blocks_that_stay(self, store: RunStore, lease: Lease) -> None:
        rows = [row(LOAD), row(SPLIT, 0), row(FOLD)]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        plan: list[dict[str, JsonValue]] = [{"uuid": FOLD}, {"uuid": "new", "x": 1}, {"uuid": SPLIT}, {"uuid": LOAD}]
        store.update_plan(lease, plan)
        assert list(store.get(lease.run).blocks) == plan
        store.write(lease, WriteBatch(rows=[row("new", 5)]), NOW, TTL)
        assert list(store.block_runs(lease.run)) == [row(FOLD), row("new", 5), row(SPLIT, 0), row(LOAD)]

    def test_plans_that_change_again_and_again_never_mix_blocks_up(self, store: RunStore, lease: Lease) -> None:
        kept: list[str] = [LOAD]
        for number in range(6):
            kept = [*kept[1:], f"new_{number}", f"newer_{number}"]
            store.update_plan(lease, [{"uuid": uuid} for uuid in kept])
            store.write(lease, WriteBatch(rows=[row(kept[-1], number)]), NOW, TTL)
        planned = [f"{age}_{number}" for number in range(6) for age in ("new", "newer")][-len(kept) :]
        assert [block["uuid"] for block in store.get(lease.run).blocks] == planned
        expected = [row(uuid, int(uuid[-1])) for uuid in planned if uuid.startswith("newer")]
        assert list(store.block_runs(lease.run)) == expected

    def test_blocks_that_leave_the_plan_take_their_rows_along(self, store: RunStore, lease: Lease) -> None:
        batch = WriteBatch(
            items=[items(SPLIT, (), 0, 2), items(LOAD, (), 0, 1)],
            rows=[row(LOAD), row(SPLIT, 0, status=Status.FAILED)],
            failures=[failure(SPLIT, 0)],
            folds=[fold(SPLIT, (), 1), fold(LOAD, (), 1)],
        )
        store.write(lease, batch, NOW, TTL)
        store.update_plan(lease, [{"uuid": LOAD}, {"uuid": "new"}])
        assert list(store.block_runs(lease.run)) == [row(LOAD)]
        assert [*store.failures(lease.run), *store.failure_groups(lease.run)] == []
        assert list(store.items(lease.run, LOAD)) == batch.items[1:]
        assert list(store.folds(lease.run, LOAD)) == batch.folds[1:]
        store.write(lease, WriteBatch(forgotten=[(SPLIT, encode_key((0,)))], forgotten_items=[(SPLIT, b"")]), NOW, TTL)
        store.update_plan(lease, [{"uuid": SPLIT}, {"uuid": LOAD}])
        assert list(store.block_runs(lease.run)) == [row(LOAD)]
        assert [*store.items(lease.run, SPLIT), *store.folds(lease.run, SPLIT), *store.failures(lease.run)] == []

    def test_a_block_that_comes_later_has_nothing_of_one_that_left(self, store: RunStore, lease: Lease) -> None:
        batch = WriteBatch(
            items=[items(FOLD, (), 0, 2)],
            rows=[row(FOLD, 0, status=Status.FAILED)],
            failures=[failure(FOLD, 0)],
            folds=[fold(FOLD, (), 1)],
        )
        store.write(lease, batch, NOW, TTL)
        staying: list[dict[str, JsonValue]] = [{"uuid": LOAD}, {"uuid": SPLIT}]
        store.update_plan(lease, staying)
        store.update_plan(lease, [*staying, {"uuid": "later"}])
        later = BlockUuid("later")
        assert [*store.block_runs(lease.run), *store.failures(lease.run)] == []
        assert [*store.items(lease.run, later), *store.folds(lease.run, later)] == []

    def test_a_row_of_a_block_outside_the_plan_is_refused_with_its_batch(self, store: RunStore, lease: Lease) -> None:
        for batch in (
            WriteBatch(rows=[row(LOAD), row("stranger")]),
            WriteBatch(rows=[row(LOAD)], columns=[columns("stranger", [(0,)])]),
            WriteBatch(rows=[row(LOAD)], items=[items("stranger", (), 0, 1)]),
            WriteBatch(rows=[row(LOAD)], failures=[failure("stranger")]),
            WriteBatch(rows=[row(LOAD)], folds=[fold("stranger", (), 1)]),
        ):
            with pytest.raises(StoreError, match="stranger"):
                store.write(lease, batch, NOW, TTL)
        assert list(store.block_runs(lease.run)) == []
