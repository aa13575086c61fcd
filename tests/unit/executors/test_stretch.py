"""What is noted while another thread takes it is taken once, whole and in order."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from refold.executors.stretch import Noted, Stretch, Yields, epoch
from refold.ports.output_store import NO_LIST

RUNS = 20_000


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def note(stretch: Stretch, count: int, at: float = 1.0) -> None:
    for number in range(count):
        stretch.texts.append(b"%d" % number)
        stretch.lengths.append(NO_LIST)
        stretch.ended.append(at + number)


def test_nothing_is_taken_of_a_run_that_is_not_wholly_noted() -> None:
    stretch = Stretch()
    stretch.go_on(5, 0.0)
    stretch.texts.append(b"1")
    stretch.lengths.append(1)
    assert stretch.take() is None
    stretch.ended.append(2.0)
    noted = stretch.take()
    assert noted is not None
    assert (noted.start, noted.stop, noted.texts, noted.lengths) == (5, 6, [b"1"], [1])


def test_what_is_left_of_a_run_whose_noting_was_interrupted_is_forgotten() -> None:
    stretch = Stretch()
    stretch.texts.append(b"half")
    stretch.go_on(3, 0.0)
    note(stretch, 1)
    noted = stretch.take()
    assert noted is not None
    assert (noted.start, noted.texts) == (3, [b"0"])


def test_a_run_begins_when_the_one_before_it_ended_whoever_took_that() -> None:
    stretch = Stretch()
    stretch.go_on(0, 10.0)
    note(stretch, 2, at=11.0)
    first = stretch.take()
    note(stretch, 1, at=14.0)
    second = stretch.take()
    assert first is not None
    assert second is not None
    assert [round(at - epoch()) for at in (*first.started, *second.started)] == [10, 11, 12]
    assert [round(at - epoch()) for at in (*first.ended, *second.ended)] == [11, 12, 14]


@pytest.mark.usefixtures("impatient")
def test_every_run_is_taken_once_and_in_order_while_others_are_noted() -> None:
    stretch, taken = Stretch(), list[Noted]()
    noting = threading.Thread(target=note, args=(stretch, RUNS))
    noting.start()
    while noting.is_alive():
        taken += filter(None, [stretch.take()])
    taken += filter(None, [stretch.take()])
    assert [text for noted in taken for text in noted.texts] == [b"%d" % number for number in range(RUNS)]
    assert [noted.start for noted in taken] == [0, *(noted.stop for noted in taken[:-1])]
    assert all(len(noted.texts) == len(noted.lengths) == len(noted.started) == len(noted.ended) for noted in taken)
    assert all(before.ended[-1] == pytest.approx(after.started[0], abs=1e-2) for before, after in pairwise(taken))


@pytest.mark.usefixtures("impatient")
def test_every_item_is_taken_once_and_in_order_while_others_are_noted() -> None:
    yields, taken = Yields(0, 7), list[tuple[int, list[bytes]]]()

    def give() -> None:
        for number in range(RUNS):
            yields.texts.append(b"%d" % number)

    noting = threading.Thread(target=give)
    noting.start()
    while noting.is_alive():
        taken.append(yields.take())
    taken.append(yields.take())
    assert [text for _, texts in taken for text in texts] == [b"%d" % number for number in range(RUNS)]
    at = 7
    for start, texts in taken:
        assert start == at
        at += len(texts)
