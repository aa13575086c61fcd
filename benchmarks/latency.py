"""How soon a child begins after its item was yielded, on an idle pool: `python -m benchmarks.latency`.

A generator yields every 20 to 50 milliseconds; each item carries the moment of its `yield`, and the child notes the
moment of its first line. Below the child there is a child of its own, and one that reads all of those. Between its
items one generator waits, and another computes, so that it keeps its interpreter and a core to itself. Beside it, how
long a message takes there and back between two processes that do nothing else, as often as items come.
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


def wait(seconds):
    time.sleep(seconds)


def compute(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@data_loader
def load(*args, **kwargs):
    chance = random.Random(1)
    for _ in range({items}):
        {pause}(chance.uniform({shortest}, {longest}))
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
import time


@data_exporter
def export(rows, *args):
    began = time.time_ns()
    return {"read": [began], **{name: [row[name] for row in rows] for name in ("yielded", "began", "followed")}}
"""
_PAUSES = {"wait": "waits", "compute": "computes"}
"""What a generator does between its items."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.020, 0.050


def write_project(folder: Path, items: int, pause: str) -> Project:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("latency", project)
    dynamic, reduce = {"dynamic": True}, {"reduce_output": True}
    loader = _LOADER.format(items=items, pause=pause, shortest=_SHORTEST_PAUSE, longest=_LONGEST_PAUSE)
    pipeline = pipeline.add_block("load", "data_loader", configuration=dynamic, content=loader)
    pipeline = pipeline.add_block("child", "transformer", upstream=["load"], content=_CHILD)
    pipeline = pipeline.add_block(
        "grandchild", "transformer", upstream=["child"], configuration=reduce, content=_GRANDCHILD
    )
    pipeline.add_block("export", "data_exporter", upstream=["grandchild"], content=_EXPORTER)
    return project


def moments(items: int, workers: int, pause: str) -> dict[str, list[int]]:
    """When (nanoseconds since the epoch) each item was yielded, when its child began, when that one's child did, and
    when all of them were read."""
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        project = write_project(Path(folder) / "project", items, pause)
        refold("run", str(project.path), "latency", "--json", "--workers", str(workers))
        columns = read_latest(project.data_folder / "latency", "export")
    assert isinstance(columns, dict)
    assert len(columns["yielded"]) == items
    return columns


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
    """The bare round trip, then for both generators the waits of children, in milliseconds."""
    trips = round_trips(items // 2)
    found: list[Measurement] = []
    for pause, does in _PAUSES.items():
        at = moments(items, workers, pause)
        found += [
            _measurement(f"a generator {does}: `yield` to its child's first line", at["yielded"], at["began"]),
            _measurement("  from there to the first line of that one's child", at["began"], at["followed"]),
            _measurement(
                "  from the last of these to the first line of what reads all", at["followed"][-1:], at["read"]
            ),
        ]
    trips += round_trips(items // 2)
    return [_told("a bare message there and back", trips), *found]


def _measurement(name: str, starts: Sequence[int], stops: Sequence[int]) -> Measurement:
    return _told(name, _milliseconds(starts, stops))


def _told(name: str, values: Sequence[float]) -> Measurement:
    late = sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
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
