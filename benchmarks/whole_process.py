"""Whole processes: how long they take, and how much memory they and all their children have at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_EVERY = 0.05
"""Seconds between two looks at the memory."""
_TOLD = 2000
"""How many characters of what a failed process said are told, its last ones."""
_LINE = 120
"""How many characters of an error are kept in results."""
_CHILDREN_ARE_LISTED = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()


class ProcessFailed(SystemExit):
    """Raised when a measured process fails or takes too long; where nobody catches it, its words are the last ones."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended well."""

    seconds: float
    """From its start to its end."""
    own_mb: float
    """The most memory (RSS) that it had itself."""
    tree_mb: float
    """The most that it and all its children had at one moment; memory that they share counts for each of them."""
    output: str


class Watch(threading.Thread):
    """The most memory that a process, and it with all its children, had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self._seen = {pid: psutil.Process(pid)}
        self.own = 0
        self.tree = 0

    def run(self) -> None:
        """Looks again and again, until told to stop."""
        while not self._over.wait(LOOK_EVERY):
            self._look()

    def stop(self) -> None:
        """No more looks."""
        self._over.set()
        self.join()

    def end_all(self) -> None:
        """Ends the process and all that it started, as far as they are still there."""
        if self._seen[self._pid].is_running():
            self._look()
        for process in self._seen.values():
            with suppress(psutil.Error):  # raised, too, where the number is another process's by now
                process.kill()

    def _look(self) -> None:
        own = self._memory(self._pid)
        tree = own + sum(map(self._memory, descendants(self._pid)))
        self.own, self.tree = max(self.own, own), max(self.tree, tree)

    def _memory(self, pid: int) -> int:
        try:
            if pid not in self._seen:
                self._seen[pid] = psutil.Process(pid)
            return int(self._seen[pid].memory_info().rss)
        except psutil.Error:
            return 0


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on.

    Linux says which they are; asking every process of the machine for its parent would take a twentieth of a core.
    """
    if not _CHILDREN_ARE_LISTED:
        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    found, ahead = [], [pid]
    while ahead:
        tasks = f"/proc/{ahead.pop()}/task"
        with suppress(OSError):
            for thread in os.listdir(tasks):
                with suppress(OSError):
                    children = [int(child) for child in Path(f"{tasks}/{thread}/children").read_bytes().split()]
                    found += children
                    ahead += children
    return found


def watched(command: Sequence[str], limit: float | None = None, environment: Mapping[str, str] | None = None) -> Ended:
    """Runs a command to its end. Raises ProcessFailed, with what it said, when it fails or takes over `limit` seconds.

    `environment` is beside that of this process. Whatever it started and left behind is ended.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    watch = Watch(process.pid)
    watch.start()
    try:
        output, errors = process.communicate(timeout=limit)
        seconds = time.perf_counter() - begin
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"{_said(command)}: not done after {limit:g} s") from None
    finally:
        watch.stop()
        watch.end_all()
        process.wait()
    if process.returncode:
        raise ProcessFailed(f"{_said(command)}: exit code {process.returncode}\n{(errors or output)[-_TOLD:]}")
    return Ended(seconds, watch.own / 2**20, watch.tree / 2**20, output)


def _said(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:]])[:200]


def in_one_line(error: BaseException) -> str:
    """The last thing that an error says, without the folders of this machine."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"(?<![\w.])/(?:[^\s/()'\"]+/)+", "", lines[-1])[:_LINE]


def refold(*arguments: str) -> Ended:
    """Runs `refold` with these arguments, as its users do."""
    return watched([sys.executable, "-m", "refold.cli", *arguments])
