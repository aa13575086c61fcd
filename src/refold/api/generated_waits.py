"""What a block run waits for because its item says so: dependencies that item metadata generates (design 2.9)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from refold.api.reading import RunReader
from refold.api.snapshot import BlockSnapshot
from refold.model.keys import BlockUuid, Key, encode_key
from refold.scheduler.events import OPEN
from refold.scheduler.plan import EdgeKind


def targets_of(reader: RunReader, block: BlockSnapshot, key: Key) -> Iterator[tuple[BlockUuid, Key | None]]:
    """The block runs that this one waits for: block and key, None for an item that was still to come."""
    for edge in block.edges:
        if edge.kind is not EdgeKind.ITEMS:
            continue
        *outer, index = edge.seen(key)
        named: dict[BlockUuid, list[int | None]] = {}
        for row in reader.store.items(reader.record.id, edge.upstream, encode_key(tuple(outer))):
            for item, uuid, target in () if row.waits is None else json.loads(row.waits):
                if item == index:
                    named.setdefault(BlockUuid(uuid or block.uuid), []).append(target)
        for uuid, targets in named.items():
            for target in targets:
                if target != OPEN:
                    yield uuid, (*outer, target) if target is not None else ()
            # What was still to come when the item came is said once more, by its index, when it has come.
            come = sum(target is not None and target > index for target in targets)
            for _ in range(targets.count(OPEN) - come):
                yield uuid, None
