"""How values and times are printed, as JSON and for people."""

from __future__ import annotations

import json
import os
import pprint
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

from refold.cli.endings import note
from refold.cli.json_value import JsonWriter
from refold.model.block import JsonValue


def json_line(value: JsonValue) -> str:
    """The value as JSON on one line, in letters that stdout can write."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not unicode)


def stdout_for(as_json: bool) -> AbstractContextManager[None]:
    """Surrounds blocks that run in this process: where JSON is to be printed, nothing else may be on stdout.

    What their threads, subprocesses and C libraries print goes to stderr then.
    """
    return _stdout_to_stderr() if as_json else nullcontext()


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


def json_of(value: object) -> JsonValue:
    """Any value as JSON, with a note on stderr about what JSON lacks."""
    writer = JsonWriter()
    converted = writer.convert(value)
    for what, times in writer.odd.items():
        note(f"note: JSON has no {what}; {'it is' if times == 1 else f'{times} values are'} written as text (its repr)")
    return converted


def value_text(value: object) -> str:
    """The value for people: text as it is, the rest as Python shows it."""
    if isinstance(value, str):
        return value
    if type(value).__module__.partition(".")[0] in {"pandas", "polars", "numpy"}:
        return str(value)
    return pprint.pformat(value, width=100, sort_dicts=False)


def iso_time(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC, `2026-01-31T12:00:00.123456+00:00`."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def local_time(seconds: float | None) -> str:
    """Seconds since the epoch as people here read a clock; `-` for None."""
    if seconds is None:
        return "-"
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def clock_time(seconds: float) -> str:
    """The time of day, to the millisecond."""
    moment = datetime.fromtimestamp(seconds).astimezone()
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
