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
        return work()
    with ThreadPoolExecutor(1, "refold") as thread:
        return thread.submit(work).result()
