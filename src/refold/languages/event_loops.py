"""Calling what must not run inside an event loop from where one may be running: a notebook's cells run in one.

asyncio is loaded where it is used: most pipelines need none, and every worker would wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, cast

_T = TypeVar("_T")

Steps = Generator[Coroutine[object, object, object], object, _T]
"""Work that may be in need of coroutines' results: it yields each, is sent what that returned, and returns its own.

So work that calls helper functions, of which some may be `async def`, is written once, for who has a loop and for who
has none.
"""


def outside_loop(work: Callable[[], _T]) -> _T:
    """What `work` returns: called in this thread, or in one of its own while an event loop runs in this one."""
    if not loop_is_running():
        return work()
    with ThreadPoolExecutor(1, "refold") as thread:
        return thread.submit(work).result()


def run_coroutine(coroutine: Coroutine[object, object, _T]) -> _T:
    """What a coroutine returns, run on a loop of its own."""
    import asyncio

    return asyncio.run(coroutine)


def stepped(steps: Steps[_T]) -> _T:
    """What the work returns; each coroutine that it needs has a loop of its own. Raises what the work raises."""
    try:
        coroutine = next(steps)
        while True:
            try:
                result = outside_loop(partial(run_coroutine, coroutine))
            except BaseException as error:  # the work's to answer
                coroutine = steps.throw(error)
            else:
                coroutine = steps.send(result)
    except StopIteration as over:
        return cast("_T", over.value)


async def stepped_here(steps: Steps[_T]) -> _T:
    """The same, on the loop that runs."""
    try:
        coroutine = next(steps)
        while True:
            try:
                result = await coroutine
            except BaseException as error:  # the work's to answer
                coroutine = steps.throw(error)
            else:
                coroutine = steps.send(result)
    except StopIteration as over:
        return cast("_T", over.value)


def loop_is_running() -> bool:
    """Whether an event loop runs in this thread."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
