"""Equal values of a statement as one parameter, so that an expression is the same one in SELECT and GROUP BY."""

from __future__ import annotations

from collections.abc import Sequence

from refold.io.databases.statement import SqlValue


def numbers_of(values: Sequence[SqlValue]) -> tuple[Sequence[int], Sequence[SqlValue]]:
    """The number of each value among those that differ, counted from 1, and these."""
    known: dict[tuple[type, str], int] = {}
    different: list[SqlValue] = []
    numbers = []
    for value in values:
        number = known.setdefault((type(value), repr(value)), len(known) + 1)
        if number > len(different):
            different.append(value)
        numbers.append(number)
    return numbers, different
