"""The graph of a pipeline: what comes before what, and what is wrong with it, shown as a person would draw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from refold.errors import PipelineError
from refold.model.block import Block
from refold.model.keys import BlockUuid
from refold.model.suggestion import suggestion

Where = Callable[[BlockUuid], str | None]
"""Where a block stands, for errors: file, line and key."""

_SHOWN = 12


def _nowhere(_uuid: BlockUuid) -> None:
    return None


def topological_order(blocks: Sequence[Block], where: Where = _nowhere) -> tuple[Block, ...]:
    """The blocks, upstreams before downstreams; of those that are free to run, the earlier in the file first.

    Raises PipelineError for a uuid that is there twice, an upstream that is not there, and a cycle.
    """
    by_uuid: dict[BlockUuid, Block] = {}
    for block in blocks:
        if block.uuid in by_uuid:
            raise PipelineError(
                f"two blocks are called `{block.uuid}`", where=where(block.uuid), fix="Give one of them another uuid."
            )
        by_uuid[block.uuid] = block
    upstreams = {block.uuid: tuple(dict.fromkeys(block.upstream_blocks)) for block in blocks}
    for uuid, names in upstreams.items():
        for name in names:
            if name not in by_uuid:
                raise PipelineError(
                    f"`{uuid}` lists the upstream `{name}`, which is no block of the pipeline",
                    where=where(uuid),
                    fix=suggestion(name, by_uuid, "blocks"),
                )
    order = _ordered(list(by_uuid), upstreams)
    if len(order) < len(by_uuid):
        path = _cycle(set(by_uuid) - set(order), list(by_uuid), upstreams)
        raise PipelineError(
            f"the blocks form a cycle: {_drawn(path)}",
            where=where(path[-1]),
            fix=f"Take one of these out of the other's `upstream_blocks`, for example `{path[-2]}` of `{path[-1]}`.",
        )
    return tuple(by_uuid[uuid] for uuid in order)


def _ordered(names: Sequence[BlockUuid], upstreams: Mapping[BlockUuid, Sequence[BlockUuid]]) -> list[BlockUuid]:
    """As many as come before any cycle."""
    position = {name: index for index, name in enumerate(names)}
    waiting = [len(upstreams[name]) for name in names]
    downstreams: list[list[int]] = [[] for _ in names]
    for name in names:
        for upstream in upstreams[name]:
            downstreams[position[upstream]].append(position[name])
    ready = [index for index, count in enumerate(waiting) if count == 0]
    heapify(ready)
    order: list[BlockUuid] = []
    while ready:
        index = heappop(ready)
        order.append(names[index])
        for downstream in downstreams[index]:
            waiting[downstream] -= 1
            if waiting[downstream] == 0:
                heappush(ready, downstream)
    return order


def _cycle(
    left: set[BlockUuid], names: Sequence[BlockUuid], upstreams: Mapping[BlockUuid, Sequence[BlockUuid]]
) -> list[BlockUuid]:
    """A cycle from upstream to downstream, its first block repeated at the end, the earliest in the file first.

    Of the blocks left, each has an upstream that is left too, so walking up must meet a block again.
    """
    walk: list[BlockUuid] = []
    seen: dict[BlockUuid, int] = {}
    name = next(name for name in names if name in left)
    while name not in seen:
        seen[name] = len(walk)
        walk.append(name)
        name = next(upstream for upstream in upstreams[name] if upstream in left)
    ring = walk[seen[name] :][::-1]
    position = {name: index for index, name in enumerate(names)}
    first = min(range(len(ring)), key=lambda index: position[ring[index]])
    return [*ring[first:], *ring[: first + 1]]


def _drawn(path: Sequence[BlockUuid]) -> str:
    if len(path) <= _SHOWN:
        return " -> ".join(path)
    half = _SHOWN // 2
    hidden = len(path) - 2 * half
    return " -> ".join([*path[:half], f"({hidden} more)", *path[-half:]])
