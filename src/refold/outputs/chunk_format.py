"""The bytes of a chunk: records of outputs or items, laid out so that opening one makes no object per record.

All numbers are in the byte order of the machine that wrote them; a reader of the other order refuses the version.

    offset    size             field
    0         4                magic: b"RfCh"
    4         4                version: 1
    8         4                CRC-32 of the header from offset 12 up to the body
    12        4                CRC-32 of the body
    16        4                R: how many records
    20        4                V: how many values
    24        8                length of the body
    32        8 * V            ends: where each value ends in the body; it starts where the one before ends
    ...       4 * R            firsts: number of each record's first value
    ...       4 * R            extents: an output's elements; the number of a row in its frame; 1 for an item
    ...       R                kinds: what each record is (below)
    ...       V                codecs: one of `refold.outputs.codecs` each
    ...                        body: the values, one after another

    kind           its values, from its first one on
    VALUE          the value that was returned
    LIST           the whole list as one JSON value
    SPREAD_LIST    each element of the list: some element is not JSON
    TUPLE          each element of the tuple
    ITEM           the item
    NAMED_ITEM     the item, then its metadata
    ROW            the frame whose row it is; all rows of a frame share it
    NAMED_ROW      the same; the metadata of row r is the value 1 + r after the frame

The header is checked when a chunk is opened, the body when a value is first read: counting elements reads no data.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Final
from zlib import crc32

from refold.errors import StoreError
from refold.outputs.codecs import JSON, Data, decode, encode
from refold.outputs.plain import encode_plain
from refold.outputs.rows import count_rows, row_digests, row_reader
from refold.ports.output_store import ChunkRef, Item, Output, Shape

VALUE: Final = 0
LIST: Final = 1
SPREAD_LIST: Final = 2
TUPLE: Final = 3
ITEM: Final = 4
NAMED_ITEM: Final = 5
ROW: Final = 6
NAMED_ROW: Final = 7

_VALUE, _LIST, _TUPLE = Shape.VALUE, Shape.LIST, Shape.TUPLE
_MAGIC = b"RfCh"
_VERSION = 1
_HEAD = struct.Struct("=4sIIIIIQ")
_CHECKED_FROM = 12

Append = Callable[[Sequence[Data]], ChunkRef]
"""Appends the parts, one after another, to a segment; all or, with StoreError, nothing."""


class RecordBuilder:
    """Gathers records and publishes them as one chunk: the port's `ChunkBuilder` over any kind of segment.

    Outputs, items and rows may be mixed. An error leaves the builder as it was.
    """

    def __init__(self, append: Append) -> None:
        self._append = append
        self._start()

    def _start(self) -> None:
        self._kinds = bytearray()
        self._firsts = array("I")
        self._extents = array("I")
        self._ends = array("Q")
        self._codecs = bytearray()
        self._body = bytearray()
        self._named = False
        self._fingerprints = bytearray()
        self._fingerprinted = 0  # records; fingerprints of items are made when they are asked for

    def __len__(self) -> int:
        return len(self._kinds)

    @property
    def size(self) -> int:
        """Bytes of encoded values so far."""
        return len(self._body)

    def add_output(self, output: Output) -> int:
        """Adds what a block run returned; its position in the chunk. Raises StoreError if it cannot be encoded."""
        values = output.values
        if output.shape is _VALUE:
            codec, data = encode(values[0])
            return self._add_one(VALUE, 1, codec, data)
        if output.shape is _LIST:
            plain = encode_plain(values if type(values) is list else list(values))
            if plain is not None:
                return self._add_one(LIST, len(values), JSON, plain)
        encoded = [encode(value) for value in values]
        return self._add(SPREAD_LIST if output.shape is _LIST else TUPLE, len(encoded), encoded)

    def add_item(self, item: Item) -> int:
        """Adds an item; its position. Raises StoreError if it cannot be encoded."""
        value, metadata = item
        codec, data = encode(value)
        if metadata is None:
            return self._add_one(ITEM, 1, codec, data)
        position = self._add(NAMED_ITEM, 1, [(codec, data), encode(metadata)])
        self._named = True
        return position

    def add_rows(self, frame: object, metadata: Sequence[Mapping[str, object]] | None) -> int:
        """Adds the rows of a pandas or polars DataFrame as items; the first one's position.

        Metadata may be shorter than the frame: the rows after it have none. Raises StoreError if the frame or its
        metadata cannot be encoded.
        """
        position, rows = len(self._kinds), count_rows(frame)
        names = [encode(one) for one in (metadata or ())[:rows]]
        stored = encode(frame)
        digests = list(row_digests(frame))
        self.fingerprints()
        for number, (codec, data) in enumerate(names):
            digests[number] = _digest_named(digests[number], codec, data)
        first = len(self._ends)
        self._add_value(*stored)
        for codec, data in names:
            self._add_value(codec, data)
        self._kinds += bytes((NAMED_ROW,)) * len(names) + bytes((ROW,)) * (rows - len(names))
        self._firsts.extend(array("I", (first,)) * rows)
        self._extents.extend(range(rows))
        self._fingerprints += b"".join(digests)
        self._fingerprinted = len(self._kinds)
        self._named = self._named or len(names) > 0
        return position

    def fingerprints(self) -> bytes:
        """Eight bytes an item added: the digest of its encoded value and metadata."""
        for position in range(self._fingerprinted, len(self._kinds)):
            kind = self._kinds[position]
            if kind in (ITEM, NAMED_ITEM):
                self._fingerprints += self._fingerprint(self._firsts[position], 1 if kind == ITEM else 2)
        self._fingerprinted = len(self._kinds)
        return bytes(self._fingerprints)

    def digests(self) -> bytes:
        """Eight bytes an output added: the digest of its encoded record, shape, codecs and bytes."""
        return b"".join(self._digest(position) for position, kind in enumerate(self._kinds) if kind <= TUPLE)

    def named(self) -> bool:
        """Whether some item carries metadata."""
        return self._named

    def publish(self) -> ChunkRef:
        """Appends the chunk to the segment and starts an empty one.

        Raises StoreError when it cannot be written; the builder then still holds the records.
        """
        columns = b"".join((self._ends, self._firsts, self._extents, self._kinds, self._codecs))
        counts = (len(self._kinds), len(self._codecs), len(self._body))
        body_crc = crc32(self._body)
        head = _HEAD.pack(_MAGIC, _VERSION, 0, body_crc, *counts)
        header_crc = crc32(columns, crc32(head[_CHECKED_FROM:]))
        head = _HEAD.pack(_MAGIC, _VERSION, header_crc, body_crc, *counts)
        ref = self._append((head + columns, self._body))
        self._start()
        return ref

    def _add_one(self, kind: int, extent: int, codec: int, data: bytes) -> int:
        position = len(self._kinds)
        self._firsts.append(len(self._ends))
        self._extents.append(extent)
        self._kinds.append(kind)
        self._body += data
        self._ends.append(len(self._body))
        self._codecs.append(codec)
        return position

    def _add(self, kind: int, extent: int, encoded: Sequence[tuple[int, bytes]]) -> int:
        position = len(self._kinds)
        self._firsts.append(len(self._ends))
        self._extents.append(extent)
        self._kinds.append(kind)
        for codec, data in encoded:
            self._add_value(codec, data)
        return position

    def _add_value(self, codec: int, data: bytes) -> None:
        self._body += data
        self._ends.append(len(self._body))
        self._codecs.append(codec)

    def _fingerprint(self, first: int, count: int) -> bytes:
        """Digest of an item's codecs and bytes, with the place where its metadata begins."""
        start = self._ends[first - 1] if first else 0
        head = bytes(self._codecs[first : first + count]) + b"%d:" % (self._ends[first] - start)
        return blake2b(head + self._body[start : self._ends[first + count - 1]], digest_size=8).digest()

    def _digest(self, position: int) -> bytes:
        """Digest of an output's kind, its values' codecs and lengths, and their bytes."""
        kind, first = self._kinds[position], self._firsts[position]
        stop = first + (self._extents[position] if kind in (SPREAD_LIST, TUPLE) else 1)
        bounds = array("Q", (self._ends[first - 1] if first else 0,)) + self._ends[first:stop]
        lengths = ",".join(str(end - start) for start, end in pairwise(bounds))
        head = bytes((kind,)) + self._codecs[first:stop] + b"%d:%b:" % (stop - first, lengths.encode())
        return blake2b(head + self._body[bounds[0] : bounds[-1]], digest_size=8).digest()


def _digest_named(digest: bytes, codec: int, metadata: Data) -> bytes:
    named = blake2b(digest, digest_size=8, salt=bytes((codec,)), person=b"named")
    named.update(metadata)
    return named.digest()


class StoredChunk:
    """A published chunk, opened: the port's `Chunk`. Every read decodes anew, so what comes back is the reader's own.

    Safe for threads.
    """

    __slots__ = (
        "_body",
        "_body_crc",
        "_codecs",
        "_ends",
        "_extents",
        "_firsts",
        "_frame",
        "_kinds",
        "_place",
        "_whole",
    )

    def __init__(self, data: Data, place: str) -> None:
        """Opens a chunk's bytes; `place` says in errors where they lie. Raises StoreError if they are damaged."""
        view = memoryview(data)
        self._place = place
        if len(view) < _HEAD.size:
            raise self._damaged("it is cut short")
        magic, version, header_crc, self._body_crc, records, values, length = _HEAD.unpack_from(view)
        if magic != _MAGIC:
            raise self._damaged("it does not begin as a chunk does")
        if version != _VERSION:
            raise self._damaged("it is of another version of the format, or of a machine of another byte order")
        bounds = [_HEAD.size]
        for size in (8 * values, 4 * records, 4 * records, records, values, length):
            bounds.append(bounds[-1] + size)
        if bounds[-1] != len(view):
            raise self._damaged("its length is not what its header says")
        if crc32(view[_CHECKED_FROM : bounds[5]]) != header_crc:
            raise self._damaged("the checksum of its header does not match")
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

    def bare_items(self) -> list[memoryview] | None:
        """The JSON of each item, when all that the chunk holds is items that are JSON, without metadata."""
        if self._kinds.tobytes().strip(bytes((ITEM,))) or self._codecs.tobytes().strip(bytes((JSON,))):
            return None
        if not self._whole:
            self._check_body()
        ends, body = self._ends.tolist(), self._body
        return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]

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
        if not self._whole:
            self._check_body()
        start = self._ends[number - 1] if number else 0
        return decode(self._codecs[number], self._body[start : self._ends[number]])

    def _bytes(self, number: int) -> tuple[int, memoryview]:
        if not self._whole:
            self._check_body()
        start = self._ends[number - 1] if number else 0
        return self._codecs[number], self._body[start : self._ends[number]]

    def _check_body(self) -> None:
        if crc32(self._body) != self._body_crc:
            raise self._damaged("the checksum of its values does not match")
        self._whole = True

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"this chunk of outputs is damaged: {what}",
            where=self._place,
            fix="Run the pipeline again: what the chunk held cannot be brought back.",
        )
