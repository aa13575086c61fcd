"""A bench for executors: blocks written as text, inputs put into an output store, and reports gathered as they come.

What an executor does is seen from its reports and from what it stored, as the engine sees it; the bench demands on the
way what holds for every report: each run is told of once, after all its items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from refold.executors.capture import LogLine
from refold.model.block import BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.outputs import FileOutputStore
from refold.ports.executor import (
    Batch,
    BlockTask,
    Executor,
    FoldBatch,
    Folding,
    Grouping,
    InputKind,
    NamePart,
    Report,
    RunContext,
    Source,
    Span,
    Spans,
)
from refold.ports.output_store import Item, Output
from refold.testing.told import Told, ToldFold

PATIENCE = 30.0
"""Seconds after which what does not come is missing."""
PLENTY = 2**30
"""A credit, in items and in bytes, that is never used up."""
_BATCHES = count(1)
_FOLDED = frozenset({InputKind.REDUCED, InputKind.GROUP})
Names = tuple[tuple[NamePart, ...], ...]


class TaskSettings(TypedDict, total=False):
    """Fields of a `BlockTask` that are as they are by default unless a test says otherwise."""

    timeout: float | None
    foldings: tuple[Folding | None, ...]
    folds_own: Folding | None
    siblings: frozenset[BlockUuid]
    statics: frozenset[BlockUuid]
    lone_children: bool
    max_items: int | None
    cuts_items: bool
    digests: bool


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
        self._told: dict[int, Told | ToldFold] = {}
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
        conditions: str | None = None,
        callbacks: str | None = None,
        **settings: Unpack[TaskSettings],
    ) -> int:
        """Adds a block whose file holds this text; its number. Its uuid is `block_<number>`.

        Inputs that are folded give lists where `foldings` does not say what else.
        """
        number = len(self._tasks)
        if not _FOLDED.isdisjoint(inputs):
            settings.setdefault("foldings", tuple(self.folding() if each in _FOLDED else None for each in inputs))
        self._tasks.append(
            BlockTask(
                run=self.run,
                number=number,
                block=BlockUuid(f"block_{number}"),
                type=kind,
                language=Language.PYTHON,
                source=self._source(f"block_{number}", code),
                configuration={},
                inputs=tuple(inputs),
                axes=axes,
                dynamic=dynamic,
                conditions=() if conditions is None else (self._source(f"condition_{number}", conditions),),
                callbacks=() if callbacks is None else (self._source(f"callback_{number}", callbacks),),
                **settings,
            )
        )
        return number

    def folding(
        self, strategy: str = "list", code: str | None = None, *, items: bool = False, initial: JsonValue = None
    ) -> Folding:
        """How the runs of a block called `rows` are folded; `code` is its file's, where the strategy is a function."""
        source = None if code is None else self._source("rows", code)
        return Folding(BlockUuid("rows"), items, strategy, initial, initial is not None, source)

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
        names: Names | None = None,
        groupings: Sequence[Grouping | None] | None = None,
        width: int = 1,
        failures: Mapping[int, int] | None = None,
        credit: int = PLENTY,
        credit_bytes: int = PLENTY,
        known: Mapping[int, bytes] | None = None,
    ) -> Told:
        """Hands a batch of this block to the executor; what will be reported of it."""
        self._open()
        task = self._tasks[block]
        batch = Batch(
            id=next(_BATCHES),
            run=self.run,
            block=block,
            length=length,
            inputs=tuple(inputs),
            keys=tuple(range(length) for _ in range(task.axes)),
            names=names if names is not None else self.names(length) * task.axes,
            groupings=tuple(groupings) if groupings is not None else _groupings(task, inputs, length),
            width=width,
            failures=failures or {},
            credit=credit if task.dynamic else 0,
            credit_bytes=credit_bytes if task.dynamic else 0,
            known=known or {},
        )
        told = self._told[batch.id] = Told(batch, self.store)
        self.executor.submit(batch)
        return told

    def fold(self, block: int, records: Spans, before: Spans = ()) -> ToldFold:
        """Lets the executor fold records as the block's `folds_own` says; what will be reported of it."""
        self._open()
        batch = FoldBatch(next(_BATCHES), self.run, block, before, records)
        told = self._told[batch.id] = ToldFold(batch, self.store)
        self.executor.submit_fold(batch)
        return told

    def names(self, length: int, items: Spans | None = None) -> Names:
        """The names of one axis whose items are these; they are the items of one run."""
        return ((NamePart(range(length), items),),)

    def _open(self) -> None:
        if not self._opened:
            self._opened = True
            self.executor.open_run(self._context(), self._tasks)

    def over_items(self, block: int, items: Sequence[object], width: int = 1) -> Told:
        """Runs a block once for each of these items, to the end."""
        spans = self.items(*items)
        named = any(isinstance(item, Item) for item in items)
        told = self.submit(
            block, [spans], len(items), width=width, names=self.names(len(items), spans if named else None)
        )
        self.finish()
        return told

    def producer(self, code: str, callbacks: str | None = None, **settings: Unpack[TaskSettings]) -> int:
        """Adds a dynamic block without upstreams."""
        kind = BlockType.DATA_LOADER
        return self.block(code, (), axes=0, dynamic=True, kind=kind, callbacks=callbacks, **settings)

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
        self.until(lambda: all(told.complete for told in self._told.values()))

    def rest(self) -> None:
        """Waits until every run that was submitted is reported, or paused."""
        self.until(lambda: all(told.at_rest for told in self._told.values()))

    def until_ended(self, told: Told, runs: int) -> None:
        """Waits until so many runs of a batch were reported."""
        self.until(lambda: len(told.outcomes) >= runs)

    def until_given(self, told: Told, items: int) -> None:
        """Waits until so many items came."""
        self.until(lambda: sum(report.length for report in told.produced) >= items)

    def until(self, done: Callable[[], bool]) -> None:
        """Waits until something is so, and hears what comes meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"not reported: {self._missing()}"
            self.hear(self.executor.wait(0.1))

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

    def _missing(self) -> str:
        return ", ".join(told.missing for told in self._told.values() if not told.complete)

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


def _groupings(task: BlockTask, inputs: Sequence[Spans], length: int) -> tuple[Grouping | None, ...]:
    """Of REDUCED all records are one group, of GROUP each is one of its own; nothing was folded ahead."""
    found: list[Grouping | None] = []
    for kind, spans in zip(task.inputs, inputs, strict=True):
        records = sum(span.stop - span.start for span in spans)
        if kind is InputKind.REDUCED:
            found.append(Grouping((0,), (records,)))
        else:
            found.append(Grouping((0,) * length, (1,) * length) if kind is InputKind.GROUP else None)
    return tuple(found) if any(found) else ()
