"""The fork server, as the engine sees it: a small process that has loaded a worker's modules, and forks workers.

A worker that is forked from it begins at once, where one that is spawned loads the same modules first. The command
starts it before it loads its own, so this module needs next to nothing. `fork_server_process` is the other side.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl

SOCKET = 3
"""The descriptor by which the fork server hears the engine."""
ORDER_LENGTH = struct.Struct("!I")
"""Stands before an order."""
STATUS = struct.Struct("!ii")
"""What the fork server says of a worker: one of the following, and a number."""
BORN = 0
"""Its process id."""
REFUSED = 1
"""The system had no process for it: the error's number."""
ENDED = 2
"""Its exit code, or a signal's number below zero."""
SHIELDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal, or whoever ends a whole group of processes, has to say is for the engine to answer."""

_PROCESS = "refold.executors.fork_server_process"
_OUTPUT = 20_000
"""Bytes of what a process wrote to stderr that are shown."""


class ForkServer:
    """One fork server. When this end of its socket is closed it ends, and so do the workers that are left."""

    def __init__(self) -> None:
        """Starts it. Raises OSError when the system has no process or descriptor for it."""
        self._surroundings = _surroundings()
        self._is_over = False
        self._hears = True
        self._errors = error_file("refold-fork-server")
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.pid = _spawn(theirs.fileno(), self._errors)

    def fits(self) -> bool:
        """Whether a worker of it is what one spawned now would be: of this interpreter, environment and folder."""
        return self._hears and not self.is_over() and self._surroundings == _surroundings()

    def is_over(self) -> bool:
        """Whether it has ended."""
        if not self._is_over:
            try:
                self._is_over = os.waitpid(self.pid, os.WNOHANG)[0] != 0
            except ChildProcessError:  # whoever waited for all children of this process has waited for it, too
                self._is_over = True
        return self._is_over

    def fork(self, arguments: tuple[str, ...], descriptors: tuple[int, ...]) -> bool:
        """Orders a worker, which is given these descriptors; False when the fork server has ended.

        They are its end of the connection, its cursor, the pipe that tells what becomes of it, and its stderr if any.
        """
        order = "\0".join(arguments).encode()
        message = ORDER_LENGTH.pack(len(order)) + order
        try:
            sent = socket.send_fds(self._socket, [message], descriptors)
            self._socket.sendall(message[sent:])
        except (BrokenPipeError, ConnectionResetError):
            self._hears = False
        return self._hears

    def startup_errors(self) -> str:
        """What it wrote to stderr: why it ended."""
        return written_to(self._errors)

    def close(self) -> None:
        """Ends it; back when it is gone, and all its workers are."""
        self._socket.close()
        if not self._is_over:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self._is_over = True
        if self._errors is not None:
            os.close(self._errors)
            self._errors = None

    def kill(self) -> None:
        """Ends one that has no workers at once, even while it starts."""
        if not self.is_over():
            os.kill(self.pid, signal.SIGKILL)
        self.close()


def start_early() -> None:
    """Starts a fork server for whoever will `take` it: it gets ready while this process loads its own modules."""
    with suppress(OSError):  # it is tried again when there is something to run
        _early.append(ForkServer())


def take() -> ForkServer:
    """The one that was started early, where there is one and it fits, else a new one. Raises OSError."""
    if _early:
        server = _early.pop()
        if server.fits():
            return server
        server.kill()
    return ForkServer()


def drop_early() -> None:
    """Ends the one that was started early and that nobody has taken."""
    while _early:
        _early.pop().kill()


def error_file(name: str) -> int | None:
    """A file in memory for what a process writes to stderr; None where there are none."""
    return os.memfd_create(name) if hasattr(os, "memfd_create") else None


def written_to(file: int | None) -> str:
    """The beginning of what was written to such a file."""
    return "" if file is None else os.pread(file, _OUTPUT, 0).decode(errors="replace")


_early: list[ForkServer] = []


def _surroundings() -> object:
    """What a process takes over from this one when it is started: another is needed when that is another."""
    try:
        folder = os.stat(".")
        here = folder.st_dev, folder.st_ino
    except OSError:
        here = None
    return sys.executable, os.environ.copy(), here


def _spawn(theirs: int, errors: int | None) -> int:
    """Starts the process; its id. Signals wait until it has decided about them."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Where a number is to be taken that another one of them has, that one would be lost.
    wanted = (null, null, null if errors is None else errors, theirs)
    streams = [fcntl(each, F_DUPFD_CLOEXEC, SOCKET + 1) for each in wanted]
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", _PROCESS, *(str(int(each)) for each in SHIELDED if each not in masked)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, each, number) for number, each in enumerate(streams)],
            setsigmask=[*masked, *SHIELDED],
        )
    finally:
        for each in (null, *streams):
            os.close(each)
