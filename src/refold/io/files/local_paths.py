"""Which file a path means, and whether it may be meant.

A relative path is one of the project's files: it must not lead out of it, by `..` or by a symbolic link, since parts of
such paths come from data more often than one thinks. An absolute path is the decision of who wrote the block. Where
all of a path comes from data, a `root` confines it: nothing outside is reached, in whatever way it is written.
"""

from __future__ import annotations

import os
import re

from refold.errors import FileStoreError, ProjectError
from refold.languages.project_context import get_repo_path

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(://|::)")
_STORES = {
    "s3": "S3",
    "s3a": "S3",
    "gs": "GoogleCloudStorage",
    "gcs": "GoogleCloudStorage",
    "az": "AzureBlobStorage",
    "abfs": "AzureBlobStorage",
    "abfss": "AzureBlobStorage",
}


class LocalPaths:
    """The rules by which one `FileIO` takes paths."""

    def __init__(self, root: str | os.PathLike[str] | None, allow_outside: bool) -> None:
        if root is not None and allow_outside:
            raise FileStoreError(
                "`root` confines paths, and `allow_outside` lets them out: only one of the two can be meant",
                where=str(root),
            )
        self._root = None if root is None else _text(root)
        self._allow_outside = allow_outside

    @property
    def is_confined(self) -> bool:
        """Whether there is a root. Names are then taken literally: `*` in one is an asterisk."""
        return self._root is not None

    def real(self, filepath: str | os.PathLike[str]) -> str:
        """The absolute path, without links, of the file that is meant. Raises FileStoreError where it may not be."""
        text = _text(filepath)
        _refuse_urls(text)
        base = self._base()
        path = os.path.realpath(os.path.join(base, text))
        self.require_admitted(path, text)
        if self.is_confined and path == os.path.realpath(base):
            raise FileStoreError(f"names no file in {base}", where=text)
        return path

    def pattern(self, filepath: str | os.PathLike[str]) -> str:
        """The absolute path with its `*`, `?` and `[...]`; the files that it matches are checked one by one."""
        return os.path.join(self._base(), _text(filepath))

    def require_admitted(self, path: str, asked: str) -> None:
        """Raises FileStoreError unless this file, found by the path that was asked for, may be read and written."""
        base = os.path.realpath(self._base())
        if self._root is None and (self._allow_outside or os.path.isabs(asked)):
            return
        if _is_inside(os.path.realpath(path), base):
            return
        if self._root is not None:
            raise FileStoreError(
                f"leads out of {base}, to which this FileIO is confined",
                where=asked,
                fix="A path that comes from data must stay inside the root; links that leave it count as outside.",
            )
        raise FileStoreError(
            f"is a relative path that leads out of {base}",
            where=asked,
            fix="Give an absolute path, or say `FileIO(allow_outside=True)`, if that is what you mean.",
        )

    def _base(self) -> str:
        try:
            project = get_repo_path()
        except ProjectError:
            project = os.getcwd()
        return project if self._root is None else os.path.join(project, self._root)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _text(filepath: str | os.PathLike[str]) -> str:
    try:
        text = os.fspath(filepath)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise FileStoreError(f"a path is text or a Path, not a {type(filepath).__name__}", where=repr(filepath))
    if not text.strip():
        raise FileStoreError("the path is empty", where=repr(text))
    if "\0" in text:
        raise FileStoreError("the path holds a null character, which no file's name has", where=repr(text))
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise FileStoreError("the path holds characters that no file's name can have", where=repr(text)) from None
    if text == "~" or text.startswith("~/"):
        raise FileStoreError(
            "`~` is not replaced by a home folder", where=text, fix="Give the path in full: `os.path.expanduser(...)`."
        )
    return text


def _refuse_urls(text: str) -> None:
    url = _URL.match(text)
    if url is None:
        return
    scheme = url[1].lower()
    if scheme in _STORES:
        fix = f"Use `{_STORES[scheme]}.with_config(...)`, which takes the bucket and the key apart."
    elif scheme in {"file", "local"}:
        fix = f"Give the plain path: `{text[url.end() :]}`."
    else:
        fix = "Fetch it with a library made for that (`requests`, `pandas.read_csv`), or give a local path."
    raise FileStoreError(f"is a URL ({url[0]}), and FileIO takes paths of local files", where=text, fix=fix)
