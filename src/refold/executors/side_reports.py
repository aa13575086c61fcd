"""Reports on batches that are under way at the same time, beside the one that the main thread is on.

A `Reporter` speaks of one batch at a time. Here each batch that has results to tell takes one, and gives it back when
nothing of it waits: so there are as many, with a file of outputs each, as batches end in the same moment, not as many
as there are batches. Who publishes is a thread of its own: the loop may have tens of thousands of ends to go through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from refold.executors.execution import Execution
from refold.executors.open_run import OpenRun
from refold.executors.reporter import DELAY, EAGER_DELAY, Reporter
from refold.model.keys import RunId
from refold.ports.executor import Failure
from refold.ports.output_store import ChunkRef, Output
from refold.scheduler.events import Outcome

_BUSY_DELAY = DELAY / 5
"""Seconds that results wait while somebody is idle, when others were published just before."""

Published = Callable[[Execution, ChunkRef, list[int]], None]
"""Told of a published chunk of outputs of a batch, and of the positions that its records belong to."""
_Speaker = tuple[Reporter, OpenRun]


class SideReports:
    """Safe for threads."""

    def __init__(self, main: Reporter, published: Published) -> None:
        """Speaks to whom `main` speaks to. Where somebody looks after that one, a thread looks after these; otherwise
        results are published when there are many, and by `flush`."""
        self._main = main
        self._published = published
        self._lock = threading.Lock()
        self._speaking: dict[int, _Speaker] = {}
        """Who speaks of a batch."""
        self._silent: dict[RunId, list[_Speaker]] = {}
        """Those of whom nothing waits; each belongs to a pipeline run."""
        self._waiting = threading.Event()
        """Whether something waits to be published."""
        self._last = 0.0
        """When (monotonic) something was published last."""
        self._is_looked_after = not main.is_looked_after

    def completed(
        self, execution: Execution, position: int, output: Output | None, outcome: Outcome, started: float
    ) -> None:
        """A run completed, now. Raises StoreError if its output cannot be stored."""
        with self._lock:
            self._speaker(execution).completed(position, output, outcome, started, time.time())

    def ended(
        self, execution: Execution, position: int, outcome: Outcome, started: float, failure: Failure | None
    ) -> None:
        """A run ended some other way, now."""
        with self._lock:
            self._speaker(execution).ended(position, outcome, started, time.time(), failure)

    def handed_back(self, execution: Execution, positions: Sequence[int], outcome: Outcome) -> None:
        """Runs that never began."""
        with self._lock:
            self._speaker(execution).handed_back(positions, outcome)
            self._fall_silent(execution.batch.id)

    def flush(self) -> None:
        """Publishes what waits."""
        with self._lock:
            speaking = tuple(self._speaking.items())
        for _, (reporter, _) in speaking:
            reporter.flush()
        with self._lock:
            for batch, _ in speaking:
                self._fall_silent(batch)
        self._last = time.monotonic()

    def forget(self, run: RunId) -> None:
        """A pipeline run is over."""
        with self._lock:
            self._silent.pop(run, None)

    def _speaker(self, execution: Execution) -> Reporter:
        found = self._speaking.get(execution.batch.id)
        if found is None:
            silent = self._silent.get(execution.batch.run)
            reporter, opened = found = silent.pop() if silent else self._new(execution.run)
            reporter.begin(execution.batch, opened, partial(self._published, execution))
            self._speaking[execution.batch.id] = found
        return found[0]

    def _new(self, run: OpenRun) -> _Speaker:
        if not self._is_looked_after:
            self._is_looked_after = True
            threading.Thread(target=self._keep_publishing, name="publisher", daemon=True).start()
        return self._main.another(self._waiting.set), run.aside()

    def _fall_silent(self, batch: int) -> None:
        speaker = self._speaking.get(batch)
        if speaker is not None and speaker[0].due() is None:
            del self._speaking[batch]
            self._silent.setdefault(speaker[1].context.run, []).append(speaker)

    def _keep_publishing(self) -> None:
        """The publishing thread: never returns."""
        while True:
            self._waiting.wait()
            time.sleep(self._delay())
            self._waiting.clear()
            self.flush()

    def _delay(self) -> float:
        if not self._main.eager:
            return DELAY
        return EAGER_DELAY if time.monotonic() - self._last > DELAY else _BUSY_DELAY
