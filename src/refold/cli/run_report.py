"""What is said of a run when it is over, and by `refold show`: failures first, then counts, then what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from refold.api.run_summary import FailureView, RunSummary
from refold.api.wiring import latest_folder
from refold.cli.duration import duration_text
from refold.cli.project_folder import project_option, shown_path
from refold.cli.text_table import one_line, table_lines
from refold.model.block import JsonValue
from refold.ports.run_store import RunStatus

_NAMED = 5
"""How many block runs of a kind of failure are named."""
_COUNTS = ("total", "completed", "failed", "upstream_failed", "condition_failed", "cancelled")
_ALWAYS = frozenset({"total", "completed", "failed"})


def report_lines(reader: RunSummary) -> Iterator[str]:
    """The whole report."""
    failures = reader.failures(_NAMED)
    yield from failure_lines(failures)
    yield from count_lines(reader.head()["blocks"])
    yield ""
    seconds = reader.seconds
    took = "" if seconds is None else f" after {duration_text(seconds)}"
    tolerated = tolerated_text(failures) if reader.record.status is RunStatus.COMPLETED else ""
    yield f"run {reader.record.id} of `{reader.record.pipeline_uuid}`: {reader.status}{took}{tolerated}"
    if reader.started_by is not None:
        yield f"  started by {reader.started_by}"
    yield from _next_lines(reader, failures)


def failure_lines(failures: Sequence[FailureView]) -> Iterator[str]:
    """A kind of failure a line, the most frequent first, and the first block runs of each."""
    for failure in failures:
        yield f"{failure.count:,} x {one_line(failure.error, 300)}"
        named = [str(uuid) for uuid in failure.block_runs[:_NAMED]]
        more = failure.count - len(named)
        if named:
            yield f"    {', '.join(named)}{f' and {more:,} more' if more > 0 else ''}"
    if failures:
        yield ""


def tolerated_text(failures: Sequence[FailureView]) -> str:
    """Of a completed run: how many of its block runs failed; empty where none did."""
    count = sum(failure.count for failure in failures)
    return f"; {count:,} {'failure was' if count == 1 else 'failures were'} tolerated" if count else ""


def count_lines(blocks: JsonValue) -> Iterator[str]:
    """A table, one line a block; columns of nothing but zeros are left out, where they are not expected."""
    if not isinstance(blocks, Mapping) or not blocks:
        yield "no block has begun"
        return
    counts = {uuid: each for uuid, each in blocks.items() if isinstance(each, Mapping)}
    columns = [name for name in _COUNTS if name in _ALWAYS or any(each.get(name) for each in counts.values())]
    header = ("block", *("runs" if name == "total" else name.replace("_", " ") for name in columns))
    rows = [
        (uuid, *(_count_text(each, name) for name in columns))
        for uuid, each in counts.items()
    ]  # fmt: skip
    yield from table_lines(header, rows, frozenset(range(1, len(header))))


def _count_text(counts: Mapping[str, JsonValue], name: str) -> str:
    count = counts.get(name)
    text = f"{count:,}" if isinstance(count, int) else "-"
    return f"{text}+" if name == "total" and counts.get("total_final") is False else text


def _next_lines(reader: RunSummary, failures: Sequence[FailureView]) -> Iterator[str]:
    option = project_option(reader.project)
    run, status = reader.record.id, reader.status
    if status in {"failed", "cancelled", "interrupted"} or failures:
        yield f"  refold retry {run}{option}    runs what did not complete"
    named = next((uuid for failure in failures for uuid in failure.block_runs), None)
    if named is not None:
        yield f"  refold logs {run} {named}{option}    what it printed, and why it failed"
    elif status == "completed":
        yield f"  refold block-runs {run}{option}    its block runs; `refold output` prints what one returned"
    if status in {"running", "initial"}:
        yield f"  refold cancel {run}{option}    stops it"
    folder = latest_folder(reader.project, reader.record.pipeline_uuid)
    if folder.is_dir():
        yield f"outputs: {shown_path(folder)}"
