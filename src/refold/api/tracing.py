"""Where the inputs of a block run came from: what `refold trace` shows (design 2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from refold.api.labels import RunLabels
from refold.api.snapshot import BlockSnapshot, PlanSnapshot
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, decode_key
from refold.ports.output_store import OutputStore
from refold.ports.run_store import RunStore
from refold.scheduler.status import Status

_COMPLETED = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """Where one input of a block run, or one element of a reduced input, came from."""

    upstream: BlockUuid
    index: int | None
    """Index in the reduced list; None for an input that is not reduced."""
    block_run_uuid: BlockRunUuid
    """The block run that gave it."""
    element: int | None
    """Which element of that run's output, or which of its items; None for the whole output."""


def trace_inputs(
    run: RunId,
    plan: PlanSnapshot,
    store: RunStore,
    outputs: OutputStore,
    labels: RunLabels,
    block: BlockSnapshot,
    key: Key,
) -> Iterator[TraceEntry]:
    """The origins of a block run's inputs, upstream by upstream; a reduced list's element by element."""
    at = 0
    for uuid in block.upstreams:
        if uuid in block.reduced:
            yield from _reduced(run, store, outputs, labels, uuid)
            continue
        upstream = plan[uuid]
        # A block's axes are its upstreams' one after the other, so its key is theirs (design 2.2).
        own = key[at : at + len(upstream.axes)]
        at += len(own)
        element = None
        if upstream.dynamic:
            element = key[at]
            at += 1
        yield TraceEntry(uuid, None, labels.uuid(uuid, own), element)


def _reduced(
    run: RunId, store: RunStore, outputs: OutputStore, labels: RunLabels, upstream: BlockUuid
) -> Iterator[TraceEntry]:
    index = count()
    for row in store.block_runs(run, upstream, _COMPLETED):
        if row.chunk is None or row.position is None:
            continue
        uuid = labels.uuid(upstream, decode_key(row.key))
        for element in range(outputs.read(labels.chunk(row.chunk)).elements(row.position)):
            yield TraceEntry(upstream, next(index), uuid, element)
