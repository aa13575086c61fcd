"""What groups of runs were folded to so far, and where that lies (design 2.4).

A partial is known by how it was folded and by the runs that it covers: a digest tells the fold, and the places of all
their outputs. So a retry that meets the same outputs takes the partials of before, and folds only what comes behind the
first that is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from refold.engine.places import Chunks
from refold.model.keys import BlockUuid
from refold.ports.executor import Span, Spans
from refold.ports.run_store import FoldRow

Group = tuple[int, int, int]
"""A block, one of its folds, and the position of the outer key."""
Former = tuple[BlockUuid, int, bytes, int]
"""What a stored partial is found by: block, levels (-1: all), outer key, how many runs it covers."""


@dataclass(slots=True)
class _Progress:
    """How far one group is folded."""

    places: list[tuple[int, int]] = field(default_factory=list)
    """Chunk and position of the partials that stand for what is folded, in order."""
    covered: int = 0
    """How many completed runs they cover, from the first on."""
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Runs that are to be folded next."""

    group: Group
    covered: int
    """How many runs are folded with them."""
    digest: bytes
    """Tells these and all before them."""


class Partials:
    """The partials of one pipeline run."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._groups: dict[Group, _Progress] = {}

    def of(self, block: int, fold: int, group: int) -> tuple[Spans, int]:
        """The partials of a group, in order, and how many of its completed runs they cover."""
        progress = self._groups.get((block, fold, group))
        if progress is None:
            return (), 0
        return tuple(Span(self._chunks[chunk], at, at + 1) for chunk, at in progress.places), progress.covered

    def next(self, group: Group, how: bytes, records: Spans, runs: int) -> Stretch:
        """What is known of a group once `runs` more of it are folded, which gave these records.

        `how` tells the fold itself: what another function or strategy made is no partial of this one.
        """
        progress = self._groups.setdefault(group, _Progress(digest=how))
        told = blake2b(progress.digest, digest_size=16)
        for (segment, offset, length), start, stop in records:
            told.update(f"{segment} {offset} {length} {start} {stop}\n".encode())
        return Stretch(group, progress.covered + runs, told.digest())

    def put(self, stretch: Stretch, chunk: int, position: int, *, cumulative: bool) -> None:
        """A stretch is folded; `cumulative`: what lies there holds all before it, too."""
        progress = self._groups[stretch.group]
        progress.places = [(chunk, position)] if cumulative else [*progress.places, (chunk, position)]
        progress.covered = stretch.covered
        progress.digest = stretch.digest


class FormerPartials:
    """Partials that were stored before a retry."""

    def __init__(self, rows: Iterable[FoldRow] = ()) -> None:
        self._rows: dict[Former, FoldRow] = {(row.block, row.levels, row.group, row.folded): row for row in rows}

    def find(self, block: BlockUuid, levels: int | None, group: bytes, stretch: Stretch) -> FoldRow | None:
        """The partial that covers just these runs, if their outputs are those of now."""
        row = self._rows.get((block, stored_levels(levels), group, stretch.covered))
        return row if row is not None and row.digest == stretch.digest else None


def stored_levels(levels: int | None) -> int:
    """The number of axes that end, as the run store keeps it: -1 for all."""
    return -1 if levels is None else levels
