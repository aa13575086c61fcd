"""The values by which dynamic blocks limit the runs of their children, as numbers (`configuration.dynamic.limit_by`).

Workers tell them with the items. Of items that came earlier, in a run that is retried or whose results are taken over,
they are read from the items' metadata: nothing more of them is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from refold.engine.batch_builder import BatchBuilder
from refold.model.limit_value import limit_value
from refold.ports.executor import BlockTask
from refold.ports.output_store import OutputStore


class _Numbers(dict[str, int]):
    """A number for each text, counted from 0 as they turn up."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


class ItemValues:
    """Numbers the values of one pipeline run, block by block."""

    def __init__(self, tasks: Sequence[BlockTask], builder: BatchBuilder, outputs: OutputStore | None) -> None:
        """`outputs` holds the items, those that came earlier included; None where there are none of those."""
        self._keys = {task.number: task.limit_by for task in tasks if task.limit_by is not None}
        self._numbers = {number: _Numbers() for number in self._keys}
        self._builder = builder
        self._outputs = outputs

    def limits(self, block: int) -> bool:
        """Whether a dynamic block limits its children so."""
        return block in self._keys

    def numbers(self, block: int, values: Iterable[str]) -> Sequence[int]:
        """The numbers of these values of a block; none where it does not limit by them."""
        if block not in self._keys:
            return ()
        return list(map(self._numbers[block].__getitem__, values))

    def numbers_at(self, block: int, start: int, stop: int) -> Sequence[int]:
        """The same of items that lie somewhere already, by their positions in the block's space."""
        assert self._outputs is not None, "items that came earlier lie somewhere"
        key, values = self._keys[block], list[str]()
        for span in self._builder.items[block].spans(((start, stop),)):
            chunk = self._outputs.read(span.chunk)
            values += [limit_value(chunk.metadata(at), key) for at in range(span.start, span.stop)]
        return self.numbers(block, values)
