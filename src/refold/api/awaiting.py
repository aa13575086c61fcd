"""Waiting until a run is over that was started from Python: in a thread, or on an event loop.

Whatever ends the wait before, but for `poll_timeout`, takes the run down with it.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import cast

from refold.api.following import Followed, Look, stop_now
from refold.api.process_end import ProcessEnd, await_end, patience
from refold.errors import RefoldError
from refold.executors.caller import Caller, giving_way
from refold.ports.run_store import RunRecord


def wait_here(followed: Followed, engine: ProcessEnd | None, caller: Caller | None) -> RunRecord:
    """The run when it is over; `engine` is the one that was started for it, `caller` the block run that waits.

    Raises as `Followed.follow` does.
    """
    try:
        return wait_for_end(followed, engine, caller)
    except RefoldError:
        raise
    except BaseException:
        for look in stop_now(followed):
            await_end(look.engine, look.seconds)
        raise


def wait_for_end(followed: Followed, engine: ProcessEnd | None, caller: Caller | None) -> RunRecord:
    """The same; whatever ends the wait leaves the run as it is."""
    ours, theirs = socket.socketpair()
    with ours, theirs, _woken(caller, ours), giving_way(caller):
        steps = followed.follow(engine)
        try:
            while isinstance(look := _next(steps), Look):
                await_end(look.engine, look.seconds, theirs.fileno())
                if caller is not None:
                    caller.check()
            return cast("RunRecord", look)
        finally:
            steps.close()


def _woken(caller: Caller | None, wake: socket.socket) -> AbstractContextManager[None]:
    """Makes the other end of `wake` readable when nobody waits for the caller any longer."""
    if caller is None:
        return nullcontext()

    def call() -> None:
        with suppress(OSError):
            wake.send(b"\1")

    return caller.when_given_up(call)


async def wait_on_loop(followed: Followed, engine: ProcessEnd | None, caller: Caller | None) -> RunRecord:
    """The same, while others go on on the running event loop."""
    import asyncio

    steps = followed.follow(engine)
    with giving_way(caller):
        try:
            while isinstance(look := await asyncio.to_thread(_next, steps), Look):
                await _await_end(look)
            return cast("RunRecord", look)
        except asyncio.CancelledError:
            await stop_on_loop(followed)
            raise


async def stop_on_loop(followed: Followed) -> None:
    """Stops a run that nobody is to wait for any more."""
    import asyncio

    stopping = stop_now(followed)
    while isinstance(look := await asyncio.to_thread(_next, stopping), Look):
        await _await_end(look)


def _next(steps: Generator[Look, None, RunRecord] | Generator[Look, None, None]) -> Look | RunRecord | None:
    """The next thing to wait for, or what it all came to."""
    try:
        return next(steps)
    except StopIteration as over:
        return cast("RunRecord | None", over.value)


async def _await_end(look: Look) -> None:
    import asyncio

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    seconds = patience(look.engine, look.seconds)
    descriptor = None if look.engine is None else look.engine.descriptor
    if descriptor is None:
        await asyncio.sleep(seconds)
        return
    loop.add_reader(descriptor, over.set)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
    finally:
        loop.remove_reader(descriptor)
