"""A SQL block's file, loaded: a function that runs its query."""

from __future__ import annotations

from collections.abc import Sequence

from refold.io.arrow_tables import to_arrow, to_pandas
from refold.io.providers import EMBEDDED
from refold.io.sessions import session
from refold.io.statement import Statement
from refold.languages.python.block_function import BlockFunction, Callback
from refold.languages.python.called import called_with_inputs
from refold.ports.executor import BlockTask, RunContext


class SqlFile:
    """As `refold.languages.loaded_block.LoadedBlock`."""

    conditions: Sequence[BlockFunction] = ()
    tests: Sequence[BlockFunction] = ()
    callbacks: Sequence[Callback] = ()

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        """Reads the template. Raises BlockFileError, with its line, where it is none."""
        self._task = task
        self._context = context
        self.main = called_with_inputs(task.block, len(task.inputs), self._run)

    def _run(self, *inputs: object, **_keywords: object) -> object:
        from jinja2 import Template

        names = {f"df_{number}": f'"df_{number}"' for number in range(1, len(inputs) + 1)}
        with session(EMBEDDED, None) as connection:
            for name, value in zip(names, inputs, strict=True):
                connection.stage(name, to_arrow(value, name))
            rows = connection.query(Statement.of(Template(self._task.source.text).render(names)))
        return None if rows is None else to_pandas(rows)
