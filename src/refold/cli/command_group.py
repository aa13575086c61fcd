"""How commands end: errors become plain text and exit codes, in one place.

0 completed, 1 failed or cancelled, 2 the input was wrong and nothing was started. A reader that goes away, as in
`refold block-runs RUN | head`, is no error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO, cast

import typer
from typer.core import TyperGroup

from refold.errors import BadInputError, ProtocolError, RefoldError

FAILED = 1
BAD_INPUT = 2


class CommandGroup(TyperGroup):
    """Runs a command, and turns what it raises into an exit code."""

    def invoke(self, ctx: object) -> object:
        """The command's own result. Raises typer.Exit for errors that are meant to be read."""
        try:
            return super().invoke(cast(typer.Context, ctx))
        except RefoldError as error:
            print_error(error)
            raise typer.Exit(BAD_INPUT if isinstance(error, BadInputError) else FAILED) from None
        except BrokenPipeError:
            raise typer.Exit(0) from None
        finally:
            flush_quietly(sys.stdout)


def error_text(error: RefoldError) -> str:
    """What was wrong, where, and what to do, on lines of their own."""
    lines = [f"error: {error.message}"]
    if error.where is not None:
        lines.append(f"  where: {error.where}")
    if isinstance(error, ProtocolError):
        lines.append("  This is a defect of Refold; please report it with the lines above.")
    if error.fix is not None:
        lines += [f"  {line}" for line in error.fix.splitlines()]
    return "\n".join(lines)


def print_error(error: RefoldError) -> None:
    """Writes the error to stderr."""
    note(error_text(error))


def note(text: str) -> None:
    """Writes a line to stderr; nobody reading it is no reason to stop."""
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


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
    """Lets any text be printed: what a terminal's encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
