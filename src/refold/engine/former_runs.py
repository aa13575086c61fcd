"""Block runs that completed before a retry, as columns: forty bytes for each, where a row takes ten times as much."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from refold.engine.byte_columns import ByteColumn, Marks
from refold.engine.places import Chunks, Piece, Places
from refold.model.keys import BlockUuid
from refold.ports.run_store import BlockRunRow
from refold.scheduler.ranges import numbers

_PORTION = 1000
"""How many keys are looked for at once."""


class FormerRuns:
    """The completed runs of one block, in key order."""

    def __init__(self, block: BlockUuid) -> None:
        self._block = block
        self._width = 0
        """Bytes of a key."""
        self._keys = bytearray()
        """One after the other."""
        self._statuses = bytearray()
        self._attempts = array("I")
        self._started = array("d")
        """Not a number where nobody knows; so are the next ones."""
        self._completed = array("d")
        self._places = Places(Chunks())
        """Where the outputs lie, by the rows' places here."""
        self._digests = ByteColumn(8)
        self._fingerprints = ByteColumn(16)
        self._kept = Marks()
        self._odd: dict[bytes, BlockRunRow] = {}
        """Rows with keys of another length: left over from when the block had other axes."""
        self._next = 0
        """Where the next key looked for may well be: they come in order, mostly."""

    def __len__(self) -> int:
        return len(self._statuses)

    def add(self, rows: Sequence[BlockRunRow]) -> None:
        """Keeps rows, in key order, whose keys are greater than those of all before."""
        start = len(self)
        self._width = self._width if start else len(rows[0].key)
        if any(len(row.key) != self._width for row in rows):
            self._odd |= {row.key: row for row in rows if len(row.key) != self._width}
            rows = [row for row in rows if len(row.key) == self._width]
        if not rows:
            return
        _, keys, statuses, attempts, started, completed, *others = zip(*rows, strict=True)
        self._keys += b"".join(keys)
        self._statuses += bytes(statuses)
        self._attempts.extend(attempts)
        self._started.extend(_numbers(started))
        self._completed.extend(_numbers(completed))
        chunks, positions, digests, fingerprints, kept = others
        for low, high, chunk, first in _pieces(chunks, positions):
            self._places.put(start + low, start + high, chunk, first)
        for at, digest in enumerate(digests, start) if any(digests) else ():
            if digest is not None:
                self._digests.put(at, digest)
        for at, fingerprint in enumerate(fingerprints, start) if any(fingerprints) else ():
            if fingerprint is not None:
                self._fingerprints.put(at, fingerprint)
        for at, answered in enumerate(kept, start) if any(kept) else ():
            if answered:
                self._kept.add(at, at + 1)

    def keys(self) -> Iterator[bytes]:
        """The encoded keys of all of them."""
        width = self._width
        for at in range(len(self)):
            yield bytes(self._keys[width * at : width * (at + 1)])
        yield from self._odd

    def find(self, key: bytes) -> BlockRunRow | None:
        """The row of a key; None where there is none."""
        at = self._index(key)
        return self._odd.get(key) if at is None else self._row(at)

    def find_together(self, joined: bytes) -> int | None:
        """Where the rows of these keys, which are joined, stand one after the other; None where they do not."""
        width = self._width
        at = self._index(joined[:width]) if width and joined else None
        if at is None or self._keys[width * at : width * at + len(joined)] != joined:
            return None
        self._next = at + len(joined) // width
        return at

    def statuses(self, start: int, stop: int) -> bytes:
        """The statuses of the rows `start` to `stop`, a byte each."""
        return bytes(self._statuses[start:stop])

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Where the outputs of the rows `start` to `stop` lie."""
        return self._places.pieces(start, stop)

    def without(self, joined: bytes, width: int) -> list[bytes]:
        """The keys of those rows whose key is none of these, which are joined and of `width` bytes each."""
        found: list[bytes] = []
        if self._odd:
            present = {joined[at : at + width] for at in range(0, max(len(joined), 1), width or 1)}
            found = [key for key in self._odd if key not in present]
        seen = self._standing_at(joined) if width == self._width else Marks()
        left = numbers(seen.unmarked(((0, len(self)),)))
        return found + [bytes(self._keys[self._width * at : self._width * (at + 1)]) for at in left]

    def _standing_at(self, joined: bytes) -> Marks:
        """The rows of these keys."""
        width, found = self._width, Marks()
        if not width:
            found.add(0, len(self))
        for start in range(0, len(joined), width * _PORTION or 1):
            portion = joined[start : start + width * _PORTION]
            at = self.find_together(portion)
            if at is not None:
                found.add(at, at + len(portion) // width)
                continue
            for low in range(0, len(portion), width):
                at = self._index(portion[low : low + width])
                if at is not None:
                    found.add(at, at + 1)
        return found

    def _index(self, key: bytes) -> int | None:
        """Where the row of a key stands."""
        width, keys = self._width, self._keys
        if len(key) != width or not len(self):
            return None
        low, high = 0, len(self)
        if self._next < high and keys[width * self._next : width * (self._next + 1)] == key:
            low = high = self._next
        while low < high:
            middle = (low + high) // 2
            if keys[width * middle : width * (middle + 1)] < key:
                low = middle + 1
            else:
                high = middle
        if keys[width * low : width * (low + 1)] != key or low == len(self):
            return None
        self._next = low + 1
        return low

    def _row(self, at: int) -> BlockRunRow:
        (chunk,), (position,) = self._places.columns((at,))
        started, completed = self._started[at], self._completed[at]
        return BlockRunRow(
            block=self._block,
            key=bytes(self._keys[self._width * at : self._width * (at + 1)]),
            status=self._statuses[at],
            attempts=self._attempts[at],
            started_at=None if math.isnan(started) else started,
            completed_at=None if math.isnan(completed) else completed,
            chunk=chunk,
            position=position,
            digest=self._digests[at],
            fingerprint=self._fingerprints[at],
            kept=at in self._kept,
        )


def _numbers(times: Sequence[float | None]) -> Iterable[float]:
    """Times as numbers, those that nobody knows as none."""
    return (math.nan if each is None else each for each in times) if None in times else cast("Sequence[float]", times)


def _pieces(chunks: Sequence[int | None], positions: Sequence[int | None]) -> Iterator[Piece]:
    """Records that follow each other in a chunk, of rows of which some may have none."""
    rows, start = len(chunks), 0
    if _together(chunks, positions):
        yield Piece(0, rows, chunks[0] or 0, positions[0] or 0)
        return
    while start < rows:
        chunk, first, stop = chunks[start], positions[start], start + 1
        if chunk is not None and first is not None:
            while stop < rows and chunks[stop] == chunk and positions[stop] == first + stop - start:
                stop += 1
            yield Piece(start, stop, chunk, first)
        start = stop


def _together(chunks: Sequence[int | None], positions: Sequence[int | None]) -> bool:
    """Whether all these records follow each other in one chunk."""
    first = positions[0] if chunks else None
    if first is None or chunks[0] is None or chunks.count(chunks[0]) < len(chunks):
        return False
    return positions == tuple(range(first, first + len(positions)))
