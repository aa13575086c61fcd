"""`async def` children that wait, all in flight at once, as a whole process: `python -m benchmarks.async_children`.

`range(n)` -> `async def` transformer that sleeps -> reduce -> exporter. Beside it a bare `asyncio.gather` of as many
sleeps, in one process, that stores nothing. Every child notes when it began and when it ended, and the exporter counts
how many were in flight at once. In the whole time the sleep itself is counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import Ended, refold, watched
from refold.model.pipeline import Pipeline
from refold.model.project import Project

_LOADER = """
@data_loader
def load(*args, **kwargs):
    return list(range({children}))
"""
_CHILD = """
import asyncio
import time

@transformer
async def wait(number, *args):
    began = time.time()
    await asyncio.sleep({seconds})
    return {{"began": began, "ended": time.time()}}
"""
_EXPORTER = """
@data_exporter
def export(rows, *args):
    moments = sorted([(row["began"], 1) for row in rows] + [(row["ended"], -1) for row in rows])
    in_flight = most = 0
    for _, step in moments:
        in_flight += step
        most = max(most, in_flight)
    first, last = moments[0][0], max(row["began"] for row in rows)
    return {"children": len(rows), "most": most, "spread": last - first, "ended": moments[-1][0] - first}
"""
_GATHER = """
import asyncio

async def wait(number):
    await asyncio.sleep({seconds})
    return number

async def main():
    assert len(await asyncio.gather(*[wait(number) for number in range({children})])) == {children}

asyncio.run(main())
"""


def write_project(folder: Path, children: int, seconds: float) -> None:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("waiting", project)
    pipeline = pipeline.add_block(
        "load", "data_loader", configuration={"dynamic": True}, content=_LOADER.format(children=children)
    )
    pipeline = pipeline.add_block(
        "wait",
        "transformer",
        upstream=["load"],
        configuration={"reduce_output": True},
        content=_CHILD.format(seconds=seconds),
    )
    pipeline.add_block("export", "data_exporter", upstream=["wait"], content=_EXPORTER)


def run_once(children: int, seconds: float, workers: int) -> tuple[Ended, dict[str, float]]:
    """One whole `refold run`, and what the exporter counted: `most` in flight at once, `spread` of the beginnings and
    `ended`, the last end after the first beginning, in seconds."""
    with tempfile.TemporaryDirectory(prefix="async-") as folder:
        project = Path(folder) / "project"
        write_project(project, children, seconds)
        ended = refold("run", str(project), "waiting", "--json", "--workers", str(workers))
        counts = json.loads(ended.output)["blocks"]["wait"]
        assert counts["completed"] == children, counts
        counted = json.loads((project / ".mage_data" / "waiting" / "export" / "output_0.json").read_text())
    assert counted["children"] == children, counted
    return ended, counted


def gather_once(children: int, seconds: float) -> Ended:
    """One process with a bare `asyncio.gather`."""
    return watched([sys.executable, "-c", _GATHER.format(children=children, seconds=seconds)])


def measure(children: int = 100_000, seconds: float = 5.0, runs: int = 1, workers: int = 2) -> list[Measurement]:
    """Whole processes, one after the other: the bare one, then ours."""
    bare: list[Ended] = []
    whole: list[Ended] = []
    counted: list[dict[str, float]] = []
    for _ in range(runs):
        bare.append(gather_once(children, seconds))
        ended, found = run_once(children, seconds, workers)
        whole.append(ended)
        counted.append(found)
    what = f"{children:,} async children of {seconds:g} s"
    in_flight = min(each["most"] for each in counted)
    return [
        Measurement(f"{what}: asyncio.gather", "s", tuple(each.seconds for each in bare), "whole process"),
        Measurement(f"{what}: refold run", "s", tuple(each.seconds for each in whole), f"{workers} workers"),
        Measurement(
            f"{what}: in flight at once",
            "children",
            tuple(each["most"] for each in counted),
            "all of them" if in_flight == children else "NOT all of them",
        ),
        Measurement(f"{what}: from the first beginning to the last", "s", tuple(each["spread"] for each in counted)),
        Measurement(f"{what}: memory of asyncio.gather", "MB", tuple(each.own_mb for each in bare)),
        Measurement(f"{what}: memory of the engine", "MB", tuple(each.own_mb for each in whole)),
        Measurement(f"{what}: memory of all processes", "MB", tuple(each.tree_mb for each in whole)),
    ]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.children, options.seconds, options.runs, options.workers))


if __name__ == "__main__":
    main()
