"""Records of the output store as a batch names them: spans of chunks, read by their place in all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from refold.ports.executor import Spans
from refold.ports.output_store import Chunk, Item, Output, OutputStore

DecodeMany = Callable[[Chunk, int, int], list[object] | None]
"""Decodes the records of a chunk from one to another at once; None where that cannot be done."""
UNREAD = object()
"""Stands for a value that is to be read by itself."""
_AHEAD = 128
"""Values that are decoded at once, at most."""
_AHEAD_BYTES = 2**16
"""Bytes of which they are decoded, at most, if they are more than one."""


class Records:
    """The records of some spans, by their place in them; the chunk of the last one asked for is kept at hand."""

    def __init__(self, store: OutputStore, spans: Spans) -> None:
        self._store = store
        self._spans = spans
        self._next = 0
        """Number of the span after the one at hand."""
        self._from = self._until = 0
        """The places of the span at hand."""
        self._shift = 0
        """What makes a place a position in its chunk."""
        self._chunk: Chunk | None = None

    def __len__(self) -> int:
        return sum(span.stop - span.start for span in self._spans)

    def item(self, place: int) -> Item:
        """The item at a place."""
        return self._chunk_of(place).item(place + self._shift)

    def label(self, place: int) -> str | None:
        """The item's own label."""
        return self._chunk_of(place).label(place + self._shift)

    def metadata(self, place: int) -> Mapping[str, object] | None:
        """The item's metadata."""
        return self._chunk_of(place).metadata(place + self._shift)

    def output(self, place: int) -> Output:
        """The output at a place."""
        return self._chunk_of(place).output(place + self._shift)

    def stretches(self, start: int, stop: int) -> Iterator[tuple[Chunk, int, int]]:
        """The records at the places `start` to `stop`, as chunks and positions from and to, in order."""
        place = start
        while place < stop:
            chunk, shift = self._chunk_of(place), self._shift
            end = min(stop, self._until)
            yield chunk, place + shift, end + shift
            place = end

    def ahead(self, decode: DecodeMany) -> Iterator[list[object]]:
        """Their values in order, in lists that are decoded at once; UNREAD in the place of those that cannot be.

        Raises nothing: where a chunk cannot be read, none of its values are.
        """
        place, end = 0, len(self)
        while place < end:
            stop = min(place + _AHEAD, end)
            try:
                chunk, shift = self._chunk_of(place), self._shift
                stop = chunk.reach(place + shift, min(stop, self._until) + shift, _AHEAD_BYTES) - shift
                values = decode(chunk, place + shift, stop + shift)
            except Exception:  # who asks for one of them is told
                values = None
            yield [UNREAD] * (stop - place) if values is None else values
            place = stop

    def _chunk_of(self, place: int) -> Chunk:
        chunk = self._chunk
        if chunk is not None and self._from <= place < self._until:
            return chunk
        if place < self._from:
            self._next = self._from = self._until = 0
        while place >= self._until:
            span = self._spans[self._next]
            self._from, self._until = self._until, self._until + span.stop - span.start
            self._next += 1
        span = self._spans[self._next - 1]
        self._shift = span.start - self._from
        self._chunk = None  # should it not be readable, the one before must not be taken for it
        chunk = self._chunk = self._store.read(span.chunk)
        return chunk
