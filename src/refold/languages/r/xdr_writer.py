"""R values as bytes that `unserialize` reads: R's own format, version 2, big-endian ("R Internals", section 1.8).

It is the one exchange that keeps every type of R's, NA beside empty text and NaN, and needs no package in R. Each
function gives the pieces of one value; a value's attributes stand behind its data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from struct import Struct, pack

from refold.errors import BlockError

Pieces = list[bytes]
"""One R value."""

HEADER = b"X\n" + pack(">iii", 2, 0x00040200, 0x00020300)
"""What a message begins with: the format's version, and the versions of R that wrote it and can read it."""

NA_INTEGER = -(2**31)
NA_REAL_BITS = 0x7FF00000000007A2
"""A NaN that R takes for NA."""
NA_REAL = pack(">Q", NA_REAL_BITS)
LOGICAL, INTEGER, REAL, CHARACTER, LIST, RAW = 10, 13, 14, 16, 19, 24

_IS_OBJECT, _HAS_ATTRIBUTES, _HAS_TAG = 0x100, 0x200, 0x400
_NIL = pack(">i", 254)
_SYMBOL = pack(">i", 1)
_ATTRIBUTE = pack(">i", 2 | _HAS_TAG)
_UTF8 = 9 | 8 << 12
NA_CHARACTER = pack(">ii", 9, -1)
_INTS = Struct(">ii")
_MOST = 2**31 - 1

NULL: Pieces = [_NIL]


def text(value: str) -> bytes:
    """An element of a character vector. Raises BlockError for a text that R cannot hold."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise BlockError(
            f"a text holds NUL or half a surrogate pair, which no text of R can: {value[:40]!r}",
            fix="Take it out before the R block.",
        )
    return _INTS.pack(_UTF8, len(data)) + data


def vector(kind: int, length: int, data: Iterable[bytes], attributes: Mapping[str, Pieces] | None = None) -> Pieces:
    """A vector or list of so many elements. Raises BlockError for one that is longer than R's data frames can be."""
    if length > _MOST:
        raise BlockError(f"{length:,} elements are more than a vector in R may have here ({_MOST:,})")
    flags = kind
    if attributes:
        flags |= _HAS_ATTRIBUTES | (_IS_OBJECT if "class" in attributes else 0)
    return [_INTS.pack(flags, length), *data, *_attributes(attributes or {})]


def _attributes(attributes: Mapping[str, Pieces]) -> Iterator[bytes]:
    for name, value in attributes.items():
        yield _ATTRIBUTE + _SYMBOL + text(name)
        yield from value
    if attributes:
        yield _NIL


def character(values: Sequence[str | None]) -> Pieces:
    """A character vector, None for NA."""
    return vector(CHARACTER, len(values), [NA_CHARACTER if each is None else text(each) for each in values])


def integers(values: Sequence[int | None], attributes: Mapping[str, Pieces] | None = None) -> Pieces:
    """An integer vector, None for NA."""
    data = pack(f">{len(values)}i", *(NA_INTEGER if each is None else each for each in values))
    return vector(INTEGER, len(values), [data], attributes)


def logicals(values: Sequence[bool | None]) -> Pieces:
    """A logical vector, None for NA."""
    return vector(
        LOGICAL, len(values), [pack(f">{len(values)}i", *(NA_INTEGER if v is None else int(v) for v in values))]
    )


def reals(values: Sequence[float | None], attributes: Mapping[str, Pieces] | None = None) -> Pieces:
    """A double vector, None for NA."""
    data = [NA_REAL if each is None else pack(">d", each) for each in values]
    return vector(REAL, len(values), data, attributes)


def listed(values: Sequence[Pieces], names: Sequence[str] | None = None) -> Pieces:
    """A list, its elements named or not."""
    data = (piece for value in values for piece in value)
    return vector(LIST, len(values), data, None if names is None else {"names": character(names)})


def data_frame(columns: Mapping[str, Pieces], rows: int) -> Pieces:
    """A data.frame of these columns, each of so many elements."""
    data = (piece for column in columns.values() for piece in column)
    attributes = {
        "names": character([*columns]),
        "row.names": integers([None, -rows]),
        "class": character(["data.frame"]),
    }
    return vector(LIST, len(columns), data, attributes)
