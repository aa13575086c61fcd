"""Files of any file system as DataFrames: one file, a folder of them, or what a pattern matches.

What goes wrong is told in one way, whether a disk, a parser or a driver of an object store has said it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from refold.errors import FileStoreError, RefoldError
from refold.io.databases.arrow_tables import to_arrow
from refold.io.files.compressions import compressed, decompressed
from refold.io.files.file_formats import FileKind, Options, file_kind

if TYPE_CHECKING:
    import pandas as pd

_WHOLE_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the files that a frame is read from."""

    shown: str
    """Where it is, for people."""
    open: Callable[[], BinaryIO]
    below: str = ""
    """Its path below the folder that was asked for, with folders such as `year=2024` that stand for columns."""


def load_frame(parts: Sequence[Part], wanted: str | None, limit: int | None, options: Options) -> pd.DataFrame:
    """The rows of these files one after the other, at most `limit` of them.

    Raises FileStoreError for a file that cannot be read, and for files whose columns are not the same.
    """
    import pandas as pd

    if limit is not None and limit < 0:
        raise FileStoreError(f"a limit of {limit} rows cannot be kept", where=parts[0].shown)
    frames: list[pd.DataFrame] = []
    rows = 0
    for part in parts:
        if limit is not None and rows >= limit and frames:
            break
        frame = _read(part, wanted, None if limit is None else limit - rows, options)
        if frames:
            _require_same_columns(parts[0], frames[0], part, frame)
        frames.append(frame)
        rows += len(frame)
    if len(frames) == 1:
        return _with_numbers(frames[0], parts[:1])
    # A file without rows says nothing of its columns' types.
    return _with_numbers(pd.concat([each for each in frames if len(each)] or frames[:1], ignore_index=True), parts)


def _read(part: Part, wanted: str | None, limit: int | None, options: Options) -> pd.DataFrame:
    import pandas as pd

    kind = file_kind(part.shown, wanted, part.shown)
    with told(part.shown, f"read as {kind.format}"), part.open() as file:
        with decompressed(file, kind.compression) as inside:
            if not inside.peek(1):
                raise FileStoreError(
                    f"the file is empty, so it is not {kind.format}",
                    where=part.shown,
                    fix="Whoever wrote it did not finish, or had nothing to write.",
                )
            found = kind.read(inside, limit, options)
        if not isinstance(found, pd.DataFrame):
            raise FileStoreError(
                f"with these options pandas gives a {type(found).__name__}, and not a DataFrame",
                where=part.shown,
                fix="Leave out options that read piecemeal or several sheets (`chunksize`, `iterator`, `sheet_name`).",
            )
    if limit is not None:
        found = found.head(limit)
    for name, value in partition(part.below).items():
        if name in found.columns:
            raise FileStoreError(f"column `{name}` is both in the file and in the folders' names", where=part.shown)
        found[name] = value
    return found


def partition(below: str) -> dict[str, str | None]:
    """The columns that a path's folders stand for: `year=2024/month=1/part.parquet` has a year and a month."""
    named = [folder.partition("=") for folder in below.split("/")[:-1] if "=" in folder]
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in named if name}


def _with_numbers(frame: pd.DataFrame, parts: Sequence[Part]) -> pd.DataFrame:
    """The frame, whose columns from folders' names are whole numbers where all of them are."""
    for name in partition(parts[0].below):
        values = frame[name]
        if len(values) and all(isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) for value in values.unique()):
            frame[name] = values.astype("int64")
    return frame


def _require_same_columns(first: Part, expected: pd.DataFrame, part: Part, found: pd.DataFrame) -> None:
    if set(expected.columns) == set(found.columns):
        return
    more = [f"`{name}`" for name in found.columns if name not in set(expected.columns)]
    less = [f"`{name}`" for name in expected.columns if name not in set(found.columns)]
    differences = [f"has {', '.join(more)} too"] * bool(more) + [f"lacks {', '.join(less)}"] * bool(less)
    raise FileStoreError(
        f"its columns are not those of {first.shown}: it {' and '.join(differences)}",
        where=part.shown,
        fix="Load the files that belong together by a pattern, or each by itself.",
    )


def is_pattern(path: str) -> bool:
    """Whether the path has wildcards."""
    return any(mark in path for mark in "*?[")


def plain_folder(pattern: str) -> str:
    """The part of a pattern before its first wildcard, up to a folder: `days` of `days/year=*/part-?.parquet`."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]


def data_files(paths: Sequence[str], folder: str) -> list[tuple[str, str]]:
    """Of the files found in a folder, those that hold data, in order, each with its path below the folder.

    Names that begin with `_` or `.` are what programs leave for themselves: `_SUCCESS`, a half-written file.
    """
    start = len(folder.rstrip("/")) + 1
    below = [(path, path[start:]) for path in sorted(paths)]
    return [(path, rest) for path, rest in below if not any(name[:1] in {"_", "."} for name in rest.split("/"))]


def require_one_format(parts: Sequence[Part], wanted: str | None, shown: str) -> None:
    """Raises FileStoreError when there are no files, or files of several formats and nobody said which is meant."""
    if not parts:
        raise FileStoreError("no file is there that could be loaded", where=shown)
    if wanted is not None:
        return
    kinds = {file_kind(part.shown, None, part.shown).format: part.shown for part in parts}
    if len(kinds) > 1:
        examples = ", ".join(f"{kind} ({name})" for kind, name in sorted(kinds.items()))
        raise FileStoreError(
            f"files of several formats are there: {examples}", where=shown, fix="Name those that are meant: `*.csv`."
        )


def write_frame(value: object, file: BinaryIO, kind: FileKind, name: str, options: Options, where: str) -> None:
    """Writes the rows that a value has into an open file; `name` is the file's own. Raises FileStoreError."""
    frame = _frame(value, where)
    with told(where, f"written as {kind.format}"):
        inside = name.rpartition(".")[0] if kind.compression is not None else name
        with compressed(file, kind.compression, inside) as to:
            kind.write(frame, to, options)


def _frame(value: object, where: str) -> pd.DataFrame:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    # Whole numbers among missing ones stay whole, as objects, where pandas would make them floats.
    rows: pd.DataFrame = to_arrow(value, where).to_pandas(integer_object_nulls=True)
    return rows


@contextmanager
def told(where: str, done: str) -> Iterator[None]:
    """Tells what goes wrong inside as a FileStoreError: what could not be `done` (`read as csv`), and why."""
    try:
        yield
    except (RefoldError, MemoryError):
        raise
    except Exception as error:  # parsers and drivers raise whatever they like
        raise _explained(error, where, done) from error


def _explained(error: Exception, where: str, done: str) -> FileStoreError:
    if isinstance(error, FileNotFoundError):
        found = "there is no such object or bucket" if error.filename is None else "there is no such file"
        looked = error.filename or str(error)
        return FileStoreError(
            f"cannot be {done}: {found}" + ("" if looked == where else f": {looked}"),
            where=where,
            fix="Check the path, and whether what should write it has run.",
        )
    if isinstance(error, UnicodeDecodeError):
        return FileStoreError(
            f"is not {error.encoding} text: byte {error.object[error.start]:#04x} at {error.start}",
            where=where,
            fix="Say what it is written in, for instance `encoding='latin-1'` or `encoding='cp1252'`.",
        )
    if isinstance(error, ImportError):
        return FileStoreError(
            f"cannot be {done}, because a library is missing: {_words(error)}",
            where=where,
            fix="Install it; Excel comes with `pip install 'refold[excel]'`, lxml with `pip install 'refold[xml]'`.",
        )
    if _is_for_want_of_room(error):
        return FileStoreError(
            f"cannot be {done}: there is no room for it ({_words(error)})",
            where=where,
            fix="Make room and run again; what was there before is unchanged.",
        )
    return FileStoreError(f"cannot be {done}: {type(error).__name__}: {_words(error)}", where=where)


def _is_for_want_of_room(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NO_ROOM
    return any(errno.errorcode[number] in str(error) for number in _NO_ROOM)  # lxml's: IO_ENOSPC


def _words(error: Exception) -> str:
    words = (error.strerror if isinstance(error, OSError) and error.strerror else None) or str(error)
    return words.strip() or type(error).__name__
