"""The plan: a pipeline as the scheduler reads it, numbered and with its axes worked out.

Blocks are numbered in topological order, so an upstream's number is always smaller. Every upstream of a block is one
`Edge`; what an edge means for unfolding follows from whether it reduces and from what its upstream is.

    upstream            reducing   what the downstream sees
    static              no         one value, broadcast to each of its runs
    with axes           no         its runs iterate as the upstream's do
    dynamic             no         its runs iterate over the upstream's items: one axis more
    any                 yes        one list, broadcast to each of its runs
"""

from __future__ import annotations

from dataclasses import dataclass, field

from refold.model.block import RetryPolicy
from refold.model.keys import BlockUuid


@dataclass(frozen=True, slots=True)
class Edge:
    """Upstream -> downstream, seen from the downstream."""

    upstream: int
    """Number of the upstream block."""
    reduces: bool = False
    """Whether the downstream gets one list of all the upstream's outputs (design 2.4)."""
    iterates: bool = False
    """Whether the downstream's runs iterate over the upstream's runs or items; otherwise it is broadcast."""


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """One block, as far as the order and number of its runs go."""

    number: int
    uuid: BlockUuid
    edges: tuple[Edge, ...] = ()
    """In `upstream_blocks` order, each upstream once."""
    axes: tuple[int, ...] = ()
    """Numbers of the dynamic blocks whose items its runs iterate over, outermost first; repeats included."""
    depth: int = 0
    """Length of the longest path from a block without upstreams."""
    dynamic: bool = False
    batch_mode: bool = False
    """Whether its children wait until it has completed (`configuration.dynamic.mode: batch`)."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sensor_interval: float | None = None
    """Seconds between two askings of a sensor; None for any other block."""
    concurrency_limit: int | None = None
    """How many of its runs may be under way at once (`max_concurrent_child_block_runs`)."""
    width: int = 1
    """How many runs of one batch may be under way at once: 1 for a plain function, more for `async def`."""
    buffer_items: int = 1000
    """How many unread items of a generator may wait before it pauses (design 2.10)."""
    buffer_bytes: int = 64 * 2**20
    """How many bytes those may take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All blocks of a pipeline run, upstreams before downstreams."""

    blocks: tuple[PlannedBlock, ...]
    concurrency_limit: int | None = None
    """How many block runs may be under way at once (`concurrency_config.block_run_limit`)."""
