"""A run of a dynamic block that gives its items: a list at once, a generator one by one, on credit.

A retried run must give the items that it gave before: its children have already run on them. They are recognised by
their fingerprints and not stored again; the first other one fails the run for good (design 2.11).

A returned list or frame is looked at whole before any of it is given: how many items there are, what they are called,
what they wait for. A generator is looked at item by item. More items than `max_child_block_runs` fail the run for good,
or are left out, as the block says.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from refold.errors import ChangedItemsError, ChildLimitError
from refold.executors.interrupts import PROCESS, Interrupts
from refold.executors.open_run import OpenRun
from refold.executors.reporter import LARGEST, Reporter
from refold.languages.dependencies import Dependencies
from refold.languages.event_loops import outside_loop
from refold.languages.unfolding import ItemList, ItemRows, ItemStream, Unfolded, split_yield
from refold.outputs.fingerprints import fingerprint_of
from refold.outputs.plain import encode_plain
from refold.ports.executor import BlockTask, NamedWait
from refold.ports.output_store import ChunkBuilder, Item

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger("refold.blocks")
_T = TypeVar("_T")
_END, _ENOUGH = object(), object()
_Take = Callable[[object], object]
_UNTIL_TURN = 64
"""Items of an async generator after which its loop goes round, whether it waits for something or not."""


@dataclass(slots=True)
class Production:
    """The items of one run, given so far and to come."""

    task: BlockTask
    position: int
    unfolded: Unfolded
    known: bytes
    """Fingerprints of the items that an earlier attempt gave."""
    scratch: ChunkBuilder | None
    """Never published: it tells fingerprints of rows, where an earlier attempt gave items."""
    interrupts: Interrupts
    kept: list[Item] | None
    """A generator's items, where tests or callbacks are to see them; None otherwise."""
    credit: int
    """Items that it may give in all, known ones left out; grows by pulls."""
    credit_bytes: int
    """Bytes that it may give in all; 0: any number."""
    pulls: int = 0
    """How many pulls came."""
    given: int = 0
    """Items that came, known ones included."""
    given_bytes: int = 0
    seconds: float = 0.0
    """How long it has been running, pauses left out."""
    dependencies: Dependencies = field(init=False)
    """Of a generator, and of a list of which an earlier attempt gave some."""
    paused: bool = False
    _runner: asyncio.Runner | None = None
    """Where an async generator runs."""

    def __post_init__(self) -> None:
        self.dependencies = Dependencies(self.task)

    @property
    def timeout(self) -> float | None:
        """Seconds that it may run, pauses left out; None: as long as it takes."""
        return self.task.timeout

    @property
    def streams(self) -> bool:
        """Whether its items come one by one."""
        return isinstance(self.unfolded, ItemStream)

    def spent(self) -> bool:
        """Whether it must wait for a pull."""
        too_many = self.given_anew >= self.credit
        return self.streams and (too_many or 0 < self.credit_bytes <= self.given_bytes)

    def pull(self, items: int, size: int, *, anew: bool) -> None:
        """It may give so many more items and bytes; `anew`: whatever it had left before."""
        if anew:
            self.credit, self.credit_bytes = self.given_anew, self.given_bytes
        self.credit += items
        self.credit_bytes += size

    @property
    def given_anew(self) -> int:
        """How many items came beside known ones."""
        return self.given - min(self.given, len(self.known) // 8)

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

        Raises ChildLimitError, DuplicateLabelError and DependencyError before any is given; StoreError,
        ChangedItemsError.
        """
        unfolded, cut = self._within_limit()
        self.unfolded = unfolded
        dependencies = Dependencies(self.task) if self.known else self.dependencies  # known items are looked at again
        waits = dependencies.resolve(unfolded.metadata, len(unfolded), cut)
        if isinstance(unfolded, ItemRows):
            self._give_rows(unfolded, reporter, waits)
        elif self.scratch is None:
            reporter.give_all(self.position, unfolded, waits)
            self.given = len(unfolded)
        else:
            for item in unfolded.items():
                self._give(item, reporter)
            self._check_count()

    def _within_limit(self) -> tuple[ItemList | ItemRows, bool]:
        """What is given of a returned list or frame, and whether there was more."""
        unfolded, limit = self.unfolded, self.task.max_items
        assert not isinstance(unfolded, ItemStream)
        if limit is None or len(unfolded) <= limit:
            return unfolded, False
        self._exceeded(f"{len(unfolded)} items", limit)
        return unfolded.first(limit), True

    def _exceeded(self, given: str, limit: int) -> None:
        """Raises ChildLimitError, or says in the log that some items are left out."""
        if not self.task.cuts_items:
            raise ChildLimitError(
                f"gave {given}, and `max_child_block_runs` admits {limit}",
                fix="Give fewer, raise the limit, or leave the rest out: `on_max_child_block_runs_exceeded: limit`.",
            )
        _LOG.warning("it gave %s; `max_child_block_runs` admits %d, the rest is left out", given, limit)

    def _give_rows(self, rows: ItemRows, reporter: Reporter, waits: Sequence[NamedWait]) -> None:
        self.given = len(rows)
        if self.scratch is None:
            if len(rows):
                reporter.give_rows(self.position, rows, waits)
            return
        self.scratch.add_rows(rows.frame, rows.metadata)
        if self.scratch.fingerprints()[-8 * len(rows) :] != self.known:
            raise self._changed(0)

    def give_some(self, reporter: Reporter, opened: OpenRun) -> bool:
        """Gives some of a generator's items, one at least; False when there are no more. Raises as `give_next`.

        Goes on at most until it must wait for a pull, or the pipeline run is cancelled.
        """
        if not self._gives_plain():
            return self.give_next(reporter)
        first = self.given
        try:
            yielded = self._give_plain(reporter, opened)
        finally:
            self.dependencies.pass_over(self.given - first)
        if yielded is _END:
            self._end_stream()
        elif yielded is not _ENOUGH:
            self._give(split_yield(yielded), reporter)
        return yielded is not _END

    def _gives_plain(self) -> bool:
        """Whether an item of which nothing is special can be given without a look at it."""
        return (
            self.timeout is None
            and self.kept is None
            and 8 * self.given >= len(self.known)
            and self.given != self.task.max_items
            and self.dependencies.indifferent
        )

    def _give_plain(self, reporter: Reporter, opened: OpenRun) -> object:
        """Gives plain items as they come, at little cost: there may be a million.

        Returns the first one that is not plain, which is not given; _END where there are no more, else _ENOUGH.
        """
        stream, interrupts = cast("ItemStream", self.unfolded), self.interrupts
        interrupts.enter(None)
        interrupts.leave()
        take = self._taker(reporter, opened)
        try:
            if stream.is_async:
                generator = cast("AsyncGenerator[object]", stream.iterator)
                return _run(self._on_loop(), partial(self._take_async, take), generator)
            interrupts.in_user_code = True
            for yielded in cast("Generator[object]", stream.iterator):
                interrupts.in_user_code = False
                if (end := take(yielded)) is not None:
                    return end
                yielded = None  # a large one is gone before the next one is made
                interrupts.in_user_code = True
        finally:
            interrupts.leave()
        return _END

    async def _take_async(self, take: _Take, generator: AsyncGenerator[object]) -> object:
        import asyncio

        interrupts, first = self.interrupts, self.given
        interrupts.in_user_code = True
        async for yielded in generator:
            interrupts.in_user_code = False
            if (end := take(yielded)) is not None:
                return end
            yielded = None
            interrupts.in_user_code = True
            if (self.given - first) % _UNTIL_TURN == 0:
                await asyncio.sleep(0)  # what else the generator has begun on the loop goes on, too
        return _END

    def _taker(self, reporter: Reporter, opened: OpenRun) -> _Take:
        """What takes an item that was yielded. It returns None if there may be more, _ENOUGH if that was the last one
        for now, and the item itself if it is not plain, and not taken."""
        yields, known, most = reporter.yields(self.position, self.given), len(self.known) // 8, self.task.max_items
        note, clock, size = yields.texts.append, time.monotonic, 0
        interrupts, process, here = self.interrupts, PROCESS, PROCESS[0]

        def take(yielded: object) -> object:
            nonlocal size
            if process[0] is not here:
                interrupts.leave()
            text = encode_plain(yielded)  # at once: the generator may change it afterwards
            if text is None:
                return yielded
            note(text)
            self.given += 1
            self.given_bytes += len(text)
            size += len(text)
            now = clock()
            if now >= yields.due or size >= LARGEST:
                size = size if reporter.heed(now, large=size >= LARGEST) is None else 0
            spent = self.given - known >= self.credit or 0 < self.credit_bytes <= self.given_bytes
            return _ENOUGH if spent or self.given == most or opened.cancelled else None

        return take

    def give_next(self, reporter: Reporter) -> bool:
        """Gives a generator's next item; False when there is none. Raises what the generator raises, and as above."""
        try:
            yielded = self._in_user_code(self._advance)
        except (StopIteration, StopAsyncIteration):
            self._end_stream()
            return False
        if self.given == self.task.max_items:
            self._exceeded(f"more than {self.given} items", self.given)
            self._in_user_code(self._stop)
            self._end_stream(cut=True)
            return False
        item = split_yield(yielded)
        self._give(item, reporter)
        if self.kept is not None:
            self.kept.append(item)
        return True

    def _end_stream(self, cut: bool = False) -> None:
        self.dependencies.finish(cut)
        self._check_count()
        self.close()

    def _in_user_code(self, work: Callable[[], _T]) -> _T:
        began = time.monotonic()
        try:
            return self.interrupts.limited(None if self.timeout is None else self.timeout - self.seconds, work)
        finally:
            self.seconds += time.monotonic() - began

    def _advance(self) -> object:
        stream = cast("ItemStream", self.unfolded)
        if not stream.is_async:
            return next(cast("Generator[object]", stream.iterator))
        return _run(self._on_loop(), _next_of, cast("AsyncGenerator[object]", stream.iterator))

    def _on_loop(self) -> asyncio.Runner:
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner

    def _stop(self) -> None:
        """Ends a generator that has more to give, as one that is closed: its `finally` is executed."""
        stream = cast("ItemStream", self.unfolded)
        if not stream.is_async:
            cast("Generator[object]", stream.iterator).close()
        elif self._runner is not None:
            _run(self._runner, _close, cast("AsyncGenerator[object]", stream.iterator))

    def _give(self, item: Item, reporter: Reporter) -> None:
        index = self.given
        waits = self.dependencies.add(item.metadata)
        if 8 * index < len(self.known):  # what it waits for was told with it
            if fingerprint_of(item) != self.known[8 * index : 8 * index + 8]:
                raise self._changed(index)
        else:
            self.given_bytes += reporter.give(self.position, index, item, waits)
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
            cast("Generator[object]", stream.iterator).close()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            outside_loop(runner.close)


async def _next_of(generator: AsyncGenerator[object]) -> object:
    return await anext(generator)


async def _close(generator: AsyncGenerator[object]) -> None:
    await generator.aclose()


def _run(
    runner: asyncio.Runner,
    step: Callable[[AsyncGenerator[object]], Coroutine[object, object, object]],
    generator: AsyncGenerator[object],
) -> object:
    """What a step of a generator comes to, on the loop that the generator lives on."""
    return outside_loop(lambda: runner.run(step(generator)))
