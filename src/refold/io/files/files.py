"""Local files as DataFrames: `FileIO().load('data/users.csv')`."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Self

from refold.errors import FileStoreError
from refold.io.files.file_formats import file_kind
from refold.io.files.frame_files import (
    Part,
    data_files,
    is_pattern,
    load_frame,
    plain_folder,
    require_one_format,
    told,
    write_frame,
)
from refold.io.files.local_paths import LocalPaths
from refold.io.files.replaced_file import replaced
from refold.io.settings.config import ConfigFileLoader

if TYPE_CHECKING:
    import pandas as pd

Path = str | os.PathLike[str]


class FileIO:
    """Files on this machine. Relative paths are the project's, else the working folder's."""

    def __init__(self, *, root: Path | None = None, allow_outside: bool = False, verbose: bool = False) -> None:
        """`root` confines every path to a folder, for paths that come from data; without it relative paths stay in the
        project unless `allow_outside`, and absolute ones go anywhere. `verbose` is taken and has no effect."""
        del verbose
        self._paths = LocalPaths(root, allow_outside)

    @classmethod
    def with_config(cls, config: ConfigFileLoader) -> Self:
        """As the other connectors; local files need nothing of io_config.yaml."""
        del config
        return cls()

    def load(
        self,
        filepath: Path,
        format: str | None = None,  # noqa: A002 - the name that callers use
        limit: int | None = None,
        **options: object,
    ) -> pd.DataFrame:
        """The rows of a file, or of all files of a folder or pattern (`data/2024-*.csv`), at most `limit`.

        The name's ending says the format unless `format` does; `options` go to pandas (`sep`, `encoding`, `columns`).
        Raises FileStoreError when there is no such file, it cannot be read, or the path may not be used.
        """
        return load_frame(self._parts(filepath, format), format, limit, options)

    def sample(
        self,
        filepath: Path,
        size: int = 1000,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> pd.DataFrame:
        """The first `size` rows, as `load` gives them."""
        return self.load(filepath, format, size, **options)

    def export(
        self,
        df: object,
        filepath: Path,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> None:
        """Writes rows to a file, in the place of the one that may be there: at once, or not at all.

        `df` is a DataFrame of pandas or polars, an Arrow table, or dicts. Folders on the way are made. Raises
        FileStoreError when it cannot be written, or the path may not be used; what was there is then unchanged.
        """
        shown = str(filepath)
        path = self._paths.real(filepath)
        if shown.endswith("/"):
            raise FileStoreError("names a folder, and rows are written to a file", where=shown)
        kind = file_kind(os.path.basename(shown), format, shown)
        with told(shown, f"written as {kind.format}"), replaced(path) as file:
            write_frame(df, file, kind, os.path.basename(path), options, shown)

    def exists(self, filepath: Path) -> bool:
        """Whether there is such a file or folder. Raises FileStoreError when the path may not be used."""
        return os.path.exists(self._paths.real(filepath))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""

    def _parts(self, filepath: Path, wanted: str | None) -> list[Part]:
        shown = str(filepath)
        with told(shown, "read"):
            if is_pattern(shown) and not self._paths.is_confined and not self._is_there(filepath):
                return self._matches(filepath, wanted)
            path = self._paths.real(filepath)
            if not os.path.isdir(path):
                return [Part(shown, lambda: _open(path))]
            found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
            parts = [self._part(each, shown, below) for each, below in data_files(found, path)]
        require_one_format(parts, wanted, shown)
        return parts

    def _matches(self, filepath: Path, wanted: str | None) -> list[Part]:
        from glob import glob

        shown = str(filepath)
        pattern = self._paths.pattern(filepath)
        found = [path for path in sorted(glob(pattern, recursive=True)) if not os.path.isdir(path)]
        parts = [self._part(path, shown, below) for path, below in data_files(found, plain_folder(pattern))]
        if not parts:
            raise FileStoreError("no file matches this pattern", where=shown)
        require_one_format(parts, wanted, shown)
        return parts

    def _is_there(self, filepath: Path) -> bool:
        return os.path.lexists(self._paths.pattern(filepath))

    def _part(self, path: str, asked: str, below: str) -> Part:
        self._paths.require_admitted(path, asked)
        return Part(path, lambda: _open(path), below)


def _open(path: str) -> BinaryIO:
    # Opening a pipe would wait for somebody to write to it, and a device may never end.
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError("is a device or pipe, not a file")
    return open(path, "rb")
