"""Durations as people write and read them: `7d` in, `1m 20s` out."""

from __future__ import annotations

import re

from refold.errors import BadInputError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", re.IGNORECASE | re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of a number and a unit: `90s`, `15m`, `12h`, `7d`, `2w`. Raises BadInputError."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise BadInputError(
            f"{text!r} is no duration", fix="Write a number and one of s, m, h, d, w: `12h`, `7d`, `2w`."
        )
    return float(found[1]) * _SECONDS[found[2].lower()]


def duration_text(seconds: float) -> str:
    """`0.4s`, `12.3s`, `2m 05s`, `3h 07m`, `2d 04h`."""
    if seconds < 59.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    for unit, size, lower, step in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // step:02d}{lower}"
    return f"{seconds:.1f}s"


def size_text(size: int) -> str:
    """Bytes: `512 bytes`, `1.4 MB`, in powers of 1000."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    number = float(size)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"
