"""Generated dependencies as the run store keeps them, on their way to the scheduler and back (design 2.9).

A row tells what its own items wait for. An item that comes with a later row is OPEN; that later row says which it is.
So rows that are put together anew, of an earlier attempt's and a later one's, must agree on what is open where.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from refold.ports.run_store import ItemsRow
from refold.scheduler.events import OPEN, Wait
from refold.scheduler.plan import Plan

_Entry = tuple[int, str | None, int | None]


def waits_of(row: ItemsRow, plan: Plan) -> tuple[Wait, ...]:
    """What the children at a row's items wait for, blocks by number."""
    if row.waits is None:
        return ()
    numbers = {block.uuid: block.number for block in plan.blocks}
    return tuple(
        Wait(item, None if block is None else numbers[block], target) for item, block, target in json.loads(row.waits)
    )


def up_to(waits: str | None, end: int) -> str | None:
    """What is told by the items before `end` alone: what they wait for behind it is open."""
    return _stored(
        (item, block, target if target is None or target < end else OPEN)
        for item, block, target in _entries(waits)
        if item < end
    )


def beginning_at(waits: str | None, start: int) -> str | None:
    """What is told by the items from `start` on: what those before it were waiting for is found."""
    return _stored(
        (item, block, target)
        for item, block, target in _entries(waits)
        if item >= start or (target is not None and target >= start)
    )


def _entries(waits: str | None) -> list[_Entry]:
    return [] if waits is None else json.loads(waits)


def _stored(entries: Iterable[_Entry]) -> str | None:
    listed = list(entries)
    return json.dumps(listed) if listed else None
