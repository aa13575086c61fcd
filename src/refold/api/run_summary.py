"""What came of a run, in short: what `refold run` tells when it is over, and `refold show` at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from refold.api.labels import RunLabels
from refold.api.positions import Position
from refold.api.running import is_interrupted
from refold.api.snapshot import BlockSnapshot, PlanSnapshot
from refold.api.started_by import StartedBy
from refold.api.wiring import run_folder
from refold.engine.pipeline_run import LEASE_SECONDS
from refold.model.block import JsonValue
from refold.model.keys import BlockRunUuid, BlockUuid
from refold.model.project import Project
from refold.outputs import FileOutputStore
from refold.ports.run_store import RunRecord, RunStore
from refold.scheduler.status import Status

INTERRUPTED = "interrupted"
_Row = TypeVar("_Row")
_COUNTED = ("completed", "failed", "upstream_failed", "condition_failed", "cancelled")


@dataclass(frozen=True, slots=True)
class FailureView:
    """Failures of one kind."""

    error: str
    """The first one's line."""
    count: int
    block_runs: Sequence[BlockRunUuid]
    """The first of them."""


class RunSummary:
    """One pipeline run, told in short. To be closed by whoever opened it."""

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

    @property
    def status(self) -> str:
        """The stored status word, or `interrupted` when the run's process is gone."""
        return INTERRUPTED if is_interrupted(self.record, self._now()) else self.record.status.value

    @property
    def started_by(self) -> StartedBy | None:
        """Whose code asked for the run; None where that was not noted, as of a command."""
        return StartedBy.of(self.record)

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
        by = self.started_by
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
            **({} if by is None else {"started_by": by.as_json()}),
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

    def failures(self, first: int = 20) -> Sequence[FailureView]:
        """Failures by kind, the largest group first, each with its first few block runs."""
        return [
            FailureView(group.error, group.size, [self.labels.uuid(block, key) for block, key in group.block_runs])
            for group in self.store.failure_groups(self.record.id, first)
        ]

    def close(self) -> None:
        """Gives back connections and files."""
        self.outputs.close()
        self.store.close()


def _given(record: RunRecord) -> list[Position]:
    """The items that a run of one block stands at."""
    items = record.options.get("items")
    return [Position.of(each) for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def closable(rows: Iterator[_Row]) -> Generator[_Row, None, None]:
    """The rows, as something that can be left in the middle: a store's connection is then given back at once."""
    yield from rows


def _no_counts(block: BlockSnapshot) -> JsonValue:
    total = 0 if block.axes else 1
    return {"total": total, "total_final": not block.axes, **dict.fromkeys(_COUNTED, 0)}
