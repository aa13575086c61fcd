"""What a run reads over a reducing edge: one value that many runs of an upstream fold to (design 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from refold.errors import StoreError
from refold.executors.folded_parquet import FoldedParquet
from refold.executors.folds import Folds
from refold.executors.lazy_list import LazyList
from refold.executors.open_run import OpenRun
from refold.executors.records import Records
from refold.model.block import LIST
from refold.outputs.codecs import decode, encode
from refold.outputs.large import Data
from refold.ports.executor import Folding, Grouping, Span, Spans

GroupValue = Callable[[int], object]
"""What a group of a REDUCED or GROUP input comes to. Raises as `Folds.value`."""


def group_values(
    opened: OpenRun, folds: Folds, folding: Folding, spans: Spans, grouping: Grouping, runs: int
) -> GroupValue:
    """What the groups of one input come to, for a batch of so many runs."""
    if folding.lazy:
        return LazyInput(opened, folds, folding, spans, grouping).value
    return FoldedInput(folds, folding, Records(opened.store, spans), grouping, runs).value


class LazyInput:
    """One REDUCED or GROUP input of a batch, of which each run gets what it reads piece by piece."""

    def __init__(self, opened: OpenRun, folds: Folds, folding: Folding, spans: Spans, grouping: Grouping) -> None:
        assert not any(grouping.partials), "nothing is folded ahead for who reads piece by piece"
        self._store = opened.store
        self._folding = folding
        self._parquet = FoldedParquet(opened, folds, folding)
        self._spans = spans
        self._starts = (0, *accumulate(grouping.records))
        """Where the records of each group begin; at last, where they end."""

    def value(self, group: int) -> object:
        """A list that reads its elements, or the path of a Parquet file. Raises as `FoldedParquet.path`."""
        spans = tuple(_between(self._spans, *self._starts[group : group + 2]))
        if self._folding.strategy == LIST:
            return LazyList(self._folding.block, self._store, spans, items=self._folding.items)
        return self._parquet.path(spans)


def _between(spans: Spans, start: int, stop: int) -> Iterator[Span]:
    """The records from `start` to `stop` of these, which are counted from 0."""
    at = 0
    for span in spans:
        first, last = max(start - at, 0), min(stop - at, span.stop - span.start)
        if first < last:
            yield span._replace(start=span.start + first, stop=span.start + last)
        at += span.stop - span.start


class FoldedInput:
    """One REDUCED or GROUP input of a batch. Each run gets a value of its own, which it may change."""

    def __init__(self, folds: Folds, folding: Folding, records: Records, grouping: Grouping, runs: int) -> None:
        self._folds = folds
        self._folding = folding
        self._records = records
        self._partials = grouping.partials
        self._starts = (0, *accumulate(grouping.records))
        """Where the records of each group begin; at last, where they end."""
        self._shared = len(grouping.records) == 1 < runs
        """Whether several runs read the one group."""
        self._kept: tuple[int, Data] | None = None
        """The shared value, encoded."""
        self._error: Exception | None = None
        """Why there is none."""

    def value(self, group: int) -> object:
        """What a group folds to. Raises as `Folds.value`."""
        if not self._shared:
            return self._fold(group)
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._kept is None:
            return self._keep()
        return decode(*self._kept)

    def _keep(self) -> object:
        """Folds for all runs; the value for the one that asks."""
        try:
            value = self._fold(0)
        except Exception as error:
            self._error = error
            raise
        try:
            self._kept = encode(value)
        except StoreError:  # what cannot be copied is made anew for each run
            self._shared = False
            return value
        return decode(*self._kept)

    def _fold(self, group: int) -> object:
        start, stop = self._starts[group : group + 2]
        return self._folds.value(self._folding, self._records, start, stop, self._partials[group])
