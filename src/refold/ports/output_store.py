"""The output store, as a port: what block runs returned and yielded.

Outputs and items are gathered in *chunks*; a chunk is published once, appended to a segment file, and never rewritten.
It is found again by `(segment, offset, length)`, and a record in it by its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol, cast

NO_LIST = -1
"""Stands for the length of what is no list."""


class Shape(IntEnum):
    """How a block run's function returned its outputs; the argument law depends on it (design 2.12)."""

    VALUE = 0
    """Anything but a list or tuple: one output."""
    LIST = 1
    TUPLE = 2


class StoredElements:
    """Marks what stands for a list whose elements lie in the output store; wherever it is kept, it is that list."""

    __slots__ = ()


class Output(NamedTuple):
    """What one block run returned."""

    shape: Shape
    values: Sequence[object]
    """The elements of the list or tuple; the one value otherwise."""

    @classmethod
    def of(cls, returned: object) -> Output:
        """The output of a function that returned this."""
        if type(returned) is list:
            return cls(Shape.LIST, returned)
        if type(returned) is tuple:
            return cls(Shape.TUPLE, returned)
        if isinstance(returned, StoredElements):
            return cls(Shape.LIST, list(cast("Iterable[object]", returned)))
        return cls(Shape.VALUE, (returned,))

    @property
    def value(self) -> object:
        """What the function returned."""
        if self.shape is Shape.VALUE:
            return self.values[0]
        return list(self.values) if self.shape is Shape.LIST else tuple(self.values)


class Item(NamedTuple):
    """One item of a dynamic block."""

    value: object
    metadata: Mapping[str, object] | None
    """Its metadata as given, `block_uuid` included; None without."""


class ChunkRef(NamedTuple):
    """Where a chunk lies."""

    segment: str
    """Path of the segment file, relative to the run's folder."""
    offset: int
    length: int


class Chunk(Protocol):
    """A published chunk, opened for reading: records of outputs, or of items."""

    def __len__(self) -> int:
        """How many records it holds."""

    def output(self, position: int) -> Output:
        """The output at this position."""

    def elements(self, position: int) -> int:
        """How many elements that output has: of a list or tuple its length, else 1; read from the header alone."""

    def element_counts(self, start: int, stop: int) -> Sequence[int]:
        """The same for each of the outputs `start` to `stop`."""

    def element_reader(self, position: int) -> Callable[[int], object]:
        """A function of an element's number in that output: the element alone, another object at each call. Of an item,
        number 0 is the item itself."""

    def stored_frame(self, position: int, number: int, *, checked: bool = True) -> tuple[int, memoryview] | None:
        """Codec and bytes of that element, where it is stored as Parquet; not `checked`: damaged ones too, perhaps."""

    def let_go(self) -> None:
        """Lets go of the memory that its bytes take, where they lie in a file; they stay readable."""

    def item(self, position: int) -> Item:
        """The item at this position."""

    def label(self, position: int) -> str | None:
        """The item's own label (its metadata's `block_uuid`), or None: then its index within its run names it."""

    def metadata(self, position: int) -> Mapping[str, object] | None:
        """The item's metadata as given, read without its value; None without."""

    def plain_outputs(self, start: int, stop: int) -> list[object] | None:
        """What the runs `start` to `stop` returned, decoded at once, which takes a fraction of the time; None where one
        of them returned what is stored otherwise than as one JSON value: tuples are."""

    def contributions(self, start: int, stop: int) -> list[object]:
        """What the outputs `start` to `stop` contribute to a reduced list: lists and tuples their elements (2.4)."""

    def plain_items(self, start: int, stop: int) -> list[object] | None:
        """The values of the items `start` to `stop`, decoded at once; None where one of them is not stored as JSON."""

    def reach(self, start: int, stop: int, size: int) -> int:
        """Where the records from `start` on become more than so many bytes; after one of them, at most `stop`."""


class ChunkBuilder(Protocol):
    """Gathers records and publishes them as one chunk. Not safe for threads; its caller holds a lock."""

    def __len__(self) -> int:
        """How many records it holds."""

    @property
    def size(self) -> int:
        """Bytes of encoded values so far."""

    def add_output(self, output: Output) -> int:
        """Adds what a block run returned; its position in the chunk. Raises StoreError if it cannot be encoded."""

    def add_item(self, item: Item) -> int:
        """Adds an item; its position. Raises StoreError if it cannot be encoded."""

    def add_rows(self, frame: object, metadata: Sequence[Mapping[str, object]] | None) -> int:
        """Adds the rows of a pandas or polars DataFrame as items; the first one's position."""

    def add_plain_outputs(self, texts: Sequence[bytes], lengths: Sequence[int]) -> None:
        """Adds outputs that are encoded: the JSON of each, and of a list its length; of any other value NO_LIST."""

    def add_plain_items(self, texts: Sequence[bytes], metadata: Sequence[bytes] | None = None) -> None:
        """Adds items that are encoded: the JSON of each; if all have metadata, its JSON, too."""

    def fingerprints(self) -> bytes:
        """Eight bytes an item added: the digest of its encoded value and metadata."""

    def digests(self) -> bytes:
        """Eight bytes an output added: the digest of its encoded record."""

    def named(self) -> bool:
        """Whether some item carries metadata."""

    def publish(self) -> ChunkRef:
        """Appends the chunk to the segment, so that other processes can read it, and starts an empty one.

        Raises StoreError when it cannot be written; the builder then still holds the records.
        """


class OutputStore(Protocol):
    """The outputs of one pipeline run."""

    def builder(self, writer: str) -> ChunkBuilder:
        """A builder over this writer's own segment files; `writer` is unique among the run's processes and builders."""

    def read(self, ref: ChunkRef) -> Chunk:
        """Opens a chunk. Raises StoreError if it is not there or damaged."""

    def publish_latest(self, block: str, ref: ChunkRef, position: int) -> None:
        """Makes this output what the block's visible files hold: `<pipeline>/<block>/output_0.parquet` and so on."""

    def publish_latest_items(self, block: str, refs: Sequence[ChunkRef]) -> None:
        """The same for a returned list or frame of items: `output_0` holds the items, `output_1` the metadata."""

    def drop_cached(self) -> None:
        """Lets go of chunks that were read and may be wanted again: memory is short."""

    def close(self) -> None:
        """Closes files."""
