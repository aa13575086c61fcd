"""Events: all that can happen to a pipeline run. They carry ranges and columns, never one object per child.

Runs of a block are known by *number*: a block's runs are numbered from 0 in the order in which they became known.
A number never changes its meaning while an engine drives the run; what key it stands for is asked of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from refold.scheduler.ranges import Ranges


class Outcome(IntEnum):
    """How one run handed to an executor ended there; a byte of `RunsFinished.outcomes`."""

    COMPLETED = 0
    COMPLETED_FALSE = 1
    """Completed; its `-> bool` function returned False."""
    CONDITION_FAILED = 2
    """A `@condition` block attached to it said False."""
    FAILED = 3
    """It raised, or overran its timeout; may be tried again."""
    FAILED_FOR_GOOD = 4
    """It failed in a way that trying again cannot mend; no retry."""
    CANCELLED = 5
    NOT_YET = 6
    """A sensor was asked and said no; to be asked again."""
    UNSTARTED = 7
    """It never began: its batch was taken back, or its worker died on another run. It costs no attempt."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The pipeline run begins; the first event, once."""


@dataclass(frozen=True, slots=True)
class SlotsFree:
    """An executor could take more batches. Sent again after other events for as long as it is so."""

    slots: int
    """How many batches it could take."""
    batch_sizes: tuple[int, ...]
    """For each block of the plan, how many runs a batch may hold; 0: none of it now, workers have enough of them."""
    now: float = 0.0
    """Seconds of a clock that only goes forward; all such events of a run are by the same clock."""
    idle: int = 0
    """How many workers have nothing to do, so that what they are given begins soon. Only blocks with a rate need them;
    while there is work, there is one sooner or later."""


@dataclass(frozen=True, slots=True)
class RunsTaken:
    """The engine answers for these ready runs itself: they are handed out, to nobody. `RunsFinished` follows.

    So a retry keeps what completed before, whatever becomes of their forebears meanwhile (design 2.8, 2.11).
    """

    block: int
    runs: Ranges


OPEN = -1
"""In a `Wait`: an item that has not come yet."""


class Wait(NamedTuple):
    """An item whose children wait for another block run (generated dependencies, design 2.9)."""

    item: int
    """Index within the run of the item that waits."""
    block: int | None
    """The block that is waited for; None: the same block as the waiting one."""
    target: int | None
    """Index within the same run of the item at which it stands; None: the block has no axes. OPEN: that item comes with
    a later event, whose `Wait` for this one says which it is."""


@dataclass(frozen=True, slots=True)
class ItemsArrived:
    """A run of a dynamic block gave items; they are stored."""

    block: int
    run: int
    start: int
    """Index within the run of the first; always how many it had given before."""
    stop: int
    size: int = 0
    """Bytes they take in the store."""
    waits: tuple[Wait, ...] = ()
    groups: Sequence[int] = ()
    """Where the block has a `limit_by`: for each item the number of its value, counted from 0 as they turn up."""


@dataclass(frozen=True, slots=True)
class ProducerPaused:
    """A generator used up its credit, gave its slot back, and waits for a `Pull`."""

    block: int
    run: int


@dataclass(frozen=True, slots=True)
class RunsBegan:
    """Runs of a block with a rate, handed out before, have begun. It comes before they are finished, or not at all."""

    block: int
    runs: Ranges
    at: float
    """When, by the clock of `SlotsFree.now`."""


@dataclass(frozen=True, slots=True)
class RunsFinished:
    """Runs handed to an executor came back, in any order, some or all of a batch.

    All items of a dynamic run arrive before it finishes.
    """

    block: int
    runs: Ranges
    outcomes: bytes
    """One `Outcome` for each run, in the order of `runs`."""
    began: bool = True
    """False: they were handed out just now, and the engine answers for them itself; nobody has executed them."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A worker has folded what a `Fold` named, or could not."""

    block: int
    fold: int
    group: int
    ok: bool = True
    """False: nothing more is folded ahead of time; whoever reads the value folds the rest, and meets the error."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time that a `StartTimer` asked for has passed."""

    timer: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user wants the pipeline run to stop."""


Event = (
    RunStarted
    | SlotsFree
    | RunsTaken
    | ItemsArrived
    | ProducerPaused
    | RunsBegan
    | RunsFinished
    | Folded
    | TimerFired
    | CancelRequested
)
