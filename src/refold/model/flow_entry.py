"""What `configuration.dynamic` says about how items flow: `buffer`, `rate` and `limit_by`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from refold.model.block import LimitBy
from refold.model.place import Place
from refold.model.size import read_size

_ITEMS = "how many unread items may wait, 1 or more, or `{items: 1000, bytes: 64MB}`"
_RATE = "how many runs may begin, more than 0: in a second such as 50/s, in a minute such as 100/m, in an hour 5000/h"
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SLOWEST = 1 / 86_400
"""Runs a second: one a day."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What the three keys say; None where they say nothing."""

    buffer_items: int | None = None
    buffer_bytes: int | None = None
    rate: float | None = None
    """Runs a second."""
    limit_by: LimitBy | None = None


def read_flow(place: Place, *, dynamic: bool) -> Flow:
    """The settings in `configuration.dynamic` of a block that is dynamic, or not.

    Raises the file's error for a wrong value, and for what means nothing on a block that is not dynamic.
    """
    for key in ("buffer", "limit_by"):
        found = place.get(key)
        if found is not None and not dynamic:
            raise found.error(
                f"`{key}` is about the items of a dynamic block, and this block is not dynamic",
                "Write `parent: true` beside it, or set it on the dynamic block above.",
            )
    items, size = _buffer(place.get("buffer"))
    return Flow(items, size, _rate(place.get("rate")), _limit_by(place.get("limit_by")))


def _buffer(place: Place | None) -> tuple[int | None, int | None]:
    if place is None:
        return None, None
    if not isinstance(place.value, dict):
        return int(place.number(_ITEMS, 1, whole=True)), None
    items, size = place.get("items"), place.get("bytes")
    return None if items is None else items.integer(1), None if size is None else read_size(size, 1)


def _rate(place: Place | None) -> float | None:
    if place is None:
        return None
    value = place.value
    if isinstance(value, bool | list | dict):
        raise place.unexpected(_RATE)
    number, slash, unit = (part.strip() for part in str(value).partition("/"))
    if slash and unit.lower() not in _SECONDS:
        raise place.unexpected(_RATE)
    try:
        rate = float(number) / (_SECONDS[unit.lower()] if slash else 1)
    except ValueError:
        raise place.unexpected(_RATE) from None
    if not math.isfinite(rate) or rate <= 0:
        raise place.unexpected(_RATE)
    if rate < _SLOWEST:
        raise place.unexpected("a rate of one run a day or more")
    return rate


def _limit_by(place: Place | None) -> LimitBy | None:
    if place is None:
        return None
    if not isinstance(place.value, dict):
        return LimitBy(_key(place))
    key, limit = place.get("key"), place.get("limit")
    if key is None:
        raise place.unexpected("a key of the items' metadata, or `{key: <that key>, limit: 1}`")
    return LimitBy(_key(key), 1 if limit is None else limit.integer(1))


def _key(place: Place) -> str:
    if isinstance(place.value, bool | list | dict) or not place.text().strip():
        raise place.unexpected("a key of the items' metadata")
    return place.text()
