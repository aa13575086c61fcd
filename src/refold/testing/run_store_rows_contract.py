"""What every run store promises of rows, chunks and items, and of batches of any of what it keeps."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import StoreError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, Key, encode_key
from refold.ports.run_store import BlockRunRow, ChunkRow, Lease, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.run_store_samples import (
    FOLD,
    HERE,
    LOAD,
    NOW,
    SPLIT,
    TTL,
    DictionaryStore,
    OpenStore,
    StoreUnderTest,
    batches,
    columns,
    failure,
    fold,
    in_plan_order,
    items,
    new_run,
    row,
)


class RowsContract(StoreUnderTest):
    """What is written is what is read, in the order of plan and keys."""

    def test_rows_read_in_plan_order_then_key_order(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        keys: list[Key] = [(256,), (1, 0), (1,), (255, 9), (), (1, 0, 4_294_967_295), (65536,), (0, 7)]
        rows = [row(block, *key) for key in keys for block in (FOLD, LOAD, SPLIT)]
        store.write(lease, WriteBatch(rows=rows[:10]), NOW, TTL)
        store.write(lease, WriteBatch(rows=rows[10:]), NOW, TTL)
        expected = [row(block, *key) for block in (LOAD, SPLIT, FOLD) for key in sorted(keys)]
        found = list(open_store().block_runs(lease.run))
        assert found == expected
        assert {(type(one), type(one.key)) for one in found} == {(BlockRunRow, bytes)}

    def test_rows_are_chosen_by_block_and_status(self, store: RunStore, lease: Lease) -> None:
        rows = [
            row(block, *divmod(number, 4), status=status)
            for block in (LOAD, SPLIT)
            for number, status in enumerate(Status)
        ]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        assert list(store.block_runs(lease.run, SPLIT)) == rows[8:]
        assert list(store.block_runs(lease.run, FOLD)) == list(store.block_runs(lease.run, BlockUuid("stranger"))) == []
        choices: list[set[Status]] = [
            set(),
            {Status.FAILED},
            {Status.COMPLETED},
            {Status.FAILED, Status.COMPLETED_FALSE},
        ]
        for statuses in [*choices, {Status.CANCELLED, Status.UPSTREAM_FAILED}, set(Status)]:
            chosen = [one for one in rows if one.status in statuses]
            assert list(store.block_runs(lease.run, statuses=statuses)) == chosen
            assert list(store.block_runs(lease.run, LOAD, statuses)) == [one for one in chosen if one.block == LOAD]

    def test_one_row_is_found_by_block_and_key(self, store: RunStore, lease: Lease) -> None:
        store.write(lease, WriteBatch(rows=[row(SPLIT, 1), row(SPLIT, 1, 2)]), NOW, TTL)
        assert store.block_run(lease.run, SPLIT, encode_key((1, 2))) == row(SPLIT, 1, 2)
        assert store.block_run(lease.run, SPLIT, encode_key((2,))) is None
        assert store.block_run(lease.run, LOAD, encode_key((1,))) is None

    def test_what_a_block_run_may_lack_is_none(self, store: RunStore, lease: Lease) -> None:
        bare = BlockRunRow(SPLIT, encode_key((3,)), int(Status.UPSTREAM_FAILED), 0, None, None, None, None)
        store.write(lease, WriteBatch(rows=[bare]), NOW, TTL)
        assert list(store.block_runs(lease.run)) == [bare]

    def test_a_row_stored_anew_replaces_the_old_one(self, store: RunStore, lease: Lease) -> None:
        store.write(lease, WriteBatch(rows=[row(SPLIT, 0), row(SPLIT, 1)]), NOW, TTL)
        late = [row(SPLIT, 1, attempts=2, chunk=None), row(SPLIT, 2), row(SPLIT, 1, attempts=3, chunk=9)]
        store.write(lease, WriteBatch(rows=late), NOW, TTL)
        assert list(store.block_runs(lease.run)) == [row(SPLIT, 0), late[2], row(SPLIT, 2)]

    def test_of_rows_for_one_key_in_a_batch_the_last_counts(self, store: RunStore, lease: Lease) -> None:
        rows = [row(SPLIT, number % 7, attempts=number)._replace(kept=True) for number in range(100)]
        mixed = [one if one.attempts % 3 else one[:8] for one in rows]
        for batch in (rows, mixed, mixed[::-1]):
            store.write(lease, WriteBatch(rows=batch), NOW, TTL)  # type: ignore[arg-type]
            last = {one[1]: BlockRunRow(*one) for one in batch}
            assert list(store.block_runs(lease.run)) == [one for _, one in sorted(last.items())]

    def test_a_row_may_leave_out_its_last_columns(self, store: RunStore, lease: Lease) -> None:
        rows = [tuple(row(block, number)) for block in (LOAD, SPLIT) for number in range(40)]
        short = [one[: 8 + number % 4] for number, one in enumerate(rows)]
        store.write(lease, WriteBatch(rows=short), NOW, TTL)  # type: ignore[arg-type]
        assert list(store.block_runs(lease.run)) == rows

    @pytest.mark.parametrize("count", [1, 7, 8, 63, 64, 65, 72, 137, 1000])
    def test_columns_are_a_row_for_each(self, store: RunStore, lease: Lease, count: int) -> None:
        keys = [(number // 3, number) for number in range(count)]
        started, ended = array("d", (NOW + number / 8 for number in range(count))), [NOW + 200.0] * count
        store.write(lease, WriteBatch(columns=[columns(SPLIT, keys, started_at=started, completed_at=ended)]), NOW, TTL)
        assert list(store.block_runs(lease.run)) == [
            row(SPLIT, *key)._replace(started_at=started[at], completed_at=NOW + 200, position=7 + at)
            for at, key in enumerate(keys)
        ]

    def test_columns_may_say_for_all_what_all_have(self, store: RunStore, lease: Lease) -> None:
        keys = [(number,) for number in range(100)]
        never = columns(FOLD, keys, Status.UPSTREAM_FAILED, None, NOW, chunk=None)._replace(attempts=0)
        static = columns(LOAD, [()], started_at=[NOW])
        store.write(lease, WriteBatch(columns=[columns(SPLIT, keys), never, static]), NOW, TTL)
        assert list(store.block_runs(lease.run, LOAD)) == [row(LOAD)]
        assert list(store.block_runs(lease.run, SPLIT)) == [
            row(SPLIT, *key)._replace(position=7 + at) for at, key in enumerate(keys)
        ]
        status = Status.UPSTREAM_FAILED
        assert list(store.block_runs(lease.run, FOLD, {status})) == [
            BlockRunRow(FOLD, encode_key(key), int(status), 0, None, NOW, None, None) for key in keys
        ]

    def test_columns_replace_what_was_stored_and_end_failures(self, store: RunStore, lease: Lease) -> None:
        old = [row(SPLIT, at, status=Status.FAILED)._replace(digest=b"12345678", kept=True) for at in range(90)]
        store.write(lease, WriteBatch(rows=old, failures=[failure(SPLIT, 3), failure(SPLIT, 89)]), NOW, TTL)
        anew = columns(SPLIT, [(at,) for at in range(80)])
        store.write(lease, WriteBatch(columns=[anew], failures=[failure(SPLIT, 5)]), NOW, TTL)
        assert (
            list(store.block_runs(lease.run))
            == [row(SPLIT, at)._replace(position=7 + at) for at in range(80)] + old[80:]
        )
        assert list(store.failures(lease.run)) == [failure(SPLIT, 5), failure(SPLIT, 89)]

    def test_rows_of_a_batch_count_after_its_columns(self, store: RunStore, lease: Lease) -> None:
        batch = WriteBatch(rows=[row(SPLIT, 1, attempts=2)], columns=[columns(SPLIT, [(0,), (1,)])])
        store.write(lease, batch, NOW, TTL)
        assert [one.attempts for one in store.block_runs(lease.run)] == [1, 2]

    def test_rows_keep_digests_fingerprints_and_whether_they_were_kept(self, store: RunStore, lease: Lease) -> None:
        rows = [
            row(SPLIT, 0)._replace(digest=b"\0\xff345678"),
            row(SPLIT, 1)._replace(fingerprint=bytes(16)),
            row(SPLIT, 2)._replace(digest=b"12345678", fingerprint=b"\xff" * 16, kept=True),
            row(SPLIT, 3),
        ]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        found = list(store.block_runs(lease.run))
        assert found == rows
        assert [type(one.kept) for one in found] == [bool] * 4
        one = store.block_run(lease.run, SPLIT, encode_key((2,)))
        assert (one, type(one and one.kept)) == (rows[2], bool)

    def test_a_row_stored_anew_keeps_nothing_of_the_old_one(self, store: RunStore, lease: Lease) -> None:
        old = [
            row(SPLIT, number)._replace(digest=b"12345678", fingerprint=b"f" * 16, kept=True) for number in range(40)
        ]
        store.write(lease, WriteBatch(rows=old), NOW, TTL)
        new = [row(SPLIT, number, attempts=2)[:8] for number in range(40)]
        store.write(lease, WriteBatch(rows=new), NOW, TTL)  # type: ignore[arg-type]
        assert list(store.block_runs(lease.run)) == [row(SPLIT, number, attempts=2) for number in range(40)]

    def test_batches_may_be_iterators_of_plain_tuples(self, store: RunStore, lease: Lease) -> None:
        batch = WriteBatch(
            chunks=map(tuple, [ChunkRow(0, "s", 0, 9)]),  # type: ignore[arg-type]
            items=map(tuple, [items(SPLIT, (), 0, 2)]),  # type: ignore[arg-type]
            rows=map(tuple, [row(SPLIT, 0, status=Status.FAILED)]),  # type: ignore[arg-type]
            failures=map(tuple, [failure(SPLIT, 0)]),  # type: ignore[arg-type]
            folds=map(tuple, [fold(SPLIT, (), 1)]),  # type: ignore[arg-type]
            forgotten=iter([(SPLIT, encode_key((1,)))]),  # type: ignore[arg-type]
            forgotten_items=iter([(SPLIT, encode_key((1,)))]),  # type: ignore[arg-type]
        )
        store.write(lease, batch, NOW, TTL)
        assert list(store.block_runs(lease.run)) == [row(SPLIT, 0, status=Status.FAILED)]
        assert list(store.failures(lease.run)) == [failure(SPLIT, 0)]
        assert list(store.items(lease.run, SPLIT)) == [items(SPLIT, (), 0, 2)]
        assert list(store.folds(lease.run, SPLIT)) == [fold(SPLIT, (), 1)]
        assert list(store.chunks(lease.run)) == [ChunkRow(0, "s", 0, 9)]

    def test_a_batch_that_breaks_off_midway_writes_nothing(self, store: RunStore, lease: Lease) -> None:
        def broken() -> Iterator[BlockRunRow]:
            yield row(LOAD)
            raise ZeroDivisionError

        batch = WriteBatch(chunks=[ChunkRow(0, "s", 0, 9)], rows=broken(), summary={"x": 1})  # type: ignore[arg-type]
        with pytest.raises(ZeroDivisionError):
            store.write(lease, batch, NOW + 1, TTL)
        assert [*store.block_runs(lease.run), *store.chunks(lease.run)] == []
        assert store.get(lease.run).summary == {}
        store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)

    def test_statuses_may_come_as_their_enumeration(self, store: RunStore, lease: Lease) -> None:
        rows = [row(SPLIT, 0)._replace(status=Status.CANCELLED), row(SPLIT, 1)._replace(status=Status.COMPLETED)]
        store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        assert [one.status for one in store.block_runs(lease.run)] == [5, 2]

    def test_seventy_thousand_rows_go_in_one_batch(self, store: RunStore, lease: Lease) -> None:
        rows = [row(SPLIT, number // 300, number % 300) for number in range(70_000)]
        store.write(lease, WriteBatch(rows=rows[::-1]), NOW, TTL)
        assert list(store.block_runs(lease.run)) == rows

    def test_uuids_are_any_text(self, store: RunStore) -> None:
        uuids = ["плата", "a'b\"c", "100%s?", "😀", "Plata", "plata"]
        run = new_run(blocks=uuids)
        store.create(run)
        lease = store.acquire(run.id, HERE, NOW, TTL)
        rows = [row(uuid, 1) for uuid in uuids]
        failures = [failure(uuid, 1, error=f"{uuid}: bad") for uuid in uuids]
        store.write(lease, WriteBatch(rows=rows, failures=failures, summary=dict.fromkeys(uuids, 1)), NOW, TTL)
        assert list(store.block_runs(run.id)) == rows
        assert list(store.failures(run.id)) == failures
        assert [store.block_run(run.id, one.block, one.key) for one in rows] == rows
        assert store.get(run.id).summary == dict.fromkeys(uuids, 1)

    def test_a_summary_comes_with_its_transaction_and_stays_until_the_next(self, store: RunStore, lease: Lease) -> None:
        summary: dict[str, JsonValue] = {"blocks": {"load": {"completed": 1}}, "text": "ä\0\ud800", "n": [1.5, None]}
        store.write(lease, WriteBatch(summary=summary), NOW, TTL)
        with pytest.raises(StoreError):
            store.write(lease, WriteBatch(rows=[row("stranger")], summary={"wrong": True}), NOW, TTL)
        assert store.get(lease.run).summary == summary
        store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)
        assert store.get(lease.run).summary == summary
        store.write(lease, WriteBatch(summary={}), NOW, TTL)
        assert store.get(lease.run).summary == {}

    def test_what_is_forgotten_is_gone_with_its_failure(self, store: RunStore, lease: Lease) -> None:
        rows = [row(SPLIT, number, status=Status.FAILED) for number in range(4)]
        failures = [failure(SPLIT, number) for number in range(4)]
        store.write(lease, WriteBatch(rows=rows, failures=failures), NOW, TTL)
        gone = [(SPLIT, encode_key((1,))), (SPLIT, encode_key((3,))), (LOAD, b"")]
        store.write(lease, WriteBatch(forgotten=gone, rows=[row(SPLIT, 3)]), NOW, TTL)
        assert list(store.block_runs(lease.run)) == [rows[0], rows[2], row(SPLIT, 3)]
        assert list(store.failures(lease.run)) == [failures[0], failures[2]]

    def test_readers_keep_what_they_began_to_read(self, store: RunStore, lease: Lease, open_store: OpenStore) -> None:
        old = [row(SPLIT, number) for number in range(3000)]
        store.write(lease, WriteBatch(rows=old), NOW, TTL)
        reading = open_store().block_runs(lease.run)
        found = [next(reading)]
        new = [row(SPLIT, number, attempts=2) for number in range(3001)]
        store.write(lease, WriteBatch(rows=new), NOW, TTL)
        assert found + list(reading) == old
        assert list(store.block_runs(lease.run)) == new

    def test_an_engine_writes_while_it_reads(self, store: RunStore, lease: Lease) -> None:
        old = [row(SPLIT, number) for number in range(2500)]
        store.write(lease, WriteBatch(rows=old), NOW, TTL)
        for one in store.block_runs(lease.run):
            if one.key[-1] == 0:
                store.write(lease, WriteBatch(rows=[one._replace(attempts=2)]), NOW, TTL)
        abandoned = store.block_runs(lease.run)
        next(abandoned)
        del abandoned
        assert sum(one.attempts == 2 for one in store.block_runs(lease.run)) == 10

    # Chunks and items

    def test_chunks_read_by_number(self, store: RunStore, lease: Lease) -> None:
        chunks = [ChunkRow(number, f"seg-{number % 3}", number * 2**33, 2**20 + number) for number in range(20)]
        store.write(lease, WriteBatch(chunks=chunks[10:]), NOW, TTL)
        store.write(lease, WriteBatch(chunks=[*chunks[:10], chunks[15]]), NOW, TTL)
        assert list(store.chunks(lease.run)) == chunks

    def test_items_read_by_key_and_start(self, store: RunStore, lease: Lease) -> None:
        first = [items(SPLIT, (0,), start, 3, chunk=start) for start in (0, 3, 6, 1000)]
        second = [items(SPLIT, (0, 1), 0, 1), items(SPLIT, (2,), 0, 0)]
        other = [items(LOAD, (), 0, 2)]
        store.write(lease, WriteBatch(items=[*second, *first[::-1], *other]), NOW, TTL)
        assert list(store.items(lease.run, SPLIT)) == [*first, *second]
        assert list(store.items(lease.run, SPLIT, encode_key((0,)))) == first
        assert list(store.items(lease.run, LOAD, b"")) == other
        assert list(store.items(lease.run, SPLIT, encode_key((9,)))) == list(store.items(lease.run, FOLD)) == []
        assert all(type(one.named) is bool for one in store.items(lease.run, SPLIT))

    def test_items_are_replaced_in_one_transaction(self, store: RunStore, lease: Lease) -> None:
        old = [items(SPLIT, key, start, 4) for key in ((0,), (1,)) for start in (0, 4)]
        store.write(lease, WriteBatch(items=old), NOW, TTL)
        new = [items(SPLIT, (1,), 0, 2, chunk=8)]
        store.write(lease, WriteBatch(items=new, forgotten_items=[(SPLIT, encode_key((1,)))]), NOW, TTL)
        assert list(store.items(lease.run, SPLIT)) == [*old[:2], *new]
        again = items(SPLIT, (0,), 4, 9, chunk=9)
        store.write(lease, WriteBatch(items=[again]), NOW, TTL)
        assert list(store.items(lease.run, SPLIT)) == [old[0], again, *new]

    def test_items_keep_what_they_wait_for(self, store: RunStore, lease: Lease) -> None:
        waiting = items(SPLIT, (0,), 0, 3)._replace(waits='[[1,null,0],[2,"clean \\u00e4",4294967295],[0,"load",null]]')
        store.write(lease, WriteBatch(items=[waiting, items(SPLIT, (0,), 3, 1)]), NOW, TTL)
        assert list(store.items(lease.run, SPLIT)) == [waiting, items(SPLIT, (0,), 3, 1)]
        assert list(store.items(lease.run, SPLIT, encode_key((0,)))) == [waiting, items(SPLIT, (0,), 3, 1)]
        store.write(lease, WriteBatch(items=[items(SPLIT, (0,), 0, 3)]), NOW, TTL)
        assert [one.waits for one in store.items(lease.run, SPLIT)] == [None, None]

    # Properties

    def test_batches_in_any_order_with_repeats_equal_dictionaries(self, store: RunStore) -> None:
        @given(written=st.lists(batches(), min_size=1, max_size=6))
        @settings(max_examples=60, deadline=None)
        def equal(written: list[WriteBatch]) -> None:
            run = new_run()
            store.create(run)
            lease = store.acquire(run.id, HERE, NOW, TTL)
            model = DictionaryStore()
            for batch in written:
                store.write(lease, batch, NOW, TTL)
                model.write(batch)
            assert list(store.block_runs(run.id)) == in_plan_order(model.rows)
            assert list(store.failures(run.id)) == in_plan_order(model.failures)
            assert [one for block in (LOAD, SPLIT, FOLD) for one in store.items(run.id, block)] == in_plan_order(
                model.items
            )
            assert [one for block in (LOAD, SPLIT, FOLD) for one in store.folds(run.id, block)] == in_plan_order(
                model.folds
            )
            assert list(store.chunks(run.id)) == [chunk for _, chunk in sorted(model.chunks.items())]
            assert store.get(run.id).summary == model.summary
            found = store.failure_groups(run.id, first=99)
            assert [(group.error, group.size, list(group.block_runs)) for group in found] == model.groups()

        equal()
