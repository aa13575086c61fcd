"""Visible outputs: the files that people and notebooks open, `<pipeline>/<block>/output_0.parquet` and so on.

A file holds the bytes that the run stored: JSON is JSON, Parquet is Parquet that any tool reads. The files of a block
change together, under a lock on its folder, and each by a rename: whoever reads sees an output of one run, whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from refold.errors import NotFoundError, StoreError
from refold.outputs.chunk_format import ITEM, NAMED_ITEM, SPREAD_LIST, TUPLE
from refold.outputs.codecs import JSON, PANDAS, PICKLE, POLARS, SUFFIXES, decode, encode
from refold.outputs.large import Data
from refold.outputs.pickles import encode_pickle
from refold.outputs.stored_chunk import StoredChunk

_FILE = re.compile(r"(output_\d+)\.(json|parquet|pkl)")
_LEFTOVER = re.compile(r"\.output_\d+\.\w+\.[0-9a-f]+\.tmp")

_EMPTY_LIST = pickle.PROTO + b"\x05" + pickle.EMPTY_LIST
_LOADS = pickle.GLOBAL + b"pickle\nloads\n" + pickle.BINBYTES8
_APPEND = pickle.TUPLE1 + pickle.REDUCE + pickle.APPEND
"""What a pickle says of an element that is a pickle itself: before its length and bytes, and behind them."""

VisibleFiles = Mapping[str, tuple[int, Iterable[Data]]]
"""`output_0`, `output_1` ... and for each its codec and bytes, in parts, to be gone through once."""


def output_files(chunk: StoredChunk, position: int) -> VisibleFiles:
    """What the visible files of this output hold: a file for each element of a tuple, else one."""
    kind = chunk.kind(position)
    if kind == SPREAD_LIST:
        return {"output_0": (PICKLE, _pickled_list([(chunk, chunk.encoded(position))]))}
    values = chunk.encoded(position)
    return {f"output_{number}": _whole(value) for number, value in enumerate(values if kind == TUPLE else values[:1])}


def items_files(chunks: Sequence[StoredChunk]) -> VisibleFiles:
    """What the visible files of these items hold: all as one list or frame, and the metadata if any."""
    held = [chunk for chunk in chunks if len(chunk)] or list(chunks[:1])
    frame = held[0].sole_frame() if len(held) == 1 else None
    files: dict[str, tuple[int, Iterable[Data]]] = {"output_0": _whole(frame) if frame else _joined_items(held)}
    metadata = _joined_metadata(held) if any(chunk.named() for chunk in held) else None
    if metadata is not None:
        files["output_1"] = metadata
    return files


def _whole(encoded: tuple[int, Data]) -> tuple[int, Iterable[Data]]:
    return encoded[0], (encoded[1],)


def _joined_items(chunks: Sequence[StoredChunk]) -> tuple[int, Iterable[Data]]:
    parts: list[Data] = []
    plain = True
    for chunk in chunks:
        bare = chunk.bare_items()
        if bare is not None:
            parts.append(bare)
            continue
        texts = chunk.item_texts()
        if texts is not None:
            parts.append(b",".join(texts[0]))
            continue
        for at in chunk.item_positions():
            if chunk.kind(at) not in (ITEM, NAMED_ITEM):
                return _whole(encode([chunk.item(at).value for chunk in chunks for at in chunk.item_positions()]))
            codec, data = chunk.encoded(at)[0]
            plain = plain and codec == JSON
            parts.append(data)
    if plain:
        return JSON, _json_list(parts)
    return PICKLE, _pickled_list((chunk, chunk.encoded(at)) for chunk in chunks for at in chunk.item_positions())


def _json_list(parts: Sequence[Data]) -> Iterator[Data]:
    """The JSON of a list of these, each of which may be several with commas between."""
    yield b"["
    for number, part in enumerate(parts):
        if number:
            yield b","
        yield part
    yield b"]"


def _joined_metadata(chunks: Sequence[StoredChunk]) -> tuple[int, Iterable[Data]] | None:
    """The list of the items' metadata, up to the last that has some; None where none has."""
    parts: list[bytes] = []
    without = 0
    for chunk in chunks:
        texts = chunk.item_texts()
        if texts is None:
            return _encoded_metadata(chunks)
        given = texts[1]
        count = next((at for at in range(len(given), 0, -1) if given[at - 1] is not None), 0)
        if count:
            parts += [b"null"] * without
            parts.append(b",".join([text or b"null" for text in given[:count]]))
            without = 0
        without += len(given) - count
    return (JSON, _json_list(parts)) if parts else None


def _encoded_metadata(chunks: Sequence[StoredChunk]) -> tuple[int, Iterable[Data]] | None:
    metadata = [chunk.metadata(at) for chunk in chunks for at in chunk.item_positions()]
    while metadata and metadata[-1] is None:
        metadata.pop()
    return _whole(encode(metadata)) if metadata else None


def _pickled_list(values: Iterable[tuple[StoredChunk, Sequence[tuple[int, Data]]]]) -> Iterator[Data]:
    """The pickle of the list of these values, which lie in chunks: each a pickle of its own inside it, so that but one
    at a time is in memory."""
    yield _EMPTY_LIST
    for chunk, encoded in values:
        for codec, data in encoded:
            pickled = data if codec == PICKLE else encode_pickle(decode(codec, data, chunk.let_go))
            yield _LOADS + struct.pack("<Q", len(pickled))
            yield pickled
            yield _APPEND
            chunk.let_go()
    yield pickle.STOP


def write_latest(latest_folder: Path, block: str, files: VisibleFiles) -> None:
    """Makes these the block's visible files, and no others. Raises StoreError when they cannot be written."""
    folder = _block_folder(latest_folder, block)
    names = {f"{name}.{SUFFIXES[codec]}": parts for name, (codec, parts) in files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            _replace(folder, names)
    except OSError as error:
        raise StoreError(
            f"the visible output of block `{block}` could not be written: {error.strerror or error}",
            where=str(folder),
            fix="Free space on the disk, or make the folder one that this user can write to.",
        ) from error


def read_latest(latest_folder: Path, block: str, name: str = "output_0") -> object:
    """The block's latest output of this name, as the block returned it.

    `output_0` is the whole output, or a tuple's first element; `output_1` its second, or the metadata of a dynamic
    block's items. Raises NotFoundError when there is none, StoreError when it cannot be read.
    """
    folder = _block_folder(latest_folder, block)
    try:
        with _locked(folder, fcntl.LOCK_SH):
            found = {match[1]: path for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))}
            path = found.get(name)
            data = b"" if path is None else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        found, path, data = {}, None, b""
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", where=str(folder)) from error
    if path is None:
        there = ", ".join(sorted(found)) or "no output at all"
        raise NotFoundError(
            f"block `{block}` has no `{name}`; there is {there}",
            where=str(folder),
            fix="Run the pipeline first; only a completed run of a block without axes leaves visible output.",
        )
    return decode(_codec(path, data), data)


def _codec(path: Path, data: bytes) -> int:
    if path.suffix != ".parquet":
        return JSON if path.suffix == ".json" else PICKLE
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(pa.BufferReader(data))
    except pa.ArrowException as error:
        raise StoreError(f"is not a Parquet file: {error}", where=str(path)) from error
    # Only pandas leaves a note of its own in the schema.
    return PANDAS if b"pandas" in (schema.metadata or {}) else POLARS


def _block_folder(latest_folder: Path, block: str) -> Path:
    parts = block.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise StoreError(
            f"the output of block `{block}` has no safe place: a block's uuid is the path of its folder",
            fix="Rename the block: no leading, trailing or doubled `/`, no `.` or `..` between them.",
        )
    return latest_folder.joinpath(*parts)


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A file system without locks costs two runs that end at once their order, nothing else.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _replace(folder: Path, names: Mapping[str, Iterable[Data]]) -> None:
    written: list[tuple[Path, Path]] = []
    try:
        for name, parts in names.items():
            temporary = folder / f".{name}.{os.urandom(8).hex()}.tmp"
            written.append((temporary, folder / name))
            with temporary.open("wb") as file:
                file.writelines(parts)
        for temporary, visible in written:
            temporary.replace(visible)
        _unlink(path for path in list(folder.iterdir()) if _FILE.fullmatch(path.name) and path.name not in names)
    finally:
        # Ours after an error, and those of a process that was killed.
        _unlink(path for path in list(folder.iterdir()) if _LEFTOVER.fullmatch(path.name))


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        if not path.is_dir():
            path.unlink(missing_ok=True)
