"""What R's `serialize` wrote, version 2, big-endian: vectors and lists; attributes are passed over.

The driver takes values apart until nothing but plain vectors and lists is left, so no more need be understood here.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from refold.errors import BlockError
from refold.languages.r.xdr_writer import CHARACTER, INTEGER, LIST, LOGICAL, RAW, REAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int32] | NDArray[np.float64]

_HEADER = 14
_INT = Struct(">i")
_INTS = Struct(">ii")
_HAS_ATTRIBUTES, _HAS_TAG = 0x200, 0x400
_NIL, _NULL, _PAIRS, _SYMBOL, _REFERENCE, _TEXT = 254, 0, 2, 1, 255, 9


def read_value(data: bytes | bytearray) -> object:
    """The value that these bytes are: None for NULL, a list, a character vector as a list with None for NA, bytes for a
    raw vector, other vectors as numbers with NA as R keeps it. Raises BlockError for what is none of these."""
    return _Reader(memoryview(data)).value()


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = _HEADER

    def _int(self) -> int:
        (number,) = _INT.unpack_from(self._data, self._at)
        self._at += 4
        return int(number)

    def value(self) -> object:
        flags = self._int()
        kind = flags & 0xFF
        if kind in {_NIL, _NULL}:
            return None
        if kind == _SYMBOL:
            self._text()
            return None
        if kind == _REFERENCE:
            if flags >> 8 == 0:
                self._int()
            return None
        if kind == _PAIRS:
            self._pairs(flags)
            return None
        found = self._vector(kind, self._int())
        if flags & _HAS_ATTRIBUTES:
            self.value()
        return found

    def _pairs(self, flags: int) -> None:
        """A pairlist, which nobody asks for."""
        while flags & 0xFF == _PAIRS:
            for there in (flags & _HAS_ATTRIBUTES, flags & _HAS_TAG, True):
                if there:
                    self.value()
            flags = self._int()
        if flags & 0xFF != _NIL:
            raise _unreadable(flags)

    def _vector(self, kind: int, length: int) -> object:
        if length == -1:
            high, low = _INTS.unpack_from(self._data, self._at)
            self._at += 8
            length = (high << 32) + (low & 0xFFFFFFFF)
        if kind == LIST:
            return [self.value() for _ in range(length)]
        if kind == CHARACTER:
            return [self._text() for _ in range(length)]
        if kind in {LOGICAL, INTEGER}:
            return self._numbers("i4", 4 * length)
        if kind == REAL:
            return self._numbers("f8", 8 * length)
        if kind == RAW:
            return bytes(self._take(length))
        raise _unreadable(kind)

    def _take(self, size: int) -> memoryview:
        self._at += size
        return self._data[self._at - size : self._at]

    def _numbers(self, kind: str, size: int) -> Numbers:
        import numpy as np

        read: Numbers = np.frombuffer(self._take(size), dtype=f">{kind}").astype(f"={kind}")
        return read

    def _text(self) -> str | None:
        flags, length = _INTS.unpack_from(self._data, self._at)
        if flags & 0xFF != _TEXT:
            raise _unreadable(flags)
        self._at += 8
        return None if length == -1 else str(self._take(length), "utf-8", "replace")


def _unreadable(flags: int) -> BlockError:
    return BlockError(f"R answered with a value of the internal kind {flags & 0xFF}, which is no data")
