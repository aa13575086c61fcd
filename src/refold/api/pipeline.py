"""A pipeline that runs from Python: `Pipeline.get('my_pipeline', path).execute_sync()`."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Mapping

from refold.api.run_failure import not_completed
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.engine.pipeline_run import PipelineRun
from refold.languages.event_loops import outside_loop
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline as PipelineModel
from refold.ports.run_store import RunRecord, RunStatus

_WITHOUT_EFFECT = frozenset({"analyze_outputs", "build_block_output_stdout", "from_notebook", "progress_bar", "retry"})
"""What Mage's callers pass, and what changes nothing here."""


class Pipeline(PipelineModel):
    """A pipeline of a project: read, made, changed, and run."""

    def execute_sync(
        self,
        global_vars: Mapping[str, JsonValue] | None = None,
        run_sensors: bool = True,
        run_tests: bool = True,
        update_status: bool = True,
        **kwargs: object,
    ) -> RunRecord:
        """Runs the pipeline in this process, one block run after the other; the run as stored.

        It works from any thread, in notebooks and under debuggers, for pipelines with dynamic blocks too. `global_vars`
        go over the pipeline's own variables. Without `run_sensors` sensors are not asked, and count as saying yes.
        `update_status` is accepted and has no effect: how a run went is kept in the run store, never in metadata.yaml.

        Raises PipelineRunError when the run fails or is cancelled, BadInputError when it cannot be run.
        """
        _warn_of_unknown(kwargs, update_status)
        options = _options(global_vars, ExecutorKind.INLINE, run_sensors, run_tests)
        return self._checked(outside_loop(lambda: run_pipeline(self, options)))

    async def execute(
        self,
        global_vars: Mapping[str, JsonValue] | None = None,
        parallel: bool = True,
        run_sensors: bool = True,
        run_tests: bool = True,
        update_status: bool = True,
        **kwargs: object,
    ) -> RunRecord:
        """The same without blocking the event loop: in worker processes, or one by one without `parallel`.

        Cancelling the task cancels the run, and waits until it has stopped.
        """
        _warn_of_unknown(kwargs, update_status)
        kind = ExecutorKind.PROCESSES if parallel else ExecutorKind.INLINE
        options = _options(global_vars, kind, run_sensors, run_tests)
        stop = threading.Event()

        def watch(run: PipelineRun) -> None:
            if stop.is_set():
                run.cancel()

        running = asyncio.ensure_future(asyncio.to_thread(run_pipeline, self, options, watch))
        try:
            return self._checked(await asyncio.shield(running))
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([running])
            raise

    def _checked(self, record: RunRecord) -> RunRecord:
        if record.status is RunStatus.COMPLETED:
            return record
        raise not_completed(self.project, record)


def _options(
    variables: Mapping[str, JsonValue] | None, kind: ExecutorKind, run_sensors: bool, run_tests: bool
) -> RunOptions:
    return RunOptions(dict(variables or {}), run_tests=run_tests, executor=kind, run_sensors=run_sensors)


def _warn_of_unknown(kwargs: Mapping[str, object], update_status: bool) -> None:  # noqa: ARG001 - accepted, see above
    unknown = sorted(kwargs.keys() - _WITHOUT_EFFECT)
    if unknown:
        names = ", ".join(f"`{name}`" for name in unknown)
        warnings.warn(f"{names} has no effect on how a pipeline runs; is it misspelt?", UserWarning, stacklevel=3)
