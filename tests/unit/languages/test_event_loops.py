"""Work in steps comes to the same on a loop that runs and without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from refold.languages.event_loops import Steps, stepped, stepped_here

T = TypeVar("T")


async def double(number: int) -> int:
    await asyncio.sleep(0)
    if number < 0:
        raise ValueError(number)
    return 2 * number


def add_up(*numbers: int) -> Steps[int]:
    found = 0
    for number in numbers:
        try:
            result = yield double(number)
        except ValueError:
            result = 0
        assert isinstance(result, int)
        found += result
    return found


def fails() -> Steps[int]:
    yield double(-1)
    return 1


def on_a_loop(steps: Steps[T]) -> T:
    return asyncio.run(stepped_here(steps))


def beside_a_loop(steps: Steps[T]) -> T:
    async def cell() -> T:
        return stepped(steps)

    return asyncio.run(cell())


WAYS = pytest.mark.parametrize("way", [stepped, on_a_loop, beside_a_loop])


@WAYS
def test_each_coroutine_gives_its_result_or_what_it_raises(way: Callable[[Steps[int]], int]) -> None:
    assert way(add_up()) == 0
    assert way(add_up(1, -1, 2)) == 6


@WAYS
def test_what_the_work_does_not_catch_is_raised(way: Callable[[Steps[int]], int]) -> None:
    with pytest.raises(ValueError, match="-1"):
        way(fails())


def test_steps_on_one_loop_wait_side_by_side() -> None:
    async def meet(barrier: asyncio.Barrier) -> None:
        await barrier.wait()

    def steps(barrier: asyncio.Barrier) -> Steps[str]:
        yield meet(barrier)
        return "met"

    async def main() -> list[str]:
        barrier = asyncio.Barrier(3)
        return await asyncio.gather(*[stepped_here(steps(barrier)) for _ in range(3)])

    assert asyncio.run(main()) == ["met"] * 3
