"""Whole processes: how long they take, and how much memory they and all their children have at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

LOOK_EVERY = 0.05
"""Seconds between two looks at the memory."""


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
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self.own = 0
        self.tree = 0

    def run(self) -> None:
        """Looks again and again, until told to stop."""
        while not self._over.wait(LOOK_EVERY):
            try:
                own = self._process.memory_info().rss
                children = [child.memory_info().rss for child in self._process.children(recursive=True)]
            except psutil.Error:
                continue
            self.own, self.tree = max(self.own, own), max(self.tree, own + sum(children))

    def stop(self) -> None:
        """No more looks."""
        self._over.set()
        self.join()


def watched(command: Sequence[str]) -> Ended:
    """Runs a command to its end. Raises SystemExit, with what it said, when it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(process.pid)
    watch.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - begin
    watch.stop()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{errors or output}")
    return Ended(seconds, watch.own / 2**20, watch.tree / 2**20, output)


def refold(*arguments: str) -> Ended:
    """Runs `refold` with these arguments, as its users do."""
    return watched([sys.executable, "-m", "refold.cli", *arguments])
