"""What a block run that is not over waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from refold.api.blame import input_run
from refold.api.generated_waits import targets_of
from refold.api.reading import RunReader
from refold.api.snapshot import BlockSnapshot, EdgeSnapshot
from refold.model.keys import BlockRunUuid, BlockUuid, Key, encode_key
from refold.scheduler.plan import EdgeKind

NAMED = 3
"""How many of the runs that are waited for are named."""
_LOOKED_AT = 200_000
"""How many runs of a group are looked at for those that are not over: a product may have any number."""


@dataclass(slots=True)
class Missing:
    """Block runs that are not over."""

    named: list[BlockRunUuid] = field(default_factory=list)
    """The first of them."""
    count: int = 0
    more: bool = False
    """Whether there may be more than `count`: items that have not come, or more than anybody would count."""

    def add(self, reader: RunReader, block: BlockUuid, key: Key) -> None:
        """One more."""
        uuid = reader.labels.uuid(block, key)
        if uuid in self.named:
            return
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(uuid)


def missing_inputs(reader: RunReader, block: BlockSnapshot, key: Key) -> Missing:
    """The runs that this one waits for."""
    missing = Missing()
    for edge in block.edges:
        if edge.reduces or edge.kind is EdgeKind.FLAT:
            seen = edge.seen(key)
            _look_through_group(reader, edge, seen if edge.reduces else seen[:-1], missing)
            continue
        upstream = input_run(reader, edge, key)
        there = edge.kind is EdgeKind.ITEMS and not reader.plan[edge.upstream].batch_mode
        if upstream is not None and not there and not _is_over(reader, edge.upstream, upstream):
            missing.add(reader, edge.upstream, upstream)
    for uuid, target in targets_of(reader, block, key):
        if target is None:
            missing.more = True
        elif not _is_over(reader, uuid, target):
            missing.add(reader, uuid, target)
    return missing


def _look_through_group(reader: RunReader, edge: EdgeSnapshot, outer: Key, missing: Missing) -> None:
    """The runs of a group, and those that may still give it more of them."""
    upstream = reader.plan[edge.upstream]
    prefix, run = encode_key(outer), reader.record.id
    over = {row.key for row in reader.store.block_runs(run, upstream.uuid) if row.key.startswith(prefix)}
    keys = reader.labels.keys(upstream.axes, outer)
    for key in islice(keys, _LOOKED_AT):
        if encode_key(key) not in over:
            missing.add(reader, upstream.uuid, key)
    missing.more = missing.more or next(keys, None) is not None
    for axis in upstream.axes if edge.levels is None else upstream.axes[-1:]:
        for side in (axis, *axis.zipped):
            before = side.producer(outer) if outer else ()
            for key in _open_runs(reader, reader.plan[side.block], before):
                missing.more = True
                missing.add(reader, side.block, key)


def _open_runs(reader: RunReader, block: BlockSnapshot, before: Key) -> Iterator[Key]:
    """The runs of a dynamic block that are not over, of those whose keys begin so."""
    over = {row.key for row in reader.store.block_runs(reader.record.id, block.uuid)}
    for key in islice(reader.labels.keys(block.axes, before), _LOOKED_AT):
        if encode_key(key) not in over:
            yield key


def _is_over(reader: RunReader, block: BlockUuid, key: Key) -> bool:
    return reader.store.block_run(reader.record.id, block, encode_key(key)) is not None
