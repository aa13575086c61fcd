"""Folds of stored records: of what a run reads over a reducing edge, and of what workers fold ahead (design 2.4).

The records that a `FoldBatch` made come first, then those that are not folded yet. The user's code runs in here, his
function or what his values do when they are added or compared: it can be interrupted as that of block runs can, and
what it raises names the strategy and the block.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from refold.errors import ReduceError, RefoldError
from refold.executors.failures import first_line
from refold.executors.interrupts import Cancelled, Interrupts, Overdue
from refold.executors.open_run import OpenRun
from refold.executors.records import Records
from refold.languages.folding import Reducer
from refold.ports.executor import FoldBatch, Folding
from refold.ports.output_store import Chunk

_T = TypeVar("_T")
_PORTION = 512
"""Records that are decoded before their values are folded, at most."""
_PORTION_BYTES = 2**20
"""Bytes of which they are decoded, at most, if they are more than one."""


class Folds:
    """Folds the records of one pipeline run."""

    def __init__(self, opened: OpenRun, interrupts: Interrupts) -> None:
        self.deadline: float | None = None
        """When (monotonic) the run that reads must be over; None: it may take its time."""
        self._opened = opened
        self._interrupts = interrupts

    def go_aside(self, interrupts: Interrupts) -> None:
        """What it calls is executed by other threads than the main one, from now on: these interrupt it."""
        self._interrupts = interrupts

    def value(self, folding: Folding, records: Records, start: int, stop: int, partials: int) -> object:
        """What the records `start` to `stop` come to; the first `partials` of them are what was folded ahead.

        Raises ReduceError where they cannot be folded, from what the user's function raised; BlockFileError where that
        cannot be loaded; StoreError where a record cannot be read; Overdue and Cancelled.
        """
        reducer = self._reducer(folding)
        self._fold(folding, reducer, records, start, stop, partials)
        return self.explained(folding, reducer.value)

    def ahead(self, batch: FoldBatch, folding: Folding) -> object:
        """What a fold of these records is taken up from. Raises as `value`."""
        store, reducer = self._opened.store, self._reducer(folding)
        records = Records(store, (*batch.before, *batch.records))
        self._fold(folding, reducer, records, 0, len(records), len(Records(store, batch.before)))
        return self.explained(folding, reducer.partial)

    def _reducer(self, folding: Folding) -> Reducer:
        return Reducer.of(folding, self._opened.fold_function(folding))

    def _fold(self, folding: Folding, reducer: Reducer, records: Records, start: int, stop: int, partials: int) -> None:
        if partials:
            before = [records.output(place).values[0] for place in range(start, start + partials)]
            self.explained(folding, partial(reducer.begin, before))
        for values in self._portions(folding.items, records, start + partials, stop):
            self.explained(folding, partial(reducer.extend, values))

    def _portions(self, items: bool, records: Records, start: int, stop: int) -> Iterator[list[object]]:
        """What the records contribute, in order, a portion at a time: of lists and tuples their elements."""
        for chunk, begin, end in records.stretches(start, stop):
            while begin < end:
                until = chunk.reach(begin, min(begin + _PORTION, end), _PORTION_BYTES)
                yield _items(chunk, begin, until) if items else chunk.contributions(begin, until)
                begin = until

    def explained(self, folding: Folding, work: Callable[[], _T]) -> _T:
        """What the work gives; what it raises says whose fold it was."""
        if self._opened.cancelled:
            raise Cancelled
        try:
            left = None if self.deadline is None else self.deadline - time.monotonic()
            return self._interrupts.limited(left, work)
        except (RefoldError, Overdue, Cancelled):
            raise
        except BaseException as error:  # sys.exit and the like end the fold, never the worker
            raise ReduceError(f"`{folding.strategy}` over `{folding.block}` raised {first_line(error)}") from error


def _items(chunk: Chunk, start: int, stop: int) -> list[object]:
    values = chunk.plain_items(start, stop)
    return [chunk.item(position).value for position in range(start, stop)] if values is None else values
