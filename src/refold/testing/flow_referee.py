"""The referee of what flows: how far producers run ahead, how fast runs begin, how many share a value.

Buffers: an item is unread for a block below until a run that stands at it was handed out or is on record. What is
unread for the slowest of those blocks, and what producing runs may still give, stays within the budget; but a run that
begins may give one item, and where nothing is under way after which an item may be read, a paused one is given more.

Rates: in any window of T seconds at most `rate * T + burst` runs begin.

Limits by value: of the runs that unfold the items of a block, so many are under way for items that share a value.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from refold.model.keys import Key
from refold.scheduler.commands import Pull, RunBatch
from refold.scheduler.plan import EdgeKind, Plan, PlannedBlock
from refold.scheduler.ranges import count
from refold.testing.machine import demand
from refold.testing.positions import Positions
from refold.testing.scripted import Script

_Item = tuple[Key, int]
"""The run that gave it, and its index there."""
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Lent:
    """What a producing run may still give."""

    items: int
    size: int
    paused: bool = False


@dataclass(slots=True)
class Buffer:
    """The items of one dynamic block that producers may not run far ahead with."""

    planned: PlannedBlock
    closure: frozenset[int]
    """The blocks below that read the items, and all that those follow."""
    unread: dict[int, dict[_Item, float]]
    """By block below: the items that it has not read, with their bytes."""
    lent: dict[Key, _Lent] = field(default_factory=dict)
    """By producing run."""
    arrivals: int = 0

    @classmethod
    def of(cls, plan: Plan, planned: PlannedBlock) -> Buffer | None:
        """The buffer of a dynamic block; None where nobody could read before it has completed."""
        readers = [
            block.number
            for block in plan.blocks
            for edge in block.edges
            if edge.upstream == planned.number and edge.kind is EdgeKind.ITEMS
            if not any(planned.number in above(plan, gate.upstream) for gate in block.edges if not gate.iterates)
        ]
        if planned.batch_mode or not readers:
            return None
        closure = frozenset(readers).union(*(above(plan, reader) for reader in readers))
        return cls(planned, closure, {reader: {} for reader in readers})

    @property
    def most_unread(self) -> int:
        """How many items the slowest reader has before it."""
        return max(map(len, self.unread.values()))

    def room(self) -> tuple[float, float]:
        """How many items, and bytes, may be lent."""
        size = max(sum(sizes.values()) for sizes in self.unread.values())
        lent = [lent for lent in self.lent.values() if not lent.paused]
        items = self.planned.buffer_items - self.most_unread - sum(max(0, each.items) for each in lent)
        # Parts of items' bytes are rounded once an arrival.
        return items, self.planned.buffer_bytes - size - sum(max(0, each.size) for each in lent) + self.arrivals

    def begin(self, batch: RunBatch, keys: Sequence[Key]) -> None:
        """Producing runs begin."""
        items, size = self.room()
        within = batch.credit * len(keys) <= items or batch.credit == 1
        demand(within, f"{self.planned.uuid}: {len(keys)} credits of {batch.credit} items, and room for {items}")
        within = batch.credit_bytes * len(keys) <= size or batch.credit_bytes == 1
        demand(within, f"{self.planned.uuid}: {len(keys)} credits of {batch.credit_bytes} bytes, and room for {size}")
        held_up = any(lent.paused for lent in self.lent.values()) and items < len(keys)
        demand(not held_up, f"{self.planned.uuid}: a run begins without room while another one waits for it")
        self.lent |= {key: _Lent(batch.credit, batch.credit_bytes) for key in keys}

    def pull(self, pull: Pull, key: Key, *, hopeless: bool) -> None:
        """A producing run is given more; `hopeless`: nothing is under way that may lead to an item being read."""
        lent = self.lent[key]
        items, size = self.room()
        within = (pull.items <= items and pull.size <= size) or (lent.paused and hopeless)
        demand(within, f"{self.planned.uuid}: pulled {pull.items} items, {pull.size} bytes; room {items}, {size}")
        if lent.paused:
            self.lent[key] = _Lent(pull.items, pull.size)
        else:
            lent.items, lent.size = max(0, lent.items) + pull.items, max(0, lent.size) + pull.size

    def arrive(self, key: Key, start: int, stop: int, size: int) -> None:
        """Items came."""
        for sizes in self.unread.values():
            sizes.update({(key, item): size / (stop - start) for item in range(start, stop)})
        self.arrivals += 1
        if key in self.lent:
            self.lent[key].items -= stop - start
            self.lent[key].size -= size


def above(plan: Plan, number: int) -> frozenset[int]:
    """All blocks that a block follows, near and far."""
    upstreams = frozenset(edge.upstream for edge in plan.blocks[number].edges)
    return upstreams.union(*(above(plan, upstream) for upstream in upstreams))


def demand_rate(name: str, times: Sequence[float], rate: float) -> None:
    """Raises FoulError where too many runs of a block began in some window that ends with the last of these times."""
    burst = max(1, math.ceil(rate / 100))
    for at, since in enumerate(times):
        runs, most = len(times) - at, rate * (times[-1] - since) + burst
        demand(runs <= most + _ROUNDING, f"{name}: {runs} runs began from {since} to {times[-1]}, the most is {most}")


@dataclass(slots=True)
class FlowReferee:
    """Knows the plan, the script, and what was handed out so far."""

    script: Script
    positions: Positions
    buffers: dict[int, Buffer] = field(init=False)
    """By dynamic block."""
    began: dict[int, list[float]] = field(default_factory=dict)
    """By block with a rate: when its runs began."""
    under_way: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    """By block, dynamic block above it, and value."""

    def __post_init__(self) -> None:
        plan = self.script.plan
        found = {block.number: Buffer.of(plan, block) for block in plan.blocks if block.dynamic}
        self.buffers = {number: buffer for number, buffer in found.items() if buffer is not None}

    def hand_out(self, batch: RunBatch, keys: Sequence[Key]) -> None:
        """Raises FoulError if these runs may not be handed out now, or not with that credit."""
        planned = self.script.plan.blocks[batch.block]
        demand(len(keys) == count(batch.runs), f"{planned.uuid}: a batch of runs that are not told apart")
        for key in keys:
            self.read(batch.block, key)
            for dynamic, value in self._values(batch.block, key):
                place = (batch.block, dynamic, value)
                self.under_way[place] += 1
                most = self.script.plan.blocks[dynamic].group_limit or 0
                demand(self.under_way[place] <= most, f"{planned.uuid}: {self.under_way[place]} under way of {value}")
        if batch.block in self.buffers:
            self.buffers[batch.block].begin(batch, keys)
        elif planned.dynamic:
            demand(batch.credit >= 2**32 and not batch.credit_bytes, f"{planned.uuid}: credit that nobody can lend")

    def read(self, block: int, key: Key) -> None:
        """A run is handed out, or on record."""
        for source in self.script.sources(block, key):
            buffer = self.buffers.get(source.edge.upstream)
            if source.edge.kind is EdgeKind.ITEMS and buffer is not None and block in buffer.unread:
                assert source.item is not None
                buffer.unread[block].pop((source.key, source.item), None)

    def _values(self, block: int, key: Key) -> Iterator[tuple[int, str]]:
        """The values that a run's items have, of dynamic blocks that limit by them."""
        for source in self.script.sources(block, key):
            number, item = source.edge.upstream, source.item
            if item is None or self.script.plan.blocks[number].group_limit is None:
                continue
            if source.edge.kind is EdgeKind.ITEMS:
                yield number, self.script.value(number, source.key, item)
            else:
                run, item = self.positions.flat_items((number, source.edge.levels, source.key))[item]
                yield number, self.script.value(number, run, item)

    def begin(self, block: int, now: float) -> None:
        """Raises FoulError if no run of a block may begin now."""
        rate = self.script.plan.blocks[block].rate
        if rate is None:
            return
        times = self.began.setdefault(block, [])
        times.append(now)
        demand_rate(self.script.plan.blocks[block].uuid, times, rate)

    def over(self, block: int, key: Key) -> None:
        """A run is not under way any more."""
        for dynamic, value in self._values(block, key):
            self.under_way[block, dynamic, value] -= 1
        if block in self.buffers:
            self.buffers[block].lent.pop(key, None)
