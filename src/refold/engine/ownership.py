"""Whose lease it is: an engine process by host, pid and time of creation, since pids are used again."""

from __future__ import annotations

import os
import socket

import psutil

from refold.ports.run_store import Owner


def this_process() -> Owner:
    """The owner that leases of this process name."""
    process = psutil.Process()
    return Owner(socket.gethostname(), os.getpid(), process.create_time())


def is_alive(owner: Owner) -> bool | None:
    """Whether an engine's process is still there; None where it cannot be known: on another host."""
    if owner.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(owner.pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - owner.started_at) < 1.0
    except psutil.NoSuchProcess:
        return False
