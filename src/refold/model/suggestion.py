"""What a person probably meant: the fix that an error about an unknown name offers."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 8


def suggestion(word: str, known: Iterable[str], nouns: str) -> str:
    """`Did you mean ...?` where a known name is near, else a sentence that lists some; `nouns` says what they are."""
    names = sorted(set(known))
    meant = near(word, names)
    if meant is not None:
        return f"Did you mean `{meant}`?"
    if not names:
        return f"There are no {nouns}."
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Known {nouns}: {', '.join(names[:_SHOWN])}{more}."


def near(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is nearest, of those that are at least so alike: 1 is the same but for capitals."""
    from difflib import get_close_matches  # slow to load, and seldom needed

    by_lower = {name.lower(): name for name in sorted(known)}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None
