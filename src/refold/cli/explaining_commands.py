"""Commands that explain one block run: where its inputs came from, why it is as it is, and what happens in it."""

from __future__ import annotations

import sys
import tempfile
from bdb import BdbQuit
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated

from refold.api.reading import RunReader
from refold.api.reasons import Reason, explain
from refold.api.replaying import Replay, Replayed, open_replay
from refold.api.tracing import NO_ITEM, NONE, Trace, TraceEntry
from refold.cli.debugger import debug_crash, run_from_first_line
from refold.cli.endings import FAILED, Exit, note
from refold.cli.options import BlockRunArgument, JsonOption, ProjectOption, RunArgument
from refold.cli.output_format import json_line, value_text
from refold.cli.parameters import Option
from refold.cli.project_folder import project_around
from refold.cli.text_table import table_lines
from refold.executors.failures import failure_of
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.scheduler.events import Outcome
from refold.scheduler.status import Status

_IN_MEMORY = 8 * 2**20
"""Bytes of a table that are kept in memory until it is whole."""


def trace(
    run: RunArgument, block_run: BlockRunArgument, project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Show where the inputs of a block run came from."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        found = reader.trace(block_run)
        if as_json:
            for entry in found:
                sys.stdout.write(f"{json_line(_entry_json(entry))}\n")
        else:
            _print_whole(_trace_lines(found))
        if reader.block_alone is not None:
            note(f"note: the run ran `{reader.block_alone}` alone; what lists were made of lies in other runs")


def _entry_json(entry: TraceEntry) -> JsonValue:
    return {
        "upstream": entry.upstream,
        "index": entry.index,
        "block_run_uuid": entry.block_run_uuid,
        "element": entry.element,
        "strategy": entry.strategy,
    }


def _trace_lines(found: Trace) -> Iterator[str]:
    header = ("upstream", "by", "index in list", "from block run", "its element")
    rows = (
        (
            entry.upstream,
            entry.strategy or "-",
            _position(entry.index),
            entry.block_run_uuid,
            _position(entry.element),
        )
        for entry in found
    )
    yield from table_lines(header, rows, frozenset({2, 4}))
    for upstream, counts in found.passed_over.items():
        for what, count in counts.items():
            yield f"{upstream}: {_passed_over(what, count)}"


def _passed_over(what: str, count: int) -> str:
    if what == NO_ITEM:
        return "it gave no item for this one"
    if what == NONE:
        return f"{count:,} {'value that is' if count == 1 else 'values that are'} None left out"
    return f"{count:,} {'run that is' if count == 1 else 'runs that are'} {what} left out"


def _position(position: int | None) -> str:
    return "-" if position is None else str(position)


def _print_whole(lines: Iterable[str]) -> None:
    """Prints lines when all of them are there: an error then stands alone, not below half a table."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8") as whole:
        for line in lines:
            whole.write(f"{line}\n")
        whole.seek(0)
        for line in whole:
            sys.stdout.write(line)


def why(
    run: RunArgument, block_run: BlockRunArgument, project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Say why a block run waits, ran, was kept, was skipped or failed."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        reason = explain(reader, block_run)
    print(json_line(_reason_json(reason)) if as_json else reason.sentence)


def _reason_json(reason: Reason) -> JsonValue:
    return {
        "block_run_uuid": reason.block_run_uuid,
        "status": reason.status,
        "reason": reason.kind.value,
        "sentence": reason.sentence,
        "block_runs": [*reason.block_runs],
        "count": reason.count,
        "run_id": reason.run_id,
    }


def debug(
    run: RunArgument,
    block_run: BlockRunArgument,
    pdb: Annotated[
        bool,
        Option(
            "--pdb", help="Debug it: where it raises; if it did not fail in its run, from its function's first line."
        ),
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Run one block run again on its stored inputs, and store nothing."""
    with closing(RunReader.open(run, project_around(project))) as reader:
        replay = open_replay(reader, Pipeline.get(reader.record.pipeline_uuid, reader.project), block_run)
        if replay.same_code is not True:
            what = "differs from the run's" if replay.same_code is False else "may differ from the run's"
            note(f"note: the code of `{replay.execution.task.block}` {what}; it is replayed as it is now")
        with replay.surroundings(terminal=pdb):
            try:
                replayed = _replayed(replay, pdb)
            except BdbQuit:
                return
    _tell(replay, replayed)


def _replayed(replay: Replay, pdb: bool) -> Replayed:
    """What came of it. Raises Exit when it raised, after its traceback was printed, and looked at in pdb."""
    try:
        # As under `python -m pdb`, a run that is not known to fail stops where it begins.
        if pdb and replay.status is not Status.FAILED:
            return run_from_first_line(replay.run, replay.function())
        return replay.run()
    except BdbQuit:
        raise
    except (Exception, SystemExit) as error:
        failure = failure_of(error)
        sys.stdout.flush()
        note(failure.traceback.rstrip())
        note(f"error: {replay.block_run_uuid} failed: {failure.error}")
        if pdb:
            debug_crash(error)
        raise Exit(FAILED) from None


def _tell(replay: Replay, replayed: Replayed) -> None:
    if replayed.outcome is Outcome.CONDITION_FAILED:
        print("a condition said False: its function was not called")
    elif replayed.outcome is Outcome.NOT_YET:
        print("the sensor says: not yet")
    else:
        print(value_text(replayed.shown))
    if replay.status is Status.FAILED:
        note(f"note: {replay.block_run_uuid} failed in its run, and did not now")
