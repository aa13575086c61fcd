"""Following a run that an engine elsewhere drives, until it is over.

Its engine's end is waited for, which the system tells; the run store is looked at then, and when progress is to be
told. An engine on another host cannot be watched: its run is looked at again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from refold.api.process_end import ProcessEnd
from refold.api.run_engine import written_by_engine
from refold.api.running import request_cancel
from refold.api.wiring import open_project_store, run_folder
from refold.engine.ownership import is_alive
from refold.errors import PipelineRunError, PipelineRunTimeoutError, RefoldError
from refold.model.keys import RunId
from refold.model.project import Project
from refold.ports.run_store import Owner, RunRecord, RunStatus

REMOTE_SECONDS = 5.0
"""How often, at least, a run is looked at whose engine is on another host."""
STOP_SECONDS = 0.5
"""How long a run that is asked to stop is given before it is asked once more: beginning, it may have missed it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be waited for before the next look."""

    engine: ProcessEnd | None
    seconds: float
    """At most; without an engine, all of them."""


Steps = Generator[Look, None, RunRecord]


@dataclass(frozen=True, slots=True)
class Followed:
    """A run of a project, and how it is followed."""

    project: Project
    run: RunId
    every: float
    """Seconds between two tellings of its progress."""
    timeout: float | None
    tell: Callable[[RunRecord], None]

    def read(self) -> RunRecord:
        """The run as it is stored now. No connection is kept: many may wait for long."""
        with closing(open_project_store(self.project)) as store:
            return store.get(self.run)

    def follow(self, engine: ProcessEnd | None) -> Steps:
        """Yields what to wait for until the run is over, or its engine gone; then returns the run as stored.

        `engine` is the one that was started for it, if one was; it is closed. Raises PipelineRunTimeoutError when
        `timeout` seconds have passed, PipelineRunError when no engine has taken it up.
        """
        until = None if self.timeout is None else time.monotonic() + self.timeout
        told = time.monotonic()
        lost: str | None = None
        try:
            while True:
                engine = _living(engine)
                record = self.read()
                if record.status.ended:
                    return record
                if engine is None and record.owner is None:
                    return self._without_engine(record)
                remote = False
                if engine is None and record.owner is not None:
                    owner = Owner.parse(record.owner)
                    remote = is_alive(owner) is None
                    engine = None if remote else ProcessEnd.of(owner)
                    if engine is None and not remote:
                        if lost == record.owner:
                            return record
                        lost = record.owner  # it may have ended well since the run was read
                        continue
                now = time.monotonic()
                if until is not None and now >= until:
                    raise self._late(record)
                if now - told >= self.every:
                    told = now
                    self.tell(record)
                seconds = min(told + self.every, until or told + self.every) - now
                yield Look(engine, min(seconds, REMOTE_SECONDS) if remote else seconds)
        finally:
            if engine is not None:
                engine.close()

    def stop(self) -> Generator[Look, None, None]:
        """Asks the run to stop, and gives it a moment. Raises nothing but what its store raises."""
        for _ in range(2):
            with closing(open_project_store(self.project)) as store:
                record = store.get(self.run)
                if record.status.ended:
                    return
                try:
                    if request_cancel(store, record):
                        return
                except RefoldError:
                    continue  # it has just ended, or begun
            engine = None if record.owner is None else ProcessEnd.of(Owner.parse(record.owner))
            if engine is None:
                continue
            try:
                yield Look(engine, STOP_SECONDS)
            finally:
                engine.close()

    def _without_engine(self, record: RunRecord) -> RunRecord:
        """Nobody drives it. Raises PipelineRunError where it never began."""
        if record.status is not RunStatus.INITIAL:
            return record
        said = written_by_engine(run_folder(self.project, record.pipeline_uuid, record.id))
        raise PipelineRunError(
            f"the engine of a run of `{record.pipeline_uuid}` ended before the run began\n{said}".strip(),
            where=f"run {record.id}",
            fix=f"`refold retry {record.id}` begins it.",
        )

    def _late(self, record: RunRecord) -> PipelineRunTimeoutError:
        return PipelineRunTimeoutError(
            f"a run of `{record.pipeline_uuid}` is not over after {self.timeout:g} seconds, and goes on",
            where=f"run {record.id}",
            fix=f"Give a longer `poll_timeout`, or stop it: `refold cancel {record.id}`.",
        )


def _living(engine: ProcessEnd | None) -> ProcessEnd | None:
    """The engine, while it has not ended."""
    if engine is None or not engine.is_over():
        return engine
    engine.close()
    return None


def stop_now(followed: Followed) -> Generator[Look, None, None]:
    """As `Followed.stop`, whatever the store raises: what made it stop is what counts."""
    try:
        yield from followed.stop()
    except RefoldError:
        return
