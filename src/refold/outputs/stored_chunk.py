"""A chunk that was published, opened for reading (its bytes: `refold.outputs.chunk_format`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import cast
from zlib import crc32

from refold.errors import StoreError
from refold.outputs.chunk_format import (
    CHECKED_FROM,
    COMMA,
    CRC_BEGINS,
    HEAD,
    ITEM,
    LIST,
    MAGIC,
    NAMED_ITEM,
    NAMED_ROW,
    ROW,
    SPREAD_LIST,
    TUPLE,
    VALUE,
)
from refold.outputs.codecs import JSON, PANDAS, POLARS, decode, list_reader
from refold.outputs.large import LARGE, Data, LetGo, keep
from refold.outputs.rows import row_reader
from refold.ports.output_store import Item, Output, Shape

_VALUE, _LIST, _TUPLE = Shape.VALUE, Shape.LIST, Shape.TUPLE
_LOOKED_AT_ONCE = 4 * 2**20
"""Bytes of a chunk that are checked before they are let go of."""


class StoredChunk:
    """A published chunk, opened: the port's `Chunk`. Every read decodes anew, so what comes back is the reader's own.

    Safe for threads.
    """

    __slots__ = (
        "_body",
        "_body_crc",
        "_codecs",
        "_comma",
        "_ends",
        "_extents",
        "_firsts",
        "_frame",
        "_kinds",
        "_let_go",
        "_place",
        "_whole",
    )

    def __init__(self, data: Data, place: str, let_go: LetGo = keep) -> None:
        """Opens a chunk's bytes; `place` says in errors where they lie. Raises StoreError if they are damaged."""
        self._let_go = let_go
        view = memoryview(data)
        self._place = place
        if len(view) < HEAD.size:
            raise self._damaged("it is cut short")
        magic, version, header_crc, self._body_crc, records, values, length = HEAD.unpack_from(view)
        if magic != MAGIC:
            raise self._damaged("it does not begin as a chunk does")
        if version not in CRC_BEGINS:
            raise self._damaged("it is of another version of the format, or of a machine of another byte order")
        bounds = [HEAD.size]
        for size in (8 * values, 4 * records, 4 * records, records, values, length):
            bounds.append(bounds[-1] + size)
        if bounds[-1] != len(view):
            raise self._damaged("its length is not what its header says")
        if crc32(view[CHECKED_FROM : bounds[5]], CRC_BEGINS[version]) != header_crc:
            raise self._damaged("the checksum of its header does not match")
        self._comma = 0 if version == 1 else len(COMMA)
        self._ends = view[bounds[0] : bounds[1]].cast("Q")
        self._firsts = view[bounds[1] : bounds[2]].cast("I")
        self._extents = view[bounds[2] : bounds[3]].cast("I")
        self._kinds = view[bounds[3] : bounds[4]]
        self._codecs = view[bounds[4] : bounds[5]]
        self._body = view[bounds[5] :]
        self._whole = False
        self._frame: tuple[int, Callable[[int], object]] | None = None

    def __len__(self) -> int:
        return len(self._kinds)

    def output(self, position: int) -> Output:
        """The output at this position. Raises IndexError past the end, StoreError for an item or damaged bytes."""
        kind = self._kind(position)
        first = self._firsts[position]
        if kind == VALUE:
            return Output(_VALUE, (self._value(first),))
        if kind == LIST:
            values = self._value(first)
            if type(values) is list:
                return Output(_LIST, values)
            raise self._damaged(f"record {position} is not the list that it says it is")
        if kind > TUPLE:
            raise StoreError(f"record {position} is an item, not an output", where=self._place)
        shape = _TUPLE if kind == TUPLE else _LIST
        return Output(shape, [self._value(number) for number in range(first, first + self._extents[position])])

    def elements(self, position: int) -> int:
        """How many elements that output has: of a list or tuple its length, else 1; read from the header alone."""
        if self._kind(position) > TUPLE:
            raise StoreError(f"record {position} is an item, not an output", where=self._place)
        return self._extents[position]

    def element_counts(self, start: int, stop: int) -> Sequence[int]:
        """The same for each of the outputs `start` to `stop`."""
        if start < stop and max(self._kinds[start:stop]) > TUPLE:
            raise StoreError(f"some records of {start} to {stop} are items, not outputs", where=self._place)
        return self._extents[start:stop]

    def element_reader(self, position: int) -> Callable[[int], object]:
        """A function of an element's number in that output: the element alone, another object at each call.

        Of an item, number 0 is the item itself. Raises IndexError past the end, StoreError for damaged bytes.
        """
        kind, first = self._kind(position), self._firsts[position]
        if kind == LIST:
            return list_reader(self._bytes(first)[1])
        if kind > TUPLE:
            return lambda _number: self.item(position).value
        return lambda number: self._value(first + number)

    def stored_frame(self, position: int, number: int, *, checked: bool = True) -> tuple[int, memoryview] | None:
        """Codec and bytes of that element, where it is stored as Parquet: its header can be read without the rest.

        Raises StoreError for damaged bytes, where they are `checked`.
        """
        kind, place = self._kind(position), self._firsts[position] + number
        if kind in (LIST, ROW, NAMED_ROW) or self._codecs[place] not in (PANDAS, POLARS):
            return None
        if checked and not self._whole:
            self._check_body()
        return self._codecs[place], self._body[slice(*self._place_of(place, place + 1))]

    def item(self, position: int) -> Item:
        """The item at this position. Raises IndexError past the end, StoreError for an output or damaged bytes."""
        kind = self._kind(position)
        if kind == ITEM:
            return Item(self._value(self._firsts[position]), None)
        if kind <= TUPLE:
            raise StoreError(f"record {position} is an output, not an item", where=self._place)
        if kind == NAMED_ITEM:
            return Item(self._value(self._firsts[position]), self.metadata(position))
        row = self._rows(self._firsts[position])(self._extents[position])
        return Item(row, self.metadata(position))

    def label(self, position: int) -> str | None:
        """The item's own label (its metadata's `block_uuid`), or None: then its index within its run names it."""
        metadata = self.metadata(position)
        label = None if metadata is None else metadata.get("block_uuid")
        return str(label) if label else None

    def metadata(self, position: int) -> Mapping[str, object] | None:
        """The item's metadata as given, read without its value; None without."""
        kind = self._kind(position)
        if kind == NAMED_ITEM:
            metadata = self._value(self._firsts[position] + 1)
        elif kind == NAMED_ROW:
            metadata = self._value(self._firsts[position] + 1 + self._extents[position])
        else:
            return None
        if metadata is None or isinstance(metadata, Mapping):
            return metadata
        raise StoreError(f"metadata of item {position} is a {type(metadata).__name__}, not a dict", where=self._place)

    def let_go(self) -> None:
        """Lets go of the memory that its bytes take, where they lie in a file; they stay readable."""
        self._let_go()

    @property
    def holds_rows(self) -> bool:
        """Whether some items are rows, of which many come from one frame."""
        kinds = self._kinds.tobytes()
        return ROW in kinds or NAMED_ROW in kinds

    def kind(self, position: int) -> int:
        """What the record is: one of this module's kinds."""
        return self._kind(position)

    def encoded(self, position: int) -> list[tuple[int, memoryview]]:
        """Codec and bytes of each of an output's values, or of an item's value (for a row: of its frame)."""
        kind, first = self._kind(position), self._firsts[position]
        count = self._extents[position] if kind in (SPREAD_LIST, TUPLE) else 1
        return [self._bytes(number) for number in range(first, first + count)]

    def item_positions(self) -> Iterator[int]:
        """Positions of the records that are items."""
        return (position for position, kind in enumerate(self._kinds) if kind >= ITEM)

    def named(self) -> bool:
        """Whether some item carries metadata."""
        kinds = self._kinds.tobytes()
        return NAMED_ITEM in kinds or NAMED_ROW in kinds

    def bare_items(self) -> Data | None:
        """The JSON of the items, commas between, when all that the chunk holds is such items, without metadata."""
        if not self._codecs or self._kinds.tobytes().strip(bytes((ITEM,))):
            return None
        return self._joined(0, len(self._codecs))

    def item_texts(self) -> tuple[list[bytes], list[bytes | None]] | None:
        """The JSON of each item, and of its metadata (None without), when all that the chunk holds is that."""
        kinds = self._kinds.tobytes()
        if kinds.strip(bytes((ITEM, NAMED_ITEM))) or self._codecs.tobytes().strip(bytes((JSON,))):
            return None
        if not self._whole:
            self._check_body()
        body, comma = self._body.tobytes(), self._comma
        bounds = enumerate(pairwise((0, *self._ends)))
        texts = [body[start + number * comma : end + number * comma] for number, (start, end) in bounds]
        named = zip(kinds, self._firsts, strict=True)
        metadata = [texts[first + 1] if kind == NAMED_ITEM else None for kind, first in named]
        return [texts[first] for first in self._firsts], metadata

    def plain_outputs(self, start: int, stop: int) -> list[object] | None:
        """What runs returned, if each is stored as one JSON value: lists, and what is neither list nor tuple.

        Raises StoreError for damaged bytes.
        """
        if self._kinds[start:stop].tobytes().strip(bytes((VALUE, LIST))):
            return None
        return self._plain_values(self._firsts[start], self._firsts[start] + stop - start) if start < stop else []

    def contributions(self, start: int, stop: int) -> list[object]:
        """What these outputs contribute to a reduced list: a list or tuple its elements, any other value itself.

        Raises StoreError for an item or damaged bytes.
        """
        returned = self.plain_outputs(start, stop)
        if returned is None:
            return [value for position in range(start, stop) for value in self.output(position).values]
        kinds = self._kinds[start:stop].tobytes()
        if LIST not in kinds:
            return returned
        lists = returned if VALUE not in kinds else map(_elements, kinds, returned)
        return list(chain.from_iterable(cast("Iterable[list[object]]", lists)))

    def plain_items(self, start: int, stop: int) -> list[object] | None:
        """The values of items, if each is stored as JSON, metadata too. Raises StoreError for damaged bytes."""
        kinds = self._kinds[start:stop].tobytes()
        named = kinds.count(NAMED_ITEM)
        if named + kinds.count(ITEM) < len(kinds):
            return None
        if not kinds:
            return []
        first = self._firsts[start]
        values = self._plain_values(first, first + len(kinds) + named)
        if values is None or not named:
            return values
        return [values[number - first] for number in self._firsts[start:stop]]

    def reach(self, start: int, stop: int, size: int) -> int:
        """Where the records from `start` on become more than so many bytes; after one of them, at most `stop`."""
        first = self._firsts[start]
        begin = self._ends[first - 1] if first else 0
        beyond = bisect_right(self._ends, begin + size, first)
        if (self._firsts[stop] if stop < len(self._firsts) else len(self._ends)) <= beyond:
            return stop
        return max(start + 1, bisect_right(self._firsts, beyond, start, stop) - 1)

    def sole_frame(self) -> tuple[int, memoryview] | None:
        """Codec and bytes of the frame, when all that the chunk holds is the rows of one frame, none of them too."""
        kinds = self._kinds.tobytes()
        if not self._codecs or kinds.strip(bytes((ROW, NAMED_ROW))):
            return None
        # Rows are numbered from 0 in each frame: one number twice is two frames.
        if any(self._extents[position] != position for position in range(len(kinds))):
            return None
        names = kinds.count(NAMED_ROW)
        if len(self._codecs) != 1 + names or self._codecs[0] == JSON:
            return None
        return self._bytes(0)

    def _kind(self, position: int) -> int:
        if position < 0:
            raise IndexError(f"a chunk has no record {position}")
        return self._kinds[position]

    def _rows(self, number: int) -> Callable[[int], object]:
        cached = self._frame
        if cached is None or cached[0] != number:
            cached = (number, row_reader(self._value(number)))
            self._frame = cached
        return cached[1]

    def _value(self, number: int) -> object:
        codec, data = self._bytes(number)
        value = decode(codec, data, self._let_go)
        if len(data) >= LARGE:
            self._let_go()
        return value

    def _bytes(self, number: int) -> tuple[int, memoryview]:
        if not self._whole:
            self._check_body()
        start, stop = self._place_of(number, number + 1)
        return self._codecs[number], self._body[start:stop]

    def _plain_values(self, first: int, stop: int) -> list[object] | None:
        """The values of these numbers, if all are JSON, decoded at once."""
        text = self._joined(first, stop)
        if text is None:
            return None
        values = decode(JSON, b"".join((b"[", text, b"]")))
        if len(text) >= LARGE:
            self._let_go()
        return cast("list[object]", values)

    def _joined(self, first: int, stop: int) -> Data | None:
        """The JSON of these values, one or more, with commas between, if all are JSON."""
        if self._codecs[first:stop].tobytes().strip(bytes((JSON,))):
            return None
        if not self._whole:
            self._check_body()
        if self._comma:
            return self._body[slice(*self._place_of(first, stop))]
        return COMMA.join(self._body[slice(*self._place_of(at, at + 1))] for at in range(first, stop))

    def _place_of(self, first: int, stop: int) -> tuple[int, int]:
        """Where the first of these values begins in the body, and where the last one ends."""
        start = self._ends[first - 1] if first else 0
        return start + self._comma * first, self._ends[stop - 1] + self._comma * (stop - 1)

    def _check_body(self) -> None:
        found = 0
        for start in range(0, len(self._body), _LOOKED_AT_ONCE):
            found = crc32(self._body[start : start + _LOOKED_AT_ONCE], found)
            self._let_go()
        if found != self._body_crc:
            raise self._damaged("the checksum of its values does not match")
        self._whole = True

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"this chunk of outputs is damaged: {what}",
            where=self._place,
            fix="Run the pipeline again: what the chunk held cannot be brought back.",
        )


def _elements(kind: int, returned: object) -> object:
    return returned if kind == LIST else (returned,)
