"""An R block's file, loaded: a function that R calls."""

from __future__ import annotations

from collections.abc import Sequence

from refold.languages.python.block_function import BlockFunction, Callback
from refold.languages.python.called import called_with_inputs
from refold.ports.executor import BlockTask, RunContext


class RFile:
    """As `refold.languages.loaded_block.LoadedBlock`."""

    conditions: Sequence[BlockFunction] = ()
    tests: Sequence[BlockFunction] = ()
    callbacks: Sequence[Callback] = ()

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        from refold.languages.r.runs import Runs  # slow to load, and only R blocks need it

        self._runs = Runs(task, context)
        self.main = called_with_inputs(task.block, len(task.inputs), self._runs.run)

    def close(self) -> None:
        """Ends its processes of R. One that a run is in, which nobody waits for any more, ends too."""
        self._runs.close()
