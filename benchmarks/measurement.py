"""What a measurement came to, and how it is said."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self, cast

FLOOR, REFOLD = "floor", "Refold"
"""Two of the systems that a fan-out is measured in."""
WHOLE = "whole process"
"""Name of a fan-out's seconds from the start of its process to the end."""
STARTED = "once started"
"""Name of a fan-out's seconds from its first child on."""
OWN_MEMORY = "its process's memory"
TREE_MEMORY = "all its processes' memory"

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure, measured several times."""

    name: str
    """What was measured, in words: the row of the table."""
    unit: str
    values: tuple[float, ...]
    """In the order in which they were measured; none where it could not be measured, and `detail` says why."""
    detail: str = ""
    """What a reader must know beside it."""
    system: str = ""
    """Of a fan-out: what did it, Refold or another."""
    children: int = 0
    """Of a fan-out: how many children it had."""

    @property
    def median(self) -> float:
        """The middle one; raises StatisticsError where there is none."""
        return statistics.median(self.values)

    def as_json(self) -> dict[str, object]:
        """Everything, with median, least and most (None where there are none); six digits of each."""
        values = [float(f"{value:.6g}") for value in self.values]
        figures = {"median": statistics.median(values), "least": min(values), "most": max(values)} if values else {}
        none: dict[str, float | None] = {"median": None, "least": None, "most": None}
        return {**asdict(self), "values": values, **none, **figures}

    @classmethod
    def of_json(cls, stored: Json) -> Self:
        """The measurement of which `as_json` made this."""
        return cls(
            name=str(stored["name"]),
            unit=str(stored["unit"]),
            values=tuple(cast("Sequence[float]", stored["values"])),
            detail=str(stored["detail"]),
            system=str(stored["system"]),
            children=int(cast(int, stored["children"])),
        )

    def __str__(self) -> str:
        name = f"{self.system}, {self.children:,} children: {self.name}" if self.system else self.name
        detail = f"  {self.detail}" if self.detail else ""
        if not self.values:
            return f"{name:<60} {'-':>12} {self.unit:<8}{detail}"
        least, most = min(self.values), max(self.values)
        figures = f"{self.median:12,.4g} {self.unit:<8} ({least:,.4g} to {most:,.4g}, {len(self.values)} times)"
        return f"{name:<60} {figures}{detail}"


def print_all(measurements: Sequence[Measurement]) -> None:
    """A line each."""
    for measurement in measurements:
        print(measurement, flush=True)
