"""Generated dependencies on their way from the run store to the scheduler (design 2.9)."""

from __future__ import annotations

import json

from refold.ports.run_store import ItemsRow
from refold.scheduler.events import Wait
from refold.scheduler.plan import Plan


def waits_of(row: ItemsRow, plan: Plan) -> tuple[Wait, ...]:
    """What the children at a row's items wait for, blocks by number; of a row that was cut short, what is left."""
    if row.waits is None:
        return ()
    numbers = {block.uuid: block.number for block in plan.blocks}
    end = row.start + row.length
    return tuple(
        Wait(item, None if block is None else numbers[block], target)
        for item, block, target in json.loads(row.waits)
        if item < end and (target is None or target < end)
    )
