"""Gathering records into a chunk (its bytes: `refold.outputs.chunk_format`)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, chain, pairwise, repeat
from zlib import crc32

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
    VERSION,
)
from refold.outputs.codecs import JSON, encode
from refold.outputs.fingerprints import item_fingerprint, plain_fingerprints
from refold.outputs.large import LARGE, Data
from refold.outputs.plain import encode_plain
from refold.outputs.rows import count_rows, row_digests
from refold.ports.output_store import NO_LIST, ChunkRef, Item, Output, Shape

_VALUE, _LIST = Shape.VALUE, Shape.LIST

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
        """The last values, one after another."""
        self._before: list[Data] = []
        """What comes before them, in parts: large values lie where they were encoded."""
        self._size = 0
        """Bytes of the values."""
        self._named = False
        self._fingerprints = bytearray()

    def __len__(self) -> int:
        return len(self._kinds)

    @property
    def size(self) -> int:
        """Bytes of encoded values so far."""
        return self._size

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
            self._fingerprints += item_fingerprint(codec, data)
            return self._add_one(ITEM, 1, codec, data)
        named = encode(metadata)
        position = self._add(NAMED_ITEM, 1, [(codec, data), named])
        self._fingerprints += item_fingerprint(codec, data, named)
        self._named = True
        return position

    def add_plain_outputs(self, texts: Sequence[bytes], lengths: Sequence[int]) -> None:
        """Adds outputs that are encoded: the JSON of each, and of a list its length; of any other value NO_LIST.

        The same as `add_output` one by one.
        """
        if not texts:
            return
        length = lengths[0]
        if lengths.count(length) == len(lengths):
            self._kinds += bytes((VALUE if length == NO_LIST else LIST,)) * len(lengths)
            self._extents += array("I", (abs(length),)) * len(lengths)
        else:
            self._kinds += bytes(map(NO_LIST.__lt__, lengths))  # True is LIST, False VALUE
            self._extents.extend(map(abs, lengths))
        self._add_texts(texts)

    def add_plain_items(self, texts: Sequence[bytes], metadata: Sequence[bytes] | None = None) -> None:
        """Adds items that are encoded: the JSON of each; if all have metadata, its JSON, too.

        The same as `add_item` one by one.
        """
        self._extents.extend(repeat(1, len(texts)))
        self._fingerprints += plain_fingerprints(texts, metadata)
        if metadata is None:
            self._kinds += bytes((ITEM,)) * len(texts)
            self._add_texts(texts)
        else:
            self._kinds += bytes((NAMED_ITEM,)) * len(texts)
            self._add_texts(list(chain.from_iterable(zip(texts, metadata, strict=True))), 2)
            self._named = self._named or len(texts) > 0

    def _add_texts(self, texts: Sequence[bytes], of_each: int = 1) -> None:
        """Adds the values of records that have so many each."""
        first, count = len(self._ends), len(texts)
        self._firsts.extend(range(first, first + count, of_each))
        self._codecs += bytes((JSON,)) * count
        ends = list(accumulate(map(len, texts), initial=self._size))
        if ends[-1] - self._size < LARGE:
            self._body += COMMA.join((*texts, b""))
        else:
            for text in texts:
                self._add_bytes(text)
        del ends[0]
        self._ends.extend(ends)
        self._size = ends[-1] if ends else self._size

    def add_rows(self, frame: object, metadata: Sequence[Mapping[str, object]] | None) -> int:
        """Adds the rows of a pandas or polars DataFrame as items; the first one's position.

        Metadata may be shorter than the frame: the rows after it have none. Raises StoreError if the frame or its
        metadata cannot be encoded.
        """
        position, rows = len(self._kinds), count_rows(frame)
        names = [encode(one) for one in (metadata or ())[:rows]]
        stored = encode(frame)
        digests = list(row_digests(frame))
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
        self._named = self._named or len(names) > 0
        return position

    def fingerprints(self) -> bytes:
        """Eight bytes an item added: the digest of its encoded value and metadata."""
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
        counts = (len(self._kinds), len(self._codecs), self._size + len(self._codecs))
        body, body_crc = (*self._before, self._body), 0
        for part in body:
            body_crc = crc32(part, body_crc)
        head = HEAD.pack(MAGIC, VERSION, 0, body_crc, *counts)
        header_crc = crc32(columns, crc32(head[CHECKED_FROM:], CRC_BEGINS[VERSION]))
        head = HEAD.pack(MAGIC, VERSION, header_crc, body_crc, *counts)
        ref = self._append((head + columns, *body))
        self._start()
        return ref

    def _add_one(self, kind: int, extent: int, codec: int, data: Data) -> int:
        position = len(self._kinds)
        self._firsts.append(len(self._ends))
        self._extents.append(extent)
        self._kinds.append(kind)
        self._add_value(codec, data)
        return position

    def _add(self, kind: int, extent: int, encoded: Sequence[tuple[int, Data]]) -> int:
        position = len(self._kinds)
        self._firsts.append(len(self._ends))
        self._extents.append(extent)
        self._kinds.append(kind)
        for codec, data in encoded:
            self._add_value(codec, data)
        return position

    def _add_value(self, codec: int, data: Data) -> None:
        self._codecs.append(codec)
        self._add_bytes(data)
        self._size += len(data)
        self._ends.append(self._size)

    def _add_bytes(self, data: Data) -> None:
        if len(data) < LARGE:
            self._body += data
        else:
            self._before += (self._body, data)
            self._body = bytearray()
        self._body += COMMA

    def _digest(self, position: int) -> bytes:
        """Digest of an output's kind, its values' codecs and lengths, and their bytes."""
        kind, first = self._kinds[position], self._firsts[position]
        stop = first + (self._extents[position] if kind in (SPREAD_LIST, TUPLE) else 1)
        bounds = (self._ends[first - 1] if first else 0, *self._ends[first:stop])
        lengths = ",".join(str(end - start) for start, end in pairwise(bounds))
        head = bytes((kind,)) + self._codecs[first:stop] + b"%d:%b:" % (stop - first, lengths.encode())
        digest = blake2b(head, digest_size=8)
        for number in range(first, stop):
            with self._bytes(number) as data:
                digest.update(data)
        return digest.digest()

    def _bytes(self, number: int) -> memoryview:
        """The bytes of one value, which lies in one part."""
        start, stop = (self._ends[number - 1] if number else 0) + number, self._ends[number] + number
        for part in self._before:
            if start < len(part):
                return memoryview(part)[start:stop]
            start -= len(part)
            stop -= len(part)
        return memoryview(self._body)[start:stop]


def _digest_named(digest: bytes, codec: int, metadata: Data) -> bytes:
    named = blake2b(digest, digest_size=8, salt=bytes((codec,)), person=b"named")
    named.update(metadata)
    return named.digest()
