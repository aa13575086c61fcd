"""Messages between the engine and a worker: bytes with their length before them, over a socket.

Reading takes what the system has, so that several messages that came together cost one call.
"""

from __future__ import annotations

import socket
import struct

_LENGTH = struct.Struct("!Q")
_PIECE = 1 << 18
"""Bytes that are asked for at once."""
_SMALL = 1 << 16
"""A message up to this size is copied behind its length, so that one call sends both."""


class Channel:
    """One end of a connection. One thread may read while another writes; two must not do the same at once."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._heard = bytearray()
        """What has been read and is not yet taken."""
        self._over = False

    @classmethod
    def over(cls, descriptor: int) -> Channel:
        """The end with this file descriptor, which is its own from now on."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Its file descriptor: readable when there may be something to take; -1 once it is closed."""
        return self._socket.fileno()

    def send_bytes(self, message: bytes) -> None:
        """Sends a message; waits while the other side has no room for it. Raises OSError when nobody is there."""
        length = _LENGTH.pack(len(message))
        if len(message) <= _SMALL:
            self._socket.sendall(length + message)
        else:
            self._socket.sendall(length)
            self._socket.sendall(message)

    def recv_bytes(self) -> bytes:
        """The next message; waits for it. Raises EOFError when there will be none, OSError when it is broken."""
        while (message := self._take()) is None:
            self._read(0)
        return message

    def poll(self) -> bool:
        """Whether `recv_bytes` would answer at once, with a message or with EOFError."""
        while not self._over and not self._is_whole():
            try:
                self._read(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        """Lets go of it: the other side finds it ended."""
        self._socket.close()

    def _read(self, flags: int) -> None:
        data = self._socket.recv(_PIECE, flags)
        self._heard += data
        self._over = not data

    def _is_whole(self) -> bool:
        heard = self._heard
        return len(heard) >= _LENGTH.size and len(heard) - _LENGTH.size >= _LENGTH.unpack_from(heard)[0]

    def _take(self) -> bytes | None:
        """The next message, where it is all there. Raises EOFError when no more can come."""
        if not self._is_whole():
            if self._over:
                raise EOFError
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._heard)[0]
        message = bytes(memoryview(self._heard)[_LENGTH.size : end])
        del self._heard[:end]
        return message
