"""What a child costs the engine's process, from a thousand children to a million: `python -m benchmarks.engine_cpu`.

CPU time of the process that drives the run, its pool and its run store in SQLite included; workers are other processes.
What the smallest run costs is there once. If nothing grows with a run, each child more costs the same, however many.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.fanout import write_project
from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import watched
from refold import Pipeline
from refold.api.running import RunOptions, run_pipeline

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def cpu_seconds(children: int, workers: int) -> float:
    """CPU seconds of this process for one run."""
    with tempfile.TemporaryDirectory(prefix="engine-cpu-") as folder:
        project = Path(folder) / "project"
        write_project(project, children)
        pipeline = Pipeline.get("fanout", project)
        before = time.process_time()
        record = run_pipeline(pipeline, RunOptions(workers=workers))
        seconds = time.process_time() - before
    assert record.status == "completed", record.status
    return seconds


def measure(sizes: Sequence[int] = SIZES, runs: int = 3, workers: int = 2) -> list[Measurement]:
    """What the smallest run costs, each child more from size to size, and the last of these over the first."""
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(runs):
        for size in sizes:
            arguments = ["--children", str(size), "--workers", str(workers)]
            ended = watched([sys.executable, "-m", "benchmarks.engine_cpu", *arguments])
            costs[size].append(json.loads(ended.output))
    found = [Measurement(f"{sizes[0]:,} children: CPU of the engine's process", "s", tuple(costs[sizes[0]]))]
    steps = []
    for fewer, more in pairwise(sizes):
        seconds = [late - early for early, late in zip(costs[fewer], costs[more], strict=True)]
        steps.append([1e6 * each / (more - fewer) for each in seconds])
        found.append(Measurement(f"each child more, from {fewer:,} to {more:,}", "us", tuple(steps[-1])))
    if len(steps) > 1:
        ratios = tuple(last / first for first, last in zip(steps[0], steps[-1], strict=True))
        found.append(Measurement("the last of these over the first", "of 1", ratios))
    return found


def main() -> None:
    """Prints the comparison; with `--children` the CPU seconds of one run in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.children:
        print(json.dumps(cpu_seconds(options.children, options.workers)))
    else:
        print_all(measure(runs=options.runs, workers=options.workers))


if __name__ == "__main__":
    main()
