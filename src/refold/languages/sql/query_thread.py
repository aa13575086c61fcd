"""Waiting for a database in a way that can be interrupted.

A timeout and a cancelled run raise in the main thread, between two of its instructions; while it is inside a driver
there are none. So another thread is inside the driver, and the main thread waits for it: what is raised there is handed
on, as `Connection.interrupt`, and nothing of ours is torn in the middle. In other threads nothing is ever raised, so
that these do the work themselves.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from refold.io.databases.connection import Connection

_T = TypeVar("_T")
_HEED = 0.1
"""Seconds after which the main thread looks for a signal that came just before it began to wait: nothing wakes it."""
_AGAIN = 0.05
"""Seconds after which the database is asked again to give up: it may have been between two statements."""
_PATIENCE = 5.0
"""Seconds after which nobody waits any more for a thread that does not come back."""


class Interrupted(BaseException):
    """Raised in the work when it is to be given up, so that its transaction is rolled back."""


class Work(Generic[_T]):
    """Something to be done with a database, whose connection is known once it has been made."""

    def __init__(self, function: Callable[[Work[_T]], _T]) -> None:
        self._function = function
        self._context = copy_context()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._begun = self._over = self._given_up = False
        self._connection: Connection | None = None
        self._result: _T
        self._error: BaseException | None = None

    def reached(self, connection: Connection) -> None:
        """From now on this connection is the one to interrupt. Raises Interrupted."""
        self._connection = connection
        self.go_on()

    def leave(self) -> None:
        """The connection is somebody else's from now on."""
        self._connection = None

    def go_on(self) -> None:
        """To be called between statements, and before what cannot be undone. Raises Interrupted."""
        if self._given_up:
            raise Interrupted

    def run(self) -> _T:
        """Does it in this thread."""
        return self._function(self)

    def perform(self) -> None:
        """Does it for a thread that waits; once, however often it is told to."""
        if self._begun:
            return
        self._begun = True
        try:
            self._result = self._context.run(self._function, self)
        except BaseException as error:
            self._error = error
        finally:
            self._connection = None
            self._over = True
            self._wake.release()

    def wait_for(self, thread: _QueryThread) -> _T:
        """What comes of it on this thread. What is raised here meanwhile interrupts it."""
        try:
            thread.put(self)
            while not self._wake.acquire(timeout=_HEED):
                pass
        except BaseException:
            self._given_up = True
            thread.put(self)  # whether it was put there before nobody knows
            self._wait_for_end(thread)
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame
        return self._result

    def _wait_for_end(self, thread: _QueryThread) -> None:
        waited = 0.0
        while waited < _PATIENCE and not self._over:
            connection = self._connection
            if connection is not None:
                connection.interrupt()
            self._wake.acquire(timeout=_AGAIN)
            waited += _AGAIN
        if not self._over:  # it is stuck, ends when it comes back, and another takes its place
            thread.put(None)
            _threads.clear()


class _Performed(Protocol):
    """Work, whatever comes of it."""

    def perform(self) -> None: ...


class _QueryThread:
    """A thread that does work, one piece after the other."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Performed | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="refold-query", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it is there: not in a process that was forked from the one that had it."""
        return self._thread.is_alive()

    def put(self, work: _Performed | None) -> None:
        """Has it do this after what it does; None: has it end."""
        self._queue.put(work)

    def _serve(self) -> None:
        # Signals are for the thread that waits: only there do they end a wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (work := self._queue.get()) is not None:
            work.perform()
            del work  # what it holds is free while nothing is to be done


_threads: list[_QueryThread] = []
"""The one of this process, once it is needed."""


def interruptibly(function: Callable[[Work[_T]], _T]) -> _T:
    """What the function returns; it is told of its `Work`, and tells it of its connection."""
    work = Work(function)
    if threading.current_thread() is not threading.main_thread():
        return work.run()
    if not _threads or not _threads[0].alive:
        _threads[:] = [_QueryThread()]
    return work.wait_for(_threads[0])
