"""Whose lease it is: an engine process by host, pid and time of creation, since pids are used again."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from refold.ports.run_store import Owner

_PROCESSES = Path("/proc")
_GONE = frozenset({"Z", "X"})
"""What Linux says of processes that have ended."""


def this_process() -> Owner:
    """The owner that leases of this process name."""
    created = _created_at(os.getpid())
    assert created is not None, "a process that asks is there"
    return Owner(socket.gethostname(), os.getpid(), created)


def process_of(pid: int) -> Owner | None:
    """The owner that leases of a process on this host name; None where there is none, or it has ended."""
    created = _created_at(pid)
    return None if created is None else Owner(socket.gethostname(), pid, created)


def is_alive(owner: Owner) -> bool | None:
    """Whether an engine's process is still there; None where it cannot be known: on another host."""
    if owner.host != socket.gethostname():
        return None
    created = _created_at(owner.pid)
    return created is not None and abs(created - owner.started_at) < 1.0


def _created_at(pid: int) -> float | None:
    """When a process was created, seconds since the epoch; None where there is none, or it has ended.

    Every run asks this. Linux says it in two files; psutil, which knows it of all systems, takes longer to import than
    a short pipeline takes to run.
    """
    if not (_PROCESSES / "self" / "stat").is_file():
        return _told_by_psutil(pid)
    try:
        told = (_PROCESSES / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    state, *numbers = told[told.rindex(")") + 1 :].split()  # the name before may hold anything, brackets too
    if state in _GONE:
        return None
    ticks = int(numbers[18])
    return _booted_at() + ticks / os.sysconf("SC_CLK_TCK")


def _booted_at() -> float:
    lines = (_PROCESSES / "stat").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def _told_by_psutil(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
