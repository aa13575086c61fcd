"""Which values JSON keeps faithfully, and their encoding.

A JSON encoder is generous: it takes a tuple for a list, NaN for null, 1 for an enum's member. A value that came back as
another would break the promise that a child sees what its parent made, so the test here goes by exact types: None,
bool, int of 64 bits, finite float, str, list, and dict with str keys.
"""

from __future__ import annotations

from math import isfinite

import msgspec

MAX_DEPTH = 100
"""Deeper nesting is left to pickle, so that reading JSON never meets the recursion limit."""

_LOWEST = -(2**63)
_HIGHEST = 2**63 - 1
_ANY_VALUE_GOES = frozenset({str, bool, type(None)})

_encode = msgspec.json.Encoder().encode


def is_plain(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether JSON keeps the value as it is, strings with lone surrogates aside: `encode_plain` finds those."""
    kind = type(value)
    if kind in _ANY_VALUE_GOES:
        return True
    if kind is dict:
        if depth == 0:
            return False
        for key, inner in value.items():  # type: ignore[attr-defined] # mypy does not narrow by `type(x) is`
            if type(key) is not str:
                return False
            kind = type(inner)
            if kind is int:  # written out: a call for each number would be most of the time
                if not _LOWEST <= inner <= _HIGHEST:
                    return False
            elif kind not in _ANY_VALUE_GOES and not is_plain(inner, depth - 1):
                return False
        return True
    if kind is list:
        if depth == 0:
            return False
        for inner in value:  # type: ignore[attr-defined] # noqa: SIM110 # a generator costs twice the time
            if type(inner) not in _ANY_VALUE_GOES and not is_plain(inner, depth - 1):
                return False
        return True
    if kind is int:
        return _LOWEST <= value <= _HIGHEST  # type: ignore[operator]
    return kind is float and isfinite(value)  # type: ignore[arg-type]


def encode_plain(value: object) -> bytes | None:
    """The value as JSON (UTF-8), or None where JSON would not keep it as it is."""
    if not is_plain(value):
        return None
    try:
        return _encode(value)
    except (UnicodeEncodeError, RecursionError):
        return None
