"""What a dynamic block may return, and how it becomes items (design 2.1).

`[items]`, `[items, metadata]`, a flat list, a data frame and a generator are accepted; anything else is refused with
the shape that was received. Labels are told apart before a child starts, since two children of one name would be one.

    [items] or [items, metadata]   a list or tuple of one or two elements, the first a list, tuple or DataFrame, the
                                   second None or a list of dicts
    any other list or tuple        a flat list of items
    a DataFrame                    its rows
    a generator, sync or async     each yield is one item; `yield item, {"block_uuid": ...}` names it

A named tuple is a record, never a container of items: rows of a query unfold the same whether there is one or many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, cast

from refold.errors import DuplicateLabelError, OutputShapeError
from refold.languages.description import describe, excerpt
from refold.languages.frames import frame_library, series_library, table_library
from refold.ports.output_store import Item, StoredElements

Metadata = Sequence[Mapping[str, object]]
"""One dict an item, from the first item on; it may be shorter than the items."""

ACCEPTED = (
    "A dynamic block returns [items] or [items, metadata] (items: a list or DataFrame; metadata: a list of dicts), "
    "a flat list of items, a DataFrame, or it yields its items one by one."
)


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items that came as one list."""

    values: Sequence[object]
    metadata: Metadata | None

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.values)

    def first(self, count: int) -> ItemList:
        """The first so many of them."""
        return ItemList(self.values[:count], None if self.metadata is None else self.metadata[:count])

    def item(self, index: int) -> Item:
        """The item at this index, with its own metadata, None where it has none."""
        metadata = self.metadata
        return Item(self.values[index], metadata[index] if metadata is not None and index < len(metadata) else None)

    def items(self) -> Iterator[Item]:
        """The items in order."""
        return map(self.item, range(len(self.values)))

    def alike(self, start: int, stop: int) -> tuple[Sequence[object], Metadata | None]:
        """The values of the items from `start` to `stop` at most, and their metadata: all of them have some or none."""
        if self.metadata is None or start >= len(self.metadata):
            return self.values[start:stop], None
        metadata = self.metadata[start:stop]
        return self.values[start : start + len(metadata)], metadata


@dataclass(frozen=True, slots=True)
class ItemRows:
    """Items that are the rows of a pandas or polars DataFrame."""

    frame: object
    metadata: Metadata | None

    def __len__(self) -> int:
        """How many items there are."""
        return _rows(self.frame)

    def first(self, count: int) -> ItemRows:
        """The first so many of them."""
        frame = cast("_Frame", self.frame).head(count)
        return ItemRows(frame, None if self.metadata is None else self.metadata[:count])


@dataclass(frozen=True, slots=True)
class ItemStream:
    """Items that a generator yields; `split_yield` makes an Item of each object."""

    iterator: Iterator[object] | AsyncIterator[object]
    is_async: bool
    """Whether the iterator is an async one."""


Unfolded = ItemList | ItemRows | ItemStream


def unfold(returned: object) -> Unfolded:
    """The items of what a dynamic block returned (design 2.1); labels are checked by `Dependencies`.

    Raises OutputShapeError, showing what was received and what is accepted, for None, a scalar, a dict or any other
    object, and when there is more metadata than items.
    """
    if _is_plain(returned):
        elements = _read(cast("Sequence[object]", returned))
        if _is_pair(elements):
            return _with_metadata(elements[0], cast("Metadata | None", elements[1]) if len(elements) == 2 else None)
        return ItemList(elements, None)
    if frame_library(returned) is not None:
        return ItemRows(returned, None)
    if isinstance(returned, Generator):
        return ItemStream(returned, is_async=False)
    if isinstance(returned, AsyncGenerator):
        return ItemStream(returned, is_async=True)
    shown = excerpt(returned)
    raise OutputShapeError(
        f"a dynamic block returned {describe(returned)}{': ' if shown else ''}{shown}, which has no items to unfold. "
        f"{ACCEPTED}",
        fix=_advice(returned),
    )


def split_yield(yielded: object) -> Item:
    """The item that a generator yielded: `item, {"block_uuid": ...}` names it, any other object is the item itself."""
    if type(yielded) is tuple and len(yielded) == 2:
        value, metadata = yielded
        if isinstance(metadata, dict) and "block_uuid" in metadata:
            return Item(value, metadata)
    return Item(yielded, None)


def label_of(metadata: Mapping[str, object] | None) -> str | None:
    """The item's own label, as text; None when its metadata has no `block_uuid` or an empty one: its index names it."""
    if metadata is None:
        return None
    given = metadata.get("block_uuid")
    return None if given is None else str(given) or None


class LabelCheck:
    """Checks labels as they come, in the order of the items, and finds items by them. Nameless items take no memory.

    An item without a label is called by its index, so one named "1" and a nameless second item collide.
    """

    def __init__(self) -> None:
        self._count = 0
        self._named: dict[str, int] = {}
        self._bounds: list[int] = []
        """Where stretches of nameless items begin and end, in turn; the last may be open."""

    def __len__(self) -> int:
        """How many items there were."""
        return self._count

    def add(self, label: str | None) -> str:
        """The name of the next item: its label, else its index.

        Raises DuplicateLabelError, naming the label and both positions, where it is taken.
        """
        position = self._count
        self._count += 1
        if (label is None) == (len(self._bounds) % 2 == 0):
            self._bounds.append(position)
        if label is None:
            label = str(position)
            if self._named and label in self._named:
                raise _duplicate(label, self._named[label], position)
            return label
        before = self._named.setdefault(label, position)
        if before != position:
            raise _duplicate(label, before, position)
        index = self._nameless(label)
        if index is not None:
            raise _duplicate(label, index, position)
        return label

    @property
    def named(self) -> bool:
        """Whether some item has a label."""
        return bool(self._named)

    def pass_over(self, count: int) -> None:
        """So many items came without labels, and none has one."""
        if count and not self._bounds:
            self._bounds.append(0)
        self._count += count

    def position_of(self, name: str) -> int | None:
        """The index of the item of this name; None where none has come."""
        found = self._named.get(name)
        return self._nameless(name) if found is None else found

    def names(self) -> Iterator[str]:
        """The names of all items: labels first."""
        yield from self._named
        ends = [*self._bounds, self._count][1 : len(self._bounds) + 1]
        for start, end in list(zip(self._bounds, ends, strict=True))[::2]:
            yield from map(str, range(start, end))

    def _nameless(self, name: str) -> int | None:
        """The index of the nameless item that is called this."""
        if not (name.isascii() and name.isdigit()):
            return None
        index = int(name[:20])
        if str(index) != name or index >= self._count or bisect_right(self._bounds, index) % 2 == 0:
            return None
        return index


def _duplicate(label: str, first: int, second: int) -> DuplicateLabelError:
    return DuplicateLabelError(
        f"items {first} and {second} are both named {label!r}; each item of one run needs a name of its own",
        fix="Make `block_uuid` unique in the metadata; an item without one is named by its index.",
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, list | StoredElements) or (
        isinstance(value, tuple) and not hasattr(type(value), "_fields")
    )


def _read(elements: Sequence[object]) -> Sequence[object]:
    """The elements, in memory."""
    return list(elements) if isinstance(elements, StoredElements) else elements


def _is_pair(elements: Sequence[object]) -> bool:
    """Whether these are `[items]` or `[items, metadata]`."""
    if not 1 <= len(elements) <= 2 or not (_is_plain(elements[0]) or frame_library(elements[0]) is not None):
        return False
    metadata = elements[1] if len(elements) == 2 else None
    return metadata is None or (isinstance(metadata, list) and all(isinstance(each, dict) for each in metadata))


def _with_metadata(items: object, metadata: Metadata | None) -> ItemList | ItemRows:
    is_frame = frame_library(items) is not None
    unfolded = ItemRows(items, metadata) if is_frame else ItemList(_read(cast("Sequence[object]", items)), metadata)
    if metadata is not None and len(metadata) > len(unfolded):
        raise OutputShapeError(
            f"a dynamic block returned metadata of length {len(metadata)} for items of length {len(unfolded)}",
            fix="Return one metadata dict an item, or fewer: items without one are named by their index.",
        )
    return unfolded


class _Frame(Protocol):
    """As much of a pandas or polars DataFrame as is used."""

    def head(self, n: int) -> object: ...


def _rows(frame: object) -> int:
    return len(frame) if hasattr(frame, "__len__") else 0


def _advice(returned: object) -> str:
    if returned is None:
        return "Return [] when there is nothing to do; check that the function has a `return`."
    if series_library(returned) is not None:
        return "Return the series as a list: `.tolist()` (pandas) or `.to_list()` (polars)."
    if table_library(returned) is not None:
        return "Return the table as a list or a DataFrame: `.to_pylist()` or `.to_pandas()`."
    if type(returned).__module__.partition(".")[0] == "numpy":
        return "Return the array as a list: `.tolist()`."
    if isinstance(returned, dict):
        return "Return [value] for one item, or list(value.items()) for one item an entry."
    if isinstance(returned, Coroutine):
        return "Await it inside the block: what `async def` functions return is awaited, what they pass on is not."
    if isinstance(returned, (Iterator, AbstractSet, range)):
        return "Return list(value), or `yield from` it."
    return "Return [value] for one item."
