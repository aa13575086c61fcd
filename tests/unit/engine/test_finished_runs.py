"""What a report says is the same in whichever order its runs ended."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from refold.engine.finished_runs import FinishedRuns
from refold.engine.places import Chunks, Places
from refold.ports.executor import Finished
from refold.ports.output_store import ChunkRef
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather, numbers

CHUNK = ChunkRef("a.seg", 0, 100)


@given(st.permutations(range(12)), st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=12, max_size=12), st.data())
def test_runs_told_in_any_order_keep_outcome_times_and_place(
    order: list[int], outcomes: list[int], data: st.DataObject
) -> None:
    told = order[: data.draw(st.integers(1, 12))]
    runs = gather(100 + run for run in told)
    codes = bytes(outcomes[: len(told)])
    started = array("d", (run + 0.5 for run in told))
    ended = array("d", (run + 0.75 for run in told))
    report = Finished(1, gather(told), codes, started, ended, CHUNK)

    finished = FinishedRuns.of(report, runs)
    assert finished.times is not None
    places = Places(Chunks([CHUNK]))
    finished.place(report, places, 0)

    assert dict(zip(numbers(finished.runs), finished.outcomes, strict=True)) == {
        100 + run: code for run, code in zip(told, codes, strict=True)
    }
    every = list(numbers(finished.runs))
    assert finished.times.each(every, (None, None)) == [(run - 99.5, run - 99.25) for run in every]
    completed = [100 + run for run, code in zip(told, codes, strict=True) if code <= Outcome.COMPLETED_FALSE]
    assert [at for run in completed for at in _positions(places, run)] == list(range(len(completed)))
    assert not any(_positions(places, run) for run in every if run not in completed)


def test_a_report_in_order_is_taken_as_it_is() -> None:
    started = array("d", range(40))
    report = Finished(1, ((0, 40),), bytes(40), started, started, CHUNK)
    finished = FinishedRuns.of(report, ((7, 47),))
    assert finished.runs == ((7, 47),)
    assert finished.outcomes is report.outcomes
    assert finished.times is not None
    assert finished.times.columns(7, 47) == (started, started)


def test_runs_that_are_handed_back_have_no_times() -> None:
    report = Finished(1, ((3, 4), (1, 2)), bytes((Outcome.UNSTARTED, Outcome.CANCELLED)))
    finished = FinishedRuns.of(report, ((3, 4), (1, 2)))
    assert (finished.runs, finished.times) == (((1, 2), (3, 4)), None)
    assert finished.outcomes == bytes((Outcome.CANCELLED, Outcome.UNSTARTED))


def _positions(places: Places, run: int) -> list[int]:
    return [at for span in places.spans(((run, run + 1),)) for at in range(span.start, span.stop)]
