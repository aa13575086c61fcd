"""What all measurements of one run came to, as a file keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from benchmarks.measurement import Json, Measurement


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark."""

    name: str
    title: str
    seconds: float
    """How long it took altogether."""
    measurements: tuple[Measurement, ...]
    failure: str = ""
    """Why there are none, in one line."""

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "name": self.name,
            "title": self.title,
            "seconds": round(self.seconds, 1),
            "failure": self.failure,
            "measurements": [measurement.as_json() for measurement in self.measurements],
        }

    @classmethod
    def of_json(cls, stored: Json) -> Self:
        """The section of which `as_json` made this."""
        return cls(
            name=str(stored["name"]),
            title=str(stored["title"]),
            seconds=float(cast(float, stored["seconds"])),
            measurements=tuple(map(Measurement.of_json, cast("Sequence[Json]", stored["measurements"]))),
            failure=str(stored["failure"]),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the benchmarks."""

    date: str
    """The day, as in 2026-01-31."""
    quick: bool
    """Whether the figures are only to show that everything works."""
    machine: Mapping[str, object]
    sections: tuple[Section, ...]

    @property
    def measurements(self) -> Sequence[Measurement]:
        """Those of all sections."""
        return [measurement for section in self.sections for measurement in section.measurements]

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        stored = {
            "date": self.date,
            "quick": self.quick,
            "machine": dict(self.machine),
            "sections": [section.as_json() for section in self.sections],
        }
        path.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote."""
        stored = json.loads(path.read_text())
        return cls(
            date=stored["date"],
            quick=stored["quick"],
            machine=stored["machine"],
            sections=tuple(map(Section.of_json, stored["sections"])),
        )
