"""Prefect: a flow that maps a task over the items, on threads as by default, with a server and an SQLite of its own."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, task

from benchmarks.child import Item, child
from benchmarks.peers.answer import answer, asked


def main() -> None:
    """Prints how it went."""
    items = asked()
    transform = task(child)

    def fan_out(given: Sequence[Item]) -> list[list[Item]]:
        return [future.result() for future in transform.map(given)]

    unfold = flow(fan_out, name="fan-out", validate_parameters=False)
    unfold(items[:1])  # its server is there
    answer(lambda: unfold(items))


if __name__ == "__main__":
    main()
