"""The real engine on virtual time: scripted pipelines, stores that fail, engines that die, and what is left in the end.

Each *life* is an engine with an executor of its own; what it leaves in the run store and the output store is what the
next life starts from, as after a `kill -9`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from refold.api.block_tasks import input_kind
from refold.engine.engine import Engine, Observer
from refold.engine.pipeline_run import PipelineRun, RunSetup
from refold.engine.recollection import Recollection
from refold.model.block import BlockType, JsonValue, Language
from refold.model.keys import Key, PipelineUuid, RunId, decode_key
from refold.outputs import MemoryOutputStore
from refold.ports.executor import BlockTask, RunContext, Source
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import Lease, NewRun, Owner, RunStatus, WriteBatch
from refold.runs.memory import MemoryRunStore
from refold.scheduler.commands import End
from refold.scheduler.status import Status
from refold.testing.naive import Observation, Seen
from refold.testing.scripted import Script, item_of
from refold.testing.scripted_executor import (
    Deeds,
    Place,
    Played,
    ScriptedExecutor,
    as_value,
    edge_folding,
    folding_of,
)
from refold.testing.simulated_clock import SimulatedClock

COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})


class EngineKilled(BaseException):
    """Raised where a simulated engine dies; nothing of it is heard again."""


class FaultyRunStore(MemoryRunStore):
    """A run store of which single writes fail."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        """How many there were, failed ones included."""
        self.before_write: Callable[[int], None] = lambda _number: None
        """Called before a write with its number, from 1; what it raises, the writer meets, and nothing is written."""
        self.after_write: Callable[[int], None] = lambda _number: None
        """The same when it has been written."""

    def write(self, lease: Lease, batch: WriteBatch, now: float, ttl: float) -> None:
        """Writes, or fails."""
        self.writes += 1
        self.before_write(self.writes)
        super().write(lease, batch, now, ttl)
        self.after_write(self.writes)

    def finish(self, lease: Lease, batch: WriteBatch, status: RunStatus, now: float) -> None:
        """Writes the last batch, or fails."""
        self.writes += 1
        self.before_write(self.writes)
        super().finish(lease, batch, status, now)
        self.after_write(self.writes)


@dataclass(slots=True)
class EngineSimulation:
    """Pipeline runs, driven by one engine after the other."""

    scripts: Sequence[Script]
    seed: int = 0
    slots: int | None = None
    """Workers; drawn for each life where it is None."""
    losses: bool = True
    ahead: int = 0
    """How many batches are given to workers that are at one."""
    store: FaultyRunStore = field(default_factory=FaultyRunStore)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    deeds: Deeds = field(default_factory=Deeds)
    runs: list[RunId] = field(default_factory=list)
    lives: int = 0
    _driven: dict[RunId, PipelineRun] = field(default_factory=dict)
    """Each run, as its last engine had it."""
    _played: dict[RunId, Played] = field(default_factory=dict)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"engine {self.seed}")
        for number, script in enumerate(self.scripts):
            run = RunId(f"run-{number}")
            self.runs.append(run)
            self._played[run] = Played(script, MemoryOutputStore())
            snapshot = self._snapshot(script)
            self.store.create(NewRun(run, "/project", PipelineUuid("pipe"), self.clock.now(), {}, {}, snapshot))

    def live(
        self,
        on_wait: Callable[[], None] | None = None,
        observer: Observer | None = None,
        owner: Owner | None = None,
    ) -> None:
        """An engine comes, takes the runs that are not over, and drives them until it ends or something raises.

        `on_wait` is called whenever it waits. The lease of the one before is taken from it, as from a dead process.
        """
        self.lives += 1
        workers = self.slots or self._chance.choice((1, 1, 2, 3, 8))
        executor = ScriptedExecutor(
            self._played, self.clock, self._chance, self.deeds, workers, self.losses, self.ahead
        )
        if on_wait is not None:
            executor.on_wait = on_wait
        engine = Engine(self.store, executor, self.clock, owner or Owner("host", self.lives, 0.0), observer)
        for run in self.runs:
            record = self.store.get(run)
            if record.owner is not None:
                self.store.steal(run, record.owner)
            if record.status is not RunStatus.COMPLETED:
                self._driven[run] = engine.add(self.setup(run))
        engine.drive()

    def setup(self, run: RunId) -> RunSetup:
        """The run as an engine takes it: what of it is completed is kept."""
        script, outputs = self._played[run].script, self._played[run].outputs
        again = self.store.get(run).started_at is not None
        kept = {block.uuid for block in script.plan.blocks}
        return RunSetup(
            plan=script.plan,
            context=self._context(run),
            tasks=[self._task(run, number) for number in range(len(script.plan.blocks))],
            blocks=self._snapshot(script),
            recollection=Recollection.of(self.store, run, kept, outputs) if again else None,
            outputs=outputs,
        )

    def observation(self, run: RunId | None = None, cancelled: bool = False) -> Observation:
        """What became of a run, by its rows and by what is stored where they say.

        What a producer that failed again did not come to a second time stays stored for the next retry; it is passed
        over here, for it does not exist now.
        """
        run = run or self.runs[0]
        seen: dict[str, dict[Key, Seen]] = {}
        refs = [ChunkRef(row.segment, row.offset, row.length) for row in self.store.chunks(run)]
        outputs = self._played[run].outputs
        numbers = {block.uuid: block.number for block in self._played[run].script.plan.blocks}
        existing = {uuid: self._driven[run].existing(number) for uuid, number in numbers.items()}
        for row in self.store.block_runs(run):
            key = decode_key(row.key)
            if key not in existing[row.block]:
                assert Status(row.status) in COMPLETE, "only what is finished is kept for later"
                continue
            place: Place = (run, row.block, key)
            value = self.deeds.names.get(place)
            if row.chunk is not None and row.position is not None:
                value = as_value(outputs.read(refs[row.chunk]).output(row.position).value)
            items = 0
            given = existing[row.block][key]
            for items_row in self.store.items(run, row.block, row.key):
                assert items_row.start == items, f"{place}: items without a gap"
                items += items_row.length
                chunk = outputs.read(refs[items_row.chunk])
                for at in range(items_row.length):
                    item = chunk.item(items_row.first + at)
                    assert item.value == item_of(value, items_row.start + at), f"{place}: items in their places"
            assert items >= given, f"{place}: all items are stored"
            failures = self.deeds.failures[place]
            seen.setdefault(row.block, {})[key] = Seen(Status(row.status), value, given, failures)
        return Observation(seen, End(self.store.get(run).status.value), cancelled)

    def completed(self, run: RunId | None = None) -> set[Place]:
        """The block runs that are stored as completed."""
        run = run or self.runs[0]
        return {(run, row.block, decode_key(row.key)) for row in self.store.block_runs(run, statuses=COMPLETE)}

    def _snapshot(self, script: Script) -> list[dict[str, JsonValue]]:
        return [{"uuid": block.uuid} for block in script.plan.blocks]

    def _context(self, run: RunId) -> RunContext:
        nowhere = Path("/nowhere")
        return RunContext(run, PipelineUuid("pipe"), nowhere, nowhere, nowhere, {}, self.clock.now())

    def _task(self, run: RunId, number: int) -> BlockTask:
        script = self._played[run].script
        block = script.plan.blocks[number]
        return BlockTask(
            run=run,
            number=number,
            block=block.uuid,
            type=BlockType.TRANSFORMER,
            language=Language.PYTHON,
            source=Source(block.uuid, Path("/nowhere"), ""),
            configuration={},
            inputs=tuple(map(input_kind, block.edges)),
            axes=len(block.axes),
            dynamic=block.dynamic,
            foldings=tuple(edge_folding(script, edge) for edge in block.edges),
            folds_own=folding_of(script, number, computed=True) if any(f.computed for f in block.folds) else None,
            tells_begun=block.rate is not None,
            limit_by="shop" if block.group_limit is not None else None,
        )
