"""Commands: all that the scheduler asks of the engine, in ranges and columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from refold.scheduler.ranges import Ranges
from refold.scheduler.status import Status


class End(StrEnum):
    """How a pipeline run ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Hand these runs of one block to one worker, in this order."""

    block: int
    runs: Ranges
    width: int = 1
    """How many runs of the block its worker may have under way at once."""
    failures: dict[int, int] = field(default_factory=dict)
    """Earlier failed attempts, of those runs that had any."""
    credit: int = 0
    """Items that each run of a dynamic block may give before it pauses."""
    credit_bytes: int = 0
    """The same in bytes; 0: any number."""


@dataclass(frozen=True, slots=True)
class Pull:
    """Let a producer give more items; if it is paused, hand it to its worker again."""

    block: int
    run: int
    items: int
    """How many more it may give; one that is paused has nothing left of what it could give before."""
    size: int
    """The same in bytes."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Let a worker fold these completed runs, in this order, on top of what was folded of their group (design 2.4).

    One is under way for a group at a time; `Folded` follows.
    """

    block: int
    fold: int
    """Which of the block's `folds`."""
    group: int
    """Position of the outer key; 0 where all axes end."""
    runs: Ranges


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Send `TimerFired(timer)` when this many seconds have passed: for a retry, a sensor, or a rate."""

    timer: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """These runs have reached their last status: store it.

    All inputs of a run that ran are recorded before it; of a streaming producer that is the item, not yet the producer.
    """

    block: int
    runs: Ranges
    status: Status


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop what executors have under way, and hand unstarted runs back, for this pipeline run."""


@dataclass(frozen=True, slots=True)
class FinishRun:
    """All is settled; the last command."""

    end: End


Command = RunBatch | Pull | Fold | StartTimer | Record | Interrupt | FinishRun
