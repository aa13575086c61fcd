"""Names of a frame's columns as names that a query can write without quotes: `First name` becomes `first_name`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from refold.errors import DatabaseError


def cleaned(names: Sequence[str], case_sensitive: bool) -> list[str]:
    """The names in small letters, unless they are case-sensitive, `_` for what is no letter, digit or `_`.

    A name that begins with a digit gets `letter_` before it. Raises DatabaseError where two become the same.
    """
    found = [_cleaned(name, case_sensitive) for name in names]
    seen: dict[str, str] = {}
    for name, clean in zip(names, found, strict=True):
        if clean in seen:
            raise DatabaseError(
                f"columns `{seen[clean]}` and `{name}` would both be `{clean}`",
                fix="Rename one, or export with `auto_clean_name=False`.",
            )
        seen[clean] = name
    return found


def _cleaned(name: str, case_sensitive: bool) -> str:
    clean = re.sub(r"\W", "_", name if case_sensitive else name.lower())
    return f"letter_{clean}" if clean[:1].isdigit() else clean
