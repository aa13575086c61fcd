"""Has stretches of runs folded by workers, ahead of those who will read the value (design 2.4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from refold.engine.batch_builder import BatchBuilder
from refold.engine.partials import FormerPartials, Stretch, stored_levels
from refold.engine.row_buffer import RowBuffer
from refold.model.keys import RunId, encode_key
from refold.ports.executor import BlockTask, Executor, FoldBatch, Partial
from refold.ports.executor import Folding as HowToFold
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import FoldRow
from refold.scheduler.commands import Fold
from refold.scheduler.events import Folded
from refold.scheduler.ranges import count
from refold.scheduler.state import State


@dataclass(slots=True)
class _UnderWay:
    command: Fold
    stretch: Stretch
    cumulative: bool


class Folding:
    """The folds of one pipeline run."""

    def __init__(
        self,
        run: RunId,
        tasks: Sequence[BlockTask],
        state: State,
        builder: BatchBuilder,
        rows: RowBuffer,
        executor: Executor,
        former: FormerPartials,
    ) -> None:
        self._run = run
        self._tasks = tasks
        self._state = state
        self._builder = builder
        self._rows = rows
        self._executor = executor
        self._former = former
        self._under_way: dict[int, _UnderWay] = {}

    def owns(self, batch: int) -> bool:
        """Whether a report's batch is a fold of this run."""
        return batch in self._under_way

    def start(self, command: Fold, batch: int) -> Folded | None:
        """Hands a stretch to a worker; or says at once that it is folded, where a partial of before covers it."""
        block, group = command.block, (command.block, command.fold, command.group)
        folding = self._tasks[block].folds_own
        assert folding is not None, "a fold that workers compute says how"
        records = self._builder.contributions(block, command.runs)
        before, _ = self._builder.partials.of(*group)
        stretch = self._builder.partials.next(group, self._how(folding), records, count(command.runs))
        former = self._former.find(
            self._state.plan.blocks[block].uuid, self._levels(command), self._key(command), stretch
        )
        if former is not None:
            self._builder.partials.put(stretch, former.chunk, former.position, cumulative=folding.cumulative)
            return Folded(block, command.fold, command.group)
        self._under_way[batch] = _UnderWay(command, stretch, folding.cumulative)
        self._executor.submit_fold(FoldBatch(batch, self._run, block, before if folding.cumulative else (), records))
        return None

    def take(self, report: Partial, add_chunk: Callable[[ChunkRef], int]) -> Folded:
        """What a worker made of a stretch."""
        work = self._under_way.pop(report.batch)
        command = work.command
        if report.chunk is None:
            return Folded(command.block, command.fold, command.group, ok=False)
        chunk = add_chunk(report.chunk)
        self._builder.partials.put(work.stretch, chunk, 0, cumulative=work.cumulative)
        self._rows.add_fold(
            FoldRow(
                block=self._state.plan.blocks[command.block].uuid,
                levels=stored_levels(self._levels(command)),
                group=self._key(command),
                folded=work.stretch.covered,
                digest=work.stretch.digest,
                chunk=chunk,
                position=0,
            )
        )
        return Folded(command.block, command.fold, command.group)

    def _how(self, how: HowToFold) -> bytes:
        """Tells the fold itself from any other."""
        code = None if how.source is None else how.source.text
        told = [how.strategy, how.initial, how.has_initial, how.items, code]
        return blake2b(json.dumps(told, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).digest()

    def _levels(self, command: Fold) -> int | None:
        return self._state.plan.blocks[command.block].folds[command.fold].levels

    def _key(self, command: Fold) -> bytes:
        return encode_key(self._state.group_key(command.block, command.fold, command.group))
