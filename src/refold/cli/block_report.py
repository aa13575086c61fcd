"""What is told of `refold run --block-uuid`, one block alone; what it prints, then what it returns."""

from __future__ import annotations

import sys

import typer

from refold.api.single_block import SingleBlockResult
from refold.cli.command_group import FAILED, note
from refold.cli.output_format import json_line, json_of, value_text
from refold.model.block import JsonValue


def report_block(result: SingleBlockResult, as_json: bool) -> None:
    """Prints what the block printed, then what it returned. Raises typer.Exit when it did not complete."""
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
        raise typer.Exit(FAILED)


def _as_json(result: SingleBlockResult) -> JsonValue:
    completed = result.status == "completed"
    return {
        "run_id": result.run_id,
        "block_run_uuid": result.block_run_uuid,
        "status": result.status,
        "value": json_of(result.shown) if completed else None,
        "error": None if result.failure is None else result.failure.error,
    }
