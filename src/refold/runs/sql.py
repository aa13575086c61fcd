"""Runs in an SQL database: the run store's promises, over any `refold.runs.database.Database`.

Statements that an engine needs go to the driver as text; only what people ask is composed with SQLAlchemy, so that
driving a run imports neither it nor Alembic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, PipelineUuid, RunId, decode_key
from refold.ports.run_store import (
    BlockRunRow,
    ChunkRow,
    Control,
    FailureGroup,
    FailureRow,
    FoldRow,
    ItemsRow,
    Lease,
    NewRun,
    Owner,
    RunRecord,
    RunStatus,
    WriteBatch,
)
from refold.runs import statements
from refold.runs.database import Database, Reading, Record, T, Transaction, Value
from refold.runs.queries import runs_query
from refold.runs.ready_batch import ReadyBatch
from refold.runs.refusals import (
    block_not_planned,
    driven_elsewhere,
    lease_lost,
    run_exists,
    run_gone,
    run_not_found,
)
from refold.runs.text import from_json, to_json
from refold.scheduler.status import Status

_COMPLETED = {Status.COMPLETED, Status.COMPLETED_FALSE}


class SqlRunStore:
    """A run store in a database. Processes open one each; one thread at a time uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: tuple[Lease, int, dict[BlockUuid, int]] | None = None
        """Of the lease last written under: its run's number and its blocks' numbers, which only that lease changes."""

    def create(self, run: NewRun) -> None:
        """Stores a new run in status `initial`. Raises StoreError when its id is taken."""
        initial = RunStatus.INITIAL.value
        texts = to_json(run.variables), to_json(run.options)
        blocks = _planned(run.blocks)

        def insert(transaction: Transaction) -> None:
            values = (run.id, run.project, run.pipeline_uuid, initial, run.created_at, *texts)
            if not transaction.execute(statements.CREATE_RUN, values):
                raise run_exists(run.id)
            [(number,)] = transaction.fetch(statements.RUN_NUMBER, (run.id,))
            _put_blocks(transaction, number, blocks, {})

        self._database.transact(insert)

    def acquire(self, run: RunId, owner: Owner, now: float, ttl: float) -> Lease:
        """Takes the lease until `now + ttl`. Raises LeaseError, NotFoundError."""

        def take(transaction: Transaction) -> int:
            values = (owner.text, now + ttl, now, run, owner.text, now)
            if not transaction.execute(statements.ACQUIRE, values):
                holders = transaction.fetch(statements.LEASE_OWNER, (run,))
                raise driven_elsewhere(run, holders[0][0]) if holders else run_not_found(run)
            [(token,)] = transaction.fetch(statements.LEASE_TOKEN, (run,))
            return int(token)

        return Lease(run, owner, self._database.transact(take))

    def steal(self, run: RunId, dead: str) -> None:
        """Gives back the lease of a dead owner."""
        self._database.transact(lambda transaction: transaction.execute(statements.STEAL, (run, dead)))

    def write(self, lease: Lease, batch: WriteBatch, now: float, ttl: float) -> None:
        """Writes all of the batch, or nothing. Raises LeaseError, StoreError."""
        ready = ReadyBatch.of(batch)

        def renew_and_write(transaction: Transaction) -> None:
            values = (now + ttl, ready.summary, lease.run, lease.token, lease.owner.text)
            if not transaction.execute(statements.RENEW, values):
                raise _lost(transaction, lease)
            self._write(transaction, lease, ready)

        self._database.transact(renew_and_write)

    def finish(self, lease: Lease, batch: WriteBatch, status: RunStatus, now: float) -> None:
        """Writes the batch, sets the last status, gives the lease back. Raises LeaseError, StoreError."""
        ready = ReadyBatch.of(batch)

        def write_and_finish(transaction: Transaction) -> None:
            values = (status.value, now, ready.summary, lease.run, lease.token, lease.owner.text)
            if not transaction.execute(statements.FINISH, values):
                finished = (lease.run, lease.token, status.value, now)
                if transaction.again and transaction.fetch(statements.IS_FINISHED, finished):
                    return  # the first attempt was kept; only the word of it was lost
                raise _lost(transaction, lease)
            self._write(transaction, lease, ready)

        self._database.transact(write_and_finish)

    def request(self, run: RunId, control: Control, now: float) -> None:
        """Leaves word for the engine. Raises NotFoundError."""
        values = (control.value, now, run)
        if not self._database.transact(lambda transaction: transaction.execute(statements.REQUEST, values)):
            raise run_not_found(run)

    def requests(self, run: RunId) -> Sequence[Control]:
        """What has been asked, oldest first."""
        return [Control(control) for (control,) in self._database.fetch(statements.REQUESTS, (run,))]

    def clear_requests(self, run: RunId) -> None:
        """Forgets what was asked."""
        self._database.transact(lambda transaction: transaction.execute(statements.CLEAR_REQUESTS, (run,)))

    def update_plan(self, lease: Lease, blocks: Sequence[Mapping[str, JsonValue]]) -> None:
        """Replaces the plan; blocks that it no longer has lose their rows. Raises LeaseError, StoreError."""
        planned = _planned(blocks)

        def replace(transaction: Transaction) -> None:
            if not transaction.execute(statements.CHECK_LEASE, (lease.run, lease.token, lease.owner.text)):
                raise _lost(transaction, lease)
            [(run,)] = transaction.fetch(statements.RUN_NUMBER, (lease.run,))
            numbers = _block_numbers(transaction, run)
            for uuid in numbers.keys() - planned.keys():
                for statement in statements.DROP_BLOCK:
                    transaction.execute(statement, (run, numbers[uuid]))
            _put_blocks(transaction, run, planned, numbers)

        self._numbers = None
        self._database.transact(replace)

    def get(self, run: RunId) -> RunRecord:
        """The run. Raises NotFoundError."""
        rows = self._database.fetch(statements.GET_RUN, (run,))
        if not rows:
            raise run_not_found(run)
        return _record(rows[0], self._database.fetch(statements.BLOCK_SNAPSHOTS, rows[0][:1]))

    def list_runs(
        self, project: str | None = None, pipeline: PipelineUuid | None = None, limit: int | None = None
    ) -> Iterator[RunRecord]:
        """Runs, newest first."""
        sql, parameters = runs_query(self._database.dialect, project, pipeline, limit)
        with self._database.reading() as reading:
            for row in reading.stream(sql, parameters):
                yield _record(row, reading.fetch(statements.BLOCK_SNAPSHOTS, row[:1]))

    def runs_between(
        self, project: str | None, pipeline: PipelineUuid, earliest: float, latest: float
    ) -> Iterator[RunRecord]:
        """Runs of a pipeline that were created in this time, newest first."""
        within = (pipeline, earliest, latest)
        sql = statements.RUNS_BETWEEN if project is None else statements.RUNS_OF_PROJECT_BETWEEN
        with self._database.reading() as reading:
            for row in reading.stream(sql, within if project is None else (project, *within)):
                yield _record(row, reading.fetch(statements.BLOCK_SNAPSHOTS, row[:1]))

    def block_runs(
        self, run: RunId, block: BlockUuid | None = None, statuses: Collection[Status] | None = None
    ) -> Iterator[BlockRunRow]:
        """Rows, in the plan's block order, then key order."""
        sql = _block_runs_query(self._database, statuses)
        with self._database.reading() as reading:
            for number, planned, uuid in _blocks(reading, run, block):
                yield from map(partial(_block_run_row, uuid), reading.stream(sql, (number, planned)))

    def block_run(self, run: RunId, block: BlockUuid, key: bytes) -> BlockRunRow | None:
        """One row, or None."""
        rows = self._database.fetch(statements.BLOCK_RUN, (run, run, block, key))
        return _block_run_row(block, rows[0]) if rows else None

    def failures(self, run: RunId, block: BlockUuid | None = None) -> Iterator[FailureRow]:
        """Failures, in the plan's block order, then key order."""
        with self._database.reading() as reading:
            for number, planned, uuid in _blocks(reading, run, block):
                yield from map(FailureRow._make, reading.stream(statements.FAILURES, (uuid, number, planned)))

    def failure(self, run: RunId, block: BlockUuid, key: bytes) -> FailureRow | None:
        """Why this block run failed, or None."""
        rows = self._database.fetch(statements.FAILURE, (block, run, run, block, key))
        return FailureRow._make(rows[0]) if rows else None

    def failure_groups(self, run: RunId, first: int = 20) -> Sequence[FailureGroup]:
        """Failures by group, the largest first; of equal ones, the one that comes first."""
        rows = self._database.fetch(statements.FAILURE_GROUPS, (run, max(first, 1)))
        groups = []
        for _, found in groupby(rows, itemgetter(0)):
            members = list(found)
            _, total, error, _, _ = members[0]
            groups.append(FailureGroup(error, total, [(uuid, decode_key(key)) for *_, uuid, key in members[:first]]))
        return groups

    def chunks(self, run: RunId) -> Iterator[ChunkRow]:
        """All chunks, by number."""
        with self._database.reading() as reading:
            yield from map(ChunkRow._make, reading.stream(statements.CHUNKS, (run,)))

    def items(self, run: RunId, block: BlockUuid, key: bytes | None = None) -> Iterator[ItemsRow]:
        """Items of a dynamic block, by key and start."""
        place = (block, run, run, block)
        if key is not None:
            yield from map(_items_row, self._database.fetch(statements.ITEMS_OF_RUN, (*place, key)))
            return
        with self._database.reading() as reading:
            yield from map(_items_row, reading.stream(statements.ITEMS, place))

    def folds(self, run: RunId, block: BlockUuid) -> Iterator[FoldRow]:
        """Partials of the folds over a block, by levels, group and how many runs they cover."""
        with self._database.reading() as reading:
            yield from map(FoldRow._make, reading.stream(statements.FOLDS, (block, run, run, block)))

    def cached(
        self,
        project: str,
        pipeline: PipelineUuid,
        block: BlockUuid,
        fingerprints: Collection[bytes],
        but: RunId | None = None,
    ) -> Mapping[bytes, tuple[RunId, BlockRunRow]]:
        """For those fingerprints that a completed block run has: the run created last that has it, and the row."""
        rows = self._database.fetch_each(statements.CACHED, set(fingerprints), (block, project, pipeline, but or ""))
        found = [(RunId(row[0]), _block_run_row(block, row[1:])) for row in rows]
        return {row.fingerprint: (run, row) for run, row in found if row.fingerprint is not None}

    def delete(self, runs: Iterable[RunId]) -> None:
        """Forgets runs and all that belongs to them, each run in a transaction of its own."""

        for run in list(runs):
            self._database.transact(partial(_delete, run))

    def close(self) -> None:
        """Gives back connections."""
        self._database.close()

    def _write(self, transaction: Transaction, lease: Lease, batch: ReadyBatch) -> None:
        """Writes the batch under a lease that the transaction holds."""
        run, numbers = self._numbers_of(transaction, lease)
        for uuid in batch.blocks:
            if uuid not in numbers:
                raise block_not_planned(lease.run, uuid)
        for uuid, places in batch.forgotten.items():
            if uuid in numbers:  # else the plan's change has forgotten them already
                keys = [key for _, key in places]
                transaction.remove("block_run", run, numbers[uuid], keys)
                _end_failures(transaction, run, numbers[uuid], len(keys), keys)
        for uuid, places in batch.forgotten_items.items():
            if uuid in numbers:
                transaction.remove("items", run, numbers[uuid], [key for _, key in places])
        if batch.chunks:
            transaction.execute_many(statements.PUT_CHUNK, [(run, *row) for row in batch.chunks])
        for uuid, items in batch.items.items():
            transaction.execute_many(statements.PUT_ITEMS, _keyed(run, numbers[uuid], items))
        if batch.columns or batch.rows:
            transaction.put_block_runs(run, _numbered(batch.columns, numbers), _numbered(batch.rows, numbers))
        for uuid in dict.fromkeys((*batch.columns, *batch.rows)):
            columns, rows = batch.columns.get(uuid, ()), batch.rows.get(uuid, ())
            written = (row[1] for row in chain(*(each.rows() for each in columns), rows))
            _end_failures(transaction, run, numbers[uuid], sum(each.length for each in columns) + len(rows), written)
        for uuid, failures in batch.failures.items():
            transaction.execute_many(statements.PUT_FAILURE, _keyed(run, numbers[uuid], failures))
        for uuid, folds in batch.folds.items():
            transaction.execute_many(statements.PUT_FOLD, _keyed(run, numbers[uuid], folds))

    def _numbers_of(self, transaction: Transaction, lease: Lease) -> tuple[int, dict[BlockUuid, int]]:
        """The numbers of the lease's run and of its blocks."""
        if self._numbers is None or self._numbers[0] != lease:
            [(run,)] = transaction.fetch(statements.RUN_NUMBER, (lease.run,))
            self._numbers = (lease, run, _block_numbers(transaction, run))
        return self._numbers[1:]


def _end_failures(transaction: Transaction, run: int, block: int, runs: int, keys: Iterable[bytes]) -> None:
    """Removes the failures of these runs, at no more cost than there are failures, or runs, whichever are fewer."""
    failed = {key for (key,) in transaction.fetch(statements.FAILED_KEYS, (run, block, runs))}
    if failed:
        transaction.remove("failure", run, block, [key for key in keys if len(failed) == runs or key in failed])


def _numbered(rows: Mapping[BlockUuid, T], numbers: Mapping[BlockUuid, int]) -> dict[int, T]:
    """The same by the blocks' numbers."""
    return {numbers[uuid]: found for uuid, found in rows.items()}


def _keyed(run: int, block: int, rows: Iterable[tuple[Value, ...]]) -> Iterator[tuple[Value, ...]]:
    """The rows with numbers in place of their block's uuid."""
    return ((run, block, *row[1:]) for row in rows)


def _planned(blocks: Sequence[Mapping[str, JsonValue]]) -> dict[BlockUuid, str]:
    """The plan's blocks, in order, as JSON."""
    return {BlockUuid(str(block["uuid"])): to_json(block) for block in blocks}


def _put_blocks(
    transaction: Transaction, run: int, planned: Mapping[BlockUuid, str], numbers: Mapping[BlockUuid, int]
) -> None:
    """Stores the plan; a block that has a number keeps it, so that its rows stay its own."""
    unused = max(numbers.values(), default=-1) + 1
    rows = []
    for position, (uuid, snapshot) in enumerate(planned.items()):
        number = numbers.get(uuid)
        if number is None:
            number, unused = unused, unused + 1
        rows.append((run, number, position, uuid, snapshot))
    transaction.execute_many(statements.PUT_BLOCK, rows)


def _block_numbers(transaction: Transaction, run: int) -> dict[BlockUuid, int]:
    return {BlockUuid(uuid): number for uuid, number in transaction.fetch(statements.BLOCK_NUMBERS, (run,))}


def _delete(run: RunId, transaction: Transaction) -> None:
    for (number,) in transaction.fetch(statements.RUN_NUMBER, (run,)):
        transaction.execute(
            statements.DELETE_RUN, (run,)
        )  # first: an engine that writes meanwhile waits, and finds it gone
        for statement in statements.DELETE_OF_RUN:
            transaction.execute(statement, (number,))


def _lost(transaction: Transaction, lease: Lease) -> Exception:
    """Why the lease no longer allows to write."""
    holders = transaction.fetch(statements.LEASE_OWNER, (lease.run,))
    return lease_lost(lease.run, holders[0][0]) if holders else run_gone(lease.run)


def _blocks(reading: Reading, run: RunId, block: BlockUuid | None) -> list[tuple[int, int, BlockUuid]]:
    """The run's number, and each block's number and uuid, in the plan's order; one block where one is given."""
    rows = reading.fetch(statements.BLOCKS_IN_ORDER, (run,))
    return [(number, planned, uuid) for number, planned, uuid in rows if block in (None, uuid)]


def _block_runs_query(database: Database, statuses: Collection[Status] | None) -> str:
    """The statement for a block's rows of these statuses; what did not complete is found by its index."""
    if statuses is None:
        return statements.BLOCK_RUNS.format(table="block_run", condition="")
    listed = ", ".join(str(int(status)) for status in sorted(set(statuses)))
    condition = f" AND status IN ({listed})" if statuses else " AND 1 = 0"
    if not statuses or _COMPLETED & set(statuses):
        return statements.BLOCK_RUNS.format(table="block_run", condition=condition)
    condition += " AND status <> 2 AND status <> 3"  # the index's own words: they prove that it holds all of these rows
    return statements.BLOCK_RUNS.format(table=database.not_completed, condition=condition)


def _block_run_row(uuid: BlockUuid, row: Record) -> BlockRunRow:
    """The row that a statement found of this block; what `_make` does, as there may be very many."""
    return tuple.__new__(BlockRunRow, (uuid, *row[:-1], row[-1] == 1))  # SQLite's truth is the number 1


def _items_row(row: Record) -> ItemsRow:
    found = ItemsRow._make(row)
    return found._replace(named=bool(found.named))


def _record(row: Record, snapshots: Iterable[Record]) -> RunRecord:
    """The run of a row of `RUN_COLUMNS`."""
    _, run, project, pipeline, status, created, started, completed, variables, options, summary, owner, expires = row
    return RunRecord(
        id=run,
        project=project,
        pipeline_uuid=pipeline,
        status=RunStatus(status),
        created_at=created,
        started_at=started,
        completed_at=completed,
        variables=from_json(variables),
        options=from_json(options),
        blocks=[from_json(snapshot) for (snapshot,) in snapshots],
        summary=from_json(summary),
        owner=owner,
        lease_expires_at=expires,
    )
