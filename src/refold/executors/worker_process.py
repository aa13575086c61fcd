"""A worker process as the pool sees it: what it has, what it said, and whether it is still there."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from refold.errors import BlockTimeoutError, RefoldError, WorkerLostError
from refold.executors.cursor import IDLE, LOADING, MANY, At, Cursor
from refold.executors.failures import CANCELLED_FOLD, failure_of
from refold.executors.messages import CancelMessage, EagerMessage, FromWorker, OpenRunMessage, Said, ToWorker
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, FoldBatch, Partial, Paused, Report
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather, numbers

_WEIGHT = 0.3
"""Of the newest batch, in the mean of how long batches take."""


_HINTS: dict[int, str] = {
    signal.SIGKILL: "Often that is the system running out of memory.",
    signal.SIGSEGV: "Often that is recursion without end, or a fault, in the C code of a library.",
}
"""What it often means that a worker was ended by a signal."""


@dataclass(slots=True)
class Held:
    """A batch or a fold that a worker has."""

    batch: Batch | FoldBatch
    sent_at: float
    """Monotonic."""
    reported: bytearray
    """A byte a run: 1 when it was reported. A fold counts as one."""
    open: int
    pulls: dict[int, int] = field(default_factory=dict)
    """By position: how many pulls were sent."""
    paused: set[int] = field(default_factory=set)
    recalled: bool = False

    @property
    def active(self) -> bool:
        """Whether the worker has something to do for it."""
        return self.open > len(self.paused)


class WorkerProcess:
    """One worker; spawned, never forked, and gone when its socket closes."""

    def __init__(self, name: str, code: object, *, cautious: bool = False) -> None:
        """Starts one; `cautious`: it says what came of a child before it goes on to the next.

        Raises RefoldError when the system has no process for it.
        """
        self.name = name
        self.code = code
        """What project and helper code it has loaded: another's never meets it."""
        self.held: dict[int, Held] = {}
        self.ready = False
        self.eager = False
        self.idle_since = time.monotonic()
        self.batch_seconds: float | None = None
        """Mean of how long its batches take."""
        self.killed_for: RefoldError | None = None
        """Why the pool killed it."""
        self._opened: set[RunId] = set()
        self._output: Path | None = None
        """Where it writes what is not kept for a block run."""
        try:
            self._begin(("cautious",) if cautious else ())
        except OSError as error:
            raise RefoldError(
                f"a worker process could not start: {error.strerror or error}",
                fix="Let fewer run at once (`--workers`), or raise the system's limits on processes and open files.",
            ) from error

    def _begin(self, options: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.cursor = Cursor.create()
            self._errors = os.memfd_create("refold-worker") if hasattr(os, "memfd_create") else None
            arguments = [str(theirs.fileno()), str(self.cursor.descriptor), self.name, *options]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "refold.executors.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if self._errors is None else self._errors,
                pass_fds=(theirs.fileno(), self.cursor.descriptor),
            )
            self.connection = Connection(ours.detach())

    @property
    def load(self) -> int:
        """How many batches it has to do something for."""
        return sum(held.active for held in self.held.values())

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
        self.held[batch.id] = Held(batch, time.monotonic(), bytearray(length), length)
        self.say(batch)

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

    def listen(self) -> list[Report] | None:
        """Everything it has said so far; None when it is gone and has nothing more to say."""
        reports: list[Report] = []
        ended = self.process.poll() is not None  # its socket may stay open: a process that a block forked has it, too
        try:
            while self.connection.poll():
                message = cast("FromWorker", pickle.loads(self.connection.recv_bytes()))
                if isinstance(message, Said):
                    self._started()
                else:
                    reports += [report for report in message if self._note(report)]
        except (EOFError, OSError):
            return reports or None
        return reports if reports or not ended else None

    def _started(self) -> None:
        """It has started: the time that this took is not its batches'."""
        self.ready = True
        now = time.monotonic()
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
        elif isinstance(report, Finished):
            for start, stop in report.positions:
                held.reported[start:stop] = b"\1" * (stop - start)
                held.open -= stop - start
            held.paused.difference_update(numbers(report.positions) if held.paused else ())
            if not held.open:
                self._ended(held)
        elif isinstance(report, Partial):
            del self.held[report.batch]
        if not self.load:
            self.idle_since = time.monotonic()
        return True

    def _ended(self, held: Held) -> None:
        del self.held[held.batch.id]
        seconds = time.monotonic() - held.sent_at
        before = self.batch_seconds
        self.batch_seconds = seconds if before is None else before + _WEIGHT * (seconds - before)

    def kill(self, reason: RefoldError) -> None:
        """Ends it at once; `reason` is what the child it was on failed with."""
        self.killed_for = reason
        self.process.kill()

    def overdue(self, now: float, timeout_of: float | None) -> bool:
        """Whether the child it is on has run longer than this."""
        at = self.cursor.read()
        busy = at.position >= 0 or at.position == MANY
        return timeout_of is not None and busy and now - at.since > timeout_of

    def current_batch(self) -> int:
        """The batch that it is executing, or executed last."""
        return self.cursor.read().batch

    def died_unblamed(self) -> bool:
        """It is dead: whether that was after runs of a batch that it had not reported, so that any may be the cause."""
        at = self.cursor.read()
        return at.position == IDLE and at.batch in self.held

    def last_reports(self, cancelled: frozenset[RunId]) -> list[Report]:
        """It is dead: what becomes of the runs that it had. Only the child it was on pays."""
        at = self.cursor.read()
        failure = failure_of(self.killed_for or self.lost())
        found: list[Report] = []
        for held in self.held.values():
            is_cancelled = held.batch.run in cancelled
            if isinstance(held.batch, FoldBatch):
                found.append(Partial(held.batch.id, failure=CANCELLED_FOLD if is_cancelled else failure))
            else:
                found.append(_last_report(held, held.batch, at, failure, is_cancelled))
        self.held.clear()
        return found

    def lost(self) -> WorkerLostError:
        """It is dead: how it ended."""
        code = self.process.wait()
        if code >= 0:
            message = f"its worker process ended with exit code {code}"
        elif code == -signal.SIGKILL:
            message = "its worker process was killed (SIGKILL)"
        else:
            message = f"its worker process was ended by {_signal_name(-code)}"
        hints = [_HINTS[-code]] if -code in _HINTS else []
        with suppress(OSError):
            if self._output is not None and self._output.stat().st_size:
                hints.append(f"What it wrote last is in {self._output}")
        return WorkerLostError(message, fix=" ".join(hints) or None)

    def startup_errors(self) -> str:
        """What a worker that did not come up wrote to stderr."""
        if self._errors is None:
            return ""
        return os.pread(self._errors, 20_000, 0).decode(errors="replace")

    def close(self) -> None:
        """Lets go of it; it ends by itself when it notices."""
        self.connection.close()
        self.cursor.close()
        if self._errors is not None:
            os.close(self._errors)

    def reap(self, seconds: float) -> None:
        """Waits until it has ended; kills it after so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _last_report(held: Held, batch: Batch, at: At, failure: Failure, cancelled: bool) -> Finished:
    """What becomes of those runs of a batch that were not reported."""
    left = [position for position in range(batch.length) if not held.reported[position]]
    culprits = _culprits(at, batch, left)
    outcomes = bytearray()
    failures: dict[int, Failure] = {}
    for position in left:
        if cancelled:
            outcomes.append(Outcome.CANCELLED)
        elif position in culprits:
            outcomes.append(Outcome.FAILED)
            failures[position] = failure
        else:
            outcomes.append(Outcome.UNSTARTED)
    return Finished(batch.id, gather(left), bytes(outcomes), failures=failures)


def _culprits(at: At, batch: Batch, left: Sequence[int]) -> set[int]:
    """Positions of a batch that its worker was on; of several at once, all that may have begun."""
    if at.batch != batch.id:
        return set()
    if at.position == LOADING:
        return set(left)
    return set(left[: batch.width]) if at.position == MANY else {at.position}


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
