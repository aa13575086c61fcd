"""The run store, as a port: what is kept of pipeline runs and their block runs.

One engine writes a run, in batches, each one transaction that also renews the engine's lease. A pending child has no
row. Rows are keyed by (run, block, key); block run uuids are derived from keys and labels, not stored. Status bytes are
those of `refold.scheduler.status.Status`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import repeat
from typing import NamedTuple, Protocol, cast

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, Key, PipelineUuid, RunId
from refold.scheduler.status import Status


class RunStatus(StrEnum):
    """The status of a pipeline run as stored; `interrupted` is derived by readers from a lease that nobody holds."""

    INITIAL = "initial"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self not in {RunStatus.INITIAL, RunStatus.RUNNING}


class Control(StrEnum):
    """What a user asks of a run that an engine may be driving."""

    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A pipeline run as it is created."""

    id: RunId
    project: str
    """Absolute path of the project's folder."""
    pipeline_uuid: PipelineUuid
    created_at: float
    variables: Mapping[str, JsonValue]
    options: Mapping[str, JsonValue]
    """How it was asked to run: executor, workers, tests; what a retry takes over."""
    blocks: Sequence[Mapping[str, JsonValue]]
    """A snapshot of the plan, a dict a block in topological order, each with at least its `uuid`."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A pipeline run as it is read."""

    id: RunId
    project: str
    pipeline_uuid: PipelineUuid
    status: RunStatus
    created_at: float
    started_at: float | None
    """When it was last started: by `refold run`, or by a retry."""
    completed_at: float | None
    variables: Mapping[str, JsonValue]
    options: Mapping[str, JsonValue]
    blocks: Sequence[Mapping[str, JsonValue]]
    summary: Mapping[str, JsonValue]
    """What the engine last reported: counts a block, as the documented JSON has them; empty before its first report."""
    owner: str | None
    """Who holds the lease, as `refold.ports.run_store.Owner.text`; None when it was given back."""
    lease_expires_at: float | None


@dataclass(frozen=True, slots=True)
class Owner:
    """An engine process, so that others can tell whether it is still there."""

    host: str
    pid: int
    started_at: float
    """When the process was created, seconds since the epoch: pids are used again."""

    @property
    def text(self) -> str:
        """The owner as one string."""
        return f"{self.host}|{self.pid}|{self.started_at!r}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The owner that `text` wrote."""
        host, pid, started_at = text.rsplit("|", 2)
        return cls(host, int(pid), float(started_at))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a run; fenced by a token that grows with every acquisition."""

    run: RunId
    owner: Owner
    token: int


class ChunkRow(NamedTuple):
    """Where a chunk lies: an immutable piece of a segment file."""

    chunk: int
    """Number of the chunk within its run."""
    segment: str
    """Path of the segment file, relative to the run's folder."""
    offset: int
    length: int


class ItemsRow(NamedTuple):
    """Items that one run of a dynamic block gave, in one chunk."""

    block: BlockUuid
    """The dynamic block."""
    key: bytes
    """Its run's key, encoded."""
    start: int
    """Index of the first item within the run."""
    length: int
    """How many items."""
    chunk: int
    first: int
    """Position in the chunk of the first item."""
    named: bool
    """Whether some of these items carry metadata, labels among them."""
    fingerprints: bytes
    """Eight bytes an item: the digest of its encoded value and metadata."""
    waits: str | None = None
    """Generated dependencies of these items, as JSON: `[[item, block uuid or null, target or null], ...]`, as
    `refold.ports.executor.NamedWait`."""


class BlockRunRow(NamedTuple):
    """A block run that is over.

    Stored anew, it replaces the row of the same key, and ends that key's failure unless a failure comes with it.
    """

    block: BlockUuid
    key: bytes
    status: int
    attempts: int
    started_at: float | None
    completed_at: float | None
    chunk: int | None
    """Chunk that holds its output; None when it has none."""
    position: int | None
    """Position of its record in that chunk."""
    digest: bytes | None = None
    """Eight bytes: the digest of its encoded output, where a block that follows is cached."""
    fingerprint: bytes | None = None
    """Sixteen bytes: what it was run with (code, configuration, inputs, variables), where the block is cached."""
    kept: bool = False
    """Whether it was not executed, but answered by an earlier run's result (`configuration.cache`)."""


class BlockRunColumns(NamedTuple):
    """Block runs of one block that are over, as columns: rows that differ in their keys, times and positions alone."""

    block: BlockUuid
    keys: bytes
    """Their encoded keys one after the other, all of one length."""
    length: int
    """How many they are; at least one."""
    status: int
    """Of each; so are attempts and chunk."""
    attempts: int
    started_at: Sequence[float] | float | None
    """One for each, or one for all of them."""
    completed_at: Sequence[float] | float | None
    chunk: int | None
    position: int | None
    """Position of the first one's record in the chunk; the others' records follow it."""

    def rows(self) -> Iterator[BlockRunRow]:
        """A row for each, as a plain tuple without the columns that have defaults."""
        count, width = self.length, len(self.keys) // self.length
        columns: tuple[Iterable[object], ...] = (
            repeat(self.block, count),
            [self.keys[at : at + width] for at in range(0, count * width, width)] if width else repeat(b"", count),
            repeat(int(self.status), count),
            repeat(self.attempts, count),
            *(repeat(each, count) if each is None or isinstance(each, float) else each for each in self[5:7]),
            repeat(self.chunk, count),
            repeat(None, count) if self.position is None else range(self.position, self.position + count),
        )
        return cast("Iterator[BlockRunRow]", zip(*columns, strict=True))


class FailureRow(NamedTuple):
    """Why a block run failed."""

    block: BlockUuid
    key: bytes
    error: str
    """One line: the exception's type and message."""
    group: str
    """What failures are grouped by: the exception's type and its message without numbers and quoted parts."""
    traceback: str


class FoldRow(NamedTuple):
    """What the first runs of a group were folded to, so that a retry folds only what changed (design 2.4)."""

    block: BlockUuid
    """Whose runs they are."""
    levels: int
    """How many axes end; -1 for all."""
    group: bytes
    """The outer key, encoded."""
    folded: int
    """How many runs, in key order, this partial and the ones before it cover; with the fields above, its key."""
    digest: bytes
    """Sixteen bytes that tell those runs' outputs: chunk and position of each."""
    chunk: int
    position: int


@dataclass(slots=True)
class WriteBatch:
    """What one transaction writes, in this order; the lists may be any iterables of plain tuples of these shapes.

    Tuples of `rows` may leave out last columns that have defaults; they cost less.
    """

    chunks: list[ChunkRow] = field(default_factory=list)
    items: list[ItemsRow] = field(default_factory=list)
    rows: list[BlockRunRow] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)
    folds: list[FoldRow] = field(default_factory=list)
    """Each replaces the row of the same key."""
    forgotten: list[tuple[BlockUuid, bytes]] = field(default_factory=list)
    """Block runs (and their failures) that are no longer: their labels vanished."""
    forgotten_items: list[tuple[BlockUuid, bytes]] = field(default_factory=list)
    """Runs of dynamic blocks whose items are replaced; deleted before `items` are written."""
    summary: Mapping[str, JsonValue] | None = None
    """Replaces the run's summary, where given."""
    columns: list[BlockRunColumns] = field(default_factory=list)
    """Rows that are many and alike; each is written as one of `rows` is, and before those."""


class FailureGroup(NamedTuple):
    """Failures of one kind."""

    error: str
    """The first one's line."""
    size: int
    """How many there are."""
    block_runs: Sequence[tuple[BlockUuid, Key]]
    """The first of them, in the plan's block order and key order."""


class RunStore(Protocol):
    """Keeps runs. Implementations are safe to use from one thread; readers open their own."""

    def create(self, run: NewRun) -> None:
        """Stores a new run in status `initial`, without a lease."""

    def acquire(self, run: RunId, owner: Owner, now: float, ttl: float) -> Lease:
        """Takes the lease until `now + ttl`, sets status `running` and `started_at`, clears `completed_at`.

        Raises LeaseError while another living lease is there (`lease_expires_at > now`, unless its owner is the same),
        NotFoundError without such a run.
        """

    def steal(self, run: RunId, dead: str) -> None:
        """Gives back the lease of an owner (`Owner.text`) known to be dead; nothing happens if it is another's now."""

    def write(self, lease: Lease, batch: WriteBatch, now: float, ttl: float) -> None:
        """Writes all of the batch, or nothing, and renews the lease.

        Raises LeaseError when the lease is another's, or was given back, or the run was deleted; StoreError for a row
        of a block that is not in the plan, or when the store cannot be written.
        """

    def finish(self, lease: Lease, batch: WriteBatch, status: RunStatus, now: float) -> None:
        """Writes the batch, sets the run's last status and gives the lease back, in one transaction."""

    def request(self, run: RunId, control: Control, now: float) -> None:
        """Leaves word for the engine that drives the run. Raises NotFoundError without such a run."""

    def requests(self, run: RunId) -> Sequence[Control]:
        """What has been asked of the run since `clear_requests`, oldest first."""

    def clear_requests(self, run: RunId) -> None:
        """Forgets what was asked: a retry starts with a clean slate."""

    def update_plan(self, lease: Lease, blocks: Sequence[Mapping[str, JsonValue]]) -> None:
        """Replaces the snapshot of the plan: a retry runs the pipeline as it is now.

        Blocks that are no longer in it lose their rows, failures and items; those that stay keep them. Raises
        LeaseError as `write` does.
        """

    def get(self, run: RunId) -> RunRecord:
        """The run. Raises NotFoundError."""

    def list_runs(
        self, project: str | None = None, pipeline: PipelineUuid | None = None, limit: int | None = None
    ) -> Iterator[RunRecord]:
        """Runs, newest first."""

    def runs_between(
        self, project: str | None, pipeline: PipelineUuid, earliest: float, latest: float
    ) -> Iterator[RunRecord]:
        """Runs of a pipeline that were created in this time, its ends included, newest first; found by an index."""

    def block_runs(
        self, run: RunId, block: BlockUuid | None = None, statuses: Collection[Status] | None = None
    ) -> Iterator[BlockRunRow]:
        """Rows, in the plan's block order, then key order; streamed, never all in memory."""

    def block_run(self, run: RunId, block: BlockUuid, key: bytes) -> BlockRunRow | None:
        """One row, or None."""

    def failures(self, run: RunId, block: BlockUuid | None = None) -> Iterator[FailureRow]:
        """Failures, in the plan's block order, then key order."""

    def failure(self, run: RunId, block: BlockUuid, key: bytes) -> FailureRow | None:
        """Why this block run failed, or None."""

    def failure_groups(self, run: RunId, first: int = 20) -> Sequence[FailureGroup]:
        """Failures by group, the largest first, each with its first few block runs."""

    def chunks(self, run: RunId) -> Iterator[ChunkRow]:
        """All chunks, by number."""

    def items(self, run: RunId, block: BlockUuid, key: bytes | None = None) -> Iterator[ItemsRow]:
        """Items of a dynamic block (of one of its runs, where a key is given), by key and start."""

    def folds(self, run: RunId, block: BlockUuid) -> Iterator[FoldRow]:
        """Partials of the folds over a block, by levels, group and how many runs they cover."""

    def cached(
        self,
        project: str,
        pipeline: PipelineUuid,
        block: BlockUuid,
        fingerprints: Collection[bytes],
        but: RunId | None = None,
    ) -> Mapping[bytes, tuple[RunId, BlockRunRow]]:
        """For fingerprints that some completed block run has: the newest such run of the pipeline, and the row.

        Never the run `but`: one that is under way does not answer itself.
        """

    def delete(self, runs: Iterable[RunId]) -> None:
        """Forgets runs and all that belongs to them."""

    def close(self) -> None:
        """Gives back connections."""
