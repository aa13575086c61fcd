"""Stopping a child that is being executed: by its timeout, or because its pipeline run was cancelled.

Both arrive as signals in the main thread and raise there, but only while the user's code is running: what is ours is
never torn. Code that does not return to the interpreter cannot be interrupted; a worker that is in it is killed by the
engine when its time is over. Whether a child was late is judged by the clock at its end: code that swallows the
exception, or runs in another thread, is late all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

from refold.executors.failures import failure_of

_T = TypeVar("_T")
_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class Overdue(BaseException):
    """Raised in the user's code when its timeout has passed; not an Exception, so that it is not swallowed."""


class Cancelled(BaseException):
    """Raised in the user's code when its pipeline run was cancelled."""


PROCESS = [object()]
"""What stands for this process, until a fork makes it another. To ask for its id takes as long as a short child."""


def _forked() -> None:
    PROCESS[0] = object()


os.register_at_fork(after_in_child=_forked)


class Interrupts:
    """Raises in the main thread's user code, once from `enter` to `leave`; in other threads it does nothing."""

    def __init__(self) -> None:
        self.in_user_code = False
        """Who has it run without a timeout again and again may set this, after one `enter` and `leave`, instead of
        calling them; and call `leave` where `PROCESS` says that this has become another one."""
        self._timed = False
        self._process = PROCESS[0]
        """In which the user's code began."""
        self._before: dict[signal.Signals, _Handler] = {}

    def install(self) -> None:
        """Takes the signals; does nothing outside the main thread, which alone receives them."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGALRM, self._on_alarm), (signal.SIGUSR1, self._on_cancel)):
                self._before[number] = signal.signal(number, handler)

    def uninstall(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            if handler is not None:  # else not Python's: it cannot be given back
                signal.signal(number, handler)
        self._before.clear()

    def enter(self, timeout: float | None) -> None:
        """The user's code runs from here to `leave`; at most so many seconds."""
        self._timed = timeout is not None and threading.current_thread() is threading.main_thread()
        self._process = PROCESS[0]
        self.in_user_code = True
        if self._timed and timeout is not None:
            if signal.getsignal(signal.SIGALRM) != self._on_alarm:  # the code of an earlier child has taken it
                signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, max(timeout, 1e-6))

    def leave(self) -> None:
        """The user's code has ended. A process that it forked ends here: there is nothing of ours for it to do."""
        if self._process is not PROCESS[0]:
            _end_fork()
        self.in_user_code = False
        if self._timed:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def limited(self, timeout: float | None, work: Callable[[], _T]) -> _T:
        """What the user's code in `work` returns. Raises Overdue where that took more than so many seconds."""
        began = time.monotonic()
        self.enter(timeout)
        try:
            result = work()
        finally:
            self.leave()
        if timeout is not None and time.monotonic() - began > timeout:
            raise Overdue
        return result

    def cancel(self) -> None:
        """Interrupts what the main thread is executing; callable from any thread."""
        if self.in_user_code:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if self.in_user_code and self._timed:  # else it is an alarm that an earlier child has set
            self.leave()
            raise Overdue

    def _on_cancel(self, _signal: int, _frame: FrameType | None) -> None:
        if self.in_user_code:
            self.leave()
            raise Cancelled


def _end_fork() -> NoReturn:
    """Ends this process as its own program would."""
    code = 1
    try:
        code = _exit_code(sys.exc_info()[1])
        sys.stdout.flush()
    finally:
        os._exit(code & 0xFF)


def _exit_code(error: BaseException | None) -> int:
    """What `sys.exit` asked for; 1 for another exception, which is shown."""
    if error is None:
        return 0
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return error.code or 0
    print(error if isinstance(error, SystemExit) else failure_of(error).traceback.rstrip(), file=sys.stderr)
    return 1
