"""An engine process for one run that somebody else has put into the store: `trigger_pipeline` starts it.

The run is created by who asks for it, so that it is known at once; whoever comes first takes its lease. Any number of
engines may be started for a run: one drives it, the others end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

from refold.api.run_setup import make_context, make_setup, prepare
from refold.api.running import RunOptions, cancelled_by_ctrl_c, drive_run
from refold.api.wiring import open_project_store
from refold.engine.engine import POLL_SECONDS
from refold.engine.ownership import this_process
from refold.engine.pipeline_run import LEASE_SECONDS, PipelineRun
from refold.errors import LeaseError, RefoldError, StoreError
from refold.model.keys import RunId
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.ports.clock import SystemClock
from refold.ports.run_store import Control, RunStatus, WriteBatch

_SHOWN = 2000
"""Characters of what an engine wrote that are shown."""


def start_engine(project: Path, run: RunId, folder: Path) -> int:
    """Starts an engine process that outlives this one; its process id. `folder` is the run's.

    Raises RefoldError when the system has no process for it.
    """
    command = [sys.executable, "-P", "-m", "refold.api.detached", str(project), run]
    output = output_file(folder)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as file:
            told = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
                check=True,
            )
        return int(told.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise RefoldError(
            f"the engine of a pipeline run could not be started: {error}\n{written_by_engine(folder)}".strip(),
            where=f"run {run}",
            fix="Let fewer run at once, or raise the system's limits on processes and open files.",
        ) from error


def output_file(folder: Path) -> Path:
    """Where the engine of a run writes what it has to say; `folder` is the run's."""
    return folder / "logs" / "engine.out"


def written_by_engine(folder: Path) -> str:
    """The end of what the engine of a run wrote; empty where there is nothing."""
    try:
        return output_file(folder).read_text(errors="replace")[-_SHOWN:].strip()
    except OSError:
        return ""


def drive(project: str, run: str) -> None:
    """Drives a run to its end that nobody has taken up yet; any other is left alone.

    Raises what `refold.api.running.run_pipeline` raises; a run that could not begin has failed then.
    """
    loaded = Project.load(Path(project))
    with closing(open_project_store(loaded)) as store:
        record = store.get(RunId(run))
        if record.status is not RunStatus.INITIAL or record.owner is not None:
            return
        try:
            lease = store.acquire(record.id, this_process(), SystemClock().now(), LEASE_SECONDS)
        except LeaseError:  # another engine was faster
            return
        stop = _Stop(loaded, record.id)
        with cancelled_by_ctrl_c(stop.ask):
            stop.start()
            try:
                options = RunOptions.of(record)
                prepared = prepare(Pipeline.get(record.pipeline_uuid, loaded))
                context = make_context(
                    prepared, record.id, options.variables, record.created_at, options.run_tests, options.run_sensors
                )
                setup = make_setup(prepared, context)
            except BaseException:  # it was edited since it was asked for
                store.finish(lease, WriteBatch(), RunStatus.FAILED, SystemClock().now())
                raise
            drive_run(store, prepared, setup, options, SystemClock(), stop)


class _Stop(threading.Thread):
    """Hears that the run is to stop: while it has not begun, which forgets what was asked before, and while a block in
    this process keeps the engine from asking. It then does what Ctrl-C does."""

    def __init__(self, project: Project, run: RunId) -> None:
        super().__init__(name="requests", daemon=True)
        self._project = project
        self._run = run
        self._asked = False
        self._is_over = threading.Event()

    def ask(self) -> None:
        """The run is to stop."""
        self._asked = True

    def __call__(self, run: PipelineRun) -> None:
        """The engine has looked after the run."""
        if self._asked:
            run.cancel()
        if run.end is not None:
            self._is_over.set()

    def run(self) -> None:
        """Asks again and again, until somebody wants it to stop, or it is over."""
        with closing(open_project_store(self._project)) as store:
            while not self._is_over.wait(POLL_SECONDS):
                with suppress(StoreError):  # the engine itself will have to deal with that
                    if Control.CANCEL in store.requests(self._run):
                        os.kill(os.getpid(), signal.SIGTERM)
                        return
