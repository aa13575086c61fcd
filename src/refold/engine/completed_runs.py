"""Which runs a fold is over, in ranges: a hundred thousand children that completed are one pair of numbers."""

from __future__ import annotations

from itertools import compress

from refold.scheduler.folds import COMPLETE, FoldState
from refold.scheduler.ranges import Ranges, gather, marked

_GIVES = bytes(status in COMPLETE for status in range(256))


def completed_runs(fold: FoldState, group: int) -> Ranges:
    """The runs of a group that give something to its value, in key order."""
    status, members = fold.block.status, fold.members(group)
    if isinstance(members, range) and members.step == 1:
        return marked(status[members.start : members.stop].translate(_GIVES), members.start)
    gives = bytes(map(status.__getitem__, members)).translate(_GIVES)
    return gather(compress(members, gives))
