"""The formats of files that hold rows: a table of how each is called, read and written.

Nothing here runs code that a file brings along: formats that unpickle (pickle, and HDF5, which hides pickles in its
columns) are refused by name, and XML by what it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from refold.errors import FileStoreError
from refold.io.files.compressions import COMPRESSIONS, Compression
from refold.io.files.excel_rows import read_excel, write_excel
from refold.io.files.json_rows import read_json, write_json
from refold.io.files.xml_rows import read_xml, write_xml
from refold.model.suggestion import suggestion

if TYPE_CHECKING:
    import pandas as pd

Options = Mapping[str, object]
"""What a caller wants of pandas: `sep`, `columns`, `encoding`."""


class FileFormat(StrEnum):
    """The formats by name, as `format=` takes them."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    HDF5 = "hdf5"
    XML = "xml"
    EXCEL = "excel"
    FEATHER = "feather"


@dataclass(frozen=True, slots=True)
class _Format:
    suffixes: Mapping[str, Options]
    """How files of it end, without the dot, and the options that an ending stands for."""
    read: Callable[[BinaryIO, int | None, Options], object]
    """Reads an open file: at most so many rows, all for None."""
    write: Callable[[pd.DataFrame, BinaryIO, Options], None]
    is_text: bool = False
    """May be compressed as a whole; the others compress inside."""
    only_read: frozenset[str] = frozenset()
    """Endings that stand for what is read but cannot be written."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """How a file is to be read or written."""

    format: FileFormat
    compression: Compression | None = None
    options: Options = field(default_factory=dict)
    """What its ending stands for; what the caller says goes first."""
    is_written: bool = True
    """Whether files of this ending can be written, and not only read."""

    def read(self, file: BinaryIO, limit: int | None, options: Options) -> object:
        """What pandas makes of the file's first `limit` rows, all for None."""
        return _FORMATS[self.format].read(file, limit, {**self.options, **options})

    def write(self, frame: pd.DataFrame, file: BinaryIO, options: Options) -> None:
        """Writes the frame into the file. Raises ValueError where files of this ending are only read."""
        if not self.is_written:
            raise ValueError(f"{self.format} files of this ending are only read; choose another")
        _FORMATS[self.format].write(frame, file, {**self.options, **options})


def file_kind(name: str, wanted: str | None, where: str) -> FileKind:
    """How the file of this name is read and written: by its ending, or as the format that is wanted.

    Raises FileStoreError, at `where`, for an ending or format that nobody knows, and for one that is not safe to read.
    """
    stem, compression = _without_compression(name)
    ending = stem.rpartition(".")[2].lower() if "." in stem else ""
    if ending in _UNSAFE and wanted is None:
        raise FileStoreError(f"`.{ending}` files are not read or written: {_UNSAFE[ending]}", where=where, fix=_INSTEAD)
    found = _named(wanted, where) if wanted is not None else _of_ending(ending, where)
    if found is FileFormat.HDF5:
        raise FileStoreError(f"HDF5 files are not read or written: {_UNSAFE['h5']}", where=where, fix=_INSTEAD)
    known = _FORMATS[found]
    if compression is not None and not known.is_text:
        raise FileStoreError(
            f"{found} files are not compressed as a whole, and this name ends in `.{compression.suffix}`",
            where=where,
            fix=f"{found} compresses inside the file; name it without `.{compression.suffix}`.",
        )
    return FileKind(found, compression, known.suffixes.get(ending, {}), ending not in known.only_read)


def _without_compression(name: str) -> tuple[str, Compression | None]:
    stem, _, ending = name.rpartition(".")
    compression = COMPRESSIONS.get(ending.lower())
    return (name, None) if compression is None else (stem, compression)


def _named(wanted: str, where: str) -> FileFormat:
    try:
        return FileFormat(str(wanted).lower())
    except ValueError:
        raise FileStoreError(
            f"there is no format `{wanted}`",
            where=where,
            fix=suggestion(str(wanted).lower(), [each.value for each in _FORMATS], "formats"),
        ) from None


def _of_ending(ending: str, where: str) -> FileFormat:
    for each, known in _FORMATS.items():
        if ending in known.suffixes:
            return each
    endings = " ".join(f".{suffix}" for known in _FORMATS.values() for suffix in known.suffixes)
    what = f"the ending `.{ending}` names no format" if ending else "the name has no ending that names a format"
    formats = ", ".join(f"`{each}`" for each in _FORMATS)
    raise FileStoreError(what, where=where, fix=f"Give `format=`, one of {formats}; known endings: {endings}.")


def _read_csv(file: BinaryIO, limit: int | None, options: Options) -> object:
    import pandas as pd

    read: Callable[..., object] = pd.read_csv
    # A column's type must not depend on where a chunk ends; other parsers than the usual one do not know the option.
    whole = {} if options.keys() & {"engine", "delimiter", "skipfooter", "quotechar"} else {"low_memory": False}
    if len(str(options.get("sep", ","))) != 1:
        whole = {}
    return read(file, **{"nrows": limit, **whole, **options})


def _write_csv(frame: pd.DataFrame, file: BinaryIO, options: Options) -> None:
    write: Callable[..., object] = frame.to_csv
    write(file, **{"mode": "wb", "index": False, **options})


def _read_parquet(file: BinaryIO, limit: int | None, options: Options) -> object:
    import pandas as pd

    if limit is not None and not options:
        return _parquet_head(file, limit)
    read: Callable[..., object] = pd.read_parquet
    return read(file, **options)


def _parquet_head(file: BinaryIO, limit: int) -> object:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in parquet.iter_batches(batch_size=max(1, min(limit, 65_536))):
        if rows >= limit:
            break
        batches.append(batch)
        rows += batch.num_rows
    return pa.Table.from_batches(batches, schema=parquet.schema_arrow).slice(0, limit).to_pandas()


def _write_parquet(frame: pd.DataFrame, file: BinaryIO, options: Options) -> None:
    write: Callable[..., object] = frame.to_parquet
    write(file, **options)


def _read_feather(file: BinaryIO, limit: int | None, options: Options) -> object:
    import pandas as pd

    del limit  # the rows that are too many are cut off afterwards
    read: Callable[..., object] = pd.read_feather
    return read(file, **options)


def _write_feather(frame: pd.DataFrame, file: BinaryIO, options: Options) -> None:
    write: Callable[..., object] = frame.to_feather
    write(file, **options)


_LINES: Options = {"lines": True}
_FORMATS: Mapping[FileFormat, _Format] = {
    FileFormat.CSV: _Format({"csv": {}, "tsv": {"sep": "\t"}}, _read_csv, _write_csv, is_text=True),
    FileFormat.JSON: _Format({"json": {}, "jsonl": _LINES, "ndjson": _LINES}, read_json, write_json, is_text=True),
    FileFormat.PARQUET: _Format({"parquet": {}, "pq": {}}, _read_parquet, _write_parquet),
    FileFormat.EXCEL: _Format(
        {"xlsx": {}, "xlsm": {}, "xls": {}}, read_excel, write_excel, only_read=frozenset({"xlsm", "xls"})
    ),
    FileFormat.XML: _Format({"xml": {}}, read_xml, write_xml, is_text=True),
    FileFormat.FEATHER: _Format({"feather": {}, "arrow": {}}, _read_feather, _write_feather),
}

_RUNS_CODE = "whoever wrote such a file can run code where it is read"
_UNSAFE: Mapping[str, str] = dict.fromkeys(
    ("h5", "hdf", "hdf5", "joblib", "pickle", "pkl"), f"they hold pickled objects, and {_RUNS_CODE}"
)
_INSTEAD = "Keep the rows as Parquet, which keeps their types."
