"""From a pipeline's blocks to a plan; what cannot be unfolded is an error here, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refold.errors import PlanError
from refold.model.block import Block, BlockType, JsonValue
from refold.model.keys import BlockUuid
from refold.scheduler.plan import Edge, Plan, PlannedBlock

ASYNC_WIDTH = 1000
"""How many runs of an `async def` block one worker has under way at once."""


def make_plan(
    blocks: Sequence[Block], block_run_limit: int | None = None, asynchronous: frozenset[BlockUuid] = frozenset()
) -> Plan:
    """The plan of blocks that are given upstreams first; `asynchronous` are those whose function is `async def`.

    Raises PlanError for what cannot be unfolded, naming the block and the key.
    """
    planned: list[PlannedBlock] = []
    by_uuid = {block.uuid: number for number, block in enumerate(blocks)}
    for number, block in enumerate(blocks):
        _refuse_unknown_laws(block)
        edges = tuple(_edge(blocks[by_uuid[uuid]], planned[by_uuid[uuid]], block) for uuid in block.upstream_blocks)
        axes: tuple[int, ...] = ()
        for edge in edges:
            if edge.iterates:
                upstream = planned[edge.upstream]
                axes += upstream.axes + ((upstream.number,) if upstream.dynamic else ())
        planned.append(
            PlannedBlock(
                number=number,
                uuid=block.uuid,
                edges=edges,
                axes=axes,
                depth=max((planned[edge.upstream].depth + 1 for edge in edges), default=0),
                dynamic=block.dynamic.dynamic,
                batch_mode=block.dynamic.batch_mode,
                retry=block.retry,
                sensor_interval=block.sensor_interval if block.type is BlockType.SENSOR else None,
                concurrency_limit=block.dynamic.max_concurrent_child_block_runs,
                width=ASYNC_WIDTH if block.uuid in asynchronous else 1,
            )
        )
    return Plan(tuple(planned), block_run_limit)


def _edge(upstream: Block, planned: PlannedBlock, downstream: Block) -> Edge:
    reduce = upstream.dynamic.reduce_output
    reduces = (
        reduce is True
        or (reduce is not False and downstream.uuid in reduce)
        or upstream.uuid in downstream.dynamic.reduce_output_upstream
    )
    if reduces and planned.dynamic:
        if planned.axes:
            raise PlanError(
                "a dynamic block that itself has many runs cannot reduce",
                where=f"block `{upstream.uuid}`, reduce_output",
                fix="Put a block behind it that passes each item on, and reduce that one.",
            )
        reduces = False  # one run's items are one axis already (design 2.4)
    return Edge(planned.number, reduces, not reduces and bool(planned.dynamic or planned.axes))


_ONLY: Mapping[str, JsonValue] = {"join": "product", "tolerate": None, "max_child_block_runs": None}
"""Settings that are understood at one value alone."""


def _refuse_unknown_laws(block: Block) -> None:
    """A setting that would change what runs is an error rather than passed over."""
    if block.dynamic.children is not None:
        raise PlanError(
            "a block that is dynamic for some of its downstream blocks only cannot be run",
            where=f"block `{block.uuid}`, configuration.dynamic.parent",
            fix="Write `parent: true`, and give the other downstream blocks a block of their own to read from.",
        )
    settings = block.configuration.get("dynamic")
    if not isinstance(settings, dict):
        return
    for key, only in _ONLY.items():
        if settings.get(key, only) != only:
            raise PlanError(
                f"`{key}: {settings[key]}` cannot be run",
                where=f"block `{block.uuid}`, configuration.dynamic.{key}",
                fix=f"Leave it out, or write `{only}`." if only is not None else "Leave it out.",
            )
    reduce = settings.get("reduce")
    given = reduce if isinstance(reduce, dict) else {"strategy": reduce}
    if given.get("strategy") not in (None, "list") or given.get("levels") not in (None, "all"):
        raise PlanError(
            f"`reduce: {reduce}` cannot be run",
            where=f"block `{block.uuid}`, configuration.dynamic.reduce",
            fix="Leave it out: all outputs become one list.",
        )
