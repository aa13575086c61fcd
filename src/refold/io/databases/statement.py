"""A statement for a database, its values apart: they travel as bound parameters, never as text of the statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

SqlValue = None | bool | int | float | Decimal | str | bytes | date | datetime | time | timedelta | UUID
"""What a database takes as a parameter."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `texts[0] values[0] texts[1] values[1] ... texts[-1]`."""

    texts: tuple[str, ...]
    """One more than values."""
    values: tuple[SqlValue, ...] = ()

    @classmethod
    def of(cls, text: str) -> Statement:
        """A statement without values."""
        return cls((text,))

    def text(self, placeholder: Callable[[int], str], escaped: Callable[[str], str] = str) -> str:
        """The text with a placeholder for each value, which are counted from 1: `$1`, `?`, `%s`.

        `escaped` is what the driver asks to be done to the text around them (`%` doubled, say).
        """
        parts = [escaped(self.texts[0])]
        for number, text in enumerate(self.texts[1:], start=1):
            parts += (placeholder(number), escaped(text))
        return "".join(parts)
