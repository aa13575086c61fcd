"""Memory with large frames, streamed and all at once: `python -m benchmarks.frames --frames 40 --megabytes 10`.

Frames of random numbers go through two children each and are put together. Streamed, a generator yields them, and the
last block reads what they are folded to row group by row group (`reduce_input: lazy`). All at once, a loader returns a
list of them, its children wait for all (`mode: batch`), and the last block gets the list of what became of them. Both
come to the same sum. The disk holds a few copies of all frames meanwhile, and memory more than one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import Ended, refold
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.outputs import read_latest

STREAM, AT_ONCE = "streamed", "all at once"
_COLUMNS = 10
_MAKE = """
import numpy as np
import pandas as pd

def make(number):
    values = np.empty(({columns}, {rows}))
    np.random.default_rng(number).random(out=values)
    return pd.DataFrame(values.T, columns=[f"c{{at}}" for at in range({columns})], copy=False)
"""
_GENERATOR = """
@data_loader
def load():
    for number in range({frames}):
        yield make(number)
"""
_LIST = """
@data_loader
def load():
    return [make(number) for number in range({frames})]
"""
_DOUBLE = "@transformer\ndef double(frame):\n    return frame * 2\n"
_SHIFT = "@transformer\ndef shift(frame):\n    return frame - 1\n"
_READ_GROUPS = """
import pyarrow.compute as pc
import pyarrow.parquet as pq

@data_exporter
def read(path):
    total = rows = 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            for column in file.schema_arrow.names:
                total += pc.sum(file.read_row_group(group, [column]).column(0)).as_py()
            rows += file.metadata.row_group(group).num_rows
    return {"rows": rows, "sum": total}
"""
_READ_LIST = """
@data_exporter
def read(frames):
    return {"rows": sum(map(len, frames)), "sum": sum(float(frame.sum().sum()) for frame in frames)}
"""


def write_project(folder: Path, way: str, frames: int, megabytes: float) -> None:
    """A project with the benchmark's pipeline, of one of the two ways."""
    streams = way == STREAM
    rows = int(megabytes * 2**20 / (8 * _COLUMNS))
    make = _MAKE.format(columns=_COLUMNS, rows=rows)
    give = (_GENERATOR if streams else _LIST).format(frames=frames)
    dynamic: dict[str, JsonValue] = {"parent": True} if streams else {"parent": True, "mode": "batch"}
    folded: dict[str, JsonValue] = {"reduce": "concat"} if streams else {}
    read: Mapping[str, JsonValue] = {"dynamic": {"reduce_input": "lazy"}} if streams else {}
    pipeline = Pipeline.create("frames", Project.init(folder))
    pipeline = pipeline.add_block("load", "data_loader", configuration={"dynamic": dynamic}, content=make + give)
    pipeline = pipeline.add_block("double", "transformer", upstream=["load"], content=_DOUBLE)
    pipeline = pipeline.add_block(
        "shift",
        "transformer",
        upstream=["double"],
        configuration={"reduce_output": True, "dynamic": folded},
        content=_SHIFT,
    )
    pipeline.add_block(
        "read",
        "data_exporter",
        upstream=["shift"],
        configuration=dict(read),
        content=_READ_GROUPS if streams else _READ_LIST,
    )


def run_once(way: str, frames: int, megabytes: float, workers: int = 2) -> tuple[Ended, object]:
    """One whole `refold run`; what the last block returned."""
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        project = Path(folder) / "project"
        write_project(project, way, frames, megabytes)
        ended = refold("run", str(project), "frames", "--json", "--workers", str(workers))
        return ended, read_latest(project / ".mage_data" / "frames", "read")


def measure(frames: int = 40, megabytes: float = 10.0, workers: int = 2) -> list[Measurement]:
    """Both ways, and how their peaks compare. Raises SystemExit when they come to different sums."""
    ended: dict[str, Ended] = {}
    sums: dict[str, object] = {}
    for way in (STREAM, AT_ONCE):
        ended[way], sums[way] = run_once(way, frames, megabytes, workers)
    if not _alike(sums[STREAM], sums[AT_ONCE]):
        raise SystemExit(f"the two ways differ: {sums}")
    what = f"{frames} frames of {megabytes:g} MB"
    found = [
        measurement
        for way, each in ended.items()
        for measurement in (
            Measurement(f"{what}, {way}: all processes' memory", "MB", (each.tree_mb,)),
            Measurement(f"{what}, {way}: whole process", "s", (each.seconds,)),
        )
    ]
    ratio = 100 * ended[STREAM].tree_mb / ended[AT_ONCE].tree_mb
    return [*found, Measurement(f"{what}: peak memory streamed, of all at once", "%", (ratio,))]


def _alike(one: object, other: object) -> bool:
    """Whether two sums are the same but for the order in which they were added up."""
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    return bool(one["rows"] == other["rows"] and abs(one["sum"] - other["sum"]) < 1e-6 * one["rows"])


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.frames, options.megabytes, options.workers))


if __name__ == "__main__":
    main()
