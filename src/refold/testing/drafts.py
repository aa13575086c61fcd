"""Drafts of pipelines: a few words per block instead of a project on disk.

The plan that comes of a draft has its axes worked out here, by the plainest code there is, so that what tests compare
the scheduler with does not depend on how plans are made elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from refold.model.block import RetryPolicy
from refold.model.keys import BlockUuid
from refold.scheduler.plan import Edge, Plan, PlannedBlock


@dataclass(frozen=True, slots=True)
class Draft:
    """One block, by what it is downstream of."""

    uuid: str
    upstreams: tuple[str, ...] = ()
    """Uuids of blocks drafted before it, in order, each once."""
    reduces: tuple[str, ...] = ()
    """Those of its upstreams whose edges into it reduce."""
    dynamic: bool = False
    batch_mode: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sensor_interval: float | None = None
    """Seconds between two askings; None for a block that is not a sensor."""
    concurrency_limit: int | None = None
    width: int = 1
    buffer_items: int = 1000
    buffer_bytes: int = 64 * 2**20


def draft_plan(*drafts: Draft, concurrency_limit: int | None = None) -> Plan:
    """The plan of these blocks, which come upstreams first.

    Axes are joined as products (design 2.2 and 2.3): those of every upstream whose edge does not reduce, in order and
    repeats included, and after those of a dynamic upstream the axis of its own items.
    """
    planned: dict[str, PlannedBlock] = {}
    for number, draft in enumerate(drafts):
        edges = []
        axes: tuple[int, ...] = ()
        for uuid in draft.upstreams:
            upstream = planned[uuid]
            edge_axes = () if uuid in draft.reduces else axes_over(upstream)
            edges.append(Edge(upstream.number, reduces=uuid in draft.reduces, iterates=bool(edge_axes)))
            axes += edge_axes
        planned[draft.uuid] = PlannedBlock(
            number=number,
            uuid=BlockUuid(draft.uuid),
            edges=tuple(edges),
            axes=axes,
            depth=max((planned[uuid].depth + 1 for uuid in draft.upstreams), default=0),
            dynamic=draft.dynamic,
            batch_mode=draft.batch_mode,
            retry=draft.retry,
            sensor_interval=draft.sensor_interval,
            concurrency_limit=draft.concurrency_limit,
            width=draft.width,
            buffer_items=draft.buffer_items,
            buffer_bytes=draft.buffer_bytes,
        )
    return Plan(tuple(planned.values()), concurrency_limit)


def axes_over(upstream: PlannedBlock) -> tuple[int, ...]:
    """The axes that a non-reducing edge out of this block hands on."""
    return (*upstream.axes, upstream.number) if upstream.dynamic else upstream.axes
