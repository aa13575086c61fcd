"""An R block's file, loaded: a function that R calls."""

from __future__ import annotations

from collections.abc import Sequence

from refold.errors import BlockFileError
from refold.languages.python.block_function import BlockFunction, Callback
from refold.languages.python.called import called_with_inputs
from refold.ports.executor import BlockTask, RunContext


class RFile:
    """As `refold.languages.loaded_block.LoadedBlock`."""

    conditions: Sequence[BlockFunction] = ()
    tests: Sequence[BlockFunction] = ()
    callbacks: Sequence[Callback] = ()

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        self._task = task
        self._context = context
        self.main = called_with_inputs(task.block, len(task.inputs), self._run)

    def _run(self, *_inputs: object, **_keywords: object) -> object:
        raise BlockFileError("Rscript is not there", where=str(self._task.source.path))
