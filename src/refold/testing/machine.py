"""The scheduler, as a referee sees it: what goes in, what comes out, and what its numbers stand for."""

from __future__ import annotations

from typing import Protocol

from refold.model.keys import Key
from refold.scheduler.commands import Command
from refold.scheduler.events import Event


class Machine(Protocol):
    """The scheduler, with its state."""

    def decide(self, event: Event) -> list[Command]:
        """Applies an event; what is to be done now."""

    def key(self, block: int, run: int) -> Key:
        """The key of a run that was named in a command."""

    def group_key(self, block: int, fold: int, group: int) -> Key:
        """The outer key of a group that was named in a command; `()` where all axes end."""

    def validate(self) -> None:
        """Raises AssertionError where an invariant of the state does not hold."""


class FoulError(AssertionError):
    """Raised when the scheduler breaks a rule of the game."""


def demand(condition: bool, complaint: str) -> None:
    """Raises FoulError with this complaint unless the condition holds."""
    if not condition:
        raise FoulError(complaint)
