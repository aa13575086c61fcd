"""What a pool that grows and shrinks costs, beside one that is always as large: `python -m benchmarks.elastic`.

An uneven pipeline: a stage that one worker can do alone, then many children at once, then one that takes long. Children
wait for something else, as children do that ask a service: `time.sleep`. What is paid for is the time of workers, from
their start to their end, all taken together; and how long the whole takes.

A second pipeline is even: children from the first moment to the last. There an elastic pool can save nothing, and is to
cost no more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from refold.api.run_setup import make_context, make_setup, prepare
from refold.api.running import new_run_id
from refold.api.wiring import make_run_folder, open_project_store
from refold.engine.engine import Engine
from refold.engine.ownership import this_process
from refold.executors.processes import ProcessExecutor
from refold.model.pipeline import Pipeline
from refold.model.pool_settings import PoolSettings
from refold.model.project import Project
from refold.ports.clock import SystemClock
from refold.ports.run_store import NewRun, RunStatus

_LOADER = """
import time


@data_loader
def load(*args, **kwargs):
    time.sleep({alone})
    return list(range({children}))
"""
_CHILD = """
import time


@transformer
def child(item, *args):
    time.sleep({each})
    return item
"""
_TAIL = """
import time


@data_exporter
def export(rows, *args):
    assert len(rows) == {children}
    time.sleep({alone})
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A pipeline, in seconds."""

    name: str
    alone: float
    """What the stage before the children takes, and the one after them."""
    children: int
    each: float
    """What a child takes."""


UNEVEN = Shape("uneven", alone=10.0, children=400, each=0.2)
EVEN = Shape("even", alone=0.0, children=800, each=0.2)


def write_project(folder: Path, shape: Shape) -> Pipeline:
    """A project with a pipeline of this shape."""
    project = Project.init(folder)
    pipeline = Pipeline.create(shape.name, project)
    dynamic, reduce = {"dynamic": True}, {"reduce_output": True}
    loader, tail = (code.format(alone=shape.alone, children=shape.children) for code in (_LOADER, _TAIL))
    pipeline = pipeline.add_block("load", "data_loader", configuration=dynamic, content=loader)
    child = _CHILD.format(each=shape.each)
    pipeline = pipeline.add_block("child", "transformer", upstream=["load"], configuration=reduce, content=child)
    return pipeline.add_block("export", "data_exporter", upstream=["child"], content=tail)


def run_once(shape: Shape, pool: PoolSettings) -> tuple[float, float]:
    """One run: the seconds that it took, and those of its workers taken together."""
    with tempfile.TemporaryDirectory(prefix="elastic-") as folder:
        pipeline = write_project(Path(folder) / "project", shape)
        prepared, clock = prepare(pipeline), SystemClock()
        store = open_project_store(pipeline.project)
        began = time.monotonic()
        run, now = new_run_id(clock), clock.now()
        context = make_context(prepared, run, {}, now, run_tests=True)
        make_run_folder(context)
        store.create(NewRun(run, str(pipeline.project.path), pipeline.uuid, now, {}, {}, prepared.snapshot({})))
        executor = ProcessExecutor(settings=pool)
        try:
            engine = Engine(store, executor, clock, this_process())
            engine.add(make_setup(prepared, context))
            engine.drive()
        finally:
            executor.close()
        seconds = time.monotonic() - began
        assert store.get(run).status is RunStatus.COMPLETED
        store.close()
    return seconds, executor.worker_seconds


def measure(
    workers: int = 8, runs: int = 3, shapes: Sequence[Shape] = (UNEVEN, EVEN), scale: float = 1.0
) -> list[Measurement]:
    """Of each shape, for both pools: the seconds of workers, the seconds in all, and what the elastic one saves."""
    pools = {
        "a pool of 1 to {workers}": PoolSettings(minimum=1, maximum=workers),
        "always {workers} workers": PoolSettings(minimum=workers, maximum=workers),
    }
    found: list[Measurement] = []
    for shape in shapes:
        scaled = Shape(shape.name, shape.alone * scale, max(1, int(shape.children * scale)), shape.each)
        both = [[run_once(scaled, pool) for pool in pools.values()] for _ in range(runs)]
        for number, name in enumerate(pools):
            label = f"{shape.name}: {name.format(workers=workers)}"
            seconds, paid = zip(*(pair[number] for pair in both), strict=True)
            found.append(Measurement(f"{label}, time of workers", "s", paid))
            found.append(Measurement(f"{label}, in all", "s", seconds))
        saved = tuple(100 * (1 - elastic[1] / fixed[1]) for elastic, fixed in both)
        slower = statistics.median(elastic[0] / fixed[0] for elastic, fixed in both)
        detail = f"takes {slower:.2f} times as long in all"
        found.append(Measurement(f"{shape.name}: time of workers that the elastic pool saves", "%", saved, detail))
    return found


def main() -> None:
    """Prints them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="makes all pipelines so much longer, or shorter")
    options = parser.parse_args()
    print_all(measure(options.workers, options.runs, scale=options.scale))


if __name__ == "__main__":
    main()
