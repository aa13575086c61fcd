"""Tables of plain text: what terminals, files and pipes all show alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

_SAMPLE = 200
"""Rows that column widths are taken from; those that follow are printed as they come."""


def table_lines(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Lines with columns two blanks apart; `right` are the columns of numbers. Rows are consumed as lines are taken."""
    iterator = iter(rows)
    first = list(islice(iterator, _SAMPLE))
    widths = [max(len(row[at]) for row in (header, *first)) for at in range(len(header))]
    for row in chain((header,), first, iterator):
        cells = (
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def one_line(text: str, width: int) -> str:
    """The text on one line of at most `width` characters."""
    line = " ".join(text[: width * 4].split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
