"""What PostgreSQL says is wrong, without what its driver wraps around it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from refold.errors import DatabaseError

if TYPE_CHECKING:
    from adbc_driver_manager import dbapi

_WRAPPING = re.compile(r"^[A-Z_]+: (\[libpq\] )?")


def database_error(error: dbapi.Error, *, text: str | None = None, hidden: str = "") -> DatabaseError:
    """The error in the server's words, with the line of the statement's `text` where it says one.

    `hidden` is what must not be read in it, such as a password.
    """
    said = {_text(key): _text(value) for key, value in error.details}
    message = said.get("PG_DIAG_MESSAGE_PRIMARY")
    if message is None:
        message = " ".join(_WRAPPING.sub("", str(error)).split())
        return DatabaseError(message.replace(hidden, "***") if hidden else message)
    for part in ("PG_DIAG_MESSAGE_DETAIL", "PG_DIAG_CONTEXT"):
        if part in said:
            message += f" ({said[part]})"
    where = _line(text, int(said.get("PG_DIAG_STATEMENT_POSITION", "0")))
    return DatabaseError(message, where=where, fix=said.get("PG_DIAG_MESSAGE_HINT"))


def _text(said: object) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _line(text: str | None, position: int) -> str | None:
    """The line of the statement at a position, which is counted in characters from 1."""
    if text is None or not 0 < position <= len(text):
        return None
    number = text.count("\n", 0, position - 1)
    return f"line {number + 1} of the statement, `{text.split(chr(10))[number].strip()}`"
