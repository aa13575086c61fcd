"""How commands end: errors become plain text and exit codes, in one place.

0 completed, 1 failed or cancelled, 2 the input was wrong and nothing was started, 130 Ctrl-C. A reader that goes away,
as in `refold block-runs RUN | head`, is no error.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import TextIO

from refold.errors import BadInputError, ProtocolError, RefoldError
from refold.io.secrets.masking import masked

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 128 + signal.SIGINT


class Exit(Exception):  # noqa: N818 # the command has said all that is to be said
    """Raised when a command ends with an exit code that is not 0."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def exit_code_of(command: Callable[[], None]) -> int:
    """Runs a command to its end: its exit code. Errors that are meant to be read are printed."""
    try:
        command()
    except Exit as end:
        return end.code
    except RefoldError as error:
        print_error(error)
        return BAD_INPUT if isinstance(error, BadInputError) else FAILED
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        flush_quietly(sys.stdout)
    return 0


def leave_at_ctrl_c() -> None:
    """Until `answer_ctrl_c` nothing is under way: Ctrl-C ends the process, and nothing need be said of it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def answer_ctrl_c() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as ever."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def error_text(error: RefoldError) -> str:
    """What was wrong, where, and what to do, on lines of their own."""
    lines = [f"error: {error.message}"]
    if error.where is not None:
        lines.append(f"  where: {error.where}")
    if isinstance(error, ProtocolError):
        lines.append("  This is a defect of Refold; please report it with the lines above.")
    if error.fix is not None:
        lines += [f"  {line}" for line in error.fix.splitlines()]
    return masked("\n".join(lines))


def print_error(error: RefoldError) -> None:
    """Writes the error to stderr."""
    note(error_text(error))


def note(text: str) -> None:
    """Writes a line to stderr; nobody reading it is no reason to stop."""
    with suppress(BrokenPipeError):
        print(masked(text), file=sys.stderr, flush=True)


def note_warnings(warnings: Sequence[str]) -> None:
    """Writes what is odd about a pipeline's files, and does not stop it, to stderr."""
    for warning in warnings:
        note(f"warning: {warning}")


def flush_quietly(stream: TextIO) -> None:
    """Writes what waits to be written; where nobody reads any more, it goes nowhere, now and when the process ends."""
    try:
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def prepare_streams() -> None:
    """Lets any text be printed: what a terminal's encoding lacks is written as an escape, and what nobody is there for
    goes nowhere."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, and the next file that is opened would be taken for it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 # as long as this process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
