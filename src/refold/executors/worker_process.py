"""A worker process as the pool sees it: what it has, what it said, and whether it is still there."""

from __future__ import annotations

import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from refold.errors import BlockTimeoutError, RefoldError, WorkerLostError
from refold.executors.admission import BlockKey
from refold.executors.channel import Channel
from refold.executors.cursor import IDLE, MANY
from refold.executors.failures import failure_of
from refold.executors.footprint import memory_of_tree
from refold.executors.held import Held
from refold.executors.messages import (
    AloneMessage,
    CancelMessage,
    EagerMessage,
    FromWorker,
    KeptMessage,
    OpenRunMessage,
    Said,
    ToWorker,
    WaitMessage,
)
from refold.executors.paces import Paces
from refold.executors.spawned_worker import Spawner
from refold.executors.worker_end import Blame, blame, last_reports
from refold.model.keys import RunId
from refold.ports.executor import Batch, Finished, FoldBatch, Partial, Paused, Report
from refold.scheduler.ranges import numbers

_HINTS: dict[int, str] = {
    signal.SIGKILL: "Often that is the system running out of memory.",
    signal.SIGSEGV: "Often that is recursion without end, or a fault, in the C code of a library.",
}
"""What it often means that a worker was ended by a signal."""
_MANY = 64
"""Of so many runs that wait side by side it matters where they are: of fewer all are likely to have begun."""


class WorkerProcess:
    """One worker; spawned, never forked, and gone when its socket closes."""

    def __init__(self, spawner: Spawner, name: str, code: object, paces: Paces, *, cautious: bool = False) -> None:
        """Starts one; `cautious`: it says what came of a child before it goes on to the next. `paces` are told how long
        its batches take.

        Raises RefoldError when the system has no process for it.
        """
        self.name = name
        self.code = code
        """What project and helper code it has loaded: another's never meets it."""
        self.held: dict[int, Held] = {}
        self.wide_runs: Counter[BlockKey] = Counter()
        """Of the blocks of which it may have many runs under way at once: how many it holds."""
        self.ready = False
        self.worn = False
        """Whether code goes on in it that nobody waits for any more: it is to be replaced when it holds nothing."""
        self.eager = False
        self.started_at = self.idle_since = time.monotonic()
        self.kept = 0
        """Bytes that it has more than when it began though it has given back what it can."""
        self.killed_for: RefoldError | None = None
        """Why the pool killed it."""
        self.is_lent = False
        """Whether another worker has its slot while it waits."""
        self._waiting: int | None = None
        """The batch that its main thread waits in."""
        self._cautious = cautious
        self._widths: dict[BlockKey, int] = {}
        """How many runs of those blocks it may have under way."""
        self._killed_aside = False
        """Whether it was killed for what it had under way beside the run that it was on."""
        self._in_turn: dict[int, Held] = {}
        """What its main thread does one after the other, in that order; wide batches until it has come to them."""
        self._paces = paces
        self._last_end = self.started_at
        """When a batch of it was over last."""
        self._first_memory = 0
        """Bytes that it had when it began."""
        self._opened: set[RunId] = set()
        self._output: Path | None = None
        """Where it writes what is not kept for a block run."""
        try:
            self.process = spawner.start(name, cautious=cautious)
        except OSError as error:
            raise _no_room(error) from error

    @property
    def connection(self) -> Channel:
        """What is said to it and by it."""
        return self.process.connection

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is not there yet."""
        return self.process.pid

    @property
    def load(self) -> int:
        """How many batches it has to do something for."""
        return self.jobs + len(self.held) - len(self._in_turn)

    @property
    def jobs(self) -> int:
        """How many of them its main thread has something to do for: the rest of what it holds needs no slot."""
        return sum(held.active for held in self._in_turn.values())

    @property
    def waits(self) -> bool:
        """Whether its main thread only waits for something outside of the pool: it needs no slot."""
        return self._waiting is not None and self._waiting in self.held

    @property
    def is_away(self) -> bool:
        """Whether it waits, and another worker has its slot."""
        return self.is_lent and self.waits

    @property
    def holds_paused(self) -> bool:
        """Whether generators wait in it: it cannot be replaced."""
        return any(held.paused for held in self.held.values())

    def will_be_free_soon(self) -> bool:
        """Whether all that it has to do is likely to be done in a moment: then it can be given something ahead."""
        now = time.monotonic()
        return all(
            self._paces.is_short(held.kind, now - held.sent_at) for held in self._in_turn.values() if held.active
        )

    def beyond(self) -> int:
        """Bytes that it, and what its blocks have started, have more than when it began; 0 where that is not known."""
        pid = self.pid if self.ready else None
        return 0 if pid is None else max(0, memory_of_tree(pid) - self._first_memory)

    def has_opened(self, run: RunId) -> bool:
        """Whether it knows of a pipeline run."""
        return run in self._opened

    def say(self, message: ToWorker) -> None:
        """Tells it something; one that is gone is noticed when it is listened to."""
        if isinstance(message, OpenRunMessage):
            self._opened.add(message.context.run)
            self._output = message.context.run_folder / "logs" / f"{self.name}.out"
        try:
            self.connection.send_bytes(pickle.dumps(message, 5))
        except OSError:
            return

    def submit(self, batch: Batch | FoldBatch) -> None:
        """Gives it a batch, or a fold."""
        length = batch.length if isinstance(batch, Batch) else 1
        self._hold(Held(batch, time.monotonic(), bytearray(length), length))
        self.say(batch)

    def submit_alone(self, batch: Batch, positions: tuple[int, ...]) -> None:
        """Gives it some runs of a batch, while no other worker does anything."""
        over = bytearray(b"\1" * batch.length)
        for position in positions:
            over[position] = 0
        self._hold(Held(batch, time.monotonic(), over, len(positions)))
        self.say(AloneMessage(batch, positions))

    def _hold(self, held: Held) -> None:
        self.held[held.batch.id] = self._in_turn[held.batch.id] = held
        if isinstance(held.batch, Batch) and held.is_wide:
            self.wide_runs[held.kind] += held.open
            self._widths[held.kind] = held.batch.width
        self._go_on()

    def called_back(self, now: float, after: float, has_fewer: Callable[[BlockKey, int], bool]) -> Iterator[Held]:
        """Batches of which something is likely not to have begun though it was there so many seconds ago, or behind
        another one; each is given once. `has_fewer`: whether another worker, which could take some, has fewer runs of a
        block than this."""
        jobs, current = self.jobs, self.current_batch()
        full = set[BlockKey]()
        for kind, runs in self.wide_runs.items():
            width = self._widths[kind]
            fair = width if runs > width else runs // 2 if runs >= _MANY else 0
            if fair and has_fewer(kind, fair):
                full.add(kind)
        for held in tuple(self.held.values() if full else self._in_turn.values()):
            if held.recalled or not isinstance(held.batch, Batch):
                continue
            waits = jobs > 1 and current != held.batch.id and held.batch.id in self._in_turn
            more = held.kind in full if held.is_wide else held.open > 1
            if waits or (more and now - held.sent_at > after):
                held.recalled = True
                yield held

    def _go_on(self) -> None:
        """Wide batches that its main thread has come to hold it no longer; in a cautious worker they do."""
        for number, held in () if self._cautious else tuple(self._in_turn.items()):
            if held.is_wide:
                del self._in_turn[number]
            elif held.active:
                return

    def be_eager(self, eager: bool) -> None:
        """Tells it whether somebody waits for its results."""
        if self.eager != eager:
            self.eager = eager
            self.say(EagerMessage(eager))

    def cancel(self, run: RunId) -> None:
        """Tells it that a pipeline run was cancelled."""
        if any(held.batch.run == run for held in self.held.values()):
            self.say(CancelMessage(run))

    def forget_run(self, run: RunId) -> None:
        """A pipeline run is over."""
        self._opened.discard(run)
        for kind in [kind for kind in self.wide_runs if kind[0] == run]:
            del self.wide_runs[kind], self._widths[kind]

    def listen(self) -> list[Report] | None:
        """Everything it has said so far; None when it is gone and has nothing more to say."""
        reports: list[Report] = []
        ended = self.process.has_ended()  # its socket may stay open: a process that a block forked has it, too
        try:
            while self.connection.poll():
                message = cast("FromWorker", pickle.loads(self.connection.recv_bytes()))
                if message is Said.WORN:
                    self.worn = True
                elif isinstance(message, Said):
                    self._started()
                elif isinstance(message, KeptMessage):
                    self.kept, self._first_memory = message.memory, message.first
                elif isinstance(message, WaitMessage):
                    self._waiting, self.is_lent = message.batch if message.waits else None, False
                else:
                    reports += [report for report in message if self._note(report)]
        except (EOFError, OSError):
            return reports or None
        return reports if reports or not ended else None

    def _started(self) -> None:
        """It has started: the time that this took is not its batches'."""
        self.ready = True
        now = self._last_end = time.monotonic()
        for held in self.held.values():
            held.sent_at = now

    def _note(self, report: Report) -> bool:
        """Keeps account of a report; False if it is out of date."""
        held = self.held.get(report.batch)
        if held is None:
            return False
        if isinstance(report, Paused):
            # A pull that crossed this report on its way has already ended the pause.
            if held.pulls.get(report.position, 0) > report.pulls:
                return False
            held.paused.add(report.position)
            self._go_on()
        elif isinstance(report, Finished):
            for start, stop in report.positions:
                held.reported[start:stop] = b"\1" * (stop - start)
                held.open -= stop - start
                if held.is_wide:
                    self.wide_runs[held.kind] -= stop - start
            held.paused.difference_update(numbers(report.positions) if held.paused else ())
            if not held.open:
                self._ended(held)
        elif isinstance(report, Partial):
            self._ended(held)
        if not self.load:
            self.idle_since = time.monotonic()
        return True

    def _ended(self, held: Held) -> None:
        del self.held[held.batch.id]
        if self._in_turn.pop(held.batch.id, None) is None:
            return  # it took no time of the main thread's
        self._go_on()
        now, before = time.monotonic(), max(held.sent_at, self._last_end)
        self._last_end = now
        self._paces.note(held.kind, now - before)

    def kill(self, reason: RefoldError, *, aside: bool = False) -> None:
        """Ends it at once; `reason` is what the child it was on failed with, or those that were under way beside it."""
        self.killed_for = reason
        self._killed_aside = aside
        self.process.kill()

    def overdue(self, now: float, timeout_of: float | None) -> bool:
        """Whether the child it is on has run longer than this."""
        at = self.process.cursor.read()
        busy = at.position >= 0 or at.position == MANY
        return timeout_of is not None and busy and now - at.since > timeout_of

    def overdue_aside(self, now: float, timeout_of: float) -> bool:
        """Whether nothing was heard for longer than this of what it has under way beside what it is on."""
        aside = self.process.cursor.read_aside()
        return aside.runs > 0 and now - aside.since > timeout_of

    def current_batch(self) -> int:
        """The batch that it is executing, or executed last."""
        return self.process.cursor.read().batch

    def died_unblamed(self) -> bool:
        """It is dead: whether nobody can tell of what: it was after runs of a batch that it had not reported, or there
        were others under way beside the one that it was on."""
        at, held = self.process.cursor.read(), self.held.get(self.current_batch())
        unreported = at.position == IDLE and held is not None and (self._cautious or not held.is_wide)
        return (unreported and self.killed_for is None) or self._blame() is None

    def last_reports(self, cancelled: frozenset[RunId]) -> list[Report]:
        """It is dead: what becomes of the runs that it had. Only the child it was on pays."""
        failure = failure_of(self.killed_for or self.lost())
        found = last_reports(self.held.values(), self._blame(), failure, cancelled)
        self.held.clear()
        return found

    def _blame(self) -> Blame | None:
        cursor = self.process.cursor
        return blame(cursor.read(), cursor.read_aside(), self.killed_for, aside=self._killed_aside)

    def lost(self) -> WorkerLostError:
        """It is dead: how it ended."""
        self.process.wait()
        code = self.process.exit_code
        if code is None:
            message = "its worker process ended, and how is not known"
        elif code >= 0:
            message = f"its worker process ended with exit code {code}"
        elif code == -signal.SIGKILL:
            message = "its worker process was killed (SIGKILL)"
        else:
            message = f"its worker process was ended by {_signal_name(-code)}"
        hints = [_HINTS[-code]] if code is not None and -code in _HINTS else []
        with suppress(OSError):
            if self._output is not None and self._output.stat().st_size:
                hints.append(f"What it wrote last is in {self._output}")
        return WorkerLostError(message, fix=" ".join(hints) or None)

    def start_error(self) -> RefoldError:
        """It ended before it was ready: why."""
        if self.process.refused is not None:
            return _no_room(self.process.refused)
        return RefoldError(f"a worker process could not start:\n{self.startup_errors().strip() or 'it said nothing'}")

    def startup_errors(self) -> str:
        """What a worker that did not come up wrote to stderr."""
        return self.process.startup_errors()

    def close(self) -> None:
        """Lets go of it; it ends by itself when it notices."""
        self.process.close()

    def reap(self, seconds: float) -> None:
        """Waits until it has ended; kills it after so many seconds."""
        self.process.reap(seconds)


def _no_room(error: OSError) -> RefoldError:
    """The system has no process, or no descriptors, for a worker."""
    return RefoldError(
        f"a worker process could not start: {error.strerror or error}",
        fix="Let fewer run at once (`--workers`), or raise the system's limits on processes and open files.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names here
        return f"signal {number}"


def overdue_error(timeout: float) -> BlockTimeoutError:
    """What a child fails with whose worker was killed because it did not end in time."""
    return BlockTimeoutError(
        f"ran longer than its timeout of {timeout:g} seconds and could not be interrupted; its worker was killed"
    )
