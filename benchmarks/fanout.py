"""A fan-out of trivial children, durable, as a whole process, beside the floor: `python -m benchmarks.fanout`.

`[{"id": i}]` -> transformer -> reduce -> exporter. The two take turns; the ratio of their throughputs is of each turn.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import FLOOR, OWN_MEMORY, REFOLD, STARTED, TREE_MEMORY, WHOLE, Measurement, print_all
from benchmarks.whole_process import refold, watched
from refold.model.pipeline import Pipeline
from refold.model.project import Project

_SPAN = (
    "select max(completed_at) - min(started_at) from block_run"
    " join block on block.run = block_run.run and block.number = block_run.block where block.uuid = ?"
)
_LOADER = """
@data_loader
def load(*args, **kwargs):
    return [{{"id": i}} for i in range({children})]
"""
_CHILD = """
@transformer
def transform(data, *args):
    return [{"id": data["id"] * 100}]
"""
_EXPORTER = """
@data_exporter
def export(rows, *args):
    assert len(rows) == {children} and rows[-1]["id"] == {children} * 100 - 100
    return len(rows)
"""


def write_project(folder: Path, children: int) -> None:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("fanout", project)
    dynamic, reduce = {"dynamic": True}, {"reduce_output": True}
    pipeline = pipeline.add_block(
        "load", "data_loader", configuration=dynamic, content=_LOADER.format(children=children)
    )
    pipeline = pipeline.add_block("transform", "transformer", upstream=["load"], configuration=reduce, content=_CHILD)
    pipeline.add_block("export", "data_exporter", upstream=["transform"], content=_EXPORTER.format(children=children))


@dataclass(frozen=True, slots=True)
class FanOut:
    """How one fan-out went."""

    seconds: float
    """Of the whole process, start-up counted."""
    started: float
    """Seconds from the first child's beginning to the last one's end."""
    own_mb: float
    """The engine's memory."""
    tree_mb: float
    """All processes' memory."""
    files: int = 0
    """How many files were left."""


def run_once(children: int, workers: int) -> FanOut:
    """One whole `refold run`."""
    with tempfile.TemporaryDirectory(prefix="fanout-") as folder:
        project = Path(folder) / "project"
        write_project(project, children)
        ended = refold("run", str(project), "fanout", "--json", "--workers", str(workers))
        counts = json.loads(ended.output)["blocks"]["transform"]
        assert counts["completed"] == children, counts
        files = sum(path.is_file() for path in (project / ".mage_data").rglob("*"))
        started = span_of(project, "transform")
    return FanOut(ended.seconds, started, ended.own_mb, ended.tree_mb, files)


def span_of(project: Path, block: str) -> float:
    """Seconds from the beginning of a block's first run to the end of its last, by the run store's own times."""
    with closing(sqlite3.connect(project / ".mage_data" / "refold.db")) as store:
        ((seconds,),) = store.execute(_SPAN, (block,))
    return float(seconds)


def floor_once(children: int) -> FanOut:
    """The floor in a process of its own; of its own seconds, its import is not one."""
    ended = watched([sys.executable, "-m", "benchmarks.floor", str(children)])
    return FanOut(ended.seconds, float(ended.output), ended.own_mb, ended.tree_mb)


def fan_out_measurements(system: str, children: int, ended: Sequence[FanOut], detail: str = "") -> list[Measurement]:
    """The rows of one system's fan-outs of so many children."""
    figures = {
        (WHOLE, "s"): [each.seconds for each in ended],
        (STARTED, "s"): [each.started for each in ended],
        (OWN_MEMORY, "MB"): [each.own_mb for each in ended],
        (TREE_MEMORY, "MB"): [each.tree_mb for each in ended],
    }
    return [
        Measurement(name, unit, tuple(values), detail, system, children) for (name, unit), values in figures.items()
    ]


def measure(children: int = 100_000, runs: int = 5, workers: int = 2) -> list[Measurement]:
    """The floor and Refold by turns, and the ratio of each turn's throughputs."""
    floors, refolds = [], []
    for _ in range(runs):
        floors.append(floor_once(children))
        refolds.append(run_once(children, workers))
    return [
        *fan_out_measurements(FLOOR, children, floors),
        *fan_out_measurements(REFOLD, children, refolds),
        Measurement(
            f"{children:,} children: Refold's throughput over the floor's",
            "of 1",
            tuple(floor.started / whole.seconds for floor, whole in zip(floors, refolds, strict=True)),
            "Refold as a whole process, the floor from its pool's start on",
        ),
        Measurement(f"{children:,} children: files left", "files", tuple(float(each.files) for each in refolds)),
    ]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.children, options.runs, options.workers))


if __name__ == "__main__":
    main()
