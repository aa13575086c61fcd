"""A Parquet file that the frames of many runs become: what `reduce_input: lazy` makes of `concat`.

Two passes over what is stored: the first finds out what columns there are, for which it need not decode the frames; the
second writes them, one after the other, a row group each. The file lies in the run's folder and is written once for
all who read it, in this run and in retries of it: its name tells the very records that it was made of, and it gets that
name when it is whole. Who comes while it is written waits; who finds a half one, since a process was killed, writes it
anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from refold.errors import ReduceError, StoreError
from refold.executors.folds import Folds
from refold.executors.open_run import OpenRun
from refold.languages.folding import library_of
from refold.languages.frames import FrameLibrary
from refold.languages.shared_columns import SharedColumns
from refold.outputs.codecs import PANDAS, POLARS, decode
from refold.outputs.frames import decode_table, read_schema
from refold.outputs.large import LARGE, Data, give_back_arrow
from refold.ports.executor import Folding, Span, Spans
from refold.ports.output_store import Chunk

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_T = TypeVar("_T")
FOLDER = "folded"
MOST_OWN_GROUPS = 1000
"""Frames that have a row group of their own; of those after them, small ones share some."""
_DICTIONARY = 2**18
"""Bytes of different values beyond which a column is stored plain."""
_VERSION = 1
"""Of what is written; files of another one are not taken up."""
_WRITABLE = "Make the folder one that this user can write to"
_FIXES = {
    errno.ENOSPC: "Free space there",
    errno.EDQUOT: "Free space there",
    errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`)",
}
_LIBRARIES = {PANDAS: FrameLibrary.PANDAS, POLARS: FrameLibrary.POLARS}


class FoldedParquet:
    """Writes the frames that the runs of one block returned."""

    def __init__(self, opened: OpenRun, folds: Folds, folding: Folding) -> None:
        self._opened = opened
        self._folds = folds
        self._folding = folding
        self._looked_at: dict[Path, tuple[int, int, int]] = {}
        """Files that were whole, and what they were then."""

    def path(self, spans: Spans) -> Path:
        """The file of these records' frames.

        Raises ReduceError where they make no Parquet file, StoreError where a record cannot be read or the file cannot
        be written, Overdue and Cancelled.
        """
        path = self._opened.context.run_folder / FOLDER / f"{self._name()}-{self._digest(spans)}.parquet"
        with self._storing():
            if not self._is_whole(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with _own(path.with_name(f".{path.name}.half")) as half:
                    if not self._is_whole(path):
                        self._write(half, spans)
                        self._publish(half, path)
        return path

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Says what it means that the file cannot be written."""
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise StoreError(
                f"the frames of `{self._folding.block}` could not be written to one file: {reason}",
                where=str(self._opened.context.run_folder / FOLDER),
                fix=f"{_FIXES.get(error.errno or 0, _WRITABLE)}, then retry the run.",
            ) from error

    def _name(self) -> str:
        return re.sub(r"[^A-Za-z0-9_.-]", "-", self._folding.block)[:100]

    def _digest(self, spans: Spans) -> str:
        """Tells these records from all others; segments are never written again."""
        folder = self._opened.context.run_folder
        told = blake2b(f"{_VERSION} {self._folding.block} {self._folding.items}".encode(), digest_size=10)
        for span in _merged(spans):
            # Who reads another run's records names their segments by absolute path.
            segment = os.path.relpath(folder / span.chunk.segment, folder)
            told.update(f"\n{segment} {span.chunk.offset} {span.chunk.length} {span.start} {span.stop}".encode())
        return told.hexdigest()

    def _is_whole(self, path: Path) -> bool:
        """Whether the file is there, and has not been harmed since it was written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            state = path.stat()
            told = state.st_ino, state.st_size, state.st_mtime_ns
            if self._looked_at.get(path) != told:
                pq.read_metadata(path)
        except (pa.ArrowException, FileNotFoundError):
            return False
        self._looked_at[path] = told
        return True

    def _publish(self, half: Path, path: Path) -> None:
        """Gives the file its name. It is not to be written to: it is not one reader's own."""
        half.chmod(0o444)
        if self._opened.context.durable:
            _sync(half)
        half.replace(path)
        if self._opened.context.durable:
            for folder in (path.parent, path.parent.parent):
                _sync(folder)

    def _write(self, half: Path, spans: Spans) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = self._columns(spans)
        schema = pa.schema([]) if columns is None else self._explained(columns.schema)
        with pq.ParquetWriter(half, schema, dictionary_pagesize_limit=_DICTIONARY) as writer:
            waiting: list[pa.Table] = []
            groups = size = 0
            for frame in self._frames(spans, checked=True):
                assert columns is not None, "there were no frames a moment ago"
                table = self._explained(partial(columns.table, frame, frame.number))
                waiting += [table] if table.num_rows else []
                size += table.nbytes
                del frame, table  # before the next one is read
                if waiting and (groups < MOST_OWN_GROUPS or size >= LARGE):
                    self._explained(partial(self._write_group, writer, waiting))
                    groups += 1
                    size = 0
            if waiting:
                self._explained(partial(self._write_group, writer, waiting))

    def _write_group(self, writer: pq.ParquetWriter, waiting: list[pa.Table]) -> None:
        """Writes the tables that wait as one row group."""
        import pyarrow as pa

        table = pa.concat_tables(waiting)
        waiting.clear()
        with self._storing():
            writer.write_table(table, row_group_size=table.num_rows)
        if table.nbytes >= LARGE:
            del table
            give_back_arrow()

    def _columns(self, spans: Spans) -> SharedColumns | None:
        """The columns of all the frames; None where there is none."""
        columns: SharedColumns | None = None
        library: FrameLibrary | None = None
        for frame in self._frames(spans, checked=False):
            before, library = library, frame.library or library_of(self._folding, frame.value(), library)
            if before not in (None, library):
                library_of(self._folding, frame.value(), before)  # says so
            columns = columns or SharedColumns.of(library)
            self._explained(partial(columns.add, frame, frame.number))
            del frame  # before the next one is read
        return columns

    def _frames(self, spans: Spans, *, checked: bool) -> Iterator[_Frame]:
        """The frames, in order; None is passed over."""
        number = 0
        for span in spans:
            chunk = self._opened.store.read(span.chunk)
            for position in range(span.start, span.stop):
                read = None
                for element in range(1 if self._folding.items else chunk.elements(position)):
                    stored = chunk.stored_frame(position, element, checked=checked)
                    value = None
                    if stored is None:
                        read = read or chunk.element_reader(position)
                        value = read(element)
                        if value is None:
                            continue
                    yield _Frame(chunk, number, stored, value)
                    number += 1

    def _explained(self, work: Callable[[], _T]) -> _T:
        """What the work gives, in which it may be interrupted; an error says whose frames they are."""
        try:
            return self._folds.explained(self._folding, work)
        except ReduceError as error:
            over = f"`{self._folding.strategy}` over `{self._folding.block}`"
            if error.message.startswith(over):
                raise
            told = "Frames are counted from 0; `refold trace` of this block run lists the block runs that gave them."
            raise ReduceError(f"{over}: {error.message}", fix=f"{error.fix} {told}" if error.fix else told) from error


@dataclass(frozen=True, slots=True)
class _Frame:
    """One of the frames, where it lies."""

    chunk: Chunk
    number: int
    """How many frames came before it."""
    stored: tuple[int, Data] | None
    """Codec and bytes, where it is stored as Parquet."""
    decoded: object
    """Itself, where it is not."""

    @property
    def library(self) -> FrameLibrary | None:
        """Whose it is; None where it has to be looked at."""
        return None if self.stored is None else _LIBRARIES[self.stored[0]]

    def value(self) -> object:
        """The frame."""
        return self.decoded if self.stored is None else decode(*self.stored, self.chunk.let_go)

    def stored_schema(self) -> pa.Schema | None:
        """The schema of the Parquet that it is stored as; None where it is stored otherwise."""
        return None if self.stored is None else read_schema(self.stored[1])

    def stored_table(self) -> pa.Table:
        """That Parquet's table."""
        assert self.stored is not None
        return decode_table(self.stored[1], self.chunk.let_go)


def _merged(spans: Spans) -> Iterator[Span]:
    """The same records in as few spans as can be: who names them otherwise means the same file."""
    last: Span | None = None
    for span in spans:
        if last is not None and last.chunk == span.chunk and last.stop == span.start:
            last = last._replace(stop=span.stop)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


@contextmanager
def _own(path: Path) -> Iterator[Path]:
    """A file that nobody else has at the same time, and that is gone afterwards unless it was given another name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # On a file system without locks two may write; each would write the same.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(descriptor, path):
                continue
            try:
                yield path
            finally:
                if _is_at(descriptor, path):
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of this name: who had it before may have renamed or deleted it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
