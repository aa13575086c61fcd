"""Calling what must not run inside an event loop from where one may be running: a notebook's cells run in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def outside_loop(work: Callable[[], _T]) -> _T:
    """What `work` returns: called in this thread, or in one of its own while an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        running = False
    else:
        running = True
    if not running:  # outside the handler: what `work` raises did not happen while handling that error
        return work()
    with ThreadPoolExecutor(1, "refold") as thread:
        return thread.submit(work).result()
