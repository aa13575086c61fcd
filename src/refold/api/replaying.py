"""One block run, replayed from what is stored of its inputs, in this process: what `refold debug` does.

The code is that of now, the inputs and variables are those of the run. Nothing is stored: no run, no output, no log, no
visible file; callbacks are not called, and there is no timeout. What the block itself writes elsewhere it writes again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from types import CodeType
from typing import cast

from refold.api.reading import RunReader
from refold.api.run_setup import make_context, make_task
from refold.api.running import RunOptions
from refold.api.single_block import prepare_block, unwrapped
from refold.api.snapshot import PlanSnapshot, code_digest
from refold.api.stored_inputs import stored_inputs
from refold.api.waiting import missing_inputs
from refold.errors import BadInputError, NotFoundError, RefoldError
from refold.executors.block_call import Call
from refold.executors.block_code import make_importable
from refold.executors.capture import Capture, LogWriter
from refold.executors.execution import Execution
from refold.executors.interrupts import Interrupts
from refold.executors.judging import judge
from refold.executors.open_run import OpenRun
from refold.languages.event_loops import outside_loop, run_coroutine
from refold.languages.project_context import set_repo_path
from refold.languages.unfolding import ItemList, ItemRows, ItemStream, split_yield, unfold
from refold.model.keys import BlockRunUuid, Key, encode_key
from refold.model.pipeline import Pipeline
from refold.ports.output_store import Item
from refold.scheduler.events import Outcome
from refold.scheduler.status import Status


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it, unless it raised."""

    outcome: Outcome
    shown: object
    """What it returned, as people see it: the one output of a dynamic child is unwrapped; items are a list."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A block run, ready to be replayed."""

    block_run_uuid: BlockRunUuid
    status: Status | None
    """What became of it in its run; None where it is not over."""
    same_code: bool | None
    """Whether the code is what it was; None where the run does not record that."""
    execution: Execution

    def run(self) -> Replayed:
        """Calls the block: conditions, function, tests. Raises what it raises."""
        task, opened = self.execution.task, self.execution.run
        code = opened.code(task)
        if isinstance(code, RefoldError):
            raise code
        call = self.execution.make_call(code, 0)
        if not call.conditions_hold():
            return Replayed(Outcome.CONDITION_FAILED, None)
        returned = call.returned()
        if task.dynamic:
            return Replayed(Outcome.COMPLETED, _items(call, returned))
        outcome, output = judge(task, call, returned)
        return Replayed(outcome, None if output is None else unwrapped(output.value, task))

    def function(self) -> CodeType | None:
        """The code of the block's function; None for a callable that has none."""
        code = self.execution.run.code(self.execution.task)
        if isinstance(code, RefoldError):
            return None
        found = getattr(code.main.function, "__code__", None)
        return found if isinstance(found, CodeType) else None

    @contextmanager
    def surroundings(self, *, terminal: bool = False) -> Iterator[None]:
        """What a block finds around it while it runs; what it logs goes to stderr.

        Secrets are masked in what it prints, unless it is to have the `terminal` itself, as a debugger needs it.
        """
        with nullcontext() if terminal else Capture().installed():
            yield from self._surrounded()

    def _surrounded(self) -> Iterator[None]:
        context = self.execution.run.context
        handler, root = logging.StreamHandler(sys.stderr), logging.getLogger()
        level = root.level
        make_importable(context.project)
        set_repo_path(context.project)
        root.addHandler(handler)
        root.setLevel(min(level, logging.INFO) if level else logging.INFO)
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)
            set_repo_path(None)


def open_replay(reader: RunReader, pipeline: Pipeline, block_run_uuid: str) -> Replay:
    """A block run of a stored run, to be replayed with the code of the pipeline as it is now.

    Raises NotFoundError for an unknown one and for inputs that are not there, BadInputError when the block has another
    place in the pipeline by now.
    """
    before, key = reader.resolve(block_run_uuid)
    where = f"run {reader.record.id}"
    again = f"refold run {pipeline.project.path} {pipeline.uuid} --block-uuid {before.uuid}"
    if reader.block_alone is not None:
        raise BadInputError(
            f"the run ran `{reader.block_alone}` alone, on what other runs had left", where=where, fix=f"Use `{again}`."
        )
    prepared = prepare_block(pipeline, before.uuid)
    if not PlanSnapshot(prepared.snapshot({}), "now")[before.uuid].stands_as(before):
        raise BadInputError(
            f"`{before.uuid}` has another place in the pipeline now: its inputs of then mean nothing to it",
            where=where,
            fix=f"Run it on what its upstreams have left: `{again}`.",
        )
    row = reader.store.block_run(reader.record.id, before.uuid, encode_key(key))
    status = None if row is None else Status(row.status)
    _require_inputs(reader, before.uuid, key, status)
    number, record, options = len(prepared.blocks) - 1, reader.record, RunOptions.of(reader.record)
    context = make_context(
        prepared, record.id, options.variables, record.created_at, options.run_tests, options.run_sensors
    )
    task = replace(make_task(prepared, number, record.id), timeout=None)
    digest = code_digest(prepared.blocks[number], prepared.sources)
    opened = OpenRun(context, {number: task}, reader.outputs, LogWriter(reader.folder / "nowhere"), "debug")
    batch = stored_inputs(reader, before, key).batch(record.id, number)
    return Replay(
        block_run_uuid=reader.labels.uuid(before.uuid, key),
        status=status,
        same_code=None if before.code is None else before.code == digest,
        execution=Execution.of(batch, opened, Interrupts()),
    )


def _require_inputs(reader: RunReader, block: str, key: Key, status: Status | None) -> None:
    """Raises NotFoundError unless all that the run needs has completed: part of a group would be another input."""
    snapshot = reader.plan[block]
    unfinished = status is None and missing_inputs(reader, snapshot, key).count
    if status is Status.UPSTREAM_FAILED or unfinished:
        uuid = reader.labels.uuid(snapshot.uuid, key)
        raise NotFoundError(
            f"`{uuid}` has nothing to run on: something that it needs {'is not over' if unfinished else 'failed'}",
            where=f"run {reader.record.id}",
            fix=f"`refold why {reader.record.id} {uuid}` says what.",
        )


def _items(call: Call, returned: object) -> object:
    """The items of a dynamic block, and whether its tests hold for them."""
    unfolded = unfold(returned)
    if isinstance(unfolded, ItemStream):
        items = [split_yield(each) for each in _yielded(unfolded)]
        unfolded = ItemList([item.value for item in items], _metadata(items))
    shown = unfolded.frame if isinstance(unfolded, ItemRows) else [*unfolded.values]
    call.test((shown,), () if unfolded.metadata is None else (unfolded.metadata,))
    return shown


def _yielded(stream: ItemStream) -> list[object]:
    if not stream.is_async:
        return list(cast("Iterator[object]", stream.iterator))
    return outside_loop(partial(run_coroutine, _all_of(cast("AsyncIterator[object]", stream.iterator))))


async def _all_of(iterator: AsyncIterator[object]) -> list[object]:
    return [each async for each in iterator]


def _metadata(items: list[Item]) -> list[dict[str, object]] | None:
    if not any(item.metadata for item in items):
        return None
    return [dict(item.metadata or {}) for item in items]
