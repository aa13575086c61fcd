"""What reports tell of runs is what their rows say, in whatever portions and order it is told."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from refold.engine.pipeline_run import PipelineRun, RunSetup
from refold.model.block import BlockType, Language
from refold.model.keys import PipelineUuid, RunId, encode_key
from refold.ports.executor import (
    Batch,
    BlockTask,
    Failure,
    Finished,
    FoldBatch,
    Produced,
    Report,
    RunContext,
    Source,
)
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import BlockRunRow, NewRun, Owner, RunStatus
from refold.runs.memory import MemoryRunStore
from refold.scheduler.events import Outcome
from refold.scheduler.plan import Plan
from refold.scheduler.ranges import gather
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan
from refold.testing.simulated_clock import SimulatedClock

RUN, NOW = RunId("20260101-000000-000abcd"), 1000.0
STATUSES = {
    Outcome.COMPLETED: Status.COMPLETED,
    Outcome.COMPLETED_FALSE: Status.COMPLETED_FALSE,
    Outcome.CONDITION_FAILED: Status.CONDITION_FAILED,
    Outcome.FAILED: Status.FAILED,
}


class Worker:
    """The port `Executor`, that keeps what it is given until the test tells what came of it."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def open_run(self, context: RunContext, tasks: Sequence[BlockTask]) -> None:
        """Nothing to prepare."""

    def workers(self) -> int:
        return 1

    def free_slots(self) -> int:
        return 1

    def idle(self, run: RunId) -> int:
        return 1

    def submit(self, batch: Batch) -> None:
        self.batches.append(batch)

    def submit_fold(self, batch: FoldBatch) -> None:
        raise AssertionError(f"nothing is folded here: {batch}")

    def pull(self, batch: int, position: int, items: int, size: int) -> None:
        """Its one producer never waits."""

    def cancel(self, run: RunId) -> None:
        """Nothing is ever cancelled."""

    def wait(self, timeout: float | None) -> list[Report]:
        raise AssertionError(f"the test tells what happens: {timeout}")

    def close_run(self, run: RunId) -> None:
        """The end."""

    def close(self) -> None:
        """The end."""


class Story:
    """A run of `load`, which gives items, `work` at each of them, and `after` at each of these."""

    def __init__(self, items: int) -> None:
        self.plan = draft_plan(
            Draft("load", dynamic=True), Draft("work", upstreams=("load",)), Draft("after", upstreams=("work",))
        )
        blocks = [{"uuid": block.uuid} for block in self.plan.blocks]
        self.store, self.worker = MemoryRunStore(), Worker()
        self.store.create(NewRun(RUN, "/shop", PipelineUuid("daily"), NOW, {}, {}, blocks))
        self.chunks = 0
        setup = RunSetup(self.plan, _context(), _tasks(self.plan), blocks)
        self.run = PipelineRun(setup, self.store, self.worker, SimulatedClock(NOW), Owner("here", 1, 0.0))
        self.run.start()
        load = self.next_batch()
        self.run.handle(Produced(load.id, 0, 0, items, self.chunk(), 0, False, bytes(8 * items), 100))
        self.run.handle(Finished(load.id, ((0, 1),), b"\0", [NOW], [NOW]))

    def next_batch(self) -> Batch:
        """The next one that is handed out."""
        while not self.worker.batches:
            assert self.run.offer(1), "there is something to do"
        return self.worker.batches.pop()

    def chunk(self) -> ChunkRef:
        """A new one."""
        self.chunks += 1
        return ChunkRef("a.seg", 100 * self.chunks, 100)

    def tell(self, batch: Batch, order: Sequence[int], outcomes: bytes, portion: int) -> dict[int, BlockRunRow]:
        """Tells of a batch in this order, so many at a time; the rows that follow, by index."""
        rows = {}
        block = self.plan.blocks[batch.block].uuid
        for start in range(0, len(order), portion):
            told = order[start : start + portion]
            codes = bytes(outcomes[position] for position in told)
            completed = [position for position in told if outcomes[position] <= Outcome.COMPLETED_FALSE]
            chunk = self.chunk() if completed else None
            for position in told:
                index, done = batch.keys[0][position], position in completed
                status = STATUSES[Outcome(outcomes[position])]
                place = (self.chunks - 1, completed.index(position)) if done else (None, None)
                times = (NOW + index / 1024, NOW + index / 1024 + 0.0001)
                rows[index] = BlockRunRow(block, encode_key((index,)), int(status), 1, *times, *place)
            failures = {at: Failure("No: 1", "No", "") for at in told if outcomes[at] == Outcome.FAILED}
            started = array("d", (NOW + batch.keys[0][position] / 1024 for position in told))
            ended = array("d", (each + 0.0001 for each in started))
            self.run.handle(Finished(batch.id, gather(told), codes, started, ended, chunk, failures))
        return rows


def _context() -> RunContext:
    nowhere = Path("/nowhere")
    return RunContext(RUN, PipelineUuid("daily"), nowhere, nowhere, nowhere, {}, NOW)


def _tasks(plan: Plan) -> list[BlockTask]:
    return [
        BlockTask(
            run=RUN,
            number=block.number,
            block=block.uuid,
            type=BlockType.TRANSFORMER,
            language=Language.PYTHON,
            source=Source(block.uuid, Path("/nowhere"), ""),
            configuration={},
            inputs=(),
            axes=len(block.axes),
            dynamic=block.dynamic,
        )
        for block in plan.blocks
    ]


_RARE = st.sampled_from([0] * 30 + [1, 2, 3])
_OFTEN = st.sampled_from([0, 0, 1, 2, 3, 3])
_TOGETHER = st.lists(st.tuples(_OFTEN, st.integers(5, 40)), min_size=12, max_size=12)


@settings(max_examples=50)
@example([0] * 10 + [3] * 20 + [2] * 20 + [0] * 10, 60, None)
@example([0] * 60, 25, 1)
@given(
    outcomes=st.lists(_RARE, min_size=60, max_size=60)
    | st.lists(_OFTEN, min_size=60, max_size=60)
    | _TOGETHER.map(lambda pieces: [code for code, length in pieces for _ in range(length)]),
    portion=st.sampled_from([1, 7, 25, 60]),
    shuffled=st.none() | st.integers(0, 99),
)
def test_rows_say_what_reports_told(outcomes: list[int], portion: int, shuffled: int | None) -> None:
    story = Story(60)
    expected: dict[str, dict[int, BlockRunRow]] = {"work": {}, "after": {}}
    while story.run.end is None:
        batch = story.next_batch()
        order = list(range(batch.length))
        if shuffled is not None:
            random.Random(shuffled).shuffle(order)
        working = story.plan.blocks[batch.block].uuid == "work"
        codes = bytes(outcomes[index] if working else 0 for index in batch.keys[0])
        expected[story.plan.blocks[batch.block].uuid] |= story.tell(batch, order, codes, portion)
    for index, row in expected["work"].items():
        if row.status != Status.COMPLETED:
            status = Status.UPSTREAM_FAILED if row.status == Status.FAILED else Status.CONDITION_FAILED
            bare = BlockRunRow(story.plan.blocks[2].uuid, row.key, int(status), 0, None, NOW, None, None)
            expected["after"][index] = bare
    found = [row for row in story.store.block_runs(RUN) if row.block != "load"]
    assert found == [rows[index] for rows in expected.values() for index in range(60)]
    failed = sum(row.status == Status.FAILED for row in found)
    assert len(list(story.store.failures(RUN))) == failed
    assert story.run.end is (RunStatus.FAILED if failed else RunStatus.COMPLETED)
