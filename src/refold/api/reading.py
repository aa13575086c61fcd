"""Reading runs: what `refold show`, `block-runs`, `output`, `trace` and `logs` print, as data."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Self

from refold.api.labels import COMPLETED
from refold.api.run_logs import RunLogs
from refold.api.run_summary import INTERRUPTED, FailureView, RunSummary, closable
from refold.api.snapshot import BlockSnapshot
from refold.api.tracing import Trace, TraceEntry
from refold.api.wiring import has_store, open_project_store, stored_as
from refold.errors import BadInputError, NotFoundError
from refold.executors.capture import LogLine
from refold.model.keys import (
    BlockRunUuid,
    BlockUuid,
    Key,
    PipelineUuid,
    RunId,
    block_run_uuid,
    decode_key,
    encode_key,
    escape_label,
    parse_block_run_uuid,
)
from refold.model.project import Project
from refold.model.suggestion import suggestion
from refold.ports.run_store import BlockRunRow, RunRecord, RunStatus, RunStore
from refold.scheduler.status import Status

__all__ = [
    "COMPLETED",
    "INTERRUPTED",
    "BlockRunView",
    "FailureView",
    "LogLine",
    "RunReader",
    "TraceEntry",
    "closable",
    "list_runs",
]

_FOLLOW_SECONDS = 0.3
"""How long `logs` waits before it looks again."""
_STATUSES: Mapping[str, Collection[Status]] = {
    **{status.word: {status} for status in Status},
    "completed": COMPLETED,
    "running": {Status.QUEUED},
}


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


class RunReader(RunSummary):
    """One pipeline run, read. To be closed by whoever opened it."""

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


def _find(run: str, project: Project, store: RunStore) -> RunRecord:
    fix = "`refold runs` lists the runs there are."
    with suppress(NotFoundError):  # a whole id needs no search
        record = store.get(RunId(run))
        if stored_as(project) in {None, record.project}:
            return record
    with closing(closable(store.list_runs(stored_as(project), limit=1 if run == "latest" else None))) as records:
        if run == "latest":
            for record in records:
                return record
            raise NotFoundError("there are no runs yet", where=str(project.path), fix="`refold run` makes one.")
        found = [record for record in records if run and record.id.startswith(run)]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(record.id for record in found[:5])
        raise NotFoundError(f"`{run}` begins the ids of {len(found)} runs: {some}", fix="Give more of the id.")
    raise NotFoundError(f"there is no run `{run}`", where=str(project.path), fix=fix)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
