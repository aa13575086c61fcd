"""Which block run calls: what functions of ours that block code calls, such as `trigger_pipeline`, ask of their caller.

It is also who speaks while the run is executed, so that nothing more is kept for a run that asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from refold.executors.capture import speaking
from refold.ports.executor import RunContext

if TYPE_CHECKING:
    from refold.executors.batch_inputs import BatchInputs

_Read = Callable[[Callable[[], str]], str]
GiveWay = Callable[[int, bool], None]
"""Told that a run of a batch waits for something outside, or that it goes on."""


class Caller:
    """One attempt of a block run."""

    __slots__ = ("_inputs", "_on_give_up", "_position", "_read", "given_up")

    def __init__(self, inputs: BatchInputs, position: int | None = None, read: _Read | None = None) -> None:
        """`position` in its batch; None: the one that the batch is at. `read` calls what reads the run's labels, where
        no more than one may at a time."""
        self._inputs = inputs
        self._position = position
        self._read = read
        self._on_give_up: Callable[[], None] | None = None
        self.given_up: BaseException | None = None
        """Why nobody waits for it any longer, though its thread goes on."""

    def __call__(self) -> str:
        """The block run's uuid."""
        return self._uuid() if self._read is None else self._read(self._uuid)

    @property
    def context(self) -> RunContext:
        """The pipeline run that it belongs to."""
        return self._inputs.context

    @property
    def batch(self) -> int:
        """The id of its batch."""
        return self._inputs.batch_id

    def ordinal(self, deed: str) -> int:
        """How many times this attempt has asked the same before. Safe for threads."""
        at = self._inputs.current if self._position is None else self._position
        return next(self._inputs.counts.setdefault((at, deed), count()))

    def give_up(self, reason: BaseException) -> bool:
        """Nobody waits for it any longer: whether it waits itself, and stops with this. From any thread."""
        self.given_up = reason
        call = self._on_give_up
        if call is not None:
            call()
        return call is not None

    def check(self) -> None:
        """Raises why it was given up, if it was."""
        if self.given_up is not None:
            raise self.given_up

    @contextmanager
    def when_given_up(self, call: Callable[[], None]) -> Iterator[None]:
        """Calls this, from any thread, when it is given up before the context ends; at once, if it was before."""
        self._on_give_up = call
        if self.given_up is not None:
            call()
        try:
            yield
        finally:
            self._on_give_up = None

    def _uuid(self) -> str:
        return self._inputs.current_uuid() if self._position is None else self._inputs.uuid(self._position)


def calling() -> Caller | None:
    """The block run whose code calls; None outside of blocks."""
    speaker = speaking()
    return speaker if isinstance(speaker, Caller) else None


_give_way: list[GiveWay] = []
"""Whom this process tells, where it is a worker."""


def tell_waits(tell: GiveWay | None) -> None:
    """Who is told from now on of block runs that wait; None: nobody."""
    _give_way[:] = [] if tell is None else [tell]


@contextmanager
def giving_way(caller: Caller | None) -> Iterator[None]:
    """The block run does nothing but wait for something outside while the context lasts: it needs no slot.

    What it waits for must not be in need of this worker.
    """
    if caller is None or not _give_way:
        yield
        return
    tell, batch = _give_way[0], caller.batch
    tell(batch, True)
    try:
        yield
    finally:
        tell(batch, False)


__all__ = ["Caller", "GiveWay", "calling", "giving_way", "tell_waits"]
