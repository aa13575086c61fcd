"""Reading runs: what `refold show`, `block-runs`, `output`, `trace` and `logs` print, as data."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from refold.api.labels import COMPLETED, RunLabels
from refold.api.positions import Position
from refold.api.run_logs import RunLogs
from refold.api.running import is_interrupted
from refold.api.snapshot import BlockSnapshot, PlanSnapshot
from refold.api.tracing import Trace, TraceEntry
from refold.api.wiring import has_store, open_project_store, run_folder, stored_as
from refold.engine.pipeline_run import LEASE_SECONDS
from refold.errors import BadInputError, NotFoundError
from refold.executors.capture import LogLine
from refold.model.block import JsonValue
from refold.model.keys import (
    BlockRunUuid,
    BlockUuid,
    Key,
    PipelineUuid,
    block_run_uuid,
    decode_key,
    encode_key,
    escape_label,
    parse_block_run_uuid,
)
from refold.model.project import Project
from refold.model.suggestion import suggestion
from refold.outputs import FileOutputStore
from refold.ports.run_store import BlockRunRow, RunRecord, RunStatus, RunStore
from refold.scheduler.status import Status

__all__ = ["COMPLETED", "BlockRunView", "FailureView", "LogLine", "RunReader", "TraceEntry", "list_runs"]

INTERRUPTED = "interrupted"
_Row = TypeVar("_Row")
_FOLLOW_SECONDS = 0.3
"""How long `logs` waits before it looks again."""
_STATUSES: Mapping[str, Collection[Status]] = {
    **{status.word: {status} for status in Status},
    "completed": COMPLETED,
    "running": {Status.QUEUED},
}
_COUNTED = ("completed", "failed", "upstream_failed", "condition_failed", "cancelled")


@dataclass(frozen=True, slots=True)
class BlockRunView:
    """A block run that is over."""

    block_run_uuid: BlockRunUuid
    block_uuid: BlockUuid
    label: str | None
    """Its labels, percent-encoded and joined by `:`; None for a block without axes."""
    key: Key
    status: str
    """The word that users see."""
    attempts: int
    started_at: float | None
    """Seconds since the epoch."""
    completed_at: float | None
    error: str | None
    """One line, of a failed one: the exception's type and message."""


@dataclass(frozen=True, slots=True)
class FailureView:
    """Failures of one kind."""

    error: str
    """The first one's line."""
    count: int
    block_runs: Sequence[BlockRunUuid]
    """The first of them."""


class RunReader:
    """One pipeline run, read. To be closed by whoever opened it."""

    def __init__(
        self,
        project: Project,
        record: RunRecord,
        store: RunStore,
        wait: Callable[[float], object] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`wait` passes so many seconds when logs are followed; `now` is the time, in seconds since the epoch."""
        self.project = project
        self.record = record
        self.store = store
        self.plan = PlanSnapshot.of(record)
        """The plan as it was when the run began."""
        self.folder = run_folder(project, record.pipeline_uuid, record.id)
        """Where the run keeps its outputs and logs."""
        self.outputs = FileOutputStore(self.folder)
        self.labels = RunLabels(record.id, self.plan, store, self.outputs, _given(record))
        self._wait = wait or threading.Event().wait
        self._now = now

    @classmethod
    def open(cls, run: str, project: Project) -> Self:
        """The run of this id, of a unique beginning of its id, or `latest`. Raises NotFoundError."""
        if not has_store(project):
            raise NotFoundError(
                f"there is no run `{run}`: nothing has been run yet",
                where=str(project.path),
                fix="Run a pipeline: `refold run PROJECT PIPELINE`.",
            )
        store = open_project_store(project)
        try:
            return cls(project, _find(run, project, store), store)
        except BaseException:
            store.close()
            raise

    @property
    def block_alone(self) -> str | None:
        """The block that the run ran alone; None where it ran the pipeline."""
        alone = self.record.options.get("block")
        return None if alone is None else str(alone)

    @property
    def status(self) -> str:
        """The stored status word, or `interrupted` when the run's process is gone."""
        return INTERRUPTED if is_interrupted(self.record, self._now()) else self.record.status.value

    @property
    def seconds(self) -> float | None:
        """From when it was last started to its end; None before. An interrupted run ended when it last gave a sign."""
        record = self.record
        if record.started_at is None:
            return None
        end = record.completed_at
        if end is None and self.status == INTERRUPTED:
            if record.lease_expires_at is None:
                return None
            end = record.lease_expires_at - LEASE_SECONDS
        return max(0.0, (self._now() if end is None else end) - record.started_at)

    def head(self) -> dict[str, JsonValue]:
        """The object that `run --json` prints: the run, counts a block, failures by kind with the first 20 of each."""
        return {
            "run_id": self.record.id,
            "pipeline_uuid": self.record.pipeline_uuid,
            "status": self.status,
            "seconds": self.seconds,
            "blocks": self._counts(),
            "failures": [
                {"error": failure.error, "count": failure.count, "block_runs": [*failure.block_runs]}
                for failure in self.failures()
            ],
        }

    def _counts(self) -> dict[str, JsonValue]:
        reported = self.record.summary.get("blocks")
        blocks = reported if isinstance(reported, dict) else {}
        if not blocks and not self.record.status.ended:
            blocks = {block.uuid: _no_counts(block) for block in self.plan}
        if self.status != INTERRUPTED:
            return blocks
        # The last report may be older than the last rows, and nobody will send another.
        return {uuid: self._recount(BlockUuid(uuid), counts) for uuid, counts in blocks.items()}

    def _recount(self, block: BlockUuid, reported: JsonValue) -> JsonValue:
        counts: dict[str, JsonValue] = dict(reported) if isinstance(reported, dict) else {}
        found = dict.fromkeys(_COUNTED, 0)
        with closing(closable(self.store.block_runs(self.record.id, block))) as rows:
            for row in rows:
                found[Status(row.status).word] += 1
        total = counts.get("total")
        known = total if isinstance(total, int) else 0
        return {**counts, **found, "total": max(known, sum(found.values()))}

    def block_runs(self, block: str | None = None, status: str | None = None) -> Iterator[BlockRunView]:
        """Block runs that are over, in the plan's block order, then key order.

        Those that have not ended have no row, and are not listed. Raises BadInputError for an unknown block or status.
        """
        if status is not None and status not in _STATUSES:
            raise BadInputError(
                f"`{status}` is no status of a block run", fix=suggestion(status, _STATUSES, "statuses")
            )
        blocks = [self.plan[block]] if block is not None else [*self.plan]
        return self._views(blocks, None if status is None else _STATUSES[status])

    def _views(self, blocks: Sequence[BlockSnapshot], statuses: Collection[Status] | None) -> Iterator[BlockRunView]:
        for block in blocks:
            if not self.record.status.ended:
                self.labels.forget()  # items are stored before the runs that stand at them
            errors = self._errors(block.uuid)
            with closing(closable(self.store.block_runs(self.record.id, block.uuid, statuses))) as rows:
                for row in rows:
                    yield self._view(block, row, errors)

    def _errors(self, block: BlockUuid) -> Mapping[bytes, str]:
        return {row.key: row.error for row in self.store.failures(self.record.id, block)}

    def _view(self, block: BlockSnapshot, row: BlockRunRow, errors: Mapping[bytes, str]) -> BlockRunView:
        key = decode_key(row.key)
        labels = self.labels.of(block.axes, key)
        return BlockRunView(
            block_run_uuid=block_run_uuid(block.uuid, labels),
            block_uuid=block.uuid,
            label=":".join(map(escape_label, labels)) if labels else None,
            key=key,
            status=Status(row.status).word,
            attempts=row.attempts,
            started_at=row.started_at,
            completed_at=row.completed_at,
            error=errors.get(row.key),
        )

    def failures(self, first: int = 20) -> Sequence[FailureView]:
        """Failures by kind, the largest group first, each with its first few block runs."""
        return [
            FailureView(group.error, group.size, [self.labels.uuid(block, key) for block, key in group.block_runs])
            for group in self.store.failure_groups(self.record.id, first)
        ]

    def output(self, block_run_uuid: str) -> object:
        """What the block run returned; of a dynamic block, the list of its items, rows of a frame among them.

        Raises NotFoundError, saying what there is: an unknown block, an unknown label, no output.
        """
        block, key = self.resolve(block_run_uuid)
        row = self.store.block_run(self.record.id, block.uuid, encode_key(key))
        if row is None or row.status not in COMPLETED:
            raise self._no_output(block, key, row)
        if block.dynamic:
            return [item.value for item in self.labels.items(block.uuid, key)]
        if row.chunk is None or row.position is None:
            raise self._no_output(block, key, row)
        return self.outputs.read(self.labels.chunk(row.chunk)).output(row.position).value

    def trace(self, block_run_uuid: str) -> Trace:
        """Where the inputs of a block run came from, upstream by upstream, a reduced list element by element.

        Raises NotFoundError, and StoreError when it is iterated over and an output cannot be read.
        """
        return Trace(self.record.id, self.plan, self.store, self.outputs, self.labels, *self.resolve(block_run_uuid))

    def logs(self, block_run_uuid: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """What block runs printed and logged, by time; a block's uuid gives all its runs.

        With `follow` it goes on until the run is over. Raises NotFoundError for an unknown block.
        """
        if block_run_uuid is not None:
            self.plan[parse_block_run_uuid(block_run_uuid)[0]]
        return self._lines(block_run_uuid, follow)

    def _lines(self, wanted: str | None, follow: bool) -> Iterator[LogLine]:
        logs = RunLogs(self.folder / "logs")
        while True:
            # Asked first: what is written before a run is over is read after it.
            over = not follow or self._over()
            for line in logs.new_lines():
                if wanted is None or line.block_run == wanted or line.block_run.startswith(f"{wanted}:"):
                    yield line
            if over:
                return
            self._wait(_FOLLOW_SECONDS)

    def _over(self) -> bool:
        self.record = self.store.get(self.record.id)
        return self.record.status.ended or self.status == INTERRUPTED

    def resolve(self, block_run_uuid: str) -> tuple[BlockSnapshot, Key]:
        """The block and key of a block run uuid. Raises NotFoundError; the block run need not have a row."""
        uuid, labels = parse_block_run_uuid(block_run_uuid)
        block = self.plan[uuid]
        if len(labels) != len(block.axes):
            raise self._wrong_depth(block, labels)
        try:
            return block, self.labels.key(block.axes, labels)
        except NotFoundError:
            if self.record.status.ended:
                raise
            self.labels.forget()
            return block, self.labels.key(block.axes, labels)

    def _wrong_depth(self, block: BlockSnapshot, labels: Sequence[str]) -> NotFoundError:
        where = f"run {self.record.id}"
        if not block.axes:
            return NotFoundError(
                f"`{block.uuid}` runs once and has no `{':'.join(labels)}`", where=where, fix=f"Name it `{block.uuid}`."
            )
        axes = ", then ".join(f"of `{axis.block}`" for axis in block.axes)
        with closing(closable(self.store.block_runs(self.record.id, block.uuid))) as rows:
            some = [f"`{self.labels.uuid(block.uuid, decode_key(row.key))}`" for row in islice(rows, 3)]
        return NotFoundError(
            f"`{block.uuid}` runs once for each item {axes}: {_count(len(block.axes), 'label')} must follow its name, "
            f"not {len(labels)}",
            where=where,
            fix=f"Name one of its runs, such as {', '.join(some)}." if some else "None of its runs is over.",
        )

    def _no_output(self, block: BlockSnapshot, key: Key, row: BlockRunRow | None) -> NotFoundError:
        uuid, where = self.labels.uuid(block.uuid, key), f"run {self.record.id}"
        alone = self.block_alone
        if row is None and alone is not None and alone != block.uuid:
            return NotFoundError(
                f"`{uuid}` has no output here: the run ran `{alone}` alone",
                where=where,
                fix="`refold runs` lists the other runs.",
            )
        if row is None:
            over = self.status not in {RunStatus.INITIAL.value, RunStatus.RUNNING.value}
            return NotFoundError(
                f"`{uuid}` has no output: it {'was never run' if over else 'is not done yet'}",
                where=where,
                fix=f"`refold retry {self.record.id}` runs it." if over else "Wait until it is.",
            )
        failure = self.store.failure(self.record.id, block.uuid, row.key)
        word = Status(row.status).word
        return NotFoundError(
            f"`{uuid}` has no output: it is {word}" + (f", {failure.error}" if failure is not None else ""),
            where=where,
            fix=f"`refold show {self.record.id}` lists what failed." if word == "upstream_failed" else None,
        )

    def close(self) -> None:
        """Gives back connections and files."""
        self.outputs.close()
        self.store.close()


def list_runs(project: Project, pipeline: str | None = None, limit: int | None = None) -> Iterator[RunReader]:
    """Runs of a project, newest first.

    The readers share one store, which is closed when the last of them is gone: none of them needs closing.
    """
    if not has_store(project):
        return
    store = open_project_store(project)
    wanted = None if pipeline is None else PipelineUuid(pipeline)
    shared = _Shared()
    weakref.finalize(shared, store.close)
    for record in store.list_runs(stored_as(project), wanted, limit):
        yield _ListedRun(project, record, store, shared)


class _Shared:
    """What readers of one store have in common; the store is closed when nobody has it any more."""


class _ListedRun(RunReader):
    """One of many readers of a store."""

    def __init__(self, project: Project, record: RunRecord, store: RunStore, shared: _Shared) -> None:
        super().__init__(project, record, store)
        self._shared = shared

    def close(self) -> None:
        """Gives back files; the store is the others' too."""
        self.outputs.close()


def _given(record: RunRecord) -> list[Position]:
    """The items that a run of one block stands at."""
    items = record.options.get("items")
    return [Position.of(each) for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def _find(run: str, project: Project, store: RunStore) -> RunRecord:
    fix = "`refold runs` lists the runs there are."
    with closing(closable(store.list_runs(stored_as(project), limit=1 if run == "latest" else None))) as records:
        if run == "latest":
            for record in records:
                return record
            raise NotFoundError("there are no runs yet", where=str(project.path), fix="`refold run` makes one.")
        found: list[RunRecord] = []
        for record in records:
            if record.id == run:
                return record
            if run and record.id.startswith(run):
                found.append(record)
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(record.id for record in found[:5])
        raise NotFoundError(f"`{run}` begins the ids of {len(found)} runs: {some}", fix="Give more of the id.")
    raise NotFoundError(f"there is no run `{run}`", where=str(project.path), fix=fix)


def closable(rows: Iterator[_Row]) -> Generator[_Row, None, None]:
    """The rows, as something that can be left in the middle: a store's connection is then given back at once."""
    yield from rows


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _no_counts(block: BlockSnapshot) -> JsonValue:
    total = 0 if block.axes else 1
    return {"total": total, "total_final": not block.axes, **dict.fromkeys(_COUNTED, 0)}
