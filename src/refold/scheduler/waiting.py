"""Runs that wait for siblings: dependencies that a dynamic block generated with its items (design 2.9).

A waiter is a child's run at an item whose metadata names others. It is let go when its own item has come and every
named run has completed; when one of them did not, it becomes upstream_failed. Names are resolved before they come here;
a name of an item still to come is OPEN, and holds the waiter until it has.
"""

from __future__ import annotations

from dataclasses import dataclass

Run = tuple[int, int]
"""A block's number and a run of it."""


@dataclass(slots=True)
class Waiter:
    """What one run waits for."""

    open: int = 0
    """How many named runs are not over, those that are not known yet included."""
    failed: bool = False
    """Whether one of them did not complete."""


class Waiting:
    """All waiters of a pipeline run."""

    def __init__(self) -> None:
        self._waiters: dict[Run, Waiter] = {}
        self._awaited: dict[Run, list[Run]] = {}
        self._held: dict[Run, int] = {}
        """Waiters whose item has come, with its verdict."""
        self.circular: set[Run] = set()
        """Waiters that were given up: what they waited for waited for them."""

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def wait(self, waiter: Run, target: Run | None) -> None:
        """A run waits for another; None: for one that is not known yet."""
        self._waiters.setdefault(waiter, Waiter()).open += 1
        if target is not None:
            self.found(waiter, target)

    def found(self, waiter: Run, target: Run) -> None:
        """What a waiter waits for is known now."""
        self._awaited.setdefault(target, []).append(waiter)

    def hold(self, run: Run, verdict: int) -> bool:
        """The run's own item has come; whether it has to wait on."""
        waiter = self._waiters.get(run)
        if waiter is None or not waiter.open:
            return False
        self._held[run] = verdict
        return True

    def failed(self, run: Run) -> bool:
        """Whether a run that need not wait any more waited for one that did not complete."""
        waiter = self._waiters.get(run)
        return waiter is not None and waiter.failed

    def over(self, target: Run, *, completed: bool) -> list[tuple[Run, int]]:
        """A run is over: the waiters that are let go, each with the verdict of its own item."""
        free: list[tuple[Run, int]] = []
        for run in self._awaited.pop(target, ()):
            waiter = self._waiters[run]
            waiter.open -= 1
            waiter.failed = waiter.failed or not completed
            if not waiter.open and run in self._held:
                free.append((run, self._held.pop(run)))
        return free

    def give_up(self) -> list[Run]:
        """Nothing can happen any more but by those that are held: they wait in a circle. All of them."""
        held = sorted(self._held)
        self._held.clear()
        self.circular.update(held)
        return held
