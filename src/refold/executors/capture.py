"""Prints and logs of block runs: captured one by one, kept as JSON lines in the run's folder.

A line says when, which block run, which stream (`stdout`, `stderr`, `log`), and the text. Threads that a child starts
belong to it while it runs, and so do processes that it forks. What subprocesses or C libraries write past Python's
streams goes where the process writes: of a worker, to the file `<worker>.out` beside the logs. A log never fails a
block run: what cannot be written is lost, and streams that a block puts in the place of ours last until it is over.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec

from refold.io.secrets.masking import masked

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_HELD = 8192
"""Bytes of lines that wait at most."""
_PATIENCE = 0.5
"""Seconds without a write after which the next line does not wait: it may be the only one for long."""

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
    """Appends lines to one file of a run; safe for threads, and for processes that a block forks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._process = os.getpid()
        self._forked = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        """What is not written yet."""
        self._size = 0
        self._written = 0.0
        """When (monotonic) something was written last."""
        self._torn = False
        """Whether the file may end in half a line."""

    def write(self, line: LogLine) -> None:
        """Appends a line. A log that cannot be written is no reason to fail a block run."""
        data = _encoded(line)
        if os.getpid() != self._process:  # what waits is the parent's to write, and its lock may be held for ever
            self._process, self._forked = os.getpid(), True
            self._begin()
        with self._lock:
            self._lines.append(data)
            self._size += len(data)
            # A forked process may end at any moment without a word.
            if self._forked or self._size >= _HELD or time.monotonic() - self._written > _PATIENCE:
                self._append()

    def flush(self) -> None:
        """Makes what was written readable to others."""
        with self._lock:
            self._append()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._append()
            self._let_go()

    def _append(self) -> None:
        if not self._lines:
            return
        data = memoryview((b"\n" if self._torn else b"") + b"".join(self._lines))
        self._lines.clear()
        self._size = 0
        self._written = time.monotonic()
        try:
            if self._descriptor is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            while data:
                data = data[os.write(self._descriptor, data) :]
            self._torn = False
        except OSError:
            self._torn = True
            self._let_go()

    def _let_go(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


_encode = msgspec.json.Encoder().encode


def _encoded(line: LogLine) -> bytes:
    """The line as a line of the file; lone surrogates, which no text has, as escapes."""
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        text = line.text.encode("utf-8", "backslashreplace").decode()
        return _encode(msgspec.structs.replace(line, text=text)) + b"\n"


class Capture:
    """Keeps what the code that it surrounds prints and logs, in the log of the run that is being executed."""

    def __init__(self) -> None:
        self.log: LogWriter | None = None
        """Where lines go now; None: to where they went before."""

    def write(self, speaker: BlockRunName, stream: str, text: str, level: str | None = None) -> None:
        """Keeps a text of a block run."""
        if self.log is not None:
            self.log.write(LogLine(time.time(), speaker(), stream, masked(text), level))

    def context(self) -> Context:
        """A context whose output it keeps, for code beside that which it surrounds."""
        context = copy_context()
        context.run(_listener.set, self)
        context.run(_speaker.set, None)
        return context

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
        self.streams: tuple[_Stream, _Stream] | None = None
        """Ours, while anybody listens."""
        self._former: tuple[_Stream, _Stream] | None = None
        """Those before: a thread that a block left behind may be printing, and `print` keeps nothing alive."""
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
            self.streams = _Stream("stdout", self._before[0]), _Stream("stderr", self._before[1])
            sys.stdout, sys.stderr = self.streams
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
            self._former, self.streams = self.streams, None
            _UNFINISHED.clear()

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


_UNFINISHED: dict[tuple[str, int, int], list[str]] = {}
"""Pieces of lines without an end yet, by stream, thread and speaker."""


class _Stream(io.TextIOBase):
    """Takes whole lines for the block run that prints them, and passes on what nobody prints."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, beneath: TextIO) -> None:
        self._name = name
        self._beneath = beneath

    @property
    def buffer(self) -> _Bytes:
        """Where bytes are written."""
        return _Bytes(self)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._beneath.fileno()

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **_options: object) -> None:
        """Does nothing: any text can be written, and a line is kept when it is whole."""

    def close(self) -> None:
        """Does nothing: the children after the one that closes its streams have them, too."""

    def write(self, text: str) -> int:
        whose = _REDIRECTION.whose()
        if whose is None:
            self._beneath.write(masked(text))
            return len(text)
        speaker, listener = whose
        here = (self._name, threading.get_ident(), id(speaker))
        *lines, rest = text.split("\n")
        if lines:
            lines[0] = "".join((*_UNFINISHED.pop(here, ()), lines[0]))
            for line in lines:
                listener.write(speaker, self._name, line)
        if rest:
            _UNFINISHED.setdefault(here, []).append(rest)
        return len(text)

    def flush(self) -> None:
        if _speaker.get() is None:
            self._beneath.flush()

    def end_line(self) -> None:
        """The block run is over: a line without an end is a line."""
        speaker, listener = _speaker.get(), _listener.get()
        rest = "".join(_UNFINISHED.pop((self._name, threading.get_ident(), id(speaker)), ()))
        if rest and speaker is not None and listener is not None:
            listener.write(speaker, self._name, rest)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: what is written to it is text in UTF-8."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        text = bytes(data)
        self._stream.write(text.decode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Does nothing, as the stream's own."""


_REDIRECTION = _Redirection()


def speaking() -> BlockRunName | None:
    """Whose output is kept in this context and thread; None: nobody's."""
    whose = _REDIRECTION.whose()
    return None if whose is None else whose[0]


def execute_child(speaker: BlockRunName | None, listener: Capture) -> None:
    """The one child that this process executes from now on speaks, in this thread and in those that it starts."""
    _speaker.set(speaker)
    _REDIRECTION.execute(speaker, listener)


class Streams(NamedTuple):
    """What shows, without a call, whether `end_lines` has anything to do: each child is asked."""

    out: object
    err: object
    unfinished: Sized
    """Lines of either that have no end yet."""


def streams() -> Streams:
    """As they are to be after each child; `end_lines` must be called where they are not, or where lines have no end."""
    ours = _REDIRECTION.streams
    if ours is None:
        return Streams(sys.stdout, sys.stderr, ())
    return Streams(*ours, _UNFINISHED)


def end_lines() -> None:
    """The block run is over: what it printed last needs no newline to be kept, and the streams are ours again."""
    streams = _REDIRECTION.streams
    if streams is None:
        return
    if _REDIRECTION.child is not None:
        sys.stdout, sys.stderr = streams
    for stream in streams if _UNFINISHED else ():
        stream.end_line()
