"""What a measurement came to, and how it is said."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure, measured several times."""

    name: str
    """What was measured, in words: the row of the table."""
    unit: str
    values: tuple[float, ...]
    """In the order in which they were measured."""
    detail: str = ""
    """What a reader must know beside it."""

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def as_json(self) -> dict[str, object]:
        """Everything, with median, least and most."""
        return {**asdict(self), "median": self.median, "least": min(self.values), "most": max(self.values)}

    def __str__(self) -> str:
        least, most = min(self.values), max(self.values)
        figures = f"{self.median:12,.4g} {self.unit:<8} ({least:,.4g} to {most:,.4g}, {len(self.values)} times)"
        return f"{self.name:<60} {figures}{'  ' + self.detail if self.detail else ''}"


def print_all(measurements: Sequence[Measurement]) -> None:
    """A line each."""
    for measurement in measurements:
        print(measurement, flush=True)
