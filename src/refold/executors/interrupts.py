"""Stopping a child that is being executed: by its timeout, or because its pipeline run was cancelled.

Both arrive as signals in the main thread and raise there, but only while the user's code is running: what is ours is
never torn. Code that does not return to the interpreter cannot be interrupted; a worker that is in it is killed by the
engine when its time is over.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class Overdue(BaseException):
    """Raised in the user's code when its timeout has passed; not an Exception, so that it is not swallowed."""


class Cancelled(BaseException):
    """Raised in the user's code when its pipeline run was cancelled."""


class Interrupts:
    """Raises in the main thread's user code, once from `enter` to `leave`; in other threads it does nothing."""

    def __init__(self) -> None:
        self._in_user_code = False
        self._timed = False
        self._before: dict[signal.Signals, _Handler] = {}

    def install(self) -> None:
        """Takes the signals; does nothing outside the main thread, which alone receives them."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGALRM, self._on_alarm), (signal.SIGUSR1, self._on_cancel)):
                self._before[number] = signal.signal(number, handler)

    def uninstall(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def enter(self, timeout: float | None) -> None:
        """The user's code runs from here to `leave`; at most so many seconds."""
        self._timed = timeout is not None and threading.current_thread() is threading.main_thread()
        self._in_user_code = True
        if self._timed and timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, max(timeout, 1e-6))

    def leave(self) -> None:
        """The user's code has ended."""
        self._in_user_code = False
        if self._timed:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def cancel(self) -> None:
        """Interrupts what the main thread is executing; callable from any thread."""
        if self._in_user_code:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if self._in_user_code:
            self.leave()
            raise Overdue

    def _on_cancel(self, _signal: int, _frame: FrameType | None) -> None:
        if self._in_user_code:
            self.leave()
            raise Cancelled
