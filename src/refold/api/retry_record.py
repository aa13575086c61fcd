"""What a retry found before it began, and what it was asked for: `before_retry.jsonl` in the run's folder.

A retry replaces the rows of what it runs anew, so that afterwards they no longer say why it did. The file's first line
is what was asked; each other line is a block run that had not completed. The next retry replaces the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from refold.api.labels import COMPLETED, RunLabels
from refold.errors import StoreError
from refold.model.keys import BlockRunUuid, BlockUuid, decode_key
from refold.ports.run_store import RunRecord, RunStore
from refold.scheduler.status import Status

_FILE = "before_retry.jsonl"


class RetryRequest(msgspec.Struct, frozen=True):
    """What a retry was asked for."""

    from_block: str | None = None
    """The block that was to run anew, with all that follows it."""
    block_runs: tuple[str, ...] = ()
    """Uuids of the block runs that were, with all that descends from them."""
    changed_blocks: tuple[str, ...] = ()
    """Blocks whose place in the pipeline had changed."""


class Incomplete(msgspec.Struct, frozen=True):
    """A block run that had not completed before a retry."""

    block_run_uuid: str
    status: str
    error: str | None = None
    """One line, of a failed one."""


@dataclass(frozen=True, slots=True)
class RetryRecord:
    """The last retry of a run."""

    path: Path
    request: RetryRequest

    @classmethod
    def read(cls, folder: Path) -> RetryRecord | None:
        """That of the run which keeps its files in this folder; None if it was not retried."""
        path = folder / _FILE
        try:
            with path.open("rb") as file:
                return cls(path, msgspec.json.decode(file.readline(), type=RetryRequest))
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def before(self, uuid: BlockRunUuid) -> Incomplete | None:
        """What had become of a block run before the retry; None where it had completed, or was not over."""
        wanted, decoder = msgspec.json.encode(uuid), msgspec.json.Decoder(Incomplete)
        with self.path.open("rb") as file:
            file.readline()
            return next(
                (line for data in file if wanted in data and (line := decoder.decode(data)).block_run_uuid == uuid),
                None,
            )


def write_retry_record(
    folder: Path, record: RunRecord, store: RunStore, labels: RunLabels, request: RetryRequest
) -> None:
    """Writes what there is before a retry. Raises StoreError when that cannot be."""
    written = folder / f"{_FILE}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written.open("wb") as file:
            file.write(msgspec.json.encode(request) + b"\n")
            for line in _incomplete(record, store, labels):
                file.write(msgspec.json.encode(line) + b"\n")
        written.replace(folder / _FILE)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(written)) from error


def _incomplete(record: RunRecord, store: RunStore, labels: RunLabels) -> Iterator[Incomplete]:
    wanted: Sequence[Status] = [status for status in Status if status not in COMPLETED]
    for block in record.blocks:
        uuid = BlockUuid(str(block["uuid"]))
        errors = {row.key: row.error for row in store.failures(record.id, uuid)}
        for row in store.block_runs(record.id, uuid, wanted):
            with suppress(StoreError):  # what is damaged has no name any more, and that must not stop a retry
                name = labels.uuid(uuid, decode_key(row.key))
                yield Incomplete(name, Status(row.status).word, errors.get(row.key))
