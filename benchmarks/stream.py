"""A, B, C, D with blocks that wait as real ones do, streamed and in batches: `python -m benchmarks.stream`.

    A -> B -> C -> D      A yields an item every 50 milliseconds
         B ------> D      B, C and D take 50 to 200 milliseconds each, the same ones in both modes

Two shapes: that of the documents, 10 items, where D runs for each pair of a run of B and one of C; and 100 items where
D runs once an item (`join: align`). In both modes the blocks' code, the waits and the number of workers are the same;
only A's `mode` differs: in batches, B waits until A is done, and below B each run begins when its own inputs are there,
as ever. Times count from the beginning of the run, so what a worker takes to start is in them. More workers than cores,
since the blocks wait and do not compute; A has one of them while it yields.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import refold
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project

_A = """
import time


@data_loader
def load(*args, **kwargs):
    for number in range({items}):
        time.sleep(0.05)
        yield {{"number": number}}
"""
_B = """
import random
import time


@transformer
def transform(item, *args):
    time.sleep(random.Random(f"{block} {{item['number']}}").uniform(0.05, 0.2))
    return item
"""
_D = """
import random
import time


@transformer
def transform(first, second, *args):
    time.sleep(random.Random(f"d {first['number']} {second['number']}").uniform(0.05, 0.2))
    return first["number"], second["number"]
"""
_TIMES = """
select min(block_run.completed_at) - run.started_at, run.completed_at - run.started_at, count(*)
from block_run join run on run.number = block_run.run
join block on block.run = block_run.run and block.number = block_run.block where block.uuid = 'd'
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A variant of the scenario."""

    name: str
    items: int
    join: str

    @property
    def last(self) -> int:
        """How many runs D has."""
        return self.items if self.join == "align" else self.items**2


SHAPES = (Shape("10 items, D for each pair of them", 10, "product"), Shape("100 items, D once an item", 100, "align"))


@dataclass(frozen=True, slots=True)
class Times:
    """Of one run, in seconds from its beginning."""

    first: float
    """Until the first run of D was done."""
    whole: float
    """Until the run was."""


def write_project(folder: Path, shape: Shape, mode: str) -> None:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("abcd", project)
    dynamic: dict[str, JsonValue] = {"dynamic": {"parent": True, "mode": mode}}
    join: dict[str, JsonValue] = {"dynamic": {"join": shape.join}}
    pipeline = pipeline.add_block("a", "data_loader", configuration=dynamic, content=_A.format(items=shape.items))
    pipeline = pipeline.add_block("b", "transformer", upstream=["a"], content=_B.format(block="b"))
    pipeline = pipeline.add_block("c", "transformer", upstream=["b"], content=_B.format(block="c"))
    pipeline.add_block("d", "transformer", upstream=["b", "c"], configuration=join, content=_D)


def run_once(shape: Shape, mode: str, workers: int) -> Times:
    """One whole `refold run`, by the run store's own times."""
    with tempfile.TemporaryDirectory(prefix="stream-") as folder:
        project = Path(folder) / "project"
        write_project(project, shape, mode)
        ended = refold("run", str(project), "abcd", "--json", "--workers", str(workers))
        counts = json.loads(ended.output)["blocks"]["d"]
        assert counts["completed"] == shape.last, counts
        with closing(sqlite3.connect(project / ".mage_data" / "refold.db")) as store:
            ((first, whole, runs),) = store.execute(_TIMES)
    assert runs == shape.last
    return Times(first, whole)


def measure(shapes: Sequence[Shape] = SHAPES, runs: int = 5, workers: int = 8) -> list[Measurement]:
    """Both modes by turns, and how much less time streaming takes, of each turn."""
    found: list[Measurement] = []
    for shape in shapes:
        turns = [(run_once(shape, "batch", workers), run_once(shape, "stream", workers)) for _ in range(runs)]
        found += _compared(f"{shape.name}: the first D", [(b.first, s.first) for b, s in turns], workers)
        found += _compared(f"{shape.name}: the whole run", [(b.whole, s.whole) for b, s in turns], workers)
    return found


def _compared(name: str, pairs: Sequence[tuple[float, float]], workers: int) -> list[Measurement]:
    """Both modes' seconds, and by how much those of streaming are less."""
    detail = f"{workers} workers"
    saved = tuple(100 * (1 - streamed / batch) for batch, streamed in pairs)
    return [
        Measurement(f"{name}, in batches", "s", tuple(batch for batch, _ in pairs), detail),
        Measurement(f"{name}, streamed", "s", tuple(streamed for _, streamed in pairs), detail),
        Measurement(f"{name}, less by", "percent", saved, detail),
    ]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    print_all(measure(runs=options.runs, workers=options.workers))


if __name__ == "__main__":
    main()
