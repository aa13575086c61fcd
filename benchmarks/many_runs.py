"""Many runs in one engine process: does its memory grow? `python -m benchmarks.many_runs`.

Twice: a process that calls the public API run after run, and one engine with one pool that drives them one after the
other. The memory after the tenth run is compared with that after the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.fanout import write_project
from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import watched
from refold import Pipeline
from refold.api.run_setup import make_context, make_setup, prepare
from refold.api.running import new_run_id
from refold.api.wiring import make_run_folder, open_project_store
from refold.engine.engine import Engine
from refold.engine.ownership import this_process
from refold.executors.processes import ProcessExecutor
from refold.ports.clock import SystemClock
from refold.ports.run_store import NewRun, RunStatus

WARM = 10
"""After how many runs everything has been loaded that ever will be."""


def call_by_call(project: Path, runs: int) -> Iterator[None]:
    """Calls `Pipeline.execute` for each run; yields after each."""
    for _ in range(runs):
        asyncio.run(Pipeline.get("fanout", project).execute())
        yield


def in_one_engine(project: Path, runs: int) -> Iterator[None]:
    """Has one engine with one pool drive all runs, one after the other; yields after each."""
    clock = SystemClock()
    pipeline = Pipeline.get("fanout", project)
    store = open_project_store(pipeline.project)
    pool = ProcessExecutor(maximum=2)
    engine = Engine(store, pool, clock, this_process())
    for _ in range(runs):
        prepared, now = prepare(pipeline), clock.now()
        context = make_context(prepared, new_run_id(clock), {}, now, run_tests=True)
        store.create(NewRun(context.run, str(project), pipeline.uuid, now, {}, {}, prepared.snapshot({})))
        make_run_folder(context)
        run = engine.add(make_setup(prepared, context))
        engine.drive()
        assert run.end is RunStatus.COMPLETED, run.end
        del run
        yield
    pool.close()
    store.close()


VARIANTS: dict[str, tuple[str, Callable[[Path, int], Iterator[None]]]] = {
    "calls": ("the API called run after run", call_by_call),
    "engine": ("one engine, one pool", in_one_engine),
}


def memory_after_each(variant: str, runs: int, children: int) -> list[float]:
    """MB of this process after each of the runs."""
    process = psutil.Process(os.getpid())
    with tempfile.TemporaryDirectory(prefix="many-runs-") as folder:
        project = Path(folder) / "project"
        write_project(project, children)
        return [process.memory_info().rss / 2**20 for _ in VARIANTS[variant][1](project, runs)]


def measure(runs: int = 200, children: int = 10_000) -> list[Measurement]:
    """For each variant the memory after the tenth run (or the middle one of fewer), after the last, and their ratio."""
    found = []
    warm = min(WARM, (runs + 1) // 2)
    for variant, (name, _) in VARIANTS.items():
        arguments = ["--variant", variant, "--runs", str(runs), "--children", str(children)]
        ended = watched([sys.executable, "-m", "benchmarks.many_runs", *arguments])
        after = json.loads(ended.output.splitlines()[-1])
        early, late = after[warm - 1], after[-1]
        what = f"{name}: memory after run"
        found += [
            Measurement(f"{what} {warm}", "MB", (early,), f"{children:,} children a run"),
            Measurement(f"{what} {runs}", "MB", (late,), f"the most after any of them: {max(after):.1f} MB"),
            Measurement(f"{what} {runs} over that after run {warm}", "of 1", (late / early,)),
        ]
    return found


def main() -> None:
    """Prints the comparison; with `--variant` the memory after each run of one, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--variant", choices=sorted(VARIANTS))
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(memory_after_each(options.variant, options.runs, options.children)))
    else:
        print_all(measure(options.runs, options.children))


if __name__ == "__main__":
    main()
