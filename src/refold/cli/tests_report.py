"""What `--test` adds to the report of a run: how many tests of each block passed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TextIO

from refold.api.run_logs import RunLogs
from refold.api.run_summary import RunSummary
from refold.executors.capture import LogLine
from refold.model.keys import parse_block_run_uuid

_TESTS_PASSED = re.compile(r"(\d+)/(\d+) tests passed\.")


def print_tests(run: RunSummary, out: TextIO) -> None:
    """Prints how the tests of a run that is over went."""
    for line in lines_of_tests(RunLogs(run.folder / "logs").new_lines()):
        print(line, file=out)


def lines_of_tests(logs: Iterable[LogLine]) -> Iterator[str]:
    """How many tests of each block passed, from what its runs said."""
    passed: dict[str, list[int]] = {}
    for line in logs:
        found = _TESTS_PASSED.fullmatch(line.text) if line.text.endswith("tests passed.") else None
        if found is not None:
            block = parse_block_run_uuid(line.block_run)[0]
            sums = passed.setdefault(block, [0, 0, 0])
            for at, count in enumerate((int(found[1]), int(found[2]), 1)):
                sums[at] += count
    for name, (good, total, runs) in passed.items():
        over = "" if runs == 1 else f", over {runs:,} block runs"
        yield f"tests of {name}: {good:,}/{total:,} passed{over}"
    if not passed:
        yield "tests: no block run had any"
