"""A worker's process as its engine sees it: started, ended, and how it ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from refold.executors import fork_server
from refold.executors.channel import Channel
from refold.executors.cursor import Cursor
from refold.executors.fork_server import BORN, ENDED, REFUSED, STATUS, ForkServer

_BIRTH = 1.0
"""Seconds that one that is to be killed may take to come into being: the fork server sees to its end otherwise."""


class SpawnedWorker:
    """The process of one worker, with all that it shares with the engine. It is gone when its connection closes."""

    def __init__(self, server: ForkServer, name: str, *, cautious: bool = False) -> None:
        """Orders it; `cautious`: it says what came of a child before it goes on to the next.

        Raises OSError when the system has no descriptors for it. Whether it had a process is known later: where not, it
        `has_ended`, and `refused` or `startup_errors` says why.
        """
        self.server = server
        """Where it comes from."""
        self._pid: int | None = None
        self._is_over = False
        self.exit_code: int | None = None
        """How it ended: its exit code, or a signal's number below zero. None while it lives, and where nobody knows."""
        self.refused: OSError | None = None
        """Why the system had no process for it."""
        self._is_closed = False
        with ExitStack() as started:
            ours, theirs = socket.socketpair()
            self.connection = Channel(ours)
            started.callback(self.connection.close)
            with theirs:
                self.cursor = Cursor.create()
                started.callback(self.cursor.close)
                self._errors = fork_server.error_file("refold-worker")
                if self._errors is not None:
                    started.callback(os.close, self._errors)
                self._status, status = os.pipe()
                try:
                    os.set_blocking(self._status, False)
                    errors = () if self._errors is None else (self._errors,)
                    descriptors = (theirs.fileno(), self.cursor.descriptor, status, *errors)
                    self.is_ordered = server.fork((name, "cautious") if cautious else (name,), descriptors)
                    """Whether there was a fork server to hear of it."""
                except OSError:
                    os.close(self._status)
                    raise
                finally:
                    os.close(status)
            self._shared = started.pop_all()

    def fileno(self) -> int:
        """A descriptor that is readable when there is news of it: that it has a process, or that it has ended."""
        return self._status

    @property
    def pid(self) -> int | None:
        """Its process id; None while it has none yet."""
        self._look()
        return self._pid

    def has_ended(self) -> bool:
        """Whether it has ended, or never began; does not wait."""
        self._look()
        return self._is_over

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it has ended; False when it has not after so many seconds."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.has_ended():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._await_news(left)
        return True

    def kill(self) -> None:
        """Ends it at once, whatever it does. Safe in a signal handler."""
        if self.pid is None and not self._is_over:
            self._await_news(_BIRTH)
        if self.pid is not None and not self._is_over:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def startup_errors(self) -> str:
        """What was written to stderr before it had a log, by it or by the fork server that failed to make it."""
        said = fork_server.written_to(self._errors)
        return said if said or self._pid is not None else self.server.startup_errors()

    def close(self) -> None:
        """Lets go of it; it ends by itself when it notices. Whether it has can still be asked."""
        if self._is_closed:
            return
        self._look()
        self._shared.close()
        self._is_closed = True
        if self._is_over:
            os.close(self._status)

    def reap(self, seconds: float) -> None:
        """Waits until it has ended; kills it after so many seconds."""
        if not self.wait(seconds):
            self.kill()
            self.wait()

    def _await_news(self, seconds: float | None) -> None:
        poll = select.poll()
        poll.register(self, select.POLLIN)
        poll.poll(None if seconds is None else max(0.0, seconds * 1000))

    def _look(self) -> None:
        """Reads what the fork server has said of it."""
        while not self._is_over:
            try:
                said = os.read(self._status, STATUS.size)
            except BlockingIOError:
                return
            if not said:
                self._abandon()
                return
            kind, number = STATUS.unpack(said)
            if kind == BORN:
                self._pid = number
                continue
            if kind == REFUSED:
                self.refused = OSError(number, os.strerror(number))
            elif kind == ENDED:
                self.exit_code = number
            self._end()

    def _abandon(self) -> None:
        """The fork server is over: nobody could tell any more when the worker ends, so it ends now."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._end()

    def _end(self) -> None:
        self._is_over = True
        if self._is_closed:
            os.close(self._status)


def await_news(workers: Iterable[SpawnedWorker], seconds: float | None) -> None:
    """Waits until one of them has said something or ended, or for so many seconds."""
    poll = select.poll()
    for worker in workers:
        poll.register(worker, select.POLLIN)
        poll.register(worker.connection, select.POLLIN)
    poll.poll(None if seconds is None else max(0.0, seconds * 1000))


class Spawner:
    """Starts the workers of one executor, and keeps the fork server that they come from."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._servers: dict[ForkServer, list[SpawnedWorker]] = {}
        """Those that workers have come from that may still be there; the last one is the present one."""

    def start(self, name: str, *, cautious: bool = False) -> SpawnedWorker:
        """A new worker. Raises OSError when the system has no process or descriptor for it."""
        worker = SpawnedWorker(self._fitting(), name, cautious=cautious)
        if not worker.is_ordered:  # the fork server has ended since it was looked at
            worker.close()
            worker = SpawnedWorker(self._fitting(), name, cautious=cautious)
        self._servers[worker.server].append(worker)
        return worker

    def close(self) -> None:
        """All its workers have ended: so do the fork servers."""
        while self._servers:
            self._servers.popitem()[0].close()

    def _fitting(self) -> ForkServer:
        """A fork server of the present surroundings; one of others ends when its workers have."""
        for server, workers in tuple(self._servers.items()):
            workers[:] = [worker for worker in workers if not worker.has_ended()]
            if not workers and not server.fits():
                del self._servers[server]
                server.close()
        present = next(reversed(self._servers), None)
        if present is None or not present.fits():
            present = fork_server.take()
            self._servers[present] = []
        return present
