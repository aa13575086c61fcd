"""The plan: a pipeline as the scheduler reads it, numbered and with its axes worked out.

Blocks are numbered in topological order, so an upstream's number is always smaller. Every upstream of a block is one
`Edge`; its kind says what the downstream sees and whether its runs iterate over that.

    kind        the upstream                     what a run of the downstream sees
    BROADCAST   has no axes                      its one output, the same for all runs
    RUNS        has axes                         the output of the run at its own position
    ITEMS       dynamic                          one item: the block's runs have one axis more
    FLAT        dynamic with axes, and reduces   one item of one axis over the items of all its runs (design 2.4)
    FOLDED      any                              what the upstream's runs fold to: one value, or one for each outer key
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from refold.model.block import BUFFER_BYTES, BUFFER_ITEMS, Join, RetryPolicy, Tolerance
from refold.model.keys import BlockUuid


class EdgeKind(Enum):
    """What the downstream sees of the upstream; the table above."""

    BROADCAST = "broadcast"
    RUNS = "runs"
    ITEMS = "items"
    FLAT = "flat"
    FOLDED = "folded"


@dataclass(frozen=True, slots=True)
class Edge:
    """Upstream -> downstream, seen from the downstream."""

    upstream: int
    """Number of the upstream block."""
    kind: EdgeKind
    iterates: bool = False
    """Whether the downstream's runs iterate over what they see; otherwise it is the same for all of them."""
    columns: tuple[int, ...] = ()
    """Where it iterates: which axes of the downstream, by their place in its key, make up the key of what it sees: of
    the upstream's run, and of an item its index behind that."""
    levels: int | None = None
    """FLAT and FOLDED: how many axes of the upstream end, from the last one on; None: all of them. FOLDED with 0: each
    run of a dynamic block is folded for itself, for a downstream that is not among its `parent: [uuids]`."""
    fold: int | None = None
    """FOLDED: which of the upstream's `folds` it is."""

    @property
    def reduces(self) -> bool:
        """Whether several runs of the upstream reach one run of the downstream as one value."""
        return self.kind is EdgeKind.FOLDED and self.levels != 0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a block's runs: the items of a dynamic block."""

    block: int
    """Number of the dynamic block."""
    parents: tuple[int, ...] = ()
    """Which axes of the key, by their place in it, say which run of the dynamic block gave the item: with theirs for a
    key, that run's key. Of a flat axis: which outer key its items belong to."""
    flat: bool = False
    """Whether it is one axis over the items of several runs, counted in key order (design 2.4)."""
    zipped: tuple[int, ...] = ()
    """Dynamic blocks whose items are paired with these by index (design 2.3)."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A way in which a block's runs are folded, for the edges that ask for it."""

    levels: int | None = None
    """As in `Edge`."""
    computed: bool = False
    """Whether workers fold as runs finish: not for a list, which needs no work, nor for who reads piece by piece."""


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """One block, as far as the order and number of its runs go."""

    number: int
    uuid: BlockUuid
    edges: tuple[Edge, ...] = ()
    """In `upstream_blocks` order, each upstream once."""
    axes: tuple[Axis, ...] = ()
    """What its runs iterate over, outermost first; repeats included."""
    join: Join = Join.PRODUCT
    """How the axes of several iterating edges meet."""
    folds: tuple[Fold, ...] = ()
    """How its runs are folded; each way once."""
    tolerance: Tolerance | None = None
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
    """How many of its runs one worker may have under way at once: more than 1 for `async def`, and on threads."""
    rate: float | None = None
    """How many of its runs may begin in a second."""
    buffer_items: int = BUFFER_ITEMS
    """Dynamic: how many unread items may wait, over all its runs together, before those that give more pause (2.10)."""
    buffer_bytes: int = BUFFER_BYTES
    """How many bytes those may take."""
    group_limit: int | None = None
    """Dynamic: how many runs of each block that unfolds its items may be under way at once for items that share a value
    (`limit_by`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All blocks of a pipeline run, upstreams before downstreams."""

    blocks: tuple[PlannedBlock, ...]
    concurrency_limit: int | None = None
    """How many block runs may be under way at once (`concurrency_config.block_run_limit`)."""
