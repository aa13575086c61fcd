"""Which values JSON keeps faithfully, and their encoding.

A JSON encoder is generous: it takes a tuple for a list, NaN for null, 1 for an enum's member. A value that came back as
another would break the promise that a child sees what its parent made, so the test here goes by exact types: None,
bool, int of 64 bits, finite float, str, list, and dict with str keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import msgspec

MAX_DEPTH = 100
"""Deeper nesting is left to pickle, so that reading JSON never meets the recursion limit."""

_ANY_VALUE_GOES = frozenset({str, bool, type(None)})

_encode = msgspec.json.Encoder().encode


def is_plain(value: object, depth: int = MAX_DEPTH) -> bool:  # noqa: C901 # written out: calls would be half of the time
    """Whether JSON keeps the value as it is, strings with lone surrogates aside: `encode_plain` finds those."""
    # mypy does not narrow by `type(x) is`; the bounds are written as numbers since names would have to be looked up.
    kind = type(value)
    if kind is list:
        if depth == 0:
            return False
        for inner in value:  # type: ignore[attr-defined]
            kind = type(inner)
            if kind is dict:
                if depth == 1:
                    return False
                for key, leaf in inner.items():
                    if type(key) is not str:
                        return False
                    kind = type(leaf)
                    if kind is int:
                        if not -0x8000_0000_0000_0000 <= leaf <= 0x7FFF_FFFF_FFFF_FFFF:
                            return False
                    elif kind not in _ANY_VALUE_GOES and not is_plain(leaf, depth - 2):
                        return False
            elif kind is int:
                if not -0x8000_0000_0000_0000 <= inner <= 0x7FFF_FFFF_FFFF_FFFF:
                    return False
            elif kind not in _ANY_VALUE_GOES and not is_plain(inner, depth - 1):
                return False
        return True
    if kind is dict:
        if depth == 0:
            return False
        for key, leaf in value.items():  # type: ignore[attr-defined]
            if type(key) is not str:
                return False
            kind = type(leaf)
            if kind is int:
                if not -0x8000_0000_0000_0000 <= leaf <= 0x7FFF_FFFF_FFFF_FFFF:
                    return False
            elif kind not in _ANY_VALUE_GOES and not is_plain(leaf, depth - 1):
                return False
        return True
    if kind is float:
        return isfinite(value)  # type: ignore[arg-type]
    if kind is int:
        return -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF  # type: ignore[operator]
    return kind in _ANY_VALUE_GOES


def encode_plain(value: object) -> bytes | None:
    """The value as JSON (UTF-8), or None where JSON would not keep it as it is."""
    if not is_plain(value):
        return None
    try:
        return _encode(value)
    except (UnicodeEncodeError, RecursionError):
        return None


def encode_first(values: Iterable[object], size: int) -> list[bytes]:
    """The JSON of the first values: as far as JSON keeps them as they are, and until they come to so many bytes."""
    texts: list[bytes] = []
    for value in values:
        text = encode_plain(value)
        if text is None:
            break
        texts.append(text)
        size -= len(text)
        if size <= 0:
            break
    return texts
