"""A fan-out of trivial children, durable, as a whole process, beside the floor: `python -m benchmarks.fanout`.

`[{"id": i}]` -> transformer -> reduce -> exporter. Prints medians, and the ratio of the throughputs pair by pair.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.whole_process import refold
from refold.model.pipeline import Pipeline
from refold.model.project import Project

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


def run_once(children: int, workers: int) -> dict[str, float]:
    """One whole `refold run`: seconds, peak memory in MB, files."""
    with tempfile.TemporaryDirectory(prefix="fanout-") as folder:
        project = Path(folder) / "project"
        write_project(project, children)
        ended = refold("run", str(project), "fanout", "--json", "--workers", str(workers))
        counts = json.loads(ended.output)["blocks"]["transform"]
        assert counts["completed"] == children, counts
        files = sum(path.is_file() for path in (project / ".mage_data").rglob("*"))
    return {"seconds": ended.seconds, "engine_mb": ended.own_mb, "tree_mb": ended.tree_mb, "files": files}


def floor_once(children: int) -> float:
    """Seconds of the floor in a process of its own."""
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", str(children)], check=True, capture_output=True, text=True
    )
    return float(printed.stdout)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    ratios, rows = [], []
    floor_once(1000)
    for _ in range(options.runs):
        floor = floor_once(options.children)
        row = run_once(options.children, options.workers)
        ratios.append(floor / row["seconds"])
        rows.append(row)
        print(f"floor {floor:6.3f} s   refold {row['seconds']:6.3f} s   ratio {ratios[-1]:.3f}", flush=True)
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    print(
        f"{options.children:,} children, whole process: {options.children / median['seconds']:,.0f} a second; "
        f"of the floor's throughput {statistics.median(ratios):.3f} "
        f"(least {min(ratios):.3f}, most {max(ratios):.3f}); engine {median['engine_mb']:.0f} MB, "
        f"all processes {median['tree_mb']:.0f} MB, {median['files']:.0f} files"
    )


if __name__ == "__main__":
    main()
