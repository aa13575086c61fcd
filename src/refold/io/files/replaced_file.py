"""Files that are replaced at once: who reads sees all of the old or all of the new, also after a crash."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def replaced(path: str) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of the one at this path when the context ends without an error.

    Folders on the way are made. The new file has the old one's mode and, where that is allowed, its owner. A process
    that is killed leaves the old file as it was, and a `.refold-*.tmp` beside it. Raises OSError.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    before = _regular_or_none(path)
    temporary = os.path.join(folder, f".refold-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            if before is not None:
                with suppress(PermissionError):
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            yield file
            file.flush()
            # Or a power cut could leave the new name with nothing in it.
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _regular_or_none(path: str) -> os.stat_result | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"`{path}` is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"`{path}` is a device or pipe, which no file may take the place of")
    if not os.access(path, os.W_OK, effective_ids=True):
        raise PermissionError(f"`{path}` may not be written")
    return found
