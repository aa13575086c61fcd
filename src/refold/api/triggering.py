"""Starting a pipeline from Python: from a block of another one, a script, a notebook.

The run is put into the store at once, and an engine process of its own drives it. Who does not wait for it has no part
in it any more. Who waits gives its worker's slot to others meanwhile, and takes the run down with it when it is
cancelled. A block run that is tried again does not start anew what its former attempt has started.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from refold.api.awaiting import stop_on_loop, wait_here, wait_on_loop
from refold.api.following import Followed
from refold.api.kept_variables import KeptVariables
from refold.api.process_end import ProcessEnd
from refold.api.run_engine import start_engine
from refold.api.run_failure import not_completed
from refold.api.run_setup import PreparedPipeline, make_context, prepare
from refold.api.run_summary import INTERRUPTED
from refold.api.running import RunOptions, new_run_id, request_cancel
from refold.api.started_by import StartedBy, derived_run_id
from refold.api.triggered_run import TriggeredRun, progress_text, status_of
from refold.api.wiring import make_run_folder, open_project_store, run_folder
from refold.engine.ownership import process_of
from refold.errors import BadInputError, NotFoundError, RefoldError, StoreError
from refold.executors.caller import Caller, calling
from refold.languages.event_loops import loop_is_running
from refold.languages.project_context import get_repo_path
from refold.model.block import JsonValue
from refold.model.keys import RunId
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.ports.clock import SystemClock
from refold.ports.run_store import NewRun, RunRecord, RunStatus, RunStore

DEEPEST = 16
"""How many runs may have started one another: more are likely to go on without end."""
_CAME_TO_NOTHING = frozenset({"failed", "cancelled", INTERRUPTED})


def trigger_pipeline(
    pipeline_uuid: str,
    variables: Mapping[str, JsonValue] | None = None,
    check_status: bool = False,
    error_on_failure: bool = False,
    poll_interval: float = 60.0,
    poll_timeout: float | None = None,
    verbose: bool = True,
    schedule_name: str | None = None,
    repo_path: Project | Path | str | None = None,
) -> TriggeredRun:
    """Starts a run of a pipeline, in a process of its own; the run, which is in the store by then.

    `variables` go over the pipeline's own. With `check_status` it returns when the run is over, and the block run that
    calls holds no worker meanwhile; progress is printed every `poll_interval` seconds, unless `verbose` is false. With
    `error_on_failure` a run that was waited for and did not complete raises PipelineRunError with its failures. After
    `poll_timeout` seconds of waiting PipelineRunTimeoutError is raised, and the run goes on. `schedule_name` is what
    the run says that it was started as. `repo_path` is the project; None: that of the block that asks, or the one
    around the working directory.

    Raises BadInputError when the pipeline cannot be run, and in an `async def` block that would wait: then nothing was
    started. Also when more than 16 runs would have started one another.
    """
    request = _Request.of(
        pipeline_uuid, variables, poll_interval, poll_timeout, verbose, schedule_name, repo_path, calling()
    )
    if check_status and request.caller is not None and loop_is_running():
        raise BadInputError(
            "`trigger_pipeline` would keep the event loop from everything else while it waits",
            where=f"block run {request.caller()}",
            fix="Write `await trigger_pipeline_async(...)`.",
        )
    started = request.start()
    if not check_status:
        return started.let_go(request.project)
    return request.result(wait_here(started.followed, started.engine, request.caller), error_on_failure)


async def trigger_pipeline_async(
    pipeline_uuid: str,
    variables: Mapping[str, JsonValue] | None = None,
    check_status: bool = False,
    error_on_failure: bool = False,
    poll_interval: float = 60.0,
    poll_timeout: float | None = None,
    verbose: bool = True,
    schedule_name: str | None = None,
    repo_path: Project | Path | str | None = None,
) -> TriggeredRun:
    """As `trigger_pipeline`, for `async def` code: others on the event loop go on meanwhile.

    Cancelling the task that waits cancels the run.
    """
    import asyncio

    request = await asyncio.to_thread(
        _Request.of, pipeline_uuid, variables, poll_interval, poll_timeout, verbose, schedule_name, repo_path, calling()
    )
    starting = asyncio.ensure_future(asyncio.to_thread(request.start))
    try:
        started = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if check_status and starting.exception() is None:
            starting.result().let_go(request.project)
            await stop_on_loop(starting.result().followed)
        raise
    if not check_status:
        return started.let_go(request.project)
    record = await wait_on_loop(started.followed, started.engine, request.caller)
    return await asyncio.to_thread(request.result, record, error_on_failure)


@dataclass(frozen=True, slots=True)
class _Started:
    """A run that was started, or found to have been."""

    record: RunRecord
    followed: Followed
    engine: ProcessEnd | None
    """The one that was started for it; None where it is over, or was there before."""

    def let_go(self, project: Project) -> TriggeredRun:
        """The run, for who does not wait for it."""
        if self.engine is not None:
            self.engine.close()
        return TriggeredRun.of(project, self.record, None if self.engine is None else self.engine.owner)


@dataclass(frozen=True, slots=True)
class _Request:
    """A run as it is asked for; checked."""

    project: Project
    prepared: PreparedPipeline
    variables: Mapping[str, JsonValue]
    kept: KeptVariables
    """What is stored of them."""
    every: float
    timeout: float | None
    verbose: bool
    by: StartedBy
    caller: Caller | None

    @classmethod
    def of(
        cls,
        pipeline_uuid: str,
        variables: Mapping[str, JsonValue] | None,
        poll_interval: float,
        poll_timeout: float | None,
        verbose: bool,
        schedule_name: str | None,
        repo_path: Project | Path | str | None,
        caller: Caller | None,
    ) -> Self:
        """Raises BadInputError for what cannot be run."""
        _require_seconds("poll_interval", poll_interval)
        if poll_timeout is not None:
            _require_seconds("poll_timeout", poll_timeout)
        project = project_of(repo_path)
        pipeline = Pipeline.get(str(pipeline_uuid), project)
        given = _json_of(variables or {})
        kept = KeptVariables.of(project.path, given)
        kept.given()  # the engine must be able to do so, too
        by = _started_by(caller, schedule_name)
        if by.depth > DEEPEST:
            raise BadInputError(
                f"`{pipeline.uuid}` is not started: {DEEPEST} runs have started one another before it, and that would "
                "go on without end",
                where=f"{by}",
                fix="Let a condition end the chain, or let one pipeline loop over what is to be done.",
            )
        return cls(project, prepare(pipeline), given, kept, poll_interval, poll_timeout, verbose, by, caller)

    def start(self) -> _Started:
        """Starts the run, unless a former attempt of the same block run has."""
        with closing(open_project_store(self.project)) as store:
            record = self._create(store)
            followed = Followed(self.project, record.id, self.every, self.timeout, self._tell)
            engine = None
            if record.status is RunStatus.INITIAL and record.owner is None:
                engine = self._start_engine(store, record)
        return _Started(record, followed, engine)

    def result(self, record: RunRecord, error_on_failure: bool) -> TriggeredRun:
        """What who has waited gets. Raises PipelineRunError."""
        if self.verbose:
            print(progress_text(record))
        if error_on_failure and record.status is not RunStatus.COMPLETED:
            raise not_completed(self.project, record)
        return TriggeredRun.of(self.project, record)

    def _create(self, store: RunStore) -> RunRecord:
        """The run as stored: a new one, or the one that the caller's former attempt has started and that did not come
        to nothing."""
        for run in self._ids():
            with suppress(NotFoundError):
                record = store.get(run)
                if status_of(record) in _CAME_TO_NOTHING:
                    continue
                if self.verbose:
                    print(f"run {run} of `{record.pipeline_uuid}` was started by an earlier attempt")
                return record
            try:
                return self._store_new(store, run)
            except StoreError:
                with suppress(NotFoundError):  # somebody else was faster
                    return store.get(run)
                raise
        raise AssertionError("ids never end")

    def _ids(self) -> Generator[RunId, None, None]:
        """The ids that the run may have: of a block run the same in every attempt, as long as it asks for the same."""
        if self.caller is None:
            while True:
                yield new_run_id(SystemClock())
        asked = json.dumps(self.kept.told, sort_keys=True)
        deed = "\0".join((self.caller(), str(self.project.path), self.prepared.pipeline.uuid, asked))
        deed = f"{deed}\0{self.caller.ordinal(deed)}"
        for attempt in count():
            yield derived_run_id(self.caller.context, deed, attempt)

    def _store_new(self, store: RunStore, run: RunId) -> RunRecord:
        options, now = RunOptions(self.variables), SystemClock().now()
        make_run_folder(make_context(self.prepared, run, self.variables, now, options.run_tests))
        asked = {**options.as_json(), **self.by.as_options(), **self.kept.as_options()}
        pipeline, project = self.prepared.pipeline.uuid, str(self.project.path)
        blocks = self.prepared.snapshot(self.variables)
        store.create(NewRun(run, project, pipeline, now, self.kept.variables, asked, blocks))
        if self.verbose:
            print(f"run {run} of `{pipeline}` started")
        return store.get(run)

    def _start_engine(self, store: RunStore, record: RunRecord) -> ProcessEnd | None:
        """An engine for a run that has none. If that fails, the run is cancelled."""
        folder = run_folder(self.project, record.pipeline_uuid, record.id)
        try:
            owner = process_of(start_engine(self.project.path, record.id, folder))
        except BaseException:
            with suppress(RefoldError):
                request_cancel(store, store.get(record.id))
            raise
        return None if owner is None else ProcessEnd.of(owner)

    def _tell(self, record: RunRecord) -> None:
        if self.verbose:
            print(progress_text(record))


def project_of(repo_path: Project | Path | str | None) -> Project:
    """The project that is asked for; None: that of the block that asks, or the one around the working directory."""
    if isinstance(repo_path, Project):
        return repo_path
    return Project.load(Path(get_repo_path() if repo_path is None else repo_path))


def _started_by(caller: Caller | None, trigger: str | None) -> StartedBy:
    if caller is None:
        return StartedBy(None, None, None, None, 1, trigger)
    context = caller.context
    depth = 0
    with suppress(NotFoundError), closing(open_project_store(Project.load(context.project))) as store:
        before = StartedBy.of(store.get(context.run))
        depth = 0 if before is None else before.depth
    return StartedBy(context.run, context.pipeline_uuid, caller(), str(context.project), depth + 1, trigger)


def _require_seconds(name: str, value: float) -> None:
    number: object = value
    if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
        raise BadInputError(f"`{name}` is {value!r}", fix="Give a number of seconds above zero.")


def _json_of(variables: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The variables as the store will give them back. Raises BadInputError."""
    if not isinstance(variables, Mapping):
        raise BadInputError(f"`variables` is a {type(variables).__name__}", fix="Give a dict of names and values.")
    found: dict[str, JsonValue] = {}
    for name, value in variables.items():
        if not isinstance(name, str):
            raise BadInputError(f"{name!r} is no name of a variable", fix="Names are texts.")
        try:
            found[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInputError(
                f"the variable `{name}` cannot be passed to another pipeline: {error}",
                fix="Values are None, true, false, numbers, texts, lists, or dicts with texts as keys. "
                "A date can be passed as `value.isoformat()`.",
            ) from error
    return found
