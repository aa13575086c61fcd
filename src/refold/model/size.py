"""Sizes in bytes as people write them: `500MB`, `1.5 GiB`, `65536`."""

from __future__ import annotations

import re

from refold.model.place import Place

_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_EXPECTED = "a size: bytes, or a number with kB, MB, GB, KiB, MiB or GiB"


def read_size(place: Place, minimum: int = 1) -> int:
    """The value in bytes. Raises the file's error for what is no size, or less than the minimum."""
    found = _SIZE.fullmatch(place.text().strip())
    unit = _UNITS.get((found.group(2) or "b").lower()) if found is not None else None
    if found is None or unit is None:
        raise place.unexpected(_EXPECTED)
    size = int(float(found.group(1)) * unit)
    if size < minimum:
        raise place.unexpected(f"{_EXPECTED}; at least {minimum:,} bytes")
    return size
