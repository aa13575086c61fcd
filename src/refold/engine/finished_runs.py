"""What a report says of runs that are over, in the order of the runs.

Workers tell of runs as they end. Those that run one after the other end in their order; of thousands that are under way
at once any may be the next, and thousands of ranges of one run each would cost more than putting them in order.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from refold.engine.places import Places
from refold.engine.times import Times
from refold.ports.executor import Finished
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import Ranges, gather, numbers, stretches

_SCATTERED = 4
"""Runs in ranges that hold fewer than this, on average, are put in order."""
_GIVES = bytes(code <= Outcome.COMPLETED_FALSE for code in range(256))
"""By outcome: whether the chunk of the report holds an output of the run."""


class FinishedRuns(NamedTuple):
    """Runs of one block that are over, or were handed back."""

    runs: Ranges
    outcomes: bytes
    """An `Outcome` for each."""
    times: Times | None
    """None where no run began."""
    told: Sequence[int] | None
    """The runs in the order of the report, where that is another."""

    @classmethod
    def of(cls, report: Finished, runs: Ranges) -> FinishedRuns:
        """`runs` are those that the report is about, in its order."""
        if len(runs) == 1 or len(report.outcomes) >= _SCATTERED * len(runs):
            return cls(
                runs, report.outcomes, Times(runs, report.started, report.ended) if report.started else None, None
            )
        told = array("I", numbers(runs))
        order = sorted(range(len(told)), key=told.__getitem__)
        runs = gather(map(told.__getitem__, order))
        times = None
        if report.started:
            started, ended = (array("d", map(each.__getitem__, order)) for each in (report.started, report.ended))
            times = Times(runs, started, ended)
        return cls(runs, bytes(map(report.outcomes.__getitem__, order)), times, told)

    def place(self, report: Finished, places: Places, chunk: int) -> None:
        """Notes where the outputs of those that completed lie: in the chunk, in the order of the report."""
        if self.told is not None:
            places.put_each(list(compress(self.told, report.outcomes.translate(_GIVES))), chunk)
            return
        first = looked_at = 0
        for start, stop in self.runs:
            codes = self.outcomes[looked_at : looked_at + stop - start]
            looked_at += stop - start
            for gives, low, high in stretches(codes.translate(_GIVES), start):
                if gives:
                    places.put(low, high, chunk, first)
                    first += high - low
