"""How soon a child begins after its item was yielded, on an idle pool: `python -m benchmarks.latency`.

A generator yields every 20 to 50 milliseconds; each item carries the moment of its `yield`, and the child notes the
moment of its first line. Three blocks: a child, a child of the child, and a fold over them. Beside it, how long a
message takes there and back between two processes that do nothing else, as often as items come.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import refold
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.outputs import read_latest

_LOADER = """
import random
import time


@data_loader
def load(*args, **kwargs):
    chance = random.Random(1)
    for _ in range({items}):
        time.sleep(chance.uniform(0.020, 0.050))
        yield {{"yielded": time.time_ns()}}
"""
_CHILD = """
import time


@transformer
def child(item):
    return {"yielded": item["yielded"], "began": time.time_ns()}
"""
_GRANDCHILD = """
import time


@transformer
def grandchild(item):
    return {**item, "followed": time.time_ns()}
"""
_EXPORTER = """
@data_exporter
def export(rows, *args):
    return {name: [row[name] for row in rows] for name in ("yielded", "began", "followed")}
"""
_LONGEST_PAUSE = 0.050
_SHORTEST_PAUSE = 0.020


def write_project(folder: Path, items: int) -> Project:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("latency", project)
    dynamic, reduce = {"dynamic": True}, {"reduce_output": True}
    pipeline = pipeline.add_block("load", "data_loader", configuration=dynamic, content=_LOADER.format(items=items))
    pipeline = pipeline.add_block("child", "transformer", upstream=["load"], content=_CHILD)
    pipeline = pipeline.add_block(
        "grandchild", "transformer", upstream=["child"], configuration=reduce, content=_GRANDCHILD
    )
    pipeline.add_block("export", "data_exporter", upstream=["grandchild"], content=_EXPORTER)
    return project


def waits_of_children(items: int, workers: int) -> tuple[list[float], list[float]]:
    """Milliseconds from each `yield` to its child's first line, and from there to its grandchild's."""
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        project = write_project(Path(folder) / "project", items)
        refold("run", str(project.path), "latency", "--json", "--workers", str(workers))
        columns = read_latest(project.data_folder / "latency", "export")
    assert isinstance(columns, dict)
    yielded, began, followed = columns["yielded"], columns["began"], columns["followed"]
    assert len(yielded) == items
    return _milliseconds(yielded, began), _milliseconds(began, followed)


def _milliseconds(starts: Sequence[int], stops: Sequence[int]) -> list[float]:
    return [(stop - start) / 1e6 for start, stop in zip(starts, stops, strict=True)]


def round_trips(times: int) -> list[float]:
    """Milliseconds that a message takes to another process and back, one every 20 to 50 milliseconds."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_echo, args=(ours, theirs))
    process.start()
    chance, found = random.Random(1), []
    for _ in range(times):
        time.sleep(chance.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))
        began = time.perf_counter_ns()
        ours.send_bytes(b"there")
        ours.recv_bytes()
        found.append((time.perf_counter_ns() - began) / 1e6)
    ours.send_bytes(b"")
    process.join()
    ours.close()
    theirs.close()
    return found


def _echo(_far: Connection, near: Connection) -> None:
    while message := near.recv_bytes():
        near.send_bytes(message)


def measure(items: int = 500, workers: int = 2) -> list[Measurement]:
    """The bare round trip, then both waits, in milliseconds, one value each."""
    trips = round_trips(items // 2)
    children, grandchildren = waits_of_children(items, workers)
    trips += round_trips(items // 2)
    return [
        _measurement("a bare message there and back", trips),
        _measurement("from `yield` to the first line of the item's child", children),
        _measurement("from there to the first line of its own child", grandchildren),
    ]


def _measurement(name: str, values: Sequence[float]) -> Measurement:
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Measurement(name, "ms", tuple(values), f"99 in 100 within {late:.3g} ms")


def main() -> None:
    """Prints them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.items, options.workers))


if __name__ == "__main__":
    main()
