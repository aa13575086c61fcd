"""Why a cached block's run was answered by an earlier result, or was not (`configuration.cache`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from refold.api.blame import Found
from refold.api.labels import COMPLETED
from refold.api.reading import RunReader, closable, list_runs
from refold.errors import NotFoundError
from refold.model.keys import BlockRunUuid, RunId, encode_key
from refold.outputs import adopted_from
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import BlockRunRow


@dataclass(frozen=True, slots=True)
class CacheHistory:
    """One completed block run of a cached block, and the same of earlier pipeline runs."""

    reader: RunReader
    found: Found
    uuid: BlockRunUuid

    def answered_by(self) -> RunId | None:
        """The run whose result was taken over: its name is part of the segment that was adopted. None if it had no
        output."""
        for ref in self._chunks():
            name = adopted_from(ref)
            if name is not None:
                return RunId(name)
        return None

    def _chunks(self) -> Iterator[ChunkRef]:
        if self.found.row.chunk is not None:
            yield self.reader.labels.chunk(self.found.row.chunk)
        elif self.found.block.dynamic:
            for ref, _, _ in self.reader.labels.item_stretches(self.found.block.uuid, self.found.key):
                yield ref

    def difference(self) -> tuple[RunId | None, str]:
        """The newest earlier run that completed the same block run, and what differed; a clause of a sentence."""
        project, pipeline = self.reader.project, self.reader.record.pipeline_uuid
        with closing(closable(list_runs(project, pipeline))) as runs:
            for earlier in runs:
                if earlier.record.created_at >= self.reader.record.created_at:
                    continue
                row = _completed(earlier, self.uuid)
                if row is not None:
                    return earlier.record.id, self._compared(earlier, row)
        return None, "no earlier run has completed it"

    def _compared(self, earlier: RunReader, row: BlockRunRow) -> str:
        run, own = earlier.record.id, self.found.row.fingerprint
        if row.fingerprint is None:
            return f"run {run} did not keep what it ran on: the block was not cached then"
        if own is None:
            return "of an input of it no digest was kept, so that it could not be compared with earlier runs"
        if own == row.fingerprint:
            return f"the result of run {run}, which is the same, could not be taken over"
        if not (_is_recorded(earlier, row) and _is_recorded(self.reader, self.found.row)):
            return f"its code, configuration, variables or inputs differ from those in run {run}"
        now, then = self.found.block, earlier.plan[self.found.block.uuid]
        sure = [
            what
            for what, differs in (
                ("code", now.code != then.code),
                ("configuration", now.configuration != then.configuration),
            )
            if differs
        ]
        if sure:
            verb = "differ from those" if len(sure) > 1 else "differs from that"
            return f"its {' and '.join(sure)} {verb} in run {run}"
        if now.variables != then.variables:
            return f"the variables, or its inputs, differ from those in run {run}"
        return f"its inputs differ from those in run {run}"


def _is_recorded(reader: RunReader, row: BlockRunRow) -> bool:
    """Whether the run's digests are those that this row was made with: a retry replaces digests, and keeps rows."""
    return row.completed_at is None or row.completed_at >= (reader.record.started_at or 0.0)


def _completed(reader: RunReader, uuid: BlockRunUuid) -> BlockRunRow | None:
    try:
        block, key = reader.resolve(uuid)
    except NotFoundError:
        return None
    row = reader.store.block_run(reader.record.id, block.uuid, encode_key(key))
    return row if row is not None and row.status in COMPLETED else None
