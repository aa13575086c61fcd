"""The items that a block run stands at, as they lie in a run: what its labels, keywords and inputs are made of.

A run of one block alone keeps copies of the items that it stands at, and says in its options (`items`) what they are
called and who gave them: the runs that it drew on may be deleted, and what it is made of stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, Key
from refold.ports.executor import NamePart, Span
from refold.ports.output_store import ChunkRef


@dataclass(frozen=True, slots=True)
class Position:
    """An index on an axis, and the item there."""

    block: BlockUuid
    """The dynamic block."""
    flat: bool
    outer: Key
    """The key of the run that gave the item; of a flat axis the outer key."""
    index: int
    label: str
    giver: Key
    """The key of the run that gave the item."""
    item: int
    """The item's index within that run."""
    place: tuple[ChunkRef, int, bool] | None = None
    """Chunk and position of the item, and whether it may carry metadata; None where it does not lie here."""

    @property
    def part(self) -> NamePart:
        """The item's own label, as workers make it."""
        if self.place is None or not self.place[2]:
            return NamePart((self.item,), None)
        ref, position, _ = self.place
        return NamePart((self.item,), (Span(ref, position, position + 1),))

    def as_json(self) -> dict[str, JsonValue]:
        """What the options of a run of one block keep."""
        return {
            "block": self.block,
            "flat": self.flat,
            "outer": [*self.outer],
            "index": self.index,
            "label": self.label,
            "giver": [*self.giver],
            "item": self.item,
        }

    @classmethod
    def of(cls, value: Mapping[str, JsonValue]) -> Position:
        """The position that `as_json` wrote."""
        return cls(
            BlockUuid(str(value["block"])),
            value["flat"] is True,
            _key(value["outer"]),
            _key((value["index"],))[0],
            str(value["label"]),
            _key(value["giver"]),
            _key((value["item"],))[0],
        )


def _key(value: JsonValue | Sequence[JsonValue]) -> Key:
    return tuple(index for index in value if isinstance(index, int)) if isinstance(value, list | tuple) else ()
