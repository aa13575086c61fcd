"""Who asked for a run: kept in the run's options, where its readers and its retries find it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from refold.model.block import JsonValue
from refold.model.keys import RunId
from refold.ports.executor import RunContext
from refold.ports.run_store import RunRecord

_KEY = "started_by"


@dataclass(frozen=True, slots=True)
class StartedBy:
    """What started a run other than a person."""

    run: str | None
    """The pipeline run whose block did; None: code outside of blocks."""
    pipeline: str | None
    block_run: str | None
    project: str | None
    """That run's project, by its folder."""
    depth: int
    """How many runs started one another before this one."""
    trigger: str | None = None
    """What the caller says that it is called (`schedule_name`)."""

    @classmethod
    def of(cls, record: RunRecord) -> Self | None:
        """Who asked for this run; None where that was not noted: a command, or `Pipeline.execute`."""
        found = record.options.get(_KEY)
        if not isinstance(found, Mapping):
            return None
        texts = {name: _text(found.get(name)) for name in ("run", "pipeline", "block_run", "project", "trigger")}
        depth = found.get("depth")
        return cls(depth=depth if isinstance(depth, int) else 0, **texts)

    def as_options(self) -> dict[str, JsonValue]:
        """What a run's options keep."""
        return {_KEY: self.as_json()}

    def as_json(self) -> dict[str, JsonValue]:
        """The same for people's programs."""
        return {
            "run": self.run,
            "pipeline": self.pipeline,
            "block_run": self.block_run,
            "project": self.project,
            "depth": self.depth,
            "trigger": self.trigger,
        }

    def __str__(self) -> str:
        by = "Python code" if self.run is None else f"`{self.block_run}` of run {self.run} (`{self.pipeline}`)"
        return by if self.trigger is None else f"{by} as `{self.trigger}`"


def derived_run_id(parent: RunContext, deed: str, attempt: int) -> RunId:
    """The id of the run that a block run starts: the same whenever the same is asked, so that it is started once.

    It has the shape of any other: the moment when the parent was created, and a part that follows from `deed` and from
    how many such runs there were that came to nothing. The store admits an id once, whoever asks at the same time.
    """
    moment = datetime.fromtimestamp(parent.started_at, UTC)
    digest = hashlib.sha256(f"{parent.project}\0{parent.run}\0{deed}\0{attempt}".encode()).hexdigest()
    return RunId(f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}{digest[:16]}")


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
