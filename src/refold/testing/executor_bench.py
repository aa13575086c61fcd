"""A bench for executors: blocks written as text, inputs put into an output store, and reports gathered as they come.

What an executor does is seen from its reports and from what it stored, as the engine sees it; the bench demands on the
way what holds for every report: each run is told of once, after all its items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec

from refold.executors.capture import LogLine
from refold.model.block import BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.outputs import FileOutputStore
from refold.ports.executor import (
    Batch,
    BlockTask,
    Executor,
    Failure,
    Finished,
    InputKind,
    Paused,
    Produced,
    Report,
    RunContext,
    Source,
    Span,
    Spans,
)
from refold.ports.output_store import ChunkRef, Item, Output
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import numbers

PATIENCE = 30.0
"""Seconds after which what does not come is missing."""
PLENTY = 2**30
"""A credit, in items and in bytes, that is never used up."""
_BATCHES = count(1)
_Condition = Callable[[], bool]


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

    def item_values(self, position: int = 0) -> list[object]:
        """The same, without metadata."""
        return [item.value for item in self.items(position)]

    def fingerprints(self, position: int = 0) -> bytes:
        """Eight bytes for each of these."""
        return b"".join(report.fingerprints for report in self.produced if report.position == position)

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
            self.produced.append(report)
        elif isinstance(report, Paused):
            assert report.position not in self.outcomes, "a run that is over cannot pause"
            self.paused.add(report.position)
        else:
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
                record += 1
        assert set(report.failures) <= set(self.outcomes)
        self.failures.update(report.failures)


class Bench:
    """One pipeline run on one executor. Blocks are added first, then batches are submitted."""

    def __init__(self, project: Path, executor: Executor, run: str = "run-1") -> None:
        self.project = project
        self.executor = executor
        self.run = RunId(run)
        self.run_folder = project / ".mage_data" / "pipe" / ".runs" / run
        self.store = FileOutputStore(self.run_folder)
        self._tasks: list[BlockTask] = []
        self._opened = False
        self._told: dict[int, Told] = {}
        self._chunks = self.store.builder("bench")
        project.mkdir(parents=True, exist_ok=True)
        (project / "metadata.yaml").touch()

    def block(
        self,
        code: str,
        inputs: Sequence[InputKind] = (InputKind.ITEM,),
        *,
        kind: BlockType = BlockType.TRANSFORMER,
        axes: int = 1,
        dynamic: bool = False,
        timeout: float | None = None,
        conditions: str | None = None,
        callbacks: str | None = None,
        configuration: Mapping[str, JsonValue] | None = None,
    ) -> int:
        """Adds a block whose file holds this text; its number. Its uuid is `block_<number>`."""
        number = len(self._tasks)
        self._tasks.append(
            BlockTask(
                run=self.run,
                number=number,
                block=BlockUuid(f"block_{number}"),
                type=kind,
                language=Language.PYTHON,
                source=self._source(f"block_{number}", code),
                configuration=configuration or {},
                inputs=tuple(inputs),
                axes=axes,
                dynamic=dynamic,
                timeout=timeout,
                conditions=() if conditions is None else (self._source(f"condition_{number}", conditions),),
                callbacks=() if callbacks is None else (self._source(f"callback_{number}", callbacks),),
            )
        )
        return number

    def file(self, block: int) -> Path:
        """The path of a block's file."""
        return self._tasks[block].source.path

    def _source(self, name: str, code: str) -> Source:
        path = self.project / "transformers" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return Source(BlockUuid(name), path, code)

    def items(self, *items: object) -> Spans:
        """Stores items, with metadata where they are an `Item`; where they lie."""
        for item in items:
            self._chunks.add_item(item if isinstance(item, Item) else Item(item, None))
        return (Span(self._chunks.publish(), 0, len(items)),) if items else ()

    def outputs(self, *returned: object) -> Spans:
        """Stores what functions returned; where it lies."""
        for value in returned:
            self._chunks.add_output(Output.of(value))
        return (Span(self._chunks.publish(), 0, len(returned)),) if returned else ()

    def submit(
        self,
        block: int,
        inputs: Sequence[Spans],
        length: int,
        *,
        trail: Spans | None = None,
        width: int = 1,
        failures: Mapping[int, int] | None = None,
        credit: int = PLENTY,
        credit_bytes: int = PLENTY,
        known: Mapping[int, bytes] | None = None,
    ) -> Told:
        """Hands a batch of this block to the executor; what will be reported of it."""
        if not self._opened:
            self._opened = True
            self.executor.open_run(self._context(), self._tasks)
        task = self._tasks[block]
        batch = Batch(
            id=next(_BATCHES),
            run=self.run,
            block=block,
            length=length,
            inputs=tuple(inputs),
            keys=tuple(range(length) for _ in range(task.axes)),
            trail=tuple(trail for _ in range(task.axes)),
            width=width,
            failures=failures or {},
            credit=credit if task.dynamic else 0,
            credit_bytes=credit_bytes if task.dynamic else 0,
            known=known or {},
        )
        told = self._told[batch.id] = Told(batch, self.store)
        self.executor.submit(batch)
        return told

    def over_items(self, block: int, items: Sequence[object], width: int = 1) -> Told:
        """Runs a block once for each of these items, to the end."""
        spans = self.items(*items)
        named = any(isinstance(item, Item) for item in items)
        told = self.submit(block, [spans], len(items), width=width, trail=spans if named else None)
        self.finish()
        return told

    def producer(self, code: str, timeout: float | None = None, callbacks: str | None = None) -> int:
        """Adds a dynamic block without upstreams."""
        kind = BlockType.DATA_LOADER
        return self.block(code, (), axes=0, dynamic=True, kind=kind, timeout=timeout, callbacks=callbacks)

    def produce(self, block: int, *, credit: int = PLENTY, credit_bytes: int = PLENTY, known: bytes = b"") -> Told:
        """Runs a dynamic block once, until it is over or paused."""
        earlier = {0: known} if known else {}
        told = self.submit(block, [], 1, credit=credit, credit_bytes=credit_bytes, known=earlier)
        self.rest()
        return told

    def pull(self, told: Told, items: int, position: int = 0, size: int = PLENTY) -> None:
        """Lets a producer give more."""
        told.paused.discard(position)
        self.executor.pull(told.batch.id, position, items, size)

    def finish(self) -> None:
        """Waits until every run that was submitted is reported."""
        self._until(lambda: all(told.complete for told in self._told.values()))

    def rest(self) -> None:
        """Waits until every run that was submitted is reported, or paused."""
        self._until(lambda: all(told.at_rest for told in self._told.values()))

    def until_ended(self, told: Told, runs: int) -> None:
        """Waits until so many runs of a batch were reported."""
        self._until(lambda: len(told.outcomes) >= runs)

    def until_given(self, told: Told, items: int) -> None:
        """Waits until so many items came."""
        self._until(lambda: sum(report.length for report in told.produced) >= items)

    def cancel(self) -> None:
        """Cancels the run."""
        self.executor.cancel(self.run)

    def close(self) -> None:
        """Says that the run is over."""
        if self._opened:
            self.executor.close_run(self.run)
        self.store.close()

    def log(self) -> list[LogLine]:
        """What block runs printed and logged so far, by time."""
        lines = [
            msgspec.json.decode(line, type=LogLine)
            for file in (self.run_folder / "logs").glob("*.jsonl")
            for line in file.read_bytes().splitlines()
        ]
        return sorted(lines, key=lambda line: line.at)

    def hear(self, reports: Sequence[Report]) -> None:
        """Takes in reports that somebody else waited for; those of other runs are passed over."""
        for report in reports:
            told = self._told.get(report.batch)
            if told is not None:
                told.hear(report)

    def _until(self, done: _Condition) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"not reported: {self._missing()}"
            self.hear(self.executor.wait(0.1))

    def _missing(self) -> str:
        return ", ".join(
            f"{told.batch.length - len(told.outcomes)} runs of block_{told.batch.block}"
            for told in self._told.values()
            if not told.complete
        )

    def _context(self) -> RunContext:
        return RunContext(
            run=self.run,
            pipeline_uuid=PipelineUuid("pipe"),
            project=self.project,
            run_folder=self.run_folder,
            latest_folder=self.project / ".mage_data" / "pipe",
            variables={"region": "north"},
            started_at=1_700_000_000.0,
        )
