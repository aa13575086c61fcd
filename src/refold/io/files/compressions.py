"""Compressed files: which endings mean which compression, and how the bytes inside are read and written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast


@dataclass(frozen=True, slots=True)
class Compression:
    """A way to compress a whole file."""

    suffix: str
    """How such a file ends, without the dot."""
    open: Callable[[BinaryIO], BinaryIO]
    """The bytes inside a compressed file."""
    fill: Callable[[BinaryIO, str], BinaryIO]
    """A file that compresses what is written to it; closing it leaves the outer one open. The text is a name for what
    is inside, where the compression keeps one."""


@contextmanager
def decompressed(file: BinaryIO, compression: Compression | None) -> Iterator[io.BufferedReader[io.RawIOBase]]:
    """What is inside a file; the file itself where it is not compressed."""
    inside = file if compression is None else compression.open(file)
    # The reader does not close the file, which belongs to who opened it.
    reader = io.BufferedReader(cast(io.RawIOBase, inside))
    try:
        yield reader
    finally:
        reader.detach()
        if inside is not file:
            inside.close()


@contextmanager
def compressed(file: BinaryIO, compression: Compression | None, name: str) -> Iterator[BinaryIO]:
    """A file to write to, whose bytes arrive compressed in the given one."""
    if compression is None:
        yield file
        return
    inside = compression.fill(file, name)
    try:
        yield inside
    finally:
        inside.close()


def _open_gzip(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))


def _fill_gzip(file: BinaryIO, name: str) -> BinaryIO:
    del name
    # Neither name nor time: the same rows make the same file.
    return cast(BinaryIO, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0))


def _open_bz2(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.BZ2File(file))


def _fill_bz2(file: BinaryIO, name: str) -> BinaryIO:
    del name
    return cast(BinaryIO, bz2.BZ2File(file, "wb"))


def _open_xz(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.LZMAFile(file))


def _fill_xz(file: BinaryIO, name: str) -> BinaryIO:
    del name
    return cast(BinaryIO, lzma.LZMAFile(file, "wb"))


def _open_zip(file: BinaryIO) -> BinaryIO:
    archive = zipfile.ZipFile(file)
    members = [each for each in archive.infolist() if not each.is_dir() and not each.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise ValueError(f"the archive holds {len(members)} files instead of one")
    return cast(BinaryIO, archive.open(members[0]))


class _ZipMember(io.BufferedIOBase):
    """The one file of an archive, which is complete when this is closed."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._member = self._archive.open(name, "w", force_zip64=True)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._member.write(cast(bytes, data))

    def close(self) -> None:
        if not self.closed:
            self._member.close()
            self._archive.close()
        super().close()


def _fill_zip(file: BinaryIO, name: str) -> BinaryIO:
    return cast(BinaryIO, _ZipMember(file, name))


def _open_zstd(file: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


def _fill_zstd(file: BinaryIO, name: str) -> BinaryIO:
    import pyarrow as pa

    del name
    return cast(BinaryIO, pa.CompressedOutputStream(_Held(file), "zstd"))


class _Held(io.BufferedIOBase):
    """A file that others cannot close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._file.write(cast(bytes, data))


COMPRESSIONS: Mapping[str, Compression] = {
    each.suffix: each
    for each in (
        Compression("gz", _open_gzip, _fill_gzip),
        Compression("bz2", _open_bz2, _fill_bz2),
        Compression("xz", _open_xz, _fill_xz),
        Compression("zip", _open_zip, _fill_zip),
        Compression("zst", _open_zstd, _fill_zstd),
    )
}
"""By ending."""
