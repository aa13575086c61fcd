"""`refold run --block-uuid`: one block alone runs; told is what it prints, then what it returns."""

from __future__ import annotations

import sys

from refold.api.running import RunOptions
from refold.api.single_block import SingleBlockResult, run_block
from refold.cli.endings import FAILED, Exit, note
from refold.cli.output_format import json_line, json_of, stdout_for, value_text
from refold.cli.run_request import RunRequest
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline


def run_alone(pipeline: Pipeline, block: str, request: RunRequest, options: RunOptions) -> None:
    """Runs the block that the request names. Raises Exit when it did not complete."""
    if request.executor is not None or request.workers is not None:
        note("note: one block runs in this process; --executor and --workers have no meaning for it")
    with stdout_for(request.as_json):
        result = run_block(pipeline, block, request.child, options.variables, options.run_tests)
    _report(result, request.as_json)


def _report(result: SingleBlockResult, as_json: bool) -> None:
    """Prints what the block printed, then what it returned. Raises Exit when it did not complete."""
    for line in result.printed:
        print(line.text, file=sys.stderr if as_json or line.stream != "stdout" else sys.stdout)
    if as_json:
        print(json_line(_as_json(result)), flush=True)
    elif result.failure is None and result.status == "completed":
        print(value_text(result.shown), flush=True)
    if result.failure is not None:
        note(result.failure.traceback.rstrip())
        note(f"error: {result.block_run_uuid} failed: {result.failure.error}")
    elif result.status != "completed":
        note(f"{result.block_run_uuid}: {result.status}")
    if result.status in {"failed", "cancelled", "upstream_failed"}:
        raise Exit(FAILED)


def _as_json(result: SingleBlockResult) -> JsonValue:
    completed = result.status == "completed"
    return {
        "run_id": result.run_id,
        "block_run_uuid": result.block_run_uuid,
        "status": result.status,
        "value": json_of(result.shown) if completed else None,
        "error": None if result.failure is None else result.failure.error,
    }
