"""What ended runs leave behind is cleared away once there is enough of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from refold.engine.leftovers import ENOUGH, Leftovers


class Circle:
    """Something that knows itself, as what a run leaves does."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Python's collector does not come by itself meanwhile."""
    gc.disable()
    yield
    gc.enable()


def left() -> weakref.ref[Circle]:
    return weakref.ref(Circle())


def test_enough_is_cleared_away() -> None:
    leftovers, circle = Leftovers(), left()
    leftovers.leave(ENOUGH - 1)
    leftovers.clear()
    assert circle() is not None, "little waits for more"
    leftovers.leave(1)
    leftovers.clear()
    assert circle() is None
    circle = left()
    leftovers.clear()
    assert circle() is not None, "it is not cleared away twice"
