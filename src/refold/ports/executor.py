"""The executor, as a port: where block runs are executed.

The engine hands an executor *batches*: runs of one block that one worker takes, in order. What comes back are *reports*
with columns: a report may cover part of a batch, and covers each run once. Positions count a batch's runs from 0.
Payloads never pass: both sides name records of the output store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from refold.model.block import PIECEWISE, BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.ports.output_store import ChunkRef
from refold.scheduler.ranges import Ranges


class Source(NamedTuple):
    """A block's code, as it was when the pipeline run began."""

    block: BlockUuid
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all block runs of a pipeline run share; sent to a worker once."""

    run: RunId
    pipeline_uuid: PipelineUuid
    project: Path
    run_folder: Path
    """Where the run keeps its segments and logs."""
    latest_folder: Path
    """Where the pipeline's visible outputs lie."""
    variables: Mapping[str, JsonValue]
    started_at: float
    """Seconds since the epoch; what `execution_date` says."""
    run_tests: bool = True
    run_sensors: bool = True
    """Whether sensors are asked; otherwise each counts as saying yes."""
    mage_outputs: bool = False
    """Whether outputs are passed as released Mage does (design 2.12)."""
    requirements: tuple[Path, ...] = ()
    """Files that a missing import is to be added to or installed from."""
    durable: bool = False
    """Whether every chunk is forced to the disk (`durability: power`)."""
    expressions: frozenset[str] = frozenset()
    """Names of the variables whose expressions are filled in when a block runs: those of the pipeline's file. Values
    that were given for the run are data, whoever gave them."""


class InputKind(Enum):
    """What an upstream gives to a run."""

    ITEM = "item"
    """One item of a dynamic upstream."""
    CHILD = "child"
    """The output of the upstream's run of the same position; the upstream has axes."""
    STATIC = "static"
    """The one output of an upstream without axes."""
    REDUCED = "reduced"
    """What all the upstream's runs fold to; the same for every run of a batch."""
    GROUP = "group"
    """What a group of the upstream's runs folds to; each run of a batch has its own."""


@dataclass(frozen=True, slots=True)
class Folding:
    """How the outputs of a block's runs become one value (design 2.4)."""

    block: BlockUuid
    """Whose runs they are."""
    items: bool
    """Whether the values are the items that the runs gave, rather than their outputs."""
    strategy: str
    """One of `refold.model.block.STRATEGIES`, or the name of a function in `source`."""
    initial: JsonValue = None
    has_initial: bool = False
    source: Source | None = None
    """The block's code, where the strategy is a function of it."""
    lazy: bool = False
    """Whether who reads gets the values piece by piece; only where `strategy` is one of `READ_LAZILY`."""

    @property
    def cumulative(self) -> bool:
        """Whether a partial holds all that came before it, so that it replaces the one before."""
        return self.strategy not in PIECEWISE


@dataclass(frozen=True, slots=True)
class BlockTask:
    """What a worker must know of a block to run it; sent to a worker once."""

    run: RunId
    number: int
    block: BlockUuid
    type: BlockType
    language: Language
    source: Source
    configuration: Mapping[str, JsonValue]
    inputs: tuple[InputKind, ...]
    """One for each upstream, in order."""
    axes: int
    """How many axes its runs have."""
    dynamic: bool
    upstreams: tuple[BlockUuid, ...] = ()
    """Their uuids, in order."""
    timeout: float | None = None
    run_tests: bool = True
    conditional: bool = True
    conditions: tuple[Source, ...] = ()
    callbacks: tuple[Source, ...] = ()
    foldings: tuple[Folding | None, ...] = ()
    """For each upstream, how it is folded: REDUCED and GROUP; None for the others. Empty where none is."""
    folds_own: Folding | None = None
    """How this block's own runs are folded by a `FoldBatch`; None where workers never do."""
    siblings: frozenset[BlockUuid] = frozenset()
    """Dynamic blocks: the downstream blocks whose runs an item's `upstream_blocks` may name as `block:label`."""
    statics: frozenset[BlockUuid] = frozenset()
    """Dynamic blocks: the blocks without axes that an item's `upstream_blocks` may name: none that follows it."""
    lone_children: bool = True
    """Dynamic blocks: whether each downstream block iterates over the items alone, so that items can order its runs."""
    max_items: int | None = None
    """Dynamic blocks: how many items a run may give (`max_child_block_runs`)."""
    digests: bool = False
    """Whether the digests of outputs are wanted: a downstream block is cached by what it gets."""
    cuts_items: bool = False
    """What happens to more of them: they are left out, or the run fails."""
    tells_begun: bool = False
    """Whether a `Begun` is wanted of each run: the block has a rate."""
    limit_by: str | None = None
    """Dynamic blocks: the key of the items' metadata by whose value runs of their children are limited."""


class Span(NamedTuple):
    """Records `start` to `stop` of a chunk."""

    chunk: ChunkRef
    start: int
    stop: int


Spans = tuple[Span, ...]


class NamePart(NamedTuple):
    """A part of the labels on one axis, for each run of a batch."""

    indices: Sequence[int]
    """The item's index within the run that gave it: its label, where its metadata gives none."""
    items: Spans | None
    """The items; None where none of the block's items carries metadata."""


class Grouping(NamedTuple):
    """How the records of a REDUCED or GROUP input are shared out: one group for the batch, or one for each run."""

    partials: Sequence[int]
    """For each group, how many of its records, the first ones, are what a `FoldBatch` made."""
    records: Sequence[int]
    """For each group, how many records it has in all."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs of one block for one worker."""

    id: int
    run: RunId
    block: int
    """Number of the block in the plan; its `BlockTask` was announced before."""
    length: int
    """How many runs."""
    inputs: tuple[Spans, ...]
    """For each upstream: ITEM and CHILD one record a run, STATIC one record, REDUCED and GROUP as `groupings` says."""
    keys: tuple[Sequence[int], ...]
    """For each axis: each run's index on it."""
    names: tuple[tuple[NamePart, ...], ...]
    """For each axis: what its labels are made of; one part, but for a flat axis: one for each axis of the runs that
    gave the items, and one for the items."""
    groupings: tuple[Grouping | None, ...] = ()
    """For each upstream: REDUCED and GROUP; None for the others. Empty where there is none."""
    width: int = 1
    """How many of the runs may be under way at once."""
    failures: Mapping[int, int] = field(default_factory=dict)
    """Earlier failed attempts, by position."""
    credit: int = 0
    """Dynamic blocks: items that each run may yield before it pauses, not counting those known from before."""
    credit_bytes: int = 0
    """The same in bytes; 0: any number."""
    known: Mapping[int, bytes] = field(default_factory=dict)
    """Dynamic blocks: fingerprints of the items that an earlier attempt of this run gave, by position."""

    @property
    def at_once(self) -> int:
        """How many of the runs are under way at once, at most."""
        return min(self.width, self.length)


@dataclass(frozen=True, slots=True)
class FoldBatch:
    """Fold these records on top of what was folded before; answered by one `Partial`."""

    id: int
    """One count with batches."""
    run: RunId
    block: int
    """Its task's `folds_own` says how."""
    before: Spans
    """What was folded before: one record, or none. Strategies whose partials are joined by who reads them get none."""
    records: Spans
    """Outputs (or items) of completed runs, in key order."""


class Failure(NamedTuple):
    """Why a run failed."""

    error: str
    """One line: the exception's type and message."""
    group: str
    """What failures are grouped by."""
    traceback: str
    for_good: bool = False
    memory: bool = False
    """Whether it was for want of memory."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run of a batch has begun; told at once, where the task asks for it, and before what becomes of the run."""

    batch: int
    position: int
    at: float
    """When, by this machine's monotonic clock."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Runs of a batch are over, or handed back."""

    batch: int
    positions: Ranges
    outcomes: bytes
    """A `refold.scheduler.events.Outcome` for each, in the order of `positions`."""
    started: Sequence[float] = ()
    """Seconds since the epoch, one for each; empty where no run began."""
    ended: Sequence[float] = ()
    chunk: ChunkRef | None = None
    """Holds a record for each completed one, in that order; None where none completed, and for dynamic blocks."""
    failures: Mapping[int, Failure] = field(default_factory=dict)
    """By position."""
    digests: bytes = b""
    """Where the task asks for them: eight bytes of each output in `chunk`, its digest."""
    memory: int = 0
    """Bytes that one of these runs took at most; 0: not known."""


class NamedWait(NamedTuple):
    """An item whose children wait for another block run; `refold.scheduler.events.Wait`, with the block's name."""

    item: int
    block: BlockUuid | None
    target: int | None


@dataclass(frozen=True, slots=True)
class Produced:
    """A run of a dynamic block gave items; they are the records `first` and following of the chunk."""

    batch: int
    position: int
    start: int
    """Index within the run of the first."""
    length: int
    chunk: ChunkRef
    first: int
    named: bool
    """Whether some of them carry metadata."""
    fingerprints: bytes
    size: int
    """Bytes."""
    waits: tuple[NamedWait, ...] = ()
    """Of these items, and of earlier ones that waited for one of these."""
    groups: tuple[str, ...] = ()
    """For each item the value that its task's `limit_by` asks for (`refold.model.limit_value`); empty without."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A generator used up its credit and gave its slot back."""

    batch: int
    position: int
    pulls: int = 0
    """How many pulls it had had by then."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A `FoldBatch` is over."""

    batch: int
    chunk: ChunkRef | None = None
    """Holds one record: an output of shape VALUE. None where it failed."""
    size: int = 0
    """Bytes of the record."""
    failure: Failure | None = None


Report = Begun | Finished | Produced | Paused | Partial


class Executor(Protocol):
    """Takes batches, gives reports. All calls come from one thread and return at once, but for `wait`."""

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """A pipeline run begins."""

    def workers(self) -> int:
        """How many workers there may be at most: each has up to `Batch.width` runs of a block under way at once."""

    def free_slots(self) -> int:
        """How many batches it could take now, so that no worker waits for its next one."""

    def submit(self, batch: Batch) -> None:
        """Takes a batch."""

    def submit_fold(self, batch: FoldBatch) -> None:
        """Takes a fold; it holds a slot as a batch does."""

    def idle(self, run: RunId) -> int:
        """How many workers would begin a batch of this pipeline run at once, having nothing to do.

        Where none would, one more is started if there may be one: while there is work, there is one sooner or later.
        """

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Lets a producer of a batch give so many more items and bytes; a paused one has nothing left from before."""

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for this pipeline run; every run of its batches is still reported."""

    def wait(self, timeout: float | None) -> list[Report]:
        """Waits until there are reports, at most `timeout` seconds (None: for ever); those, in order."""

    def close_run(self, run: RunId) -> None:
        """The pipeline run is over; nothing of it is under way."""

    def close(self) -> None:
        """Ends workers."""
