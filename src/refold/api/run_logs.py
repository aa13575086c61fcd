"""The log files of a run, read as one: every process that takes part writes its own."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from operator import attrgetter
from pathlib import Path

import msgspec

from refold.executors.capture import LogLine

_DECODER = msgspec.json.Decoder(LogLine)


class RunLogs:
    """What was written since the last look, by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _LogFile] = {}

    def new_lines(self) -> Iterator[LogLine]:
        """Lines that came since this was last asked, by time; streamed, never all in memory."""
        for path in sorted(self._folder.glob("*.jsonl")):
            self._files.setdefault(path, _LogFile(path))
        return merge(*(file.new_lines() for file in self._files.values()), key=attrgetter("at"))


class _LogFile:
    """One process's lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> Iterator[LogLine]:
        """Whole lines from where the last look ended; a process that was killed may have left half a one."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for data in file:
                if not data.endswith(b"\n"):
                    return
                self._offset += len(data)
                try:
                    line = _DECODER.decode(data)
                except msgspec.DecodeError:
                    continue
                yield line
