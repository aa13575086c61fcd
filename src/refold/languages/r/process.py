"""A process of R that answers one request after the other.

Starting R takes longer than most runs, so a process stays for the next one. It has a process group of its own and a
*watcher*, a shell that reads from a pipe which this process holds: when this process ends, however that happens, the
pipe ends, and the watcher kills R and all that R has started. Waiting for an answer is interruptible: what interrupts
it (a timeout, a cancelled run) kills R. What R prints meanwhile goes to `sys.stdout` and `sys.stderr`.
"""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import unpack
from typing import IO, TextIO

from refold.errors import BlockError
from refold.languages.r.rscript import DRIVER, environment, find_rscript
from refold.languages.r.xdr_reader import read_value
from refold.languages.r.xdr_writer import HEADER, Pieces

_PIECE = 1 << 20
_LOOK = 0.5
"""Seconds after which it is looked whether R is still there: a process that R started may keep its pipes open."""
_LAST_WORDS = 5
"""Lines of R's that are repeated when it has ended."""
_WATCH = 'read -r _ || kill -9 "-$1"'


class REndedError(BlockError):
    """Raised when R ended before it answered."""


class RProcess:
    """One process of R, with the driver in it. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Starts it in this folder. Raises BlockFileError without R, BlockError when the system has no room for it."""
        program = find_rscript()
        taken, self._requests = os.pipe()
        self._answers, given = os.pipe()
        watched, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [program, "--no-save", "--no-restore", str(DRIVER), str(taken), str(given)],
                cwd=folder,
                env=dict(environment()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(taken, given),
                start_new_session=True,
            )
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "sh", str(self._process.pid)],
                stdin=watched,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            for descriptor in (self._requests, self._answers, self._lifeline):
                os.close(descriptor)  # an R that has started ends of it
            raise BlockError(f"R could not be started: {error.strerror or error}", where=program) from error
        finally:
            for descriptor in (taken, given, watched):
                os.close(descriptor)
        self._outputs = {
            _descriptor(self._process.stdout): _Output("stdout"),
            _descriptor(self._process.stderr): _Output("stderr"),
        }
        for descriptor in (self._requests, self._answers, *self._outputs):
            os.set_blocking(descriptor, False)
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._lost = False
        """Whether it is of no more use: it has ended, or was interrupted in the middle of an answer."""
        _ALIVE.add(self)
        self._end = weakref.finalize(self, _end, self._process, self._watcher, self._lifeline, self._ours())

    @property
    def pid(self) -> int:
        """Its process id, which is that of its process group too."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked again."""
        return not self._lost and self._process.poll() is None

    def ask(self, request: Pieces, deadline: float | None = None) -> object:
        """What the driver answers. Raises REndedError when R ends before; it is then, and when anything else is raised
        here, of no more use, and dead. `deadline` (monotonic): TimeoutError is raised after it."""
        for output in self._outputs.values():
            output.begin()
        try:
            return self._exchange([HEADER, *request], deadline)
        except BaseException:
            self._lost = True
            self.close()
            raise
        finally:
            for output in self._outputs.values():
                output.end()

    def kill(self) -> None:
        """Lets who waits for it, in another thread, see it end."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends it at once, with all that it has started. Nobody may be waiting for it."""
        self._end()

    def _ours(self) -> tuple[int, ...]:
        return self._requests, self._answers, *self._outputs

    def _exchange(self, request: Pieces, deadline: float | None) -> object:
        pending = memoryview(b"".join(request))
        answer = _Answer()
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_WRITE)
            for descriptor in (self._answers, *self._outputs):
                selector.register(descriptor, selectors.EVENT_READ)
            while not answer.whole:
                events = selector.select(_time_left(deadline))
                if not events and self._process.poll() is not None:
                    raise self._ended()
                for descriptor in (key.fd for key, _ in events):
                    if descriptor == self._requests:
                        pending = self._write(pending)
                        if not pending:
                            selector.unregister(descriptor)
                    elif descriptor == self._answers:
                        if not answer.read(descriptor):
                            raise self._ended()
                    elif not self._listen(descriptor):
                        selector.unregister(descriptor)
        self._listen_to_all()
        return read_value(answer.data)

    def _write(self, pending: memoryview) -> memoryview:
        try:
            return pending[os.write(self._requests, pending[:_PIECE]) :]
        except BlockingIOError:
            return pending
        except OSError:  # it has ended
            raise self._ended() from None

    def _listen(self, descriptor: int) -> bool:
        """Passes on what R has printed; False when it prints no more."""
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        if data:
            self._words.extend(self._outputs[descriptor].say(data))
        return bool(data)

    def _listen_to_all(self) -> None:
        """Passes on all that R has printed by now."""
        for descriptor in self._outputs:
            while _has_data(descriptor) and self._listen(descriptor):
                pass

    def _ended(self) -> REndedError:
        self._listen_to_all()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._listen_to_all()
        words = [*self._words, *(output.rest for output in self._outputs.values() if output.rest.strip())]
        said = f'; its last words: "{" / ".join(word.strip() for word in words)[-400:]}"' if words else ""
        return REndedError(f"R {_how(self._process.returncode)} before the block's function returned{said}")


class _Answer:
    """An answer, as far as it has come: eight bytes that say how long it is, and the rest."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._length: int | None = None

    @property
    def whole(self) -> bool:
        return self._length is not None and len(self.data) >= self._length

    def read(self, descriptor: int) -> bool:
        """Takes what there is; False when nothing more comes."""
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        self.data += data
        if self._length is None and len(self.data) >= 8:
            (length,) = unpack(">d", self.data[:8])
            self._length = int(length)
            del self.data[:8]
        return bool(data)


class _Output:
    """One of R's streams, whose text goes on to the stream of the same name here."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decode: Callable[[bytes], str]
        self.rest = ""
        """The beginning of a line that has no end yet."""
        self.begin()

    def begin(self) -> None:
        """Another run speaks."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.rest = ""

    def say(self, data: bytes) -> list[str]:
        """Passes on what was read; the lines that have ended with it."""
        text = self._decode(data)
        self._stream.write(text)
        *lines, self.rest = (self.rest + text).split("\n")
        return [line for line in lines if line.strip()]

    def end(self) -> None:
        """The run is over."""
        if self.rest:
            self._stream.write("\n")

    @property
    def _stream(self) -> TextIO:
        return sys.stdout if self._name == "stdout" else sys.stderr


def _descriptor(stream: IO[bytes] | None) -> int:
    """A descriptor of our own for a stream of a process, which is closed."""
    if stream is None:
        raise TypeError("the process has no such stream")
    with stream:
        return os.dup(stream.fileno())


def _time_left(deadline: float | None) -> float:
    """Seconds until it is time to look again. Raises TimeoutError when none are left."""
    if deadline is None:
        return _LOOK
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, _LOOK)


def _has_data(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _how(status: int | None) -> str:
    if status is None:
        return "closed its pipe"
    if status == 0:
        return "ended with exit status 0 (a call of `quit()`?)"
    if status > 0:
        return f"ended with exit status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _end(
    process: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes], lifeline: int, descriptors: tuple[int, ...]
) -> None:
    """Kills R and its group, tells the watcher that there is nothing left to do, and waits for both."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(OSError):
        os.write(lifeline, b"\n")
    for descriptor in (lifeline, *descriptors):
        with suppress(OSError):
            os.close(descriptor)
    process.wait()
    watcher.wait()


_ALIVE: weakref.WeakSet[RProcess] = weakref.WeakSet()


def _forget() -> None:
    """A process that a block forks lets go of the pipes: R is to end with this process, not with that one."""
    for each in _ALIVE:
        each._end.detach()
        for descriptor in (each._lifeline, *each._ours()):
            with suppress(OSError):
                os.close(descriptor)


os.register_at_fork(after_in_child=_forget)
