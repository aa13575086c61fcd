"""What a peer's process says of its work, in one line on its standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.child import Item, items

_MARK = "unfolded: "
"""Peers print things of their own, too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a fan-out went."""

    children: int
    seconds: float
    """From the first child's hand-out until all results are in one list; the system's start-up is not in it."""


def asked() -> list[Item]:
    """The items of the command line's number of children."""
    return items(int(sys.argv[1]))


def answer(unfold: Callable[[], Sequence[Sequence[Item]]]) -> None:
    """Measures it, checks each child's result, and prints the answer."""
    begin = time.perf_counter()
    results = unfold()
    seconds = time.perf_counter() - begin
    wanted = int(sys.argv[1])
    assert len(results) == wanted, f"{len(results)} results for {wanted} items"
    assert all(result[0]["id"] == at * 100 for at, result in enumerate(results)), "a result is not that of its item"
    print(f"{_MARK}{json.dumps({'children': wanted, 'seconds': seconds})}", flush=True)


def read_answer(printed: str) -> Answer:
    """The answer among all that a process printed. Raises ValueError where there is none."""
    for line in reversed(printed.splitlines()):
        if line.startswith(_MARK):
            return Answer(**json.loads(line.removeprefix(_MARK)))
    raise ValueError(f"no answer among what was printed: {printed[-300:]!r}")
