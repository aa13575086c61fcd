"""What run stores promise that several processes share."""

from __future__ import annotations

import threading

import pytest

from refold.errors import LeaseError, StoreError
from refold.ports.run_store import Lease, NewRun, Owner, RunStatus, RunStore, WriteBatch
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


class SharedRunStoreContract(StoreUnderTest):
    """Promises of run stores that several processes share."""

    def test_of_engines_that_want_a_run_at_once_exactly_one_gets_it(
        self, store: RunStore, open_store: OpenStore
    ) -> None:
        run = new_run()
        store.create(run)
        rivals = [(open_store(), Owner("host", pid, 0.5)) for pid in range(4)]
        together = threading.Barrier(len(rivals))
        won: list[Lease] = []
        lost: list[LeaseError] = []

        def compete(own: RunStore, owner: Owner) -> None:
            together.wait()
            try:
                won.append(own.acquire(run.id, owner, NOW, TTL))
            except LeaseError as error:
                lost.append(error)

        threads = [threading.Thread(target=compete, args=rival) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 3)
        assert store.get(run.id).owner == won[0].owner.text

    def test_runs_are_written_at_once(self, store: RunStore, open_store: OpenStore) -> None:
        rivals = [(open_store(), new_run()) for _ in range(3)]
        errors: list[BaseException] = []

        def drive(own: RunStore, run: NewRun) -> None:
            try:
                own.create(run)
                lease = own.acquire(run.id, HERE, NOW, TTL)
                for number in range(20):
                    own.write(lease, WriteBatch(rows=[row(SPLIT, number, inner) for inner in range(50)]), NOW, TTL)
                own.finish(lease, WriteBatch(), RunStatus.COMPLETED, NOW)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=drive, args=rival) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [len(list(store.block_runs(run.id))) for _, run in rivals] == [1000, 1000, 1000]

    def test_a_reader_never_sees_half_a_transaction(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        reader, ended, seen = open_store(), threading.Event(), []

        def read() -> None:
            while not ended.is_set():
                seen.append([(one.block, one.attempts) for one in reader.block_runs(lease.run)])

        thread = threading.Thread(target=read)
        thread.start()
        try:
            for number in range(1, 60):
                rows = [row(block, attempts=number) for block in (FOLD, SPLIT, LOAD)]
                store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        finally:
            ended.set()
            thread.join()
        assert all(found == [] or len({attempts for _, attempts in found}) == 1 for found in seen)
        assert all(len(found) in (0, 3) for found in seen)

    def test_a_reopened_store_holds_what_was_written(
        self, store: RunStore, lease: Lease, open_store: OpenStore
    ) -> None:
        store.finish(lease, WriteBatch(rows=[row(LOAD)], summary={"x": 1}), RunStatus.COMPLETED, NOW + 1)
        record = store.get(lease.run)
        store.close()
        again = open_store()
        assert again.get(lease.run) == record
        assert list(again.block_runs(lease.run)) == [row(LOAD)]

    def test_a_closed_store_says_so(self, store: RunStore, lease: Lease) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreError):
            store.get(lease.run)
        with pytest.raises(StoreError):
            store.write(lease, WriteBatch(), NOW, TTL)
