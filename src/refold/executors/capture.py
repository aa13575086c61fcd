"""Prints and logs of block runs: captured one by one, kept as JSON lines in the run's folder.

A line says when, which block run, which stream (`stdout`, `stderr`, `log`), and the text. Threads that a child starts
belong to it while it runs. What subprocesses or C libraries write past Python's streams goes where the process writes:
of a worker, to the file `<worker>.out` beside the logs.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

import msgspec

BlockRunName = Callable[[], str]
"""Gives the block run's uuid; asked only when something is written."""

_speaker: ContextVar[BlockRunName | None] = ContextVar("speaker", default=None)
set_speaker = _speaker.set
"""Says whose output follows in this context; None: nobody's."""
_listener: ContextVar[Capture | None] = ContextVar("listener", default=None)
"""Who keeps what this context writes: several threads of a process may each execute a pipeline run."""


class LogLine(msgspec.Struct, frozen=True):
    """One line of a run's logs."""

    at: float
    """Seconds since the epoch."""
    block_run: str
    stream: str
    """`stdout`, `stderr` or `log`."""
    text: str
    level: str | None = None


class LogWriter:
    """Appends lines to one file of a run; safe for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.BufferedWriter | None = None
        self._lock = threading.Lock()

    def write(self, line: LogLine) -> None:
        """Appends a line. A log that cannot be written is no reason to fail a block run."""
        with self._lock:
            try:
                if self._file is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = self._path.open("ab")
                self._file.write(msgspec.json.encode(line) + b"\n")
            except OSError:
                self._file = None

    def flush(self) -> None:
        """Makes what was written readable to others."""
        with self._lock:
            if self._file is not None:
                try:
                    self._file.flush()
                except OSError:
                    self._file = None

    def close(self) -> None:
        """Closes the file."""
        self.flush()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


class Capture:
    """Keeps what the code that it surrounds prints and logs, in the log of the run that is being executed."""

    def __init__(self) -> None:
        self.log: LogWriter | None = None
        """Where lines go now; None: to where they went before."""

    def write(self, speaker: BlockRunName, stream: str, text: str, level: str | None = None) -> None:
        """Keeps a text of a block run."""
        if self.log is not None:
            self.log.write(LogLine(time.time(), speaker(), stream, text, level))

    @contextmanager
    def installed(self) -> Iterator[Capture]:
        """Listens while the context lasts."""
        token = _listener.set(self)
        _REDIRECTION.begin()
        try:
            yield self
        finally:
            _REDIRECTION.end()
            _listener.reset(token)


class _Redirection:
    """Python's streams and logging lead to whoever listens, while anybody does; then they are as they were before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0
        self.child: tuple[BlockRunName, Capture] | None = None
        """The one child that this process executes, where it is one: the threads that it started belong to it."""
        self._before = sys.stdout, sys.stderr
        self._level = logging.NOTSET
        self._handler = _LogHandler()

    def begin(self) -> None:
        """One more listens."""
        with self._lock:
            self._listeners += 1
            if self._listeners > 1:
                return
            self._before = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = _Stream("stdout", self._before[0]), _Stream("stderr", self._before[1])
            root = logging.getLogger()
            self._level = root.level
            root.addHandler(self._handler)
            root.setLevel(min(self._level, logging.INFO) if self._level else logging.INFO)

    def end(self) -> None:
        """One listens no more."""
        with self._lock:
            self._listeners -= 1
            self.child = None
            if self._listeners:
                return
            root = logging.getLogger()
            root.removeHandler(self._handler)
            root.setLevel(self._level)
            sys.stdout, sys.stderr = self._before

    def whose(self) -> tuple[BlockRunName, Capture] | None:
        """Who speaks in this context, and who keeps it; None: nobody."""
        speaker, listener = _speaker.get(), _listener.get()
        if listener is None and speaker is None:
            return self.child
        return None if speaker is None or listener is None or listener.log is None else (speaker, listener)

    def execute(self, speaker: BlockRunName | None, listener: Capture) -> None:
        """This process goes on to another child, or to none."""
        self.child = (speaker, listener) if speaker is not None and self._listeners == 1 else None


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        whose = _REDIRECTION.whose()
        if whose is None:
            return
        speaker, listener = whose
        try:
            listener.write(speaker, "log", self.format(record), record.levelname)
        except Exception:
            self.handleError(record)


class _Stream(io.TextIOBase):
    """Takes whole lines for the block run that prints them, and passes on what nobody prints."""

    encoding = "utf-8"

    def __init__(self, name: str, beneath: TextIO) -> None:
        self._name = name
        self._beneath = beneath
        self.unfinished: dict[tuple[int, int], str] = {}
        """Lines without an end yet, by thread and speaker."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._beneath.fileno()

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        whose = _REDIRECTION.whose()
        if whose is None:
            return self._beneath.write(text)
        speaker, listener = whose
        here = (threading.get_ident(), id(speaker))
        *lines, rest = (self.unfinished.pop(here, "") + text).split("\n")
        for line in lines:
            listener.write(speaker, self._name, line)
        if rest:
            self.unfinished[here] = rest
        return len(text)

    def flush(self) -> None:
        if _speaker.get() is None:
            self._beneath.flush()

    def end_line(self) -> None:
        """The block run is over: a line without an end is a line."""
        speaker, listener = _speaker.get(), _listener.get()
        rest = self.unfinished.pop((threading.get_ident(), id(speaker)), "")
        if rest and speaker is not None and listener is not None:
            listener.write(speaker, self._name, rest)


_REDIRECTION = _Redirection()


def execute_child(speaker: BlockRunName | None, listener: Capture) -> None:
    """The one child that this process executes from now on speaks, in this thread and in those that it starts."""
    _speaker.set(speaker)
    _REDIRECTION.execute(speaker, listener)


def end_lines() -> None:
    """The block run is over: what it printed last needs no newline to be kept."""
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is _Stream and stream.unfinished:
            stream.end_line()
