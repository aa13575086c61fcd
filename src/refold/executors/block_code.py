"""The code of one block, loaded once in a process: its function, and the conditions, tests and callbacks around it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from refold.languages.loading import let_go, load_block, load_python
from refold.languages.python.block_file import BlockFile
from refold.languages.python.block_function import BlockFunction, Callback
from refold.model.block import BlockType
from refold.ports.executor import BlockTask, RunContext, Source


class BlockCode:
    """What is called for each run of a block."""

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        """Loads the block's file and those attached to it. Raises BlockFileError when one cannot be."""
        self._context = context
        self._file = file = load_block(task, context)
        skipped = task.type is BlockType.SENSOR and not context.run_sensors
        attached = [self._load(source, BlockType.CONDITIONAL) for source in task.conditions]
        callbacks = [self._load(source, BlockType.CALLBACK) for source in task.callbacks]
        self.main: BlockFunction = BlockFunction.of(_satisfied) if skipped else file.main
        self.conditions: tuple[BlockFunction, ...] = tuple(
            function for each in (*attached, file) for function in each.conditions
        )
        """All must say True before the block runs."""
        self.tests: Sequence[BlockFunction] = file.tests if task.run_tests and context.run_tests else ()
        self.callbacks: Sequence[Callback] = [callback for each in (*callbacks, file) for callback in each.callbacks]
        self.stops = task.conditional and self.main.is_condition and not task.dynamic and _may_stop(task.type)
        """Whether a False that it returns stops what follows (design 2.7)."""

        call_alone = not (self.conditions or self.tests or self.callbacks or self.stops) and (
            not task.dynamic and task.type is not BlockType.SENSOR
        )
        self.plain = call_alone and self.main.signature.simple and len(task.inputs) == 1 and task.timeout is None
        """Whether a run is nothing but a call of the function with its one input, `async def` or not."""
        self.bare = call_alone and not self.main.is_async
        """Whether a run is nothing but a call of the function, which returns at once what the run comes to."""

    def close(self) -> None:
        """No run of the block follows."""
        let_go(self._file)

    def _load(self, source: Source, block_type: BlockType) -> BlockFile:
        return load_python(source, block_type, self._context.project, self._context.requirements)


def _satisfied(*_inputs: object, **_keywords: object) -> bool:
    """A sensor that is not asked."""
    return True


def _may_stop(block_type: BlockType) -> bool:
    return block_type in {BlockType.TRANSFORMER, BlockType.CUSTOM}


def make_importable(project: Path) -> None:
    """Lets blocks import from the project's folder and from its parent (`my_project.utils`)."""
    for folder in (str(project.parent), str(project)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
