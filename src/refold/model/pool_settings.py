"""How many worker processes a run has, and what they may take: `executor_config` of a pipeline, or of its project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from refold.model.place import Place
from refold.model.size import read_size
from refold.model.suggestion import near

KEYS = ("workers", "min_workers", "idle_seconds", "memory")
"""The keys of `executor_config` that are read; others are for systems that run pipelines elsewhere."""
_LEAST_MEMORY = 10**6


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Between how many workers there are, when they go, and what they may take."""

    minimum: int = 1
    """How many stay though there is nothing to do (`min_workers`)."""
    maximum: int | None = None
    """How many there may be (`workers`); None: one a core."""
    idle_seconds: float = 2.0
    """After how long a worker without work goes, beyond the minimum."""
    memory: int | None = None
    """Bytes that all workers together may take, beyond what they take by themselves; None: what the system has."""

    def under(self, place: Place | None) -> PoolSettings:
        """The settings where this mapping may say otherwise, key by key. Raises the file's error for a wrong value."""
        if place is None:
            return self
        settings = self
        if (minimum := place.get("min_workers")) is not None:
            settings = replace(settings, minimum=minimum.integer(0))
        if (maximum := place.get("workers")) is not None:
            settings = replace(settings, maximum=maximum.integer(1))
        if (idle := place.get("idle_seconds")) is not None:
            settings = replace(settings, idle_seconds=idle.seconds())
        if (memory := place.get("memory")) is not None:
            settings = replace(settings, memory=read_size(memory, _LEAST_MEMORY))
        return settings


def unread_settings(root: Place) -> Iterator[str]:
    """A warning for each key of `executor_config` that is not read, but looks like one that is."""
    place = root.get("executor_config")
    for key in () if place is None else place.mapping():
        if key not in KEYS and near(key, KEYS):
            yield f"`executor_config.{key}` is no setting; there are {', '.join(f'`{known}`' for known in KEYS)}"
