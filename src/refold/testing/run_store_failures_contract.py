"""What every run store promises of failures, and of the groups that people see them in."""

from __future__ import annotations

from refold.model.keys import encode_key
from refold.ports.run_store import FailureRow, Lease, RunStore, WriteBatch
from refold.scheduler.status import Status
from refold.testing.run_store_samples import FOLD, LOAD, NOW, SPLIT, TTL, StoreUnderTest, failure, row


class FailuresContract(StoreUnderTest):
    """A failure stays as long as its block run's row says that it failed."""

    def test_failures_read_in_plan_order_then_key_order(self, store: RunStore, lease: Lease) -> None:
        failures = [failure(block, *key) for block in (LOAD, SPLIT, FOLD) for key in [(), (1,), (1, 0), (2,)]]
        store.write(lease, WriteBatch(failures=failures[::-1]), NOW, TTL)
        assert list(store.failures(lease.run)) == failures
        assert list(store.failures(lease.run, SPLIT)) == failures[4:8]
        assert store.failure(lease.run, SPLIT, encode_key((1, 0))) == failures[6]
        assert store.failure(lease.run, SPLIT, encode_key((7,))) is None

    def test_a_row_stored_anew_ends_its_failure_unless_a_new_one_comes(self, store: RunStore, lease: Lease) -> None:
        numbers = range(5)
        rows = [row(SPLIT, number, status=Status.FAILED) for number in numbers]
        store.write(lease, WriteBatch(rows=rows, failures=[failure(SPLIT, number) for number in numbers]), NOW, TTL)
        later = failure(SPLIT, 2, error="KeyError: 'x'", group="KeyError: ...")
        batch = WriteBatch(rows=[row(SPLIT, 1), row(SPLIT, 2, status=Status.FAILED), row(LOAD, 3)], failures=[later])
        store.write(lease, batch, NOW, TTL)
        assert list(store.failures(lease.run)) == [failure(SPLIT, 0), later, failure(SPLIT, 3), failure(SPLIT, 4)]

    def test_failures_are_grouped_the_largest_first(self, store: RunStore, lease: Lease) -> None:
        odd = [failure(FOLD, number, error=f"KeyError: {number}", group="KeyError: ...") for number in range(30)]
        rare = [failure(SPLIT, 5, error="OSError: 1", group="OSError"), failure(FOLD, 90, error="E", group="E")]
        early = [failure(LOAD, error="KeyError: first", group="KeyError: ..."), failure(LOAD, 1, error="A", group="A")]
        store.write(lease, WriteBatch(failures=[*odd[::-1], *rare, *early]), NOW, TTL)
        groups = store.failure_groups(lease.run, first=3)
        assert [(group.error, group.size) for group in groups] == [
            ("KeyError: first", 31),
            ("A", 1),
            ("OSError: 1", 1),
            ("E", 1),
        ]
        assert list(groups[0].block_runs) == [(LOAD, ()), (FOLD, (0,)), (FOLD, (1,))]
        assert len(store.failure_groups(lease.run)[0].block_runs) == 20
        largest = store.failure_groups(lease.run, first=0)[0]
        assert (largest.size, list(largest.block_runs)) == (31, [])

    def test_a_thousand_failures_of_four_kinds_are_four_groups(self, store: RunStore, lease: Lease) -> None:
        sizes = {"E: few": 10, "E: most": 700, "E: some": 90, "E: many": 200}
        kinds = [kind for kind, size in sizes.items() for _ in range(size)]
        failures = [failure(SPLIT, number, error=f"{kind} {number}", group=kind) for number, kind in enumerate(kinds)]
        rows = [row(SPLIT, number, status=Status.FAILED) for number in range(len(kinds))]
        store.write(lease, WriteBatch(rows=rows, failures=failures), NOW, TTL)
        groups = store.failure_groups(lease.run)
        assert [(group.error, group.size) for group in groups] == [
            ("E: most 10", 700),
            ("E: many 800", 200),
            ("E: some 710", 90),
            ("E: few 0", 10),
        ]
        assert list(groups[1].block_runs) == [(SPLIT, (number,)) for number in range(800, 820)]

    def test_a_failure_may_say_anything(self, store: RunStore, lease: Lease) -> None:
        odd = FailureRow(LOAD, b"", "ValueError: \0 \ud800 é", "ValueError: \0", "Traceback: \udcff\n")
        store.write(lease, WriteBatch(failures=[odd]), NOW, TTL)
        found = store.failure(lease.run, LOAD, b"")
        assert found == FailureRow(
            LOAD, b"", "ValueError: \\x00 \\ud800 é", "ValueError: \\x00", "Traceback: \\udcff\n"
        )
