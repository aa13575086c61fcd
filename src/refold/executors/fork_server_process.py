"""The fork server's own process: `python -m refold.executors.fork_server_process SIGNALS`, with a socket inherited.

It has loaded what a worker needs, has one thread, runs no user's code, and waits: for orders, and for the ends of the
workers that it has made. An order is answered by a fork; the new process leaves all that is the fork server's, takes
what came with the order, and goes on as a worker that was spawned would. What becomes of it is written to a pipe of its
own: its process id, and when it has ended, how.

When the engine's end of the socket closes there will be no more orders, and nobody has use for the workers: they notice
that themselves, by their own sockets. One that cannot, since it is deep in a call, is killed.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType
from typing import NamedTuple

import cloudpickle  # noqa: F401 # every worker pickles, and each would load it

from refold.executors.fork_server import BORN, ENDED, ORDER_LENGTH, REFUSED, SHIELDED, SOCKET, STATUS
from refold.executors.worker import start_worker

GRACE = 1.0
"""Seconds that workers may take to notice that the engine is gone."""


class Order(NamedTuple):
    """A worker that the engine wants."""

    arguments: list[str]
    descriptors: list[int]
    """What `ForkServer.fork` was given."""

    @property
    def status(self) -> int:
        """The pipe that tells what becomes of the worker: kept by the fork server, and not the worker's."""
        return self.descriptors[2]

    def close(self, *, but: Iterable[int] = ()) -> None:
        """Lets go of what came with it."""
        for each in {*self.descriptors} - {*but}:
            os.close(each)


class ForkServerProcess:
    """Makes workers until the engine is gone, and watches over them."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._pipes: dict[int, int] = {}
        """By process id of a worker: where its end is told."""
        self._alarm, self._ring = os.pipe()
        """Readable when a worker has ended: written to by the interpreter at SIGCHLD."""
        for each in (self._alarm, self._ring):
            os.set_blocking(each, False)
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SHIELDED}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _note)
        self._handlers = {number: handler for number, handler in before.items() if handler is not None}
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)

    def serve(self) -> Order | None:
        """Makes workers; returns the order in each of them, and None in this process when the engine is gone."""
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(self._alarm, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._alarm in ready:
                self._bury()
            if self._orders.fileno() in ready:
                order = self._next_order()
                if order is None:
                    self._see_off()
                    return None
                if self._fork(order):
                    return order

    def _next_order(self) -> Order | None:
        """What the engine wants; None when it is gone."""
        try:
            head, descriptors, _, _ = socket.recv_fds(self._orders, ORDER_LENGTH.size, 4)
            if len(head) < ORDER_LENGTH.size:
                return None
            (length,) = ORDER_LENGTH.unpack(head)
            text = self._orders.recv(length, socket.MSG_WAITALL)
        except OSError:
            return None
        for each in descriptors:
            os.set_inheritable(each, False)
        return Order(text.decode().split("\0"), descriptors)

    def _fork(self, order: Order) -> bool:
        """Makes a worker; True in the worker."""
        try:
            pid = os.fork()
        except OSError as error:
            _tell(order.status, REFUSED, error.errno or errno.EAGAIN)
            order.close()
            return False
        if pid == 0:
            self._leave(order)
            return True
        self._pipes[pid] = order.status
        _tell(order.status, BORN, pid)
        order.close(but=[order.status])
        return False

    def _leave(self, order: Order) -> None:
        """In a new worker: what is the fork server's alone is let go of."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._orders.close()
        for each in (self._alarm, self._ring, order.status, *self._pipes.values()):
            os.close(each)

    def _bury(self) -> None:
        """Tells of the workers that have ended."""
        with suppress(BlockingIOError):
            os.read(self._alarm, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._tell_end(*ended)

    def _tell_end(self, pid: int, status: int) -> None:
        pipe = self._pipes.pop(pid)
        _tell(pipe, ENDED, os.waitstatus_to_exitcode(status))
        os.close(pipe)

    def _see_off(self) -> None:
        """The engine is gone: so are the workers, soon."""
        poll = select.poll()
        poll.register(self._alarm, select.POLLIN)
        deadline = time.monotonic() + GRACE
        self._bury()
        while self._pipes and (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            self._bury()
        for pid in self._pipes:
            os.kill(pid, signal.SIGKILL)
        while self._pipes:
            self._tell_end(*os.waitpid(-1, 0))


def _note(_number: int, _frame: FrameType | None) -> None:
    """A worker has ended: a signal that nobody handles would not be told by the wakeup descriptor."""


def _tell(pipe: int, kind: int, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever wanted to know is gone
        os.write(pipe, STATUS.pack(kind, number))


def close_inherited(above: int) -> None:
    """Closes the descriptors above this number that came from the engine's own parents: no worker is to have them."""
    for name in os.listdir("/dev/fd"):
        number = int(name)
        with suppress(OSError):  # the one by which the folder was read
            if number > above and os.get_inheritable(number):
                os.close(number)


def main() -> None:
    """Runs the fork server; the signals that were held back for it are named in the command line."""
    close_inherited(SOCKET)
    os.set_inheritable(SOCKET, False)
    server = ForkServerProcess(socket.socket(fileno=SOCKET))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [int(each) for each in sys.argv[1:]])
    # What is loaded by now is every worker's: none is to touch it only to look for garbage.
    gc.freeze()
    order = server.serve()
    if order is None:
        os._exit(0)
    connection, cursor, _, *errors = order.descriptors
    for each in errors:
        os.dup2(each, 2)
        os.close(each)
    sys.argv[1:] = order.arguments
    name, *options = order.arguments
    start_worker(connection, cursor, name, cautious="cautious" in options)


if __name__ == "__main__":
    main()
