"""What the engine and a worker say to each other: pickled messages over a socket, framed by multiprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from refold.model.keys import RunId
from refold.ports.executor import Batch, BlockTask, FoldBatch, Report, RunContext


@dataclass(frozen=True, slots=True)
class OpenRunMessage:
    """A pipeline run begins."""

    context: RunContext
    tasks: tuple[BlockTask, ...]


@dataclass(frozen=True, slots=True)
class CloseRunMessage:
    """A pipeline run is over."""

    run: RunId


@dataclass(frozen=True, slots=True)
class AloneMessage:
    """Some runs of a batch are to be executed, while no other worker does anything."""

    batch: Batch
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PullMessage:
    """A producer may give more."""

    batch: int
    position: int
    items: int
    size: int


@dataclass(frozen=True, slots=True)
class RecallMessage:
    """What has not begun of a batch is wanted back."""

    batch: int


@dataclass(frozen=True, slots=True)
class CancelMessage:
    """A pipeline run was cancelled."""

    run: RunId


@dataclass(frozen=True, slots=True)
class EagerMessage:
    """Somebody waits for results, or no longer does."""

    eager: bool


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """From a worker: what memory it has though it has given back what it can."""

    memory: int
    """Bytes more than when it began."""
    first: int
    """What it had then."""


@dataclass(frozen=True, slots=True)
class WaitMessage:
    """From a worker: what its main thread is on waits for something outside of the pool, or goes on."""

    batch: int
    waits: bool


class Said(Enum):
    """Words without more."""

    READY = "ready"
    """From a worker: it has started."""
    WORN = "worn"
    """From a worker: threads of it are stuck in children that are over, and nothing else is under way beside them."""
    CLOSE = "close"
    """To a worker: end, when what you have is done."""
    REST = "rest"
    """A worker's to itself: what was under way beside its main thread is over."""


ToWorker = (
    OpenRunMessage
    | CloseRunMessage
    | Batch
    | AloneMessage
    | FoldBatch
    | PullMessage
    | RecallMessage
    | CancelMessage
    | EagerMessage
    | Said
)
FromWorker = list[Report] | KeptMessage | WaitMessage | Said
