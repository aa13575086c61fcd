"""What every run store promises of folds: what the first runs of a group came to, for a retry to go on from."""

from __future__ import annotations

import pytest

from refold.errors import StoreError
from refold.model.keys import BlockUuid, encode_key
from refold.ports.run_store import FoldRow, Lease, RunStore, WriteBatch
from refold.testing.run_store_samples import (
    FOLD,
    HERE,
    LOAD,
    NOW,
    SPLIT,
    TTL,
    OpenStore,
    StoreUnderTest,
    failure,
    fold,
    items,
    new_run,
    row,
)


class FoldsContract(StoreUnderTest):
    """A partial is one row, replaced by the next of its key; whether it still holds, its digest tells the engine."""

    def test_folds_read_by_levels_group_and_how_many_they_cover(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        folds = [
            fold(SPLIT, (), 300),
            fold(SPLIT, (), 70_000),
            fold(SPLIT, (0,), 1, levels=1),
            fold(SPLIT, (0,), 256, levels=1),
            fold(SPLIT, (1,), 2, levels=1),
            fold(SPLIT, (1, 0), 3, levels=1),
            fold(SPLIT, (255,), 2, levels=1),
            fold(SPLIT, (4_294_967_295,), 2, levels=1),
        ]
        others = [fold(LOAD, (), 300), fold(FOLD, (0,), 1, levels=1)]
        store.write(lease, WriteBatch(folds=[*folds[::-1], others[0]]), NOW, TTL)
        store.write(lease, WriteBatch(folds=others[1:]), NOW, TTL)
        found = list(open_store().folds(lease.run, SPLIT))
        assert found == folds
        assert {(type(one), type(one.group), type(one.digest)) for one in found} == {(FoldRow, bytes, bytes)}
        assert [*store.folds(lease.run, LOAD), *store.folds(lease.run, FOLD)] == others
        assert list(store.folds(lease.run, BlockUuid("stranger"))) == []

    def test_a_fold_stored_anew_replaces_the_old_one(self, store: RunStore, lease: Lease) -> None:
        store.write(lease, WriteBatch(folds=[fold(SPLIT, (), 10), fold(SPLIT, (), 20)]), NOW, TTL)
        new = fold(SPLIT, (), 10, chunk=4)._replace(digest=b"another sixteen!", position=0)
        store.write(lease, WriteBatch(folds=[fold(SPLIT, (), 10, chunk=3), new]), NOW, TTL)
        assert list(store.folds(lease.run, SPLIT)) == [new, fold(SPLIT, (), 20)]

    def test_folds_are_of_their_run(self, store: RunStore, lease: Lease) -> None:
        other = new_run(blocks=[FOLD, SPLIT, LOAD])
        store.create(other)
        theirs = store.acquire(other.id, HERE, NOW, TTL)
        store.write(lease, WriteBatch(folds=[fold(LOAD, (), 1)]), NOW, TTL)
        store.write(theirs, WriteBatch(folds=[fold(LOAD, (), 2), fold(FOLD, (), 3)]), NOW, TTL)
        assert list(store.folds(lease.run, LOAD)) == [fold(LOAD, (), 1)]
        assert list(store.folds(lease.run, FOLD)) == []
        assert list(store.folds(other.id, LOAD)) == [fold(LOAD, (), 2)]

    def test_folds_outlive_what_they_were_made_of(self, store: RunStore, lease: Lease) -> None:
        folds = [fold(SPLIT, (), 2), fold(SPLIT, (0,), 1, levels=1)]
        first = WriteBatch(items=[items(SPLIT, (), 0, 2)], rows=[row(SPLIT, 0), row(SPLIT, 1)], folds=folds)
        store.write(lease, first, NOW, TTL)
        forgotten = [(SPLIT, encode_key((number,))) for number in range(2)]
        store.write(lease, WriteBatch(forgotten=forgotten, forgotten_items=[(SPLIT, b"")]), NOW, TTL)
        assert list(store.folds(lease.run, SPLIT)) == folds

    def test_folds_come_with_their_transaction(self, store: RunStore, lease: Lease) -> None:
        with pytest.raises(StoreError):
            store.write(lease, WriteBatch(folds=[fold(SPLIT, (), 1)], failures=[failure("stranger")]), NOW, TTL)
        assert list(store.folds(lease.run, SPLIT)) == []
