"""What a person probably meant: the fix that an error about an unknown name offers."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 8


def suggestion(word: str, known: Iterable[str], nouns: str) -> str:
    """`Did you mean ...?` where a known name is near, else a sentence that lists some; `nouns` says what they are."""
    names = sorted(set(known))
    by_lower = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{by_lower[near[0]]}`?"
    if not names:
        return f"There are no {nouns}."
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Known {nouns}: {', '.join(names[:_SHOWN])}{more}."
