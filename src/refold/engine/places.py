"""Where outputs and items lie: for each run or item a chunk and a position in it, eight bytes together.

Payloads never pass through the engine; this is all that it knows of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from refold.ports.executor import Span, Spans
from refold.ports.output_store import ChunkRef

NOWHERE = -1


class Chunks:
    """The chunks of a pipeline run, numbered."""

    def __init__(self, refs: Iterable[ChunkRef] = ()) -> None:
        self._refs = list(refs)
        self._numbers = {ref: number for number, ref in enumerate(self._refs)}

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


class Places:
    """One chunk and position for each number from 0."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self.chunk = array("i")
        self.position = array("i")

    def __len__(self) -> int:
        return len(self.chunk)

    def put(self, start: int, stop: int, chunk: int, first: int) -> None:
        """Numbers `start` to `stop` lie one after the other in a chunk, from position `first`."""
        missing = stop - len(self.chunk)
        if missing > 0:
            self.chunk.extend(array("i", (NOWHERE,)) * missing)
            self.position.extend(array("i", (NOWHERE,)) * missing)
        self.chunk[start:stop] = array("i", (chunk,)) * (stop - start)
        self.position[start:stop] = array("i", range(first, first + stop - start))

    def columns(self, numbers: Sequence[int]) -> tuple[Sequence[int | None], Sequence[int | None]]:
        """Chunks and positions of some numbers; None for those that lie nowhere."""
        if isinstance(numbers, range) and numbers.step == 1 and numbers.stop <= len(self.chunk):
            chunks = self.chunk[numbers.start : numbers.stop]
            if NOWHERE not in chunks:
                return chunks, self.position[numbers.start : numbers.stop]
        known = len(self.chunk)
        there = [number < known and self.chunk[number] != NOWHERE for number in numbers]
        return (
            [self.chunk[number] if found else None for number, found in zip(numbers, there, strict=True)],
            [self.position[number] if found else None for number, found in zip(numbers, there, strict=True)],
        )

    def spans(self, numbers: Iterable[int]) -> Spans:
        """The records of these numbers, in this order, in as few spans as can be."""
        found: list[Span] = []
        chunk = start = stop = NOWHERE
        for number in numbers:
            at = self.position[number]
            if at == stop and self.chunk[number] == chunk:
                stop += 1
                continue
            if chunk != NOWHERE:
                found.append(Span(self._chunks[chunk], start, stop))
            chunk, start, stop = self.chunk[number], at, at + 1
        if chunk != NOWHERE:
            found.append(Span(self._chunks[chunk], start, stop))
        return tuple(found)

    def knows(self, number: int) -> bool:
        """Whether it lies somewhere."""
        return number < len(self.chunk) and self.chunk[number] != NOWHERE
