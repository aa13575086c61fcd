"""The columns and counters of one block in a pipeline run."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from refold.scheduler.folds import FoldState
from refold.scheduler.joins import JoinSpace
from refold.scheduler.limits import Limit, LimitedRuns
from refold.scheduler.plan import PlannedBlock
from refold.scheduler.ranges import Range
from refold.scheduler.rates import Bucket
from refold.scheduler.ready import ReadyRuns
from refold.scheduler.spaces import ItemSpace, Space
from refold.scheduler.status import TERMINAL, Status
from refold.scheduler.supply import Reader, Supply


class Verdict(IntEnum):
    """What an input's outcome means for the run that needs it; the greater outranks (design 2.7). A byte."""

    PENDING = 0
    GOOD = 1
    CONDITION_FAILED = 2
    FAILED = 3


VERDICT: dict[Status, Verdict] = {
    Status.COMPLETED: Verdict.GOOD,
    Status.COMPLETED_FALSE: Verdict.CONDITION_FAILED,
    Status.CONDITION_FAILED: Verdict.CONDITION_FAILED,
    Status.FAILED: Verdict.FAILED,
    Status.CANCELLED: Verdict.FAILED,
    Status.UPSTREAM_FAILED: Verdict.FAILED,
}


BROKEN = frozenset({Status.FAILED, Status.UPSTREAM_FAILED, Status.CANCELLED})


class Link(Enum):
    """How an upstream's outcome reaches a downstream block."""

    BROADCAST = "broadcast"
    """One static run, for all the downstream's runs."""
    RUNS = "runs"
    """Run by run."""
    ITEMS = "items"
    """Item by item, as they arrive."""
    FOLD = "fold"
    """Group by group, as `FoldState` judges them."""


@dataclass(frozen=True, slots=True)
class Downstream:
    """A block that follows another, seen from the upstream."""

    block: BlockState
    link: Link
    factor: int | None
    """Which factor of the downstream's join this is; None where it iterates over one upstream at most."""
    iterates: bool = False
    """Whether the downstream's runs iterate over it; otherwise they all wait for it together."""


@dataclass(slots=True)
class Gate:
    """What all runs of a block wait for together: static and reducing upstreams."""

    pending: int = 0
    verdict: Verdict = Verdict.PENDING
    """PENDING until every input is known, or one failed."""
    worst: Verdict = Verdict.GOOD
    held: dict[Verdict, list[Range]] = field(default_factory=lambda: {Verdict.GOOD: [], Verdict.CONDITION_FAILED: []})
    """Runs whose own input is known, by its verdict."""


class BlockState:
    """One block: a status byte a run, and what is due."""

    def __init__(
        self, plan: PlannedBlock, space: Space, join: JoinSpace | None = None, limits: Sequence[Limit] = ()
    ) -> None:
        """`limits`: those of the dynamic blocks whose items its runs stand at."""
        self.plan = plan
        self.space = space
        self.join = join
        """Its space, where it is this block that iterates over several upstreams: its runs are made of the combinations
        that are due. Blocks that follow it stand at the same space."""
        self.status = bytearray(space.size)
        """A `Status` for each run."""
        self.counts = [0] * len(Status)
        """How many runs have each status."""
        self.counts[Status.INITIAL] = len(self.status)
        self.ready: ReadyRuns | LimitedRuns = LimitedRuns(limits) if limits else ReadyRuns()
        self.bucket: Bucket | None = None if plan.rate is None else Bucket(plan.rate)
        """Where it has a rate: how many runs may begin now."""
        self.reads: list[Reader] = []
        """The dynamic blocks, not over yet, whose items its runs stand at."""
        self.keeps_account = bool(limits) or plan.rate is not None
        """Whether somebody is to know of each change of status."""
        self.gate = Gate()
        self.downstream: list[Downstream] = []
        self.items: ItemSpace | None = ItemSpace(self) if plan.dynamic else None
        self.folds: list[FoldState] = []
        """How its runs are folded: the plan's folds that end some axis, and those that lead to flat axes."""
        self.readers: list[list[Downstream]] = []
        """Of each fold, the blocks that see what it comes to."""
        self.settled = False
        """Whether every run that will ever be is over."""
        self.failures: dict[int, int] = {}
        """Failed attempts, of runs that had any."""
        self.doomed: set[int] = set()
        """Runs under way of which a forebear failed meanwhile: what follows them is upstream_failed."""
        self.unopened: dict[int, list[Range]] = {}
        """Batch mode: items of producing runs that are not over yet."""
        self.supply: Supply | None = Supply(plan) if plan.dynamic else None
        """Where it is dynamic: how far its runs may go on."""
        self.leads_to_reading: frozenset[int] = frozenset()
        """Where it is dynamic: the blocks on whose runs it depends whether its items are read."""

    @property
    def number(self) -> int:
        """The block's number in the plan."""
        return self.plan.number

    @property
    def running(self) -> int:
        """How many runs are handed out and hold a slot."""
        return self.counts[Status.QUEUED] - (len(self.supply.paused) if self.supply is not None else 0)

    @property
    def over(self) -> int:
        """How many runs have reached their last status."""
        return len(self.status) - self.counts[Status.INITIAL] - self.counts[Status.QUEUED]

    @property
    def broken(self) -> bool:
        """Whether some run did not complete, other than by a condition."""
        counts = self.counts
        return bool(counts[Status.FAILED] or counts[Status.UPSTREAM_FAILED] or counts[Status.CANCELLED])

    @property
    def tolerated(self) -> bool:
        """Whether it has settled with no more runs missing than its `tolerate` admits (design 2.6)."""
        tolerance, counts = self.plan.tolerance, self.counts
        if tolerance is None or not self.settled or not self.space.closed():
            return False
        missing = counts[Status.FAILED] + counts[Status.UPSTREAM_FAILED] + counts[Status.CANCELLED]
        return tolerance.admits(missing, self.over - counts[Status.CONDITION_FAILED])

    @property
    def whole(self) -> bool:
        """Whether it has settled, and all its runs that are missing may be."""
        return self.settled and self.space.closed() and (not self.broken or self.tolerated)

    def is_over(self, run: int) -> bool:
        """Whether a run has reached its last status."""
        return self.status[run] >= Status.COMPLETED

    def is_broken(self, run: int) -> bool:
        """Whether a run is over and did not complete, other than by a condition."""
        return self.status[run] in BROKEN

    def grow(self, count: int) -> None:
        """Adds runs in status INITIAL."""
        start = len(self.status)
        self.status.extend(bytes(count))
        self.counts[Status.INITIAL] += count
        for fold in self.folds:
            fold.grow(start, start + count)

    def move(self, start: int, stop: int, old: Status, new: Status) -> None:
        """Changes the status of a range that is all `old`."""
        self.status[start:stop] = bytes((new,)) * (stop - start)
        self.counts[old] -= stop - start
        self.counts[new] += stop - start

    def account(self, start: int, stop: int, old: Status, new: Status) -> None:
        """A range has changed its status: who counts what is read, or under way, is told."""
        for reader in self.reads:
            if old is Status.INITIAL:
                reader.read(start, stop)
            elif new is Status.INITIAL:
                reader.come_back(start, stop)
        if old is Status.QUEUED:
            self.ready.over(start, stop)
            if self.bucket is not None:
                self.bucket.over(start, stop)

    def read_from(self, producer: BlockState, column: array[int] | None) -> None:
        """From now on it is told to a dynamic block how far this one is; `column` as in `Reader`."""
        assert producer.supply is not None, "a dynamic block has one"
        Reader(self.status, column, self.reads, producer.supply)
        self.keeps_account = True

    def stretches_of(self, status: Status, start: int, stop: int) -> list[Range]:
        """The parts of a range that have this status."""
        column = self.status
        if column.count(status, start, stop) == stop - start:
            return [(start, stop)] if stop > start else []
        found: list[Range] = []
        code = bytes((status,))
        while (begin := column.find(code, start, stop)) >= 0:
            end = begin + 1
            while end < stop and column[end] == status:
                end += 1
            found.append((begin, end))
            start = end
        return found

    def has_work(self) -> bool:
        """Whether something could be handed out, or made from a product."""
        join = self.join
        return bool(self.ready.size or (join and join.cursor and self.gate.verdict is not Verdict.PENDING))

    def validate(self) -> None:
        """Raises AssertionError where counters and columns disagree."""
        assert len(self.status) == self.space.size, "a status for every position"
        for status in Status:
            assert self.counts[status] == self.status.count(status), f"{self.plan.uuid}: count of {status.name}"
        assert not self.settled or self.over == self.space.total(), f"{self.plan.uuid}: settled with runs open"
        under_way = [run for run, status in enumerate(self.status) if status == Status.QUEUED]
        if self.supply is not None:
            self.supply.validate()
            assert self.supply.producing.keys() <= set(under_way), f"{self.plan.uuid}: credits"
        if self.bucket is not None:
            self.bucket.validate()
        self.ready.validate(under_way)
        assert all(self.status[run] == Status.QUEUED for run in self.doomed), f"{self.plan.uuid}: doomed"
        held = [r for ranges in self.gate.held.values() for r in ranges]
        assert not held or self.gate.verdict is Verdict.PENDING, f"{self.plan.uuid}: held behind an open gate"
        seen: set[int] = set()
        for start, stop in (*self.ready.held(), *held):
            numbers = set(range(start, stop))
            assert not numbers & seen, f"{self.plan.uuid}: ready twice"
            seen |= numbers
        assert all(status in TERMINAL or status <= Status.QUEUED for status in map(Status, set(self.status)))
