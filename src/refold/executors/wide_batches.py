"""All batches of which many runs are under way at once in this process, on one event loop.

In a worker the loop has a thread of its own, *aside* of the main one: waiting runs hold no slot, more of them may begin
at any time, and the main thread goes on with other blocks meanwhile. Elsewhere a batch is executed where it is taken,
to its end. The loop is one and the same for as long as the process lives, so what children open on it (a session of an
HTTP client, a pool of connections) may be shared by those that follow.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from refold.executors.async_batch import AsyncBatch
from refold.executors.block_code import BlockCode
from refold.executors.capture import Capture
from refold.executors.cursor import MANY, PutCursor
from refold.executors.execution import Execution
from refold.executors.interrupts import Interrupts
from refold.executors.reporter import Reporter
from refold.executors.side_reports import Published, SideReports
from refold.executors.threaded_batch import ThreadedBatch, Threads
from refold.executors.wide_batch import WideBatch
from refold.languages.event_loops import outside_loop
from refold.model.keys import RunId
from refold.scheduler.events import Outcome

if TYPE_CHECKING:
    import asyncio

_PORTION = 64
"""Runs of a block that begin before the loop goes round."""
HEARTBEAT = 0.5
"""Seconds after which the loop says that it goes round, at the latest."""

Pulse = Callable[[int, float], None]
"""Told that the loop goes round: how many runs are under way, and when (monotonic)."""


@dataclass(slots=True)
class _Room:
    """What one block has under way."""

    widths: Counter[int] = field(default_factory=Counter)
    """Of how many of its batches that are not over each width is."""
    under_way: int = 0
    stuck: int = 0
    """Threads that come back from no one knows when."""
    waiting: deque[WideBatch] = field(default_factory=deque)
    """Batches of which not all has begun."""

    def admits(self, batch: WideBatch, stuck: int) -> bool:
        """Whether another run of the batch may begin, where so many threads cannot be had."""
        return len(batch.tasks) < batch.width and self.under_way + stuck < max(self.widths)


class WideBatches:
    """Begins, cancels and ends them. What it is told comes from one thread, but for `cancel`."""

    def __init__(
        self,
        main: Reporter,
        published: Published,
        on_over: Callable[[Execution], None],
        put_cursor: PutCursor,
        aside: Pulse | None = None,
        on_worn: Callable[[], None] | None = None,
    ) -> None:
        """`on_over`: all of a batch was reported. `aside`: there is to be a thread for the loop, which calls it rather
        than `put_cursor`.

        `on_worn`: threads are stuck, and nothing else is under way, or can be: another process is to take over. Called
        once.
        """
        self._interrupts = Interrupts()
        """Of the threads that are not the main one: there they interrupt nothing."""
        self.aside = aside is not None
        self._put_aside = aside
        self._put_cursor = put_cursor
        self._on_over = on_over
        self._on_worn = on_worn
        self._reports = SideReports(main, published)
        self._threads = Threads()
        self._rooms: dict[tuple[RunId, int], _Room] = {}
        self._taken: set[WideBatch] = set()
        """Those that are not over."""
        self._batches: set[WideBatch] = set()
        """The same, of which the loop knows."""
        self._contexts: dict[RunId, Context] = {}
        self._under_way = 0
        self._stuck = 0
        self._worn = False
        """Whether it was said that threads are stuck: they count no more, as no more than need be comes."""
        self._beginning = False
        """Whether the loop is to look for runs that can begin."""
        self._beating = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waited_for: WideBatch | None = None
        """The one that who has called `take` waits for."""
        self._no_more_waiting = threading.Event()
        """It is over; where the loop has a thread of its own."""
        self._over: asyncio.Future[None] | None = None
        """The same, where it has none."""

    @property
    def is_busy_aside(self) -> bool:
        """Whether something is under way that the main thread does not wait for."""
        return self.aside and bool(self._taken)

    def waits_for(self, batch: int) -> bool:
        """Whether who has called `take` waits for this batch."""
        waited_for = self._waited_for
        return waited_for is not None and waited_for.execution.batch.id == batch

    def take(self, execution: Execution, code: BlockCode, *, wait: bool) -> None:
        """Executes a batch: begins with it where there is a thread for the loop and nobody is to `wait`; otherwise all
        of it is over afterwards."""
        batch = self._wide(execution, code)
        self._taken.add(batch)
        if self.aside:
            execution.aside = not wait
            self._waited_for = batch if wait else None
            self._loop_aside().call_soon_threadsafe(self._add, batch)
            if wait:
                self._no_more_waiting.wait()
                self._no_more_waiting.clear()
            return
        self._waited_for = batch
        try:
            outside_loop(partial(self._run_here, batch))
        finally:
            self._reports.flush()

    def cancel(self, run: RunId) -> None:
        """Stops what is under way for a pipeline run. From any thread, or a signal handler."""
        if self._loop is not None and self._taken:
            self._loop.call_soon_threadsafe(self._cancel, run)

    def flush(self) -> None:
        """Publishes what is known of runs that are over."""
        self._reports.flush()

    def forget(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._contexts.pop(run, None)
        self._reports.forget(run)

    def close(self) -> None:
        """Lets go of the loop and the threads, where there is no thread aside."""
        self._threads.close()
        if self._loop is not None and not self.aside:
            outside_loop(partial(_close, self._loop))
            self._loop = None

    def _wide(self, execution: Execution, code: BlockCode) -> WideBatch:
        context = self._context(execution) if self.aside else copy_context()
        if self.aside or not code.main.is_async:
            execution.folds.go_aside(self._interrupts)
        if code.main.is_async:
            return AsyncBatch(execution, code, self._reports, context)
        stuck = partial(self._count_stuck, execution)
        threads, interrupts = self._threads, self._interrupts
        return ThreadedBatch(
            execution, code, self._reports, context, threads=threads, interrupts=interrupts, on_stuck=stuck
        )

    def _context(self, execution: Execution) -> Context:
        """Where what children print goes to the log of their pipeline run."""
        run = execution.batch.run
        if run not in self._contexts:
            capture = Capture()
            capture.log = execution.run.log
            self._contexts[run] = capture.context()
        return self._contexts[run]

    def _loop_aside(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = _new_loop()
            threading.Thread(target=partial(_serve, self._loop), name="loop", daemon=True).start()
        return self._loop

    def _run_here(self, batch: WideBatch) -> None:
        """Executes a batch to its end, in this thread."""
        if self._loop is None:
            self._loop = _new_loop()
        whole = self._loop.create_task(self._whole(batch))
        while True:
            try:
                return self._loop.run_until_complete(whole)
            except SystemExit:  # of a task that a child has left to itself
                if whole.done():
                    raise

    async def _whole(self, batch: WideBatch) -> None:
        import asyncio

        self._over = asyncio.get_running_loop().create_future()
        self._add(batch)
        await self._over
        self._over = None

    # On the loop

    def _add(self, batch: WideBatch) -> None:
        batch.on_end = self._ended
        self._batches.add(batch)
        room = self._rooms.setdefault(_key(batch.execution), _Room())
        room.widths[batch.width] += 1
        room.waiting.append(batch)
        self._begin()
        self._beat()

    def _begin(self) -> None:
        """Begins what there is room for, a portion of each block; the rest when the loop has gone round."""
        self._beginning = False
        for room in tuple(self._rooms.values()):
            if room.waiting:
                self._begin_portion(room)
        self._say()

    def _begin_portion(self, room: _Room) -> None:
        assert self._loop is not None
        for _ in range(_PORTION):
            batch = room.waiting[0]
            if batch.execution.run.cancelled:
                batch.hand_back(Outcome.CANCELLED)
            has_more = batch.execution.begun < batch.execution.until
            if has_more and not room.admits(batch, 0 if self._worn else room.stuck):
                if not room.under_way:
                    self._give_back(room)
                return
            position = batch.execution.next_position()
            if position is None:
                room.waiting.popleft()
                self._check_over(batch)
                if not room.waiting:
                    return
                continue
            room.under_way += 1
            self._under_way += 1
            batch.begin(position, self._loop)
        self._begin_soon()

    def _begin_soon(self) -> None:
        if not self._beginning:
            assert self._loop is not None
            self._beginning = True
            self._loop.call_soon(self._begin)

    def _give_back(self, room: _Room) -> None:
        """All threads that the block may have are stuck: another process must execute the rest."""
        for batch in tuple(room.waiting):
            batch.hand_back(Outcome.UNSTARTED)
            self._check_over(batch)
        self._wear_out()

    def _ended(self, batch: WideBatch) -> None:
        room = self._rooms[_key(batch.execution)]
        room.under_way -= 1
        self._under_way -= 1
        if room.waiting:
            self._begin_soon()
        self._say()
        self._check_over(batch)

    def _check_over(self, batch: WideBatch) -> None:
        execution = batch.execution
        if batch.tasks or execution.begun < execution.until or batch not in self._batches:
            return
        self._batches.remove(batch)
        self._taken.remove(batch)
        self._on_over(execution)
        if batch is self._waited_for:
            self._waited_for = None
            self._no_more_waiting.set()
        key = _key(execution)
        room = self._rooms[key]
        room.widths -= Counter((batch.width,))
        with suppress(ValueError):
            room.waiting.remove(batch)
        self._tidy(key)
        if not self._taken:
            self._rest()

    def _tidy(self, key: tuple[RunId, int]) -> None:
        room = self._rooms.get(key)
        if room is not None and not (room.waiting or room.under_way or room.stuck):
            del self._rooms[key]

    def _rest(self) -> None:
        """Nothing is under way."""
        self._say()
        if self._stuck:
            self._wear_out()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _wear_out(self) -> None:
        """Says, after all that is to be told, that threads are stuck."""
        if self._on_worn is not None and not self._worn:
            self._worn = True
            self._reports.flush()
            self._on_worn()

    def _cancel(self, run: RunId) -> None:
        for batch in tuple(self._batches):
            if batch.execution.batch.run == run:
                batch.cancel()
                self._check_over(batch)

    def _count_stuck(self, execution: Execution, threads: int) -> None:
        self._stuck += threads
        if self.aside:  # elsewhere no other process could take over
            key = _key(execution)
            room = self._rooms.setdefault(key, _Room())
            room.stuck += threads
            if room.waiting:
                self._begin_soon()
            self._tidy(key)

    def _say(self) -> None:
        """The loop goes round: a process that does not say so any more hangs in the code of some child."""
        now, waited_for = time.monotonic(), self._waited_for
        waited = 0 if waited_for is None else len(waited_for.tasks)
        if waited_for is not None and waited:
            self._put_cursor(waited_for.execution.batch.id, MANY, now)
        if self._put_aside is not None:
            self._put_aside(self._under_way - waited, now)

    def _beat(self) -> None:
        """Says again and again that the loop goes round, while something is under way."""
        if self._beating:
            return
        assert self._loop is not None
        self._beating = True
        self._loop.call_later(HEARTBEAT, self._beat_again)

    def _beat_again(self) -> None:
        self._beating = False
        self._say()
        if self._batches:
            self._beat()


def _key(execution: Execution) -> tuple[RunId, int]:
    return execution.batch.run, execution.batch.block


def _new_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    return asyncio.new_event_loop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The loop's thread: never returns."""
    import asyncio

    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):  # of a task that a child has left to itself
            continue


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what children have left on the loop, then the loop."""
    import asyncio

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
