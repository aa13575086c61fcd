"""Segment files: where chunks lie on disk, one after another.

A writer appends to files of its own, so that writers need no locks and a torn write harms nobody else's chunks. Readers
find a chunk by its reference alone and may read while the file still grows: a reference exists only once its chunk is
written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from refold.errors import StoreError
from refold.outputs.large import LARGE, Data, LetGo, keep, map_file
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import ChunkRef

FOLDER = "segments"
ROTATE_AT = 256 * 2**20
"""Bytes after which a writer begins another file."""
MAP_FROM = LARGE
"""Bytes from which a chunk is mapped into memory rather than copied."""
MAX_OPEN_FILES = 64
MAX_CACHED_CHUNKS = 8
MAX_CACHED_BYTES = 32 * 2**20
MAX_CACHED_FRAMES = 2
"""Chunks of large frames, whose rows are items, that stay at hand with what the last of the frames was decoded to."""
_MOST_PARTS = 512
"""Parts that one call to the system writes."""

_ADOPTED = "."
"""Between the name of the run that a segment was adopted from, and the segment's own."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_WRITABLE = "Make the folder one that this user can write to"
_FIXES = {errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`)"}


class SegmentWriter:
    """Appends chunks to `<run_folder>/segments/<writer>-<n>.seg`. The first chunk makes the first file.

    With `durable`, a chunk is on the disk, not merely with the operating system, before its reference is given.
    """

    def __init__(self, run_folder: Path, writer: str, *, durable: bool = False, rotate_at: int = ROTATE_AT) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", writer):
            raise StoreError(f"a writer of segments cannot be named {writer!r}: letters, digits and `_.-` are allowed")
        self._run_folder = run_folder
        self._writer = writer
        self._durable = durable
        self._rotate_at = rotate_at
        self._number = 0
        self._process = os.getpid()
        self._descriptor: int | None = None
        self._segment = ""
        self._size = 0

    def append(self, parts: Sequence[Data]) -> ChunkRef:
        """Writes the parts, one after another, as one chunk.

        Raises StoreError, the file as it was, when the disk is full or the folder cannot be written.
        """
        try:
            return self._append(parts)
        except OSError as error:
            raise self._error(error, sum(len(part) for part in parts)) from error

    def close(self) -> None:
        """Closes the file; the next chunk would begin another."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _append(self, parts: Sequence[Data]) -> ChunkRef:
        # A process that was forked off meanwhile has a file of its own: two would write over each other.
        if self._descriptor is None or self._size >= self._rotate_at or self._process != os.getpid():
            self._open_next()
        descriptor, offset = self._descriptor, self._size
        assert descriptor is not None
        try:
            end = _write(descriptor, parts, offset)
            if self._durable:
                os.fsync(descriptor)
        except BaseException:
            # A signal's exception too may leave half a chunk; the next one is written over it either way.
            try:
                os.ftruncate(descriptor, offset)
            except OSError:
                with suppress(OSError):
                    self.close()
            raise
        self._size = end
        return ChunkRef(self._segment, offset, end - offset)

    def _open_next(self) -> None:
        self.close()
        self._process = os.getpid()
        folder = self._run_folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        while self._descriptor is None:
            name = f"{self._writer}-{self._number}.seg"
            self._number += 1
            try:
                # Never a file that is there: an earlier process of the same name may have left it.
                descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            self._descriptor = _beyond_streams(descriptor)
            self._segment = f"{FOLDER}/{name}"
            self._size = 0
        if self._durable:
            for path in (folder, self._run_folder):
                _sync_folder(path)

    def _error(self, error: OSError, size: int) -> StoreError:
        where = str(self._run_folder / self._segment) if self._segment else str(self._run_folder / FOLDER)
        if error.errno in _FULL:
            return StoreError(
                f"the disk is full: {size:,} bytes of outputs could not be written",
                where=where,
                fix="Free space there, then retry the run.",
            )
        return StoreError(
            f"{size:,} bytes of outputs could not be written: {error.strerror or error}",
            where=where,
            fix=f"{_FIXES.get(error.errno or 0, _WRITABLE)}, then retry the run.",
        )


def _write(descriptor: int, parts: Sequence[Data], offset: int) -> int:
    """Writes all of the parts from the offset on; where they end."""
    views = [memoryview(part) for part in parts if len(part)]
    while views:
        written = os.pwritev(descriptor, views[:_MOST_PARTS], offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]
    return offset


def _beyond_streams(descriptor: int) -> int:
    """The descriptor, or a copy beyond 2: a block may have closed stdout, and what is opened next takes its number."""
    if descriptor > 2:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def adopt_segment(run_folder: Path, other: Path, ref: ChunkRef) -> ChunkRef:
    """Makes a chunk of another run one of this run's, which stays when the other run's folder is deleted.

    Its segment file is linked, not copied, where the file system can. Raises FileNotFoundError when it is gone,
    StoreError when the folder cannot be written.
    """
    adopted = ref._replace(segment=f"{FOLDER}/{other.name}{_ADOPTED}{Path(ref.segment).name}")
    source, target = other / ref.segment, run_folder / adopted.segment
    if target.exists():
        return adopted
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    except FileNotFoundError:
        raise
    except FileExistsError:
        pass
    except OSError:
        _copy_segment(source, target)
    return adopted


def adopted_from(ref: ChunkRef) -> str | None:
    """The name of the run's folder that a chunk was adopted from; None for a run's own."""
    name = Path(ref.segment).name
    return name.partition(_ADOPTED)[0] if _ADOPTED in name.removesuffix(".seg") else None


def _copy_segment(source: Path, target: Path) -> None:
    import shutil  # slow to load, and seldom needed

    half = target.with_suffix(".half")
    try:
        shutil.copyfile(source, half)
        half.replace(target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(
            f"a result of an earlier run could not be taken over: {error.strerror or error}", where=str(target)
        ) from error


class SegmentReader:
    """Opens chunks of a run's segments. Neighbours are asked for in sequence, so the last few stay open.

    Safe for threads.
    """

    def __init__(self, run_folder: Path, *, max_open_files: int = MAX_OPEN_FILES, map_from: int = MAP_FROM) -> None:
        self._run_folder = run_folder
        self._max_open_files = max_open_files
        self._map_from = map_from
        self._lock = Lock()
        self._files: OrderedDict[str, int] = OrderedDict()
        self._chunks: OrderedDict[ChunkRef, StoredChunk] = OrderedDict()

    def read(self, ref: ChunkRef) -> StoredChunk:
        """The chunk. Raises StoreError when it is not there, cut short or damaged."""
        with self._lock:
            cached = self._chunks.get(ref)
            if cached is not None:
                self._chunks.move_to_end(ref)
                return cached
            place = f"{self._run_folder / ref.segment}, bytes {ref.offset} to {ref.offset + ref.length}"
            try:
                data, let_go = self._bytes(ref, place)
            except OSError as error:
                raise StoreError(
                    f"outputs of an earlier block run cannot be read: {error.strerror or error}",
                    where=place,
                    fix="Run the pipeline again if the run's folder was deleted.",
                ) from error
            chunk = StoredChunk(data, place, let_go)
            self._keep(ref, chunk)
            return chunk

    def drop_cached(self) -> None:
        """Lets go of the chunks that stay at hand; those that were given out stay readable."""
        with self._lock:
            self._chunks.clear()

    def close(self) -> None:
        """Closes files; chunks that were given out stay readable."""
        with self._lock:
            while self._files:
                os.close(self._files.popitem()[1])
            self._chunks.clear()

    def _bytes(self, ref: ChunkRef, place: str) -> tuple[Data, LetGo]:
        """The chunk's bytes, and what lets go of them."""
        descriptor = self._open(ref.segment)
        # Mapped bytes past the end of a file would end the process, not raise.
        if os.fstat(descriptor).st_size < ref.offset + ref.length:
            raise StoreError(
                "the file is shorter than its chunks",
                where=place,
                fix="Run the pipeline again: what the chunk held cannot be brought back.",
            )
        if ref.length < self._map_from:
            return os.pread(descriptor, ref.length, ref.offset), keep
        return map_file(descriptor, ref.offset, ref.length)

    def _open(self, segment: str) -> int:
        descriptor = self._files.get(segment)
        if descriptor is not None:
            self._files.move_to_end(segment)
            return descriptor
        descriptor = os.open(self._run_folder / segment, os.O_RDONLY | os.O_CLOEXEC)
        self._files[segment] = descriptor
        if len(self._files) > self._max_open_files:
            os.close(self._files.popitem(last=False)[1])
        return descriptor

    def _keep(self, ref: ChunkRef, chunk: StoredChunk) -> None:
        self._chunks[ref] = chunk
        while len(self._chunks) > MAX_CACHED_CHUNKS or (
            len(self._chunks) > 1 and sum(map(self._copied, self._chunks)) > MAX_CACHED_BYTES
        ):
            self._chunks.popitem(last=False)
        if not self._copied(ref) and chunk.holds_rows:
            frames = [each for each, cached in self._chunks.items() if not self._copied(each) and cached.holds_rows]
            for each in frames[:-MAX_CACHED_FRAMES]:
                del self._chunks[each]

    def _copied(self, ref: ChunkRef) -> int:
        """How many bytes of memory a cached chunk takes: what is mapped is let go of when it was read."""
        return ref.length if ref.length < self._map_from else 0
