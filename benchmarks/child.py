"""The child that the floor and all peers run: one small dict in, one out. Refold's blocks hold the same line."""

from __future__ import annotations

Item = dict[str, int]


def child(data: Item) -> list[Item]:
    """What each item becomes."""
    return [{"id": data["id"] * 100}]


def items(children: int) -> list[Item]:
    """What there is one child for, each."""
    return [{"id": number} for number in range(children)]
