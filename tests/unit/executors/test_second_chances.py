"""Runs that ran out of memory are executed once more, alone, and what comes of that is what is told."""

from __future__ import annotations

from array import array

import pytest

from refold.executors.second_chances import ADVICE, Chance, Given, SecondChances
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, Paused, Produced, Report
from refold.ports.output_store import ChunkRef
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather

RUN = RunId("run")
SHORT = Failure("OutOfMemoryError: it had 2 GB of 1 GB", "OutOfMemoryError: *", "", memory=True)
OTHER = Failure("ValueError: no", "ValueError: no", "")
OK, FAILED, UNSTARTED = bytes((Outcome.COMPLETED,)), bytes((Outcome.FAILED,)), bytes((Outcome.UNSTARTED,))


@pytest.fixture
def chances() -> SecondChances:
    return SecondChances()


def batch(length: int = 4, width: int = 1, block: int = 1) -> Given:
    return Given(Batch(7, RUN, block, length, (), (), (), width=width))


def finished(
    outcomes: bytes, *, failures: dict[int, Failure] | None = None, number: int = 7, start: int = 0
) -> Finished:
    times = array("d", range(start, start + len(outcomes)))
    return Finished(number, ((start, start + len(outcomes)),), outcomes, times, times, failures=failures or {})


def lack(chances: SecondChances, *positions: int, given: Given | None = None) -> list[Report]:
    """These runs of a batch ran out of memory, and nothing else is told."""
    failures = dict.fromkeys(positions, SHORT)
    report = Finished(7, gather(positions), FAILED * len(positions), failures=failures)
    return chances.sift(report, given or batch())


def take(chances: SecondChances) -> Chance:
    chance = chances.take()
    assert chance is not None
    return chance


def test_what_ran_out_of_memory_is_kept_back_and_the_rest_is_told(chances: SecondChances) -> None:
    [report] = chances.sift(finished(OK + FAILED + FAILED + OK, failures={1: SHORT, 2: OTHER}), batch())
    assert isinstance(report, Finished)
    assert report.positions == ((0, 1), (2, 4))
    assert report.outcomes == OK + FAILED + OK
    assert list(report.started) == list(report.ended) == [0.0, 2.0, 3.0]
    assert report.failures == {2: OTHER}
    assert chances.are_due


def test_it_is_executed_alone_under_a_number_of_its_own_and_told_under_the_first(chances: SecondChances) -> None:
    assert lack(chances, 1) == []
    chance = take(chances)
    assert chance.positions == (1,)
    assert chance.batch.id < 0
    assert chances.take() is None
    assert chances.are_due
    report = finished(OK, number=chance.batch.id, start=1)
    assert chances.sift(report, None) == [finished(OK, start=1)]
    assert not chances.are_due


def test_who_runs_out_of_memory_alone_fails_and_is_told_what_to_do(chances: SecondChances) -> None:
    lack(chances, 1)
    number = take(chances).batch.id
    [report] = chances.sift(finished(FAILED, failures={1: SHORT}, number=number, start=1), None)
    assert isinstance(report, Finished)
    assert report.failures[1].error == (
        f"OutOfMemoryError: it had 2 GB of 1 GB, and running it alone did not help. {ADVICE}"
    )
    assert not chances.are_due


def test_those_that_were_under_way_at_once_go_together_fewer_each_time(chances: SecondChances) -> None:
    lack(chances, 0, 1, 2, 3, given=batch(length=4, width=50))
    chance = take(chances)
    assert (chance.positions, chance.batch.width) == ((0, 1, 2, 3), 1)
    lack(chances, *range(40), given=batch(length=100, width=50))
    first = take_after(chances, chance)
    assert first.batch.width == 12
    failures = dict.fromkeys(range(12), SHORT)
    handed_back = Finished(first.batch.id, ((12, 40),), UNSTARTED * 28)
    told = chances.sift(finished(FAILED * 12, failures=failures, number=first.batch.id), None)
    told += chances.sift(handed_back, None)
    assert told == [Finished(7, ((12, 40),), UNSTARTED * 28)]
    second = take(chances)
    assert (second.positions, second.batch.width) == (tuple(range(12)), 3)


def take_after(chances: SecondChances, chance: Chance) -> Chance:
    """The next ones, when these have completed."""
    positions = chance.positions
    chances.sift(Finished(chance.batch.id, gather(positions), OK * len(positions)), None)
    return take(chances)


def test_a_run_that_gave_items_is_not_executed_again(chances: SecondChances) -> None:
    given = batch()
    produced = Produced(7, 1, 0, 5, ChunkRef("s", 0, 9), 0, False, b"", 9)
    assert chances.sift(produced, given) == [produced]
    [report] = lack(chances, 1, given=given)
    assert isinstance(report, Finished)
    assert report.failures[1].error == f"{SHORT.error}. {ADVICE}"
    assert not chances.are_due


def test_one_that_pauses_lets_others_go_on_and_is_found_where_it_is(chances: SecondChances) -> None:
    lack(chances, 1)
    chance = take(chances)
    assert chances.sift(Paused(chance.batch.id, 1), None) == [Paused(7, 1)]
    assert not chances.are_due
    assert chances.place(7, 1) == chance.batch.id
    assert chances.place(7, 2) == 7
    assert chances.sift(finished(OK, number=chance.batch.id, start=1), None) == [finished(OK, start=1)]
    assert chances.place(7, 1) == 7


def test_where_three_in_a_row_fail_alone_the_next_ones_are_not_tried(chances: SecondChances) -> None:
    for position in range(3):
        lack(chances, position)
        number = take(chances).batch.id
        chances.sift(finished(FAILED, failures={position: SHORT}, number=number, start=position), None)
    [report] = lack(chances, 3)
    assert isinstance(report, Finished)
    assert report.outcomes == FAILED
    assert lack(chances, 3, given=batch(block=2)) == []


def test_one_that_completes_alone_gives_hope_to_the_next(chances: SecondChances) -> None:
    for position, outcome in enumerate((FAILED, FAILED, OK, FAILED)):
        lack(chances, position)
        number = take(chances).batch.id
        failures = {position: SHORT} if outcome == FAILED else {}
        chances.sift(finished(outcome, failures=failures, number=number, start=position), None)
    assert lack(chances, 3) == []


def test_a_cancel_tells_of_those_that_wait(chances: SecondChances) -> None:
    lack(chances, 1, 2)
    assert chances.cancel(RunId("another")) == []
    assert chances.cancel(RUN) == [Finished(7, ((1, 3),), bytes((Outcome.CANCELLED,)) * 2)]
    assert not chances.are_due


def test_nothing_is_tried_again_after_a_cancel(chances: SecondChances) -> None:
    report = finished(FAILED, failures={0: SHORT})
    assert len(chances.sift(report, batch(), final=True)) == 1
    assert not chances.are_due
