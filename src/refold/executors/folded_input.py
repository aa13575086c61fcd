"""What a run reads over a reducing edge: one value that many runs of an upstream fold to (design 2.4)."""

from __future__ import annotations

from itertools import accumulate

from refold.errors import StoreError
from refold.executors.folds import Folds
from refold.executors.records import Records
from refold.outputs.codecs import decode, encode
from refold.ports.executor import Folding, Grouping


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
        self._kept: tuple[int, bytes] | None = None
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
