"""Whoever is at short batches is given the next one ahead."""

from __future__ import annotations

from refold.executors.paces import SHORT, Paces
from refold.model.keys import RunId

BLOCK = (RunId("run"), 1)


def test_nothing_is_short_before_one_was_seen() -> None:
    paces = Paces()
    assert not paces.is_short(BLOCK, 0.0)
    paces.note(BLOCK, SHORT / 2)
    assert paces.is_short(BLOCK, 0.0)
    assert not paces.is_short((RunId("run"), 2), 0.0)


def test_one_that_takes_long_is_not_short_whatever_the_others_were() -> None:
    paces = Paces()
    paces.note(BLOCK, SHORT / 2)
    assert not paces.is_short(BLOCK, SHORT)


def test_long_ones_make_the_block_long() -> None:
    paces = Paces()
    for seconds in (SHORT / 2, 10 * SHORT):
        paces.note(BLOCK, seconds)
    assert not paces.is_short(BLOCK, 0.0)


def test_what_is_over_is_forgotten() -> None:
    paces = Paces()
    paces.note(BLOCK, SHORT / 2)
    paces.forget(RunId("run"))
    assert not paces.is_short(BLOCK, 0.0)
