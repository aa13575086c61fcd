"""Who pays when a worker dies."""

from __future__ import annotations

import pytest

from refold.errors import BlockTimeoutError, OutOfMemoryError, RefoldError, WorkerLostError
from refold.executors.cursor import FOLDING, IDLE, LOADING, MANY, Aside, At
from refold.executors.held import Held
from refold.executors.worker_end import Blame, blame, last_reports
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, FoldBatch, Partial
from refold.ports.output_store import ChunkRef
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import numbers

RUN = RunId("run")
LOST = Failure("lost", "lost", "")
NOTHING = Aside(0, 0.0)
FAILED, UNSTARTED, CANCELLED = Outcome.FAILED, Outcome.UNSTARTED, Outcome.CANCELLED


def held(number: int, length: int, width: int = 1, reported: int = 0, run: RunId = RUN) -> Held:
    """A batch of which the first ones were reported."""
    batch = Batch(number, run, 0, length, (), (range(length),), (), width=width)
    return Held(batch, 0.0, bytearray(b"\1" * reported + bytes(length - reported)), length - reported)


def told(blamed: Blame | None, *batches: Held, cancelled: frozenset[RunId] = frozenset()) -> list[dict[int, Outcome]]:
    """What each position of each batch is told to have come to."""
    reports = last_reports(batches, blamed, LOST, cancelled)
    found: list[dict[int, Outcome]] = []
    for report in reports:
        assert isinstance(report, Finished)
        found.append(dict(zip(numbers(report.positions), map(Outcome, report.outcomes), strict=True)))
        assert set(report.failures) == {at for at, outcome in found[-1].items() if outcome is FAILED}
    return found


def test_the_run_that_it_was_on_pays() -> None:
    at = At(1, 2, 0.0)
    assert blame(at, NOTHING, None, aside=False) == Blame(at, 0)
    assert told(Blame(at, 0), held(1, 4, reported=2), held(2, 1)) == [{2: FAILED, 3: UNSTARTED}, {0: UNSTARTED}]


def test_all_runs_of_a_block_pay_whose_code_ends_the_worker() -> None:
    assert told(Blame(At(1, LOADING, 0.0), 0), held(1, 2)) == [{0: FAILED, 1: FAILED}]


@pytest.mark.parametrize("position", [IDLE, FOLDING])
def test_nobody_pays_where_it_was_on_no_run(position: int) -> None:
    if position == IDLE:
        assert blame(At(1, position, 0.0), NOTHING, None, aside=False) == Blame(At(1, position, 0.0), 0)
    assert told(Blame(At(1, IDLE, 0.0), 0), held(1, 2)) == [{0: UNSTARTED, 1: UNSTARTED}]


def test_all_pay_that_were_under_way_side_by_side() -> None:
    idle = At(3, IDLE, 0.0)
    assert blame(idle, Aside(4, 0.0), None, aside=False) == Blame(idle, 4)
    first, second, third = held(1, 3, width=9, reported=1), held(2, 1), held(3, 5, width=9)
    assert told(Blame(idle, 4), first, second, third) == [
        {1: FAILED, 2: FAILED},
        {0: UNSTARTED},
        {0: FAILED, 1: FAILED, 2: UNSTARTED, 3: UNSTARTED, 4: UNSTARTED},
    ]


def test_as_many_as_may_be_under_way_pay_where_the_main_thread_waits_for_them() -> None:
    assert told(Blame(At(1, MANY, 0.0), 0), held(1, 4, width=2, reported=1)) == [{1: FAILED, 2: FAILED, 3: UNSTARTED}]


@pytest.mark.parametrize("position", [0, LOADING, FOLDING])
def test_nobody_can_tell_where_there_were_others_beside_the_one_that_it_was_on(position: int) -> None:
    assert blame(At(1, position, 5.0), Aside(2, 7.0), None, aside=False) is None
    assert told(None, held(1, 1), held(2, 2, width=2)) == [{0: UNSTARTED}, {0: UNSTARTED, 1: UNSTARTED}]


@pytest.mark.parametrize(
    ("killed_for", "aside", "since", "expected"),
    [
        (BlockTimeoutError("late"), False, 5.0, Blame(At(1, 0, 5.0), 0)),
        (OutOfMemoryError("much"), False, 5.0, Blame(At(1, 0, 5.0), 0)),
        (BlockTimeoutError("late"), True, 8.0, Blame(At(0, IDLE, 0.0), 2)),
        (BlockTimeoutError("late"), True, 5.0, None),
        (WorkerLostError("cancelled"), True, 5.0, Blame(At(0, IDLE, 0.0), 0)),
    ],
    ids=["the one it was on", "memory", "those beside it", "one keeps the others from going on", "a cancel"],
)
def test_those_pay_that_it_was_killed_for(
    killed_for: RefoldError, aside: bool, since: float, expected: Blame | None
) -> None:
    assert blame(At(1, 0, since), Aside(2, 7.0), killed_for, aside=aside) == expected


def test_runs_of_a_cancelled_pipeline_run_are_cancelled_whoever_it_was() -> None:
    found = told(Blame(At(1, 0, 0.0), 0), held(1, 1), held(2, 1, run=RunId("other")), cancelled=frozenset({RUN}))
    assert found == [{0: CANCELLED}, {0: UNSTARTED}]


def test_a_fold_is_told_to_have_failed() -> None:
    fold = FoldBatch(7, RUN, 0, (), ())
    (report,) = last_reports([Held(fold, 0.0, bytearray(1), 1)], None, LOST, frozenset())
    assert report == Partial(7, failure=LOST)
    assert isinstance(report.chunk, ChunkRef | None)
