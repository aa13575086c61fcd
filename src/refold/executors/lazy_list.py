"""A list whose elements are read when they are asked for: what `reduce_input: lazy` makes of a reducing edge's list.

It is counted from the headers of chunks alone, and holds one chunk at a time, however long it is. Every access decodes
anew, so what one reader does to an element no other one sees. Blocks may hand it to whatever takes a sequence, to other
threads too; where it is stored, pickled or copied, it is the plain list.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from threading import Lock
from typing import overload

from refold.errors import StoreError
from refold.model.keys import BlockUuid
from refold.ports.executor import Span, Spans
from refold.ports.output_store import Chunk, OutputStore, StoredElements

_PORTION = 2**18
"""Bytes of small values that are decoded at once when the list is gone through."""
_Reader = Callable[[int], object]


class LazyList(StoredElements, Sequence[object]):
    """What the runs of a block returned, or gave as items, one after another: lists and tuples contribute elements."""

    __slots__ = ("_at_hand", "_block", "_ends", "_items", "_lock", "_spans", "_store")

    def __init__(self, block: BlockUuid, store: OutputStore, spans: Spans, *, items: bool) -> None:
        """`items`: the records are items of the block, not outputs."""
        self._block = block
        self._store = store
        self._spans = spans
        self._items = items
        self._lock = Lock()
        self._ends: Sequence[int] | None = None
        """Where the elements of each span end; None until somebody asks for a length or a place."""
        self._at_hand: _Stretch | None = None

    def __len__(self) -> int:
        """Raises StoreError where the run's files are gone; so does everything else here."""
        with self._lock:
            ends = self._bounds()
        return ends[-1] if ends else 0

    def __iter__(self) -> Iterator[object]:
        for span in self._spans:
            yield from self._stretch(span).elements()

    def __reversed__(self) -> Iterator[object]:
        for number in range(len(self) - 1, -1, -1):
            yield self[number]

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> list[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        with self._lock:
            ends = self._bounds()
            length = ends[-1] if ends else 0
            place = operator.index(index)
            place += length if place < 0 else 0
            if not 0 <= place < length:
                raise IndexError(f"index {index} is beyond the {length} elements of `{self._block}`")
            number = bisect_right(ends, place)
            stretch = self._at_hand
            if stretch is None or stretch.number != number:
                self._at_hand = None  # before the next one is opened: there is one at a time
                stretch = self._at_hand = self._stretch(self._spans[number], number)
            return stretch.element(place - (ends[number - 1] if number else 0))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | LazyList):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment] # as a list

    def __repr__(self) -> str:
        try:
            return f"<lazy list of {len(self)} elements of `{self._block}`>"
        except StoreError:
            return f"<lazy list of `{self._block}`, whose elements are gone>"

    def __reduce__(self) -> tuple[type[list[object]], tuple[list[object]]]:
        return list, (list(self),)

    def _bounds(self) -> Sequence[int]:
        if self._ends is None:
            lengths = (span.stop - span.start if self._items else self._stretch(span).length for span in self._spans)
            self._ends = tuple(accumulate(lengths))
        return self._ends

    def _stretch(self, span: Span, number: int = 0) -> _Stretch:
        return _Stretch(self._store.read(span.chunk), span, self._items, number)


class _Stretch:
    """The elements of one span."""

    def __init__(self, chunk: Chunk, span: Span, items: bool, number: int) -> None:
        self.number = number
        """Which of the list's spans it is."""
        self._chunk = chunk
        self._start, self._stop, self._items = span.start, span.stop, items
        counts = None if items else chunk.element_counts(span.start, span.stop)
        alone = counts is None or min(counts, default=1) == max(counts, default=1) == 1
        self._ends = None if counts is None or alone else tuple(accumulate(counts))
        """Where the elements of each record end; None where each record has one."""
        self._reader: tuple[int, _Reader] | None = None
        """That of the record that was asked for last."""

    @property
    def length(self) -> int:
        """How many elements there are."""
        if self._ends is None:
            return self._stop - self._start
        return self._ends[-1] if self._ends else 0

    def element(self, place: int) -> object:
        """The element at a place."""
        if self._ends is None:
            record, number = place, 0
        else:
            record = bisect_right(self._ends, place)
            number = place - (self._ends[record - 1] if record else 0)
        reader = self._reader
        if reader is None or reader[0] != record:
            self._reader = None
            reader = self._reader = record, self._chunk.element_reader(self._start + record)
        return reader[1](number)

    def elements(self) -> Iterator[object]:
        """All of them, in order: small ones are decoded many at once, large ones each when its turn comes."""
        chunk, at = self._chunk, self._start
        while at < self._stop:
            stop = chunk.reach(at, self._stop, _PORTION)
            if self._items:
                yield from self._items_of(at, stop)
            else:
                yield from self._outputs_of(at, stop)
            at = stop

    def _items_of(self, start: int, stop: int) -> Iterator[object]:
        plain = self._chunk.plain_items(start, stop)
        if plain is not None:
            yield from plain
            return
        for position in range(start, stop):
            yield self._chunk.item(position).value

    def _outputs_of(self, start: int, stop: int) -> Iterator[object]:
        plain = self._chunk.plain_outputs(start, stop)
        if plain is None:
            for position in range(start, stop):
                yield from map(self._chunk.element_reader(position), range(self._chunk.elements(position)))
            return
        for value in plain:
            if type(value) is list:
                yield from value
            else:
                yield value
