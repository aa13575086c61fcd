"""What an executor reported of one batch or fold, gathered; on the way it is demanded what holds for every report."""

from __future__ import annotations

from dataclasses import dataclass, field

from refold.outputs import FileOutputStore
from refold.ports.executor import (
    Batch,
    Failure,
    Finished,
    FoldBatch,
    NamedWait,
    Partial,
    Paused,
    Produced,
    Report,
    Span,
    Spans,
)
from refold.ports.output_store import ChunkRef, Item, Output, Shape
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import numbers


@dataclass(slots=True)
class Told:
    """What was reported of one batch."""

    batch: Batch
    store: FileOutputStore
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """By position."""
    failures: dict[int, Failure] = field(default_factory=dict)
    times: dict[int, tuple[float, float]] = field(default_factory=dict)
    outputs: dict[int, tuple[ChunkRef, int]] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    produced: list[Produced] = field(default_factory=list)
    paused: set[int] = field(default_factory=set)
    """Positions of generators that gave their slot back."""
    reports: int = 0

    @property
    def complete(self) -> bool:
        """Whether all its runs were reported."""
        return len(self.outcomes) == self.batch.length

    @property
    def at_rest(self) -> bool:
        """Whether all its runs were reported, or paused."""
        return len(self.outcomes) + len(self.paused) == self.batch.length

    @property
    def missing(self) -> str:
        """What was not reported yet, in words."""
        return f"{self.batch.length - len(self.outcomes)} runs of block_{self.batch.block}"

    @property
    def outcome(self) -> Outcome:
        """The outcome of the one run."""
        (outcome,) = self.outcomes.values()
        return outcome

    @property
    def failure(self) -> Failure:
        """The failure of the one run that failed."""
        (failure,) = self.failures.values()
        return failure

    @property
    def chunks(self) -> set[ChunkRef]:
        """All chunks that hold something of the batch."""
        return {chunk for chunk, _ in self.outputs.values()} | {report.chunk for report in self.produced}

    def output(self, position: int = 0) -> Output:
        """What the run at this position returned, as stored."""
        chunk, at = self.outputs[position]
        return self.store.read(chunk).output(at)

    def value(self, position: int = 0) -> object:
        """The same, as the function returned it."""
        return self.output(position).value

    def values(self) -> dict[int, object]:
        """What all completed runs returned."""
        return {position: self.value(position) for position in sorted(self.outputs)}

    def items(self, position: int = 0) -> list[Item]:
        """The items that the run at this position gave, as stored."""
        return [
            self.store.read(report.chunk).item(report.first + at)
            for report in self.produced
            if report.position == position
            for at in range(report.length)
        ]

    @property
    def spans(self) -> Spans:
        """Where all items lie, in the order of the reports."""
        return tuple(Span(each.chunk, each.first, each.first + each.length) for each in self.produced)

    def item_values(self, position: int = 0) -> list[object]:
        """The same, without metadata."""
        return [item.value for item in self.items(position)]

    def fingerprints(self, position: int = 0) -> bytes:
        """Eight bytes for each of these."""
        return b"".join(report.fingerprints for report in self.produced if report.position == position)

    def waits(self, position: int = 0) -> list[NamedWait]:
        """What children of these items wait for, in the order of the reports."""
        return [wait for report in self.produced if report.position == position for wait in report.waits]

    def where(self, outcome: Outcome) -> list[int]:
        """Positions with this outcome."""
        return sorted(position for position, found in self.outcomes.items() if found is outcome)

    def hear(self, report: Report) -> None:
        """Takes in a report; AssertionError if it breaks a promise."""
        self.reports += 1
        if isinstance(report, Produced):
            assert report.position not in self.outcomes, "items of a run that is over"
            given = sum(other.length for other in self.produced if other.position == report.position)
            known = len(self.batch.known.get(report.position, b"")) // 8
            assert report.start == given + known, "items in turn"
            assert len(report.fingerprints) == 8 * report.length
            stop = report.start + report.length
            assert all(wait.item < stop for wait in report.waits), "an item waits before it has come"
            assert all(wait.target is None or wait.target < stop for wait in report.waits), "a target yet to come"
            self.produced.append(report)
        elif isinstance(report, Paused):
            assert report.position not in self.outcomes, "a run that is over cannot pause"
            self.paused.add(report.position)
        else:
            assert isinstance(report, Finished)
            self._end(report)

    def _end(self, report: Finished) -> None:
        record = 0
        for at, position in enumerate(numbers(report.positions)):
            assert 0 <= position < self.batch.length, "a position of the batch"
            assert position not in self.outcomes, f"position {position} is reported twice"
            outcome = Outcome(report.outcomes[at])
            self.outcomes[position] = outcome
            self.paused.discard(position)
            if report.started:
                self.times[position] = report.started[at], report.ended[at]
            if outcome <= Outcome.COMPLETED_FALSE and report.chunk is not None:
                self.outputs[position] = report.chunk, record
                if report.digests:
                    self.digests[position] = report.digests[8 * record : 8 * record + 8]
                record += 1
        assert len(report.digests) in {0, 8 * record}, "a digest of each output, or none at all"
        assert set(report.failures) <= set(self.outcomes)
        self.failures.update(report.failures)


@dataclass(slots=True)
class ToldFold:
    """What was reported of one fold."""

    batch: FoldBatch
    store: FileOutputStore
    partial: Partial | None = None

    @property
    def complete(self) -> bool:
        """Whether it was reported."""
        return self.partial is not None

    @property
    def at_rest(self) -> bool:
        """The same: a fold never pauses."""
        return self.complete

    @property
    def missing(self) -> str:
        """What was not reported yet, in words."""
        return f"a fold of block_{self.batch.block}"

    @property
    def failure(self) -> Failure:
        """Why it failed."""
        assert self.partial is not None
        assert self.partial.failure is not None
        return self.partial.failure

    @property
    def value(self) -> object:
        """What was folded, as it is stored."""
        return self.store.read(self.record[0].chunk).output(0).value

    @property
    def record(self) -> Spans:
        """Where its record lies."""
        assert self.partial is not None
        assert self.partial.chunk is not None, self.partial.failure
        return (Span(self.partial.chunk, 0, 1),)

    def hear(self, report: Report) -> None:
        """Takes in a report; AssertionError if it breaks a promise."""
        assert isinstance(report, Partial)
        assert self.partial is None, "a fold is reported once"
        assert (report.chunk is None) is (report.failure is not None), "a record, or a failure"
        self.partial = report
        if report.chunk is not None:
            chunk = self.store.read(report.chunk)
            assert len(chunk) == 1, "a chunk of its own"
            assert chunk.output(0).shape is Shape.VALUE
            assert report.size > 0
