"""Runs kept in memory, for tests and simulations: gone with the process, and without a database's costs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, starmap
from typing import TypeVar

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
from refold.runs.refusals import (
    block_not_planned,
    driven_elsewhere,
    lease_lost,
    run_exists,
    run_gone,
    run_not_found,
)
from refold.runs.text import from_json, storable, to_json
from refold.scheduler.status import Status

_Place = tuple[BlockUuid, bytes]
_Row = TypeVar("_Row", BlockRunRow, FailureRow)
_COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})


@dataclass(slots=True)
class _KeptRun:
    """A run and all that belongs to it."""

    record: RunRecord
    token: int = 0
    requests: list[Control] = field(default_factory=list)
    rows: dict[_Place, BlockRunRow] = field(default_factory=dict)
    failures: dict[_Place, FailureRow] = field(default_factory=dict)
    items: dict[tuple[BlockUuid, bytes, int], ItemsRow] = field(default_factory=dict)
    folds: dict[tuple[BlockUuid, int, bytes, int], FoldRow] = field(default_factory=dict)
    chunks: dict[int, ChunkRow] = field(default_factory=dict)

    @property
    def blocks(self) -> list[BlockUuid]:
        """The plan's blocks, in order."""
        return [BlockUuid(str(block["uuid"])) for block in self.record.blocks]


class MemoryRunStore:
    """A run store that is gone with its process. Other engines and readers share the object itself."""

    def __init__(self) -> None:
        self._runs: dict[RunId, _KeptRun] = {}

    def create(self, run: NewRun) -> None:
        """Stores a new run in status `initial`. Raises StoreError when its id is taken."""
        if run.id in self._runs:
            raise run_exists(run.id)
        self._runs[run.id] = _KeptRun(
            RunRecord(
                id=run.id,
                project=run.project,
                pipeline_uuid=run.pipeline_uuid,
                status=RunStatus.INITIAL,
                created_at=run.created_at,
                started_at=None,
                completed_at=None,
                variables=_copied(run.variables),
                options=_copied(run.options),
                blocks=[_copied(block) for block in run.blocks],
                summary={},
                owner=None,
                lease_expires_at=None,
            )
        )

    def acquire(self, run: RunId, owner: Owner, now: float, ttl: float) -> Lease:
        """Takes the lease until `now + ttl`. Raises LeaseError, NotFoundError."""
        kept = self._found(run)
        record = kept.record
        living = record.lease_expires_at is not None and record.lease_expires_at > now
        if living and record.owner is not None and record.owner != owner.text:
            raise driven_elsewhere(run, record.owner)
        kept.token += 1
        kept.record = replace(
            record,
            status=RunStatus.RUNNING,
            started_at=now,
            completed_at=None,
            owner=owner.text,
            lease_expires_at=now + ttl,
        )
        return Lease(run, owner, kept.token)

    def steal(self, run: RunId, dead: str) -> None:
        """Gives back the lease of a dead owner."""
        kept = self._runs.get(run)
        if kept is not None and kept.record.owner == dead:
            kept.record = replace(kept.record, owner=None, lease_expires_at=None)

    def write(self, lease: Lease, batch: WriteBatch, now: float, ttl: float) -> None:
        """Writes all of the batch, or nothing. Raises LeaseError."""
        kept = self._held(lease)
        self._apply(kept, batch)
        kept.record = replace(kept.record, lease_expires_at=now + ttl)

    def finish(self, lease: Lease, batch: WriteBatch, status: RunStatus, now: float) -> None:
        """Writes the batch, sets the last status, gives the lease back. Raises LeaseError."""
        kept = self._held(lease)
        self._apply(kept, batch)
        kept.record = replace(kept.record, status=status, completed_at=now, owner=None, lease_expires_at=None)

    def request(self, run: RunId, control: Control, now: float) -> None:  # noqa: ARG002 - asked of every store
        """Leaves word for the engine. Raises NotFoundError."""
        self._found(run).requests.append(control)

    def requests(self, run: RunId) -> Sequence[Control]:
        """What has been asked, oldest first."""
        kept = self._runs.get(run)
        return [] if kept is None else list(kept.requests)

    def clear_requests(self, run: RunId) -> None:
        """Forgets what was asked."""
        kept = self._runs.get(run)
        if kept is not None:
            kept.requests.clear()

    def update_plan(self, lease: Lease, blocks: Sequence[Mapping[str, JsonValue]]) -> None:
        """Replaces the plan; blocks that it no longer has lose their rows. Raises LeaseError."""
        kept = self._held(lease)
        kept.record = replace(kept.record, blocks=[_copied(block) for block in blocks])
        planned = set(kept.blocks)
        kept.rows = {place: row for place, row in kept.rows.items() if row.block in planned}
        kept.failures = {place: row for place, row in kept.failures.items() if row.block in planned}
        kept.items = {place: row for place, row in kept.items.items() if row.block in planned}
        kept.folds = {place: row for place, row in kept.folds.items() if row.block in planned}

    def get(self, run: RunId) -> RunRecord:
        """The run. Raises NotFoundError."""
        return self._found(run).record

    def list_runs(
        self, project: str | None = None, pipeline: PipelineUuid | None = None, limit: int | None = None
    ) -> Iterator[RunRecord]:
        """Runs, newest first."""
        records = [kept.record for kept in self._runs.values()]
        records.sort(key=lambda record: (record.created_at, record.id), reverse=True)
        wanted = (
            record
            for record in records
            if project in (None, record.project) and pipeline in (None, record.pipeline_uuid)
        )
        return islice(wanted, limit)

    def runs_between(
        self, project: str | None, pipeline: PipelineUuid, earliest: float, latest: float
    ) -> Iterator[RunRecord]:
        """Runs of a pipeline that were created in this time, newest first."""
        records = self.list_runs(project, pipeline)
        return (record for record in records if earliest <= record.created_at <= latest)

    def block_runs(
        self, run: RunId, block: BlockUuid | None = None, statuses: Collection[Status] | None = None
    ) -> Iterator[BlockRunRow]:
        """Rows, in the plan's block order, then key order."""
        kept = self._runs.get(run)
        rows = () if kept is None else _in_plan_order(kept, kept.rows, block)
        return (row for row in rows if statuses is None or row.status in statuses)

    def block_run(self, run: RunId, block: BlockUuid, key: bytes) -> BlockRunRow | None:
        """One row, or None."""
        kept = self._runs.get(run)
        return None if kept is None else kept.rows.get((block, key))

    def failures(self, run: RunId, block: BlockUuid | None = None) -> Iterator[FailureRow]:
        """Failures, in the plan's block order, then key order."""
        kept = self._runs.get(run)
        return iter(() if kept is None else _in_plan_order(kept, kept.failures, block))

    def failure(self, run: RunId, block: BlockUuid, key: bytes) -> FailureRow | None:
        """Why this block run failed, or None."""
        kept = self._runs.get(run)
        return None if kept is None else kept.failures.get((block, key))

    def failure_groups(self, run: RunId, first: int = 20) -> Sequence[FailureGroup]:
        """Failures by group, the largest first; of equal ones, the one that comes first."""
        groups: dict[str, list[FailureRow]] = {}
        for failure in self.failures(run):
            groups.setdefault(failure.group, []).append(failure)
        return [
            FailureGroup(rows[0].error, len(rows), [(row.block, decode_key(row.key)) for row in rows[:first]])
            for rows in sorted(groups.values(), key=len, reverse=True)
        ]

    def chunks(self, run: RunId) -> Iterator[ChunkRow]:
        """All chunks, by number."""
        kept = self._runs.get(run)
        return iter([] if kept is None else [row for _, row in sorted(kept.chunks.items())])

    def items(self, run: RunId, block: BlockUuid, key: bytes | None = None) -> Iterator[ItemsRow]:
        """Items of a dynamic block, by key and start."""
        kept = self._runs.get(run)
        if kept is None:
            return iter(())
        places = [place for place in kept.items if place[0] == block and key in (None, place[1])]
        return iter([kept.items[place] for place in sorted(places)])

    def folds(self, run: RunId, block: BlockUuid) -> Iterator[FoldRow]:
        """Partials of the folds over a block, by levels, group and how many runs they cover."""
        kept = self._runs.get(run)
        return iter([] if kept is None else [row for place, row in sorted(kept.folds.items()) if place[0] == block])

    def cached(
        self,
        project: str,
        pipeline: PipelineUuid,
        block: BlockUuid,
        fingerprints: Collection[bytes],
        but: RunId | None = None,
    ) -> Mapping[bytes, tuple[RunId, BlockRunRow]]:
        """For those fingerprints that a completed block run has: the run created last that has it, and the row."""
        wanted = set(fingerprints)
        found: dict[bytes, tuple[RunId, BlockRunRow]] = {}
        for run, kept in self._runs.items():
            if run == but or (kept.record.project, kept.record.pipeline_uuid) != (project, pipeline):
                continue
            rows = [row for row in kept.rows.values() if row.block == block and row.status in _COMPLETE]
            for row in sorted(rows, key=lambda row: row.key):
                if row.fingerprint in wanted:
                    found[row.fingerprint] = run, row
        return found

    def delete(self, runs: Iterable[RunId]) -> None:
        """Forgets runs and all that belongs to them."""
        for run in list(runs):
            self._runs.pop(run, None)

    def close(self) -> None:
        """Nothing to give back."""

    def _found(self, run: RunId) -> _KeptRun:
        kept = self._runs.get(run)
        if kept is None:
            raise run_not_found(run)
        return kept

    def _held(self, lease: Lease) -> _KeptRun:
        kept = self._runs.get(lease.run)
        if kept is None:
            raise run_gone(lease.run)
        if (kept.record.owner, kept.token) != (lease.owner.text, lease.token):
            raise lease_lost(lease.run, kept.record.owner)
        return kept

    @staticmethod
    def _apply(kept: _KeptRun, batch: WriteBatch) -> None:
        """All iterables are read and checked before anything is changed: a batch is written whole or not at all."""
        chunks = [ChunkRow._make(row) for row in batch.chunks]
        items = list(starmap(ItemsRow, batch.items))
        rows = list(starmap(BlockRunRow, chain(*(each.rows() for each in batch.columns), batch.rows)))
        folds = [FoldRow._make(row) for row in batch.folds]
        failures = [storable(FailureRow._make(row)) for row in batch.failures]
        forgotten, forgotten_items = set(batch.forgotten), set(batch.forgotten_items)
        summary = kept.record.summary if batch.summary is None else _copied(batch.summary)
        unknown = {row[0] for group in (items, rows, failures, folds) for row in group} - set(kept.blocks)
        if unknown:
            raise block_not_planned(kept.record.id, min(unknown))
        for place in forgotten:
            kept.rows.pop(place, None)
            kept.failures.pop(place, None)
        kept.items = {at: row for at, row in kept.items.items() if at[:2] not in forgotten_items}
        kept.chunks.update((row.chunk, row) for row in chunks)
        kept.items.update(((row.block, row.key, row.start), row) for row in items)
        for row in rows:
            kept.rows[row.block, row.key] = row
            kept.failures.pop((row.block, row.key), None)
        kept.failures.update(((row.block, row.key), row) for row in failures)
        kept.folds.update(((row.block, row.levels, row.group, row.folded), row) for row in folds)
        kept.record = replace(kept.record, summary=summary)


def _in_plan_order(kept: _KeptRun, rows: Mapping[_Place, _Row], block: BlockUuid | None) -> list[_Row]:
    order = {planned: number for number, planned in enumerate(kept.blocks)}
    places = [place for place in rows if block in (None, place[0])]
    places.sort(key=lambda place: (order[place[0]], place[1]))
    return [rows[place] for place in places]


def _copied(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """A copy that no later change of the caller's reaches, as any database would read it back."""
    return from_json(to_json(value))
