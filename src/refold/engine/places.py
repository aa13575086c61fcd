"""Where outputs and items lie: for each run or item a chunk and a position in it, nine bytes together.

Payloads never pass through the engine; this is all that it knows of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from refold.ports.executor import Span, Spans
from refold.ports.output_store import ChunkRef
from refold.scheduler.ranges import Range

NOWHERE = -1


class Chunks:
    """The chunks of a pipeline run, numbered."""

    def __init__(self, refs: Iterable[ChunkRef] = ()) -> None:
        self._refs = list(refs)
        self._numbers = {ref: number for number, ref in enumerate(self._refs)}
        self._positions = array("i")

    def add(self, ref: ChunkRef) -> tuple[int, bool]:
        """The chunk's number, and whether it is new."""
        number = self._numbers.get(ref)
        if number is not None:
            return number, False
        number = self._numbers[ref] = len(self._refs)
        self._refs.append(ref)
        return number, True

    def __getitem__(self, number: int) -> ChunkRef:
        return self._refs[number]

    def positions(self, start: int, stop: int) -> array[int]:
        """The positions `start` to `stop` as a column: a slice of one that all share, as making numbers takes long."""
        if stop > len(self._positions):
            self._positions.extend(range(len(self._positions), stop))
        return self._positions[start:stop]


class Piece(NamedTuple):
    """Numbers `start` to `stop` that lie one after the other in a chunk, from position `first`; or nowhere."""

    start: int
    stop: int
    chunk: int
    """NOWHERE where nothing lies."""
    first: int


class Places:
    """One chunk and position for each number from 0."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._chunk = array("i")
        self._position = array("i")
        self._starts = bytearray()
        """For each number, whether it may lie elsewhere than just behind the number before it: pieces are found by it
        at once, however long they are."""

    def __len__(self) -> int:
        return len(self._chunk)

    def put(self, start: int, stop: int, chunk: int, first: int) -> None:
        """Numbers `start` to `stop` lie one after the other in a chunk, from position `first`."""
        if start > len(self._chunk):
            self._reach(start)
        self._chunk[start:stop] = array("i", (chunk,)) * (stop - start)
        self._position[start:stop] = self._chunks.positions(first, first + stop - start)
        self._starts[start:stop] = bytes(stop - start)
        self._look_at(start)
        if stop < len(self._chunk):
            self._look_at(stop)

    def put_each(self, numbers: Sequence[int], chunk: int) -> None:
        """These numbers, whatever their order, lie one after the other in a chunk, from its first position on."""
        self._reach(max(numbers, default=-1) + 1)
        last = len(self._chunk) - 1
        for position, number in enumerate(numbers):
            self._chunk[number] = chunk
            self._position[number] = position
            self._starts[number] = True
            if number < last:
                self._starts[number + 1] = True

    def _reach(self, stop: int) -> None:
        """All numbers before `stop` are known of."""
        missing = stop - len(self._chunk)
        if missing > 0:
            known = len(self._chunk)
            nowhere = array("i", (NOWHERE,)) * missing
            self._chunk.extend(nowhere)
            self._position.extend(nowhere)
            self._starts.extend(bytes(missing))
            self._look_at(known)

    def _look_at(self, number: int) -> None:
        """Notes whether a number lies just behind the one before."""
        before = number - 1
        behind = number > 0 and self._chunk[number] == self._chunk[before]
        if behind and self._chunk[number] != NOWHERE:
            behind = self._position[number] == self._position[before] + 1
        self._starts[number] = not behind

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Where the numbers `start` to `stop` lie, in order, in few pieces."""
        known = min(stop, len(self._chunk))
        while start < known:
            end = self._starts.find(1, start + 1, known)
            end = known if end < 0 else end
            yield Piece(start, end, self._chunk[start], self._position[start])
            start = end
        if start < stop:
            yield Piece(start, stop, NOWHERE, NOWHERE)

    def columns(self, numbers: Iterable[int]) -> tuple[Sequence[int | None], Sequence[int | None]]:
        """Chunks and positions of some numbers; None for those that lie nowhere."""
        known = len(self._chunk)
        found = [
            (self._chunk[number], self._position[number])
            if number < known and self._chunk[number] != NOWHERE
            else (None, None)
            for number in numbers
        ]
        return [chunk for chunk, _ in found], [position for _, position in found]

    def spans(self, ranges: Iterable[Range]) -> Spans:
        """The records of the numbers in these ranges, in this order, in as few spans as can be.

        Numbers that lie nowhere have none.
        """
        found: list[Span] = []
        known = len(self._chunk)
        chunk = begin = end = NOWHERE
        for start, stop in ranges:
            single = stop - start == 1 and start < known  # over a product of axes all of them are
            pieces = ((start, stop, self._chunk[start], self._position[start]),) if single else self.pieces(start, stop)
            for low, high, where, first in pieces:
                if where == chunk and first == end:
                    end += high - low
                    continue
                if chunk != NOWHERE:
                    found.append(Span(self._chunks[chunk], begin, end))
                chunk, begin, end = where, first, first + high - low
        if chunk != NOWHERE:
            found.append(Span(self._chunks[chunk], begin, end))
        return tuple(found)

    def knows(self, number: int) -> bool:
        """Whether it lies somewhere."""
        return number < len(self._chunk) and self._chunk[number] != NOWHERE
