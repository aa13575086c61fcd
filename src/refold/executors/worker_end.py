"""What becomes of the runs of a worker that is dead: the one that it was on pays, and nobody else.

Of runs that are under way side by side nobody can tell which it was: all of them pay. If there was another one that the
main thread was on, nobody can tell even that; then nobody pays, and those who run them again keep them apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from refold.errors import RefoldError, WorkerLostError
from refold.executors.cursor import IDLE, LOADING, MANY, Aside, At
from refold.executors.failures import CANCELLED_FOLD
from refold.executors.held import Held
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, FoldBatch, Partial, Report
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather

_NOWHERE = At(0, IDLE, 0.0)


class Blame(NamedTuple):
    """Of what a worker may have died."""

    at: At
    """What it was on; IDLE where that was not it."""
    aside: int
    """How many runs of wide batches pay, beside it."""


_NOBODY = Blame(_NOWHERE, 0)


def blame(at: At, beside: Aside, killed_for: RefoldError | None, *, aside: bool) -> Blame | None:
    """Of what a worker may have died that was on this, and had so much beside it; None: nobody can tell.

    `killed_for` is why the pool killed it, if it did; `aside`: for what was beside it.
    """
    if isinstance(killed_for, WorkerLostError):
        return _NOBODY  # its pipeline run was cancelled
    if not beside.runs or at.position == IDLE:
        return Blame(at, beside.runs)
    # A call into C may keep all threads of a process from going on, those beside it, too.
    if killed_for is None or (aside and at.since <= beside.since):
        return None
    return Blame(_NOWHERE, beside.runs) if aside else Blame(at, 0)


def last_reports(
    held: Iterable[Held], blamed: Blame | None, failure: Failure, cancelled: Collection[RunId]
) -> list[Report]:
    """What is told of all that a dead worker holds; `failure` is what those fail with that are to blame."""
    at, aside = blamed or _NOBODY
    found: list[Report] = []
    for each in held:
        is_cancelled = each.batch.run in cancelled
        if isinstance(each.batch, FoldBatch):
            found.append(Partial(each.batch.id, failure=CANCELLED_FOLD if is_cancelled else failure))
            continue
        left = [position for position in range(each.batch.length) if not each.reported[position]]
        begun = left[:aside] if each.is_wide else []
        aside -= len(begun)
        culprits = _culprits(at, each.batch, left) or set(begun)
        found.append(_last_report(each.batch, left, culprits, failure, is_cancelled))
    return found


def _last_report(batch: Batch, left: Sequence[int], culprits: set[int], failure: Failure, cancelled: bool) -> Finished:
    """What becomes of those runs of a batch that were not reported."""
    outcomes = bytearray()
    failures: dict[int, Failure] = {}
    for position in left:
        if cancelled:
            outcomes.append(Outcome.CANCELLED)
        elif position in culprits:
            outcomes.append(Outcome.FAILED)
            failures[position] = failure
        else:
            outcomes.append(Outcome.UNSTARTED)
    return Finished(batch.id, gather(left), bytes(outcomes), failures=failures)


def _culprits(at: At, batch: Batch, left: Sequence[int]) -> set[int]:
    """Positions of a batch that its worker was on; of several at once, all that may have begun."""
    if at.batch != batch.id or at.position == IDLE:
        return set()
    if at.position == LOADING:
        return set(left)
    return set(left[: batch.width]) if at.position == MANY else {at.position}
