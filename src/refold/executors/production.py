"""A run of a dynamic block that gives its items: a list at once, a generator one by one, on credit.

A retried run must give the items that it gave before: its children have already run on them. They are recognised by
their fingerprints and not stored again; the first other one fails the run for good (design 2.11).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from refold.errors import ChangedItemsError
from refold.executors.interrupts import Interrupts
from refold.executors.reporter import Reporter
from refold.languages.unfolding import (
    ItemList,
    ItemRows,
    ItemStream,
    LabelCheck,
    Unfolded,
    check_labels,
    label_of,
    split_yield,
)
from refold.ports.output_store import ChunkBuilder, Item

if TYPE_CHECKING:
    import asyncio


@dataclass(slots=True)
class Production:
    """The items of one run, given so far and to come."""

    position: int
    unfolded: Unfolded
    known: bytes
    """Fingerprints of the items that an earlier attempt gave."""
    scratch: ChunkBuilder | None
    """Never published: it tells fingerprints, where an earlier attempt gave items."""
    interrupts: Interrupts
    timeout: float | None
    kept: list[Item] | None
    """A generator's items, where tests or callbacks are to see them; None otherwise."""
    credit: int
    """Items that it may give in all; grows by pulls."""
    credit_bytes: int
    pulls: int = 0
    """How many pulls came."""
    given: int = 0
    """Items that came, known ones included."""
    given_bytes: int = 0
    seconds: float = 0.0
    """How long it has been running, pauses left out."""
    labels: LabelCheck = field(default_factory=LabelCheck)
    paused: bool = False
    _runner: asyncio.Runner | None = None
    """Where an async generator runs."""

    @property
    def streams(self) -> bool:
        """Whether its items come one by one."""
        return isinstance(self.unfolded, ItemStream)

    def spent(self) -> bool:
        """Whether it must wait for a pull."""
        new = self.given - self._known_items
        return self.streams and (new >= self.credit or (0 < self.credit_bytes <= self.given_bytes))

    @property
    def _known_items(self) -> int:
        return min(self.given, len(self.known) // 8)

    def returned(self) -> tuple[object, object]:
        """The items and their metadata as tests and callbacks see them; metadata None without."""
        unfolded = self.unfolded
        if isinstance(unfolded, ItemRows):
            return unfolded.frame, unfolded.metadata
        if isinstance(unfolded, ItemList):
            return unfolded.values, unfolded.metadata
        kept = self.kept or []
        named = any(item.metadata is not None for item in kept)
        return [item.value for item in kept], [item.metadata or {} for item in kept] if named else None

    def give_returned(self, reporter: Reporter) -> None:
        """Gives all items of a returned list or frame.

        Raises DuplicateLabelError before any is given, StoreError, ChangedItemsError.
        """
        unfolded = self.unfolded
        assert not isinstance(unfolded, ItemStream)
        check_labels(unfolded.metadata, len(unfolded))
        if isinstance(unfolded, ItemRows):
            self._give_rows(unfolded, reporter)
            return
        if self.scratch is None:
            reporter.give_all(self.position, unfolded.items())
            self.given = len(unfolded)
            return
        for item in unfolded.items():
            self._give(item, reporter)
        self._check_count()

    def _give_rows(self, rows: ItemRows, reporter: Reporter) -> None:
        self.given = len(rows)
        if self.scratch is None:
            if len(rows):
                reporter.give_rows(self.position, rows)
            return
        self.scratch.add_rows(rows.frame, rows.metadata)
        if self.scratch.fingerprints()[-8 * len(rows) :] != self.known:
            raise self._changed(0)

    def give_next(self, reporter: Reporter) -> bool:
        """Gives a generator's next item; False when there is none. Raises what the generator raises, and as above."""
        try:
            yielded = self._next()
        except (StopIteration, StopAsyncIteration):
            self._check_count()
            self.close()
            return False
        item = split_yield(yielded)
        self.labels.add(label_of(item.metadata))
        if self.kept is not None:
            self.kept.append(item)
        self._give(item, reporter)
        return True

    def _next(self) -> object:
        began = time.monotonic()
        self.interrupts.enter(None if self.timeout is None else self.timeout - self.seconds)
        try:
            return self._advance()
        finally:
            self.interrupts.leave()
            self.seconds += time.monotonic() - began

    def _advance(self) -> object:
        stream = cast("ItemStream", self.unfolded)
        if not stream.is_async:
            return next(cast("Iterator[object]", stream.iterator))
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner.run(_next_of(cast("AsyncIterator[object]", stream.iterator)))

    def _give(self, item: Item, reporter: Reporter) -> None:
        index = self.given
        if self.scratch is not None and 8 * index < len(self.known):
            self.scratch.add_item(item)
            if self.scratch.fingerprints()[-8:] != self.known[8 * index : 8 * index + 8]:
                raise self._changed(index)
        else:
            self.given_bytes += reporter.give(self.position, index, item)
        self.given += 1

    def _check_count(self) -> None:
        if 8 * self.given < len(self.known):
            raise self._changed(self.given)

    def _changed(self, index: int) -> ChangedItemsError:
        return ChangedItemsError(
            f"tried again, it gave another item at index {index} than before, or none; "
            f"children have already run on the {len(self.known) // 8} items of the earlier attempt",
            fix="Retry the pipeline run (`refold retry`): children of items that are the same are kept.",
        )

    def close(self) -> None:
        """Lets go of the generator. Raises what it raises then."""
        stream = self.unfolded
        if isinstance(stream, ItemStream) and not stream.is_async:
            cast("Iterator[object]", stream.iterator).close()  # type: ignore[attr-defined]
        if self._runner is not None:
            runner, self._runner = self._runner, None
            runner.close()


async def _next_of(iterator: AsyncIterator[object]) -> object:
    return await anext(iterator)
