"""A batch that this process has, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import length_hint

from refold.executors.batch_inputs import BatchInputs
from refold.executors.block_call import Call
from refold.executors.block_code import BlockCode
from refold.executors.folds import Folds
from refold.executors.interrupts import Interrupts
from refold.executors.open_run import OpenRun
from refold.executors.production import Production
from refold.ports.executor import Batch, BlockTask
from refold.ports.output_store import ChunkRef


@dataclass(slots=True)
class Execution:
    """A batch that is being executed; generators of it may be paused."""

    batch: Batch
    run: OpenRun
    task: BlockTask
    folds: Folds
    inputs: BatchInputs
    item_chunks: list[ChunkRef] = field(default_factory=list)
    call: Call | None = None
    """The call of the run that is being executed."""
    aside: bool = False
    """Whether it is executed beside what the main thread does."""
    positions: Sequence[int] | None = None
    """Which runs of the batch are executed; None: all."""
    producing: dict[int, tuple[Production, Call]] = field(default_factory=dict)
    """Generators that are not exhausted."""
    on_begin: Callable[[int], None] | None = None
    """Told of each position whose inputs were read and whose function is about to be called; None: nobody asks."""
    until: int = field(init=False)
    """How many runs will begin; fewer than all once the others were taken back."""
    remaining: Iterator[int] = field(init=False)
    """The runs that have not begun: who takes one begins it. Any thread may take one, or all that are left; what takes
    is one call into C, during which the interpreter changes no thread."""

    def __post_init__(self) -> None:
        positions = range(self.batch.length) if self.positions is None else self.positions
        self.until = len(positions)
        self.remaining = iter(positions)

    @classmethod
    def of(
        cls, batch: Batch, opened: OpenRun, interrupts: Interrupts, positions: Sequence[int] | None = None
    ) -> Execution:
        """A batch of which nothing has begun; `positions`: the runs that are to be executed, None for all."""
        task, folds = opened.tasks[batch.block], Folds(opened, interrupts)
        return cls(batch, opened, task, folds, BatchInputs(opened, task, batch, folds), positions=positions)

    def next_position(self) -> int | None:
        """The run that begins now; None when no more do."""
        return next(self.remaining, None)

    def take_back(self) -> Sequence[int]:
        """The runs that have not begun, and will not."""
        taken = list(self.remaining)
        self.until -= len(taken)
        return taken if self.positions is not None or not taken else range(taken[0], taken[-1] + 1)

    @property
    def begun(self) -> int:
        """How many runs have begun."""
        return self.until - length_hint(self.remaining)

    def make_call(self, code: BlockCode, position: int) -> Call:
        """What is called for a run; its time begins to run. Raises what reading its inputs raises."""
        timeout, inputs, started = self.task.timeout, self.inputs, time.time()
        deadline = self.folds.deadline = None if timeout is None else time.monotonic() + timeout
        name, keywords = partial(inputs.uuid, position), partial(inputs.keywords, position)
        mage_outputs = self.run.context.mage_outputs
        call = Call(position, started, deadline, code, inputs.arguments(position), keywords, name, mage_outputs)
        self.call = call
        if self.on_begin is not None:
            self.on_begin(position)
        return call
