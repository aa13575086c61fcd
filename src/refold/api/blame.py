"""Which block run stands behind the end of another: the root of a failure, the condition that skipped a branch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass

from refold.api.generated_waits import targets_of
from refold.api.reading import RunReader, closable
from refold.api.snapshot import BlockSnapshot, EdgeSnapshot
from refold.model.keys import Key, decode_key, encode_key
from refold.ports.run_store import BlockRunRow
from refold.scheduler.plan import EdgeKind
from refold.scheduler.status import Status


@dataclass(frozen=True, slots=True)
class Found:
    """A block run that is over."""

    block: BlockSnapshot
    key: Key
    row: BlockRunRow

    @property
    def status(self) -> Status:
        """What it came to."""
        return Status(self.row.status)


def root_of_failure(reader: RunReader, block: BlockSnapshot, key: Key) -> Found | None:
    """The run that failed, or was cancelled, so that this one could not be; None where none is stored.

    Of several it is one that failed rather than one that was cancelled, and one that is near rather than far.
    """
    behind: list[Found] = []
    cancelled: Found | None = None
    for found in _broken_inputs(reader, block, key):
        if found.status is Status.FAILED:
            return found
        if found.status is Status.UPSTREAM_FAILED:
            behind.append(found)
        else:
            cancelled = cancelled or found
    for found in behind:
        root = root_of_failure(reader, found.block, found.key)
        if root is not None:
            return root
    return cancelled


def obstacle_to_axis(reader: RunReader, block: BlockSnapshot, key: Key) -> Found | None:
    """The run that did not complete, so that there is no flat axis which this key could stand on (design 2.6)."""
    for edge in block.edges:
        if edge.kind is EdgeKind.FLAT:
            found = next(_broken_group(reader, edge, edge.seen(key)[:-1]), None)
            if found is not None:
                return root_of_failure(reader, found.block, found.key) or found
    return None


def condition_behind(reader: RunReader, block: BlockSnapshot, key: Key) -> Found | None:
    """The run whose condition skipped this one: itself, or one that it follows; None where it has no row."""
    row = reader.store.block_run(reader.record.id, block.uuid, encode_key(key))
    if row is None or row.status != Status.CONDITION_FAILED:
        return None
    for edge in block.edges:
        for found in () if edge.reduces else _single(reader, edge, key):
            if found.status is Status.COMPLETED_FALSE:
                return found
            if found.status is Status.CONDITION_FAILED:
                return condition_behind(reader, found.block, found.key)
    return Found(block, key, row)


def input_run(reader: RunReader, edge: EdgeSnapshot, key: Key) -> Key | None:
    """The key of the one upstream run that a run at this key sees anything of; None where it sees a whole group."""
    seen = edge.seen(key)
    if edge.reduces:
        return None
    if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
        given = reader.labels.giver(reader.plan.visible_axes(edge)[-1], seen[:-1], seen[-1])
        return seen[:-1] if given is None else given[0]
    return seen


def _single(reader: RunReader, edge: EdgeSnapshot, key: Key) -> Iterator[Found]:
    upstream = input_run(reader, edge, key)
    if upstream is not None:
        row = reader.store.block_run(reader.record.id, edge.upstream, encode_key(upstream))
        if row is not None:
            yield Found(reader.plan[edge.upstream], upstream, row)


_BROKEN = (Status.FAILED, Status.UPSTREAM_FAILED, Status.CANCELLED)


def _broken_inputs(reader: RunReader, block: BlockSnapshot, key: Key) -> Iterator[Found]:
    """What this run needs and did not complete: inputs, what its item waits for, and what leaves a group unclosed."""
    for edge in block.edges:
        if edge.reduces:
            yield from _broken_group(reader, edge, edge.seen(key))
        else:
            yield from (found for found in _single(reader, edge, key) if found.status in _BROKEN)
    for uuid, target in targets_of(reader, block, key):
        row = None if target is None else reader.store.block_run(reader.record.id, uuid, encode_key(target))
        if row is not None and target is not None and row.status in _BROKEN:
            yield Found(reader.plan[uuid], target, row)


def _broken_group(reader: RunReader, edge: EdgeSnapshot, outer: Key) -> Iterator[Found]:
    """Of each status the first run of a group; then the dynamic runs that left its axes unclosed."""
    upstream = reader.plan[edge.upstream]
    yield from _first_broken(reader, upstream, outer)
    for axis in upstream.axes if edge.levels is None else upstream.axes[-1:]:
        for side in (axis, *axis.zipped):
            yield from _first_broken(reader, reader.plan[side.block], side.producer(outer) if outer else ())


def _first_broken(reader: RunReader, block: BlockSnapshot, before: Key) -> Iterator[Found]:
    for status in _BROKEN:
        found = first_row(reader, block, {status}, before)
        if found is not None:
            yield found


def first_row(reader: RunReader, block: BlockSnapshot, statuses: Collection[Status], before: Key = ()) -> Found | None:
    """The first of a block's runs, in key order, that has one of these statuses and whose key begins so."""
    prefix = encode_key(before)
    with closing(closable(reader.store.block_runs(reader.record.id, block.uuid, statuses))) as rows:
        return next((Found(block, decode_key(row.key), row) for row in rows if row.key.startswith(prefix)), None)
