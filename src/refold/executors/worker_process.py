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
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

from refold.errors import BlockTimeoutError, RefoldError, WorkerLostError
from refold.executors.cursor import LOADING, MANY, At, Cursor
from refold.executors.failures import failure_of
from refold.executors.messages import CancelMessage, EagerMessage, FromWorker, OpenRunMessage, Said, ToWorker
from refold.model.keys import RunId
from refold.ports.executor import Batch, Failure, Finished, Paused, Report
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import gather, numbers

_WEIGHT = 0.3
"""Of the newest batch, in the mean of how long batches take."""


@dataclass(slots=True)
class Held:
    """A batch that a worker has."""

    batch: Batch
    sent_at: float
    """Monotonic."""
    reported: bytearray
    """A byte a run: 1 when it was reported."""
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

    def __init__(self, name: str, code: object) -> None:
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
        ours, theirs = socket.socketpair()
        self.cursor = Cursor.create()
        self._errors = os.memfd_create("refold-worker") if hasattr(os, "memfd_create") else None
        with theirs:
            arguments = [str(theirs.fileno()), str(self.cursor.descriptor), name]
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
        try:
            self.connection.send_bytes(pickle.dumps(message, 5))
        except OSError:
            return

    def submit(self, batch: Batch) -> None:
        """Gives it a batch."""
        self.held[batch.id] = Held(batch, time.monotonic(), bytearray(batch.length), batch.length)
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
        try:
            while self.connection.poll():
                message = cast("FromWorker", pickle.loads(self.connection.recv_bytes()))
                if isinstance(message, Said):
                    self._begin()
                else:
                    reports += [report for report in message if self._note(report)]
        except (EOFError, OSError):
            return reports or None
        return reports

    def _begin(self) -> None:
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

    def last_reports(self, cancelled: frozenset[RunId]) -> list[Report]:
        """It is dead: what becomes of the runs that it had. Only the child it was on pays."""
        at = self.cursor.read()
        failure = failure_of(self.killed_for or self._lost())
        found: list[Report] = []
        for held in self.held.values():
            left = [position for position in range(held.batch.length) if not held.reported[position]]
            culprits = _culprits(at, held, left)
            outcomes = bytearray()
            failures: dict[int, Failure] = {}
            for position in left:
                if held.batch.run in cancelled:
                    outcomes.append(Outcome.CANCELLED)
                elif position in culprits:
                    outcomes.append(Outcome.FAILED)
                    failures[position] = failure
                else:
                    outcomes.append(Outcome.UNSTARTED)
            found.append(Finished(held.batch.id, gather(left), bytes(outcomes), failures=failures))
        self.held.clear()
        return found

    def _lost(self) -> WorkerLostError:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return WorkerLostError(
                "its worker process was killed (SIGKILL)", fix="Often that is the system running out of memory."
            )
        if code < 0:
            return WorkerLostError(f"its worker process was ended by {signal.Signals(-code).name}")
        return WorkerLostError(f"its worker process ended with exit code {code}")

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


def _culprits(at: At, held: Held, left: Sequence[int]) -> set[int]:
    """Positions of a batch that its worker was on; of several at once, all that may have begun."""
    if at.batch != held.batch.id:
        return set()
    if at.position == LOADING:
        return set(left)
    return set(left[: held.batch.width]) if at.position == MANY else {at.position}


def overdue_error(timeout: float) -> BlockTimeoutError:
    """What a child fails with whose worker was killed because it did not end in time."""
    return BlockTimeoutError(
        f"ran longer than its timeout of {timeout:g} seconds and could not be interrupted; its worker was killed"
    )
