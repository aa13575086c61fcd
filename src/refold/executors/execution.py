"""A batch that this process has, and how far it is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial

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
    producing: dict[int, tuple[Production, Call]] = field(default_factory=dict)
    """Generators that are not exhausted."""
    begun: int = 0
    """How many runs have begun."""
    until: int = field(init=False)
    """How many will; fewer than all once the others were taken back."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.until = self.batch.length

    @classmethod
    def of(cls, batch: Batch, opened: OpenRun, interrupts: Interrupts) -> Execution:
        """A batch of which nothing has begun."""
        task, folds = opened.tasks[batch.block], Folds(opened, interrupts)
        return cls(batch, opened, task, folds, BatchInputs(opened, task, batch, folds))

    def next_position(self) -> int | None:
        """The run that begins now; None when no more do."""
        with self.lock:
            if self.begun >= self.until:
                return None
            self.begun += 1
            return self.begun - 1

    def take_back(self) -> range:
        """The runs that have not begun, and will not."""
        with self.lock:
            taken = range(self.begun, self.until)
            self.until = self.begun
            return taken

    def make_call(self, code: BlockCode, position: int) -> Call:
        """What is called for a run; its time begins to run. Raises what reading its inputs raises."""
        timeout, inputs, started = self.task.timeout, self.inputs, time.time()
        deadline = self.folds.deadline = None if timeout is None else time.monotonic() + timeout
        name, keywords = partial(inputs.uuid, position), partial(inputs.keywords, position)
        mage_outputs = self.run.context.mage_outputs
        call = Call(position, started, deadline, code, inputs.arguments(position), keywords, name, mage_outputs)
        self.call = call
        return call
