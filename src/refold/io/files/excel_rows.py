"""Rows as Excel workbooks: texts stay texts, and a workbook that unfolds without measure is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pandas as pd

_SMALL = 200_000_000
_MOST_TIMES = 100
"""Sheets of real data unfold to five to twenty times their size."""


def read_excel(file: BinaryIO, limit: int | None, options: Mapping[str, object]) -> object:
    """The rows of the first sheet, or of the one that `sheet_name` names."""
    import pandas as pd

    _refuse_bombs(file)
    read: Callable[..., object] = pd.read_excel
    return read(file, **{"nrows": limit, **options})


def write_excel(frame: pd.DataFrame, file: BinaryIO, options: Mapping[str, object]) -> None:
    """Writes one sheet. A text that begins with `=` is written as that text, never as a formula."""
    import pandas as pd

    with pd.ExcelWriter(file, engine="openpyxl") as writer:
        write: Callable[..., object] = frame.to_excel
        write(writer, **{"index": False, **options})
        for sheet in writer.book.worksheets:
            for row in sheet.iter_rows():
                for cell in row:
                    if cell.data_type == "f":
                        cell.data_type = "s"


def _refuse_bombs(file: BinaryIO) -> None:
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return
    # No more than these sizes is ever unpacked, whatever the archive really holds.
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
        packed = sum(part.compress_size for part in archive.infolist())
    if unpacked > _SMALL and unpacked > _MOST_TIMES * packed:
        raise ValueError(f"the workbook of {packed:,} bytes would unfold to {unpacked:,}, which no real one does")
    file.seek(0)
