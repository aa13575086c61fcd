"""Calling what must not run inside an event loop from where one may be running: a notebook's cells run in one.

asyncio is loaded where it is used: most pipelines need none, and every worker would wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def outside_loop(work: Callable[[], _T]) -> _T:
    """What `work` returns: called in this thread, or in one of its own while an event loop runs in this one."""
    if not _loop_is_running():
        return work()
    with ThreadPoolExecutor(1, "refold") as thread:
        return thread.submit(work).result()


def run_coroutine(coroutine: Coroutine[object, object, _T]) -> _T:
    """What a coroutine returns, run on a loop of its own."""
    import asyncio

    return asyncio.run(coroutine)


def _loop_is_running() -> bool:
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
