"""SQL children, as a whole process, beside the same queries in a plain loop: `python -m benchmarks.sql_children`.

A dynamic loader gives numbers; a SQL child of each sums its partition of a series in the embedded DuckDB, and a SQL
block sums what they give. Beside it one process asks DuckDB the same queries one after the other, makes frames of the
rows, and stores nothing. Both are whole processes, imports included; what one child costs is the time that more
children take, divided by how many more there are.
"""

from __future__ import annotations

import argparse
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
_CHILD = "SELECT {{ df_1.value }} AS part, sum(n) AS total FROM range(5000) AS t(n) WHERE n % 1000 = {{ df_1.value }}"
_END = "SELECT count(*) AS children, sum(total) AS total FROM {{ df_1 }}"
_LOOP = """
import duckdb
import pandas as pd

connection = duckdb.connect()
frames = []
for part in range({children}):
    query = "SELECT $1 AS part, sum(n) AS total FROM range(5000) AS t(n) WHERE n % 1000 = $2"
    frames.append(connection.execute(query, [part, part]).df())
assert len(pd.concat(frames)) == {children}
"""


def write_project(folder: Path, children: int) -> None:
    """A project with the benchmark's pipeline."""
    project = Project.init(folder)
    pipeline = Pipeline.create("sums", project)
    pipeline = pipeline.add_block(
        "load", "data_loader", configuration={"dynamic": True}, content=_LOADER.format(children=children)
    )
    pipeline = pipeline.add_block(
        "child",
        "transformer",
        language="sql",
        upstream=["load"],
        configuration={"reduce_output": True},
        content=_CHILD,
    )
    pipeline.add_block("end", "transformer", language="sql", upstream=["child"], content=_END)


def run_once(children: int, workers: int) -> Ended:
    """One whole `refold run`."""
    import pandas as pd

    with tempfile.TemporaryDirectory(prefix="sql-") as folder:
        project = Path(folder) / "project"
        write_project(project, children)
        ended = refold("run", str(project), "sums", "--json", "--workers", str(workers))
        [row] = pd.read_parquet(project / ".mage_data" / "sums" / "end" / "output_0.parquet").to_dict("records")
    assert row["children"] == children, row
    return ended


def loop_once(children: int) -> Ended:
    """One process with a plain loop."""
    return watched([sys.executable, "-c", _LOOP.format(children=children)])


def measure(children: int = 1_000, runs: int = 3, workers: int = 2) -> list[Measurement]:
    """Whole processes in turn: of a tenth of the children and of all of them, the loop and ours."""
    few = max(1, children // 10)
    loops: list[tuple[Ended, Ended]] = []
    wholes: list[tuple[Ended, Ended]] = []
    for _ in range(runs):
        loops.append((loop_once(few), loop_once(children)))
        wholes.append((run_once(few, workers), run_once(children, workers)))
    what = f"{children:,} SQL children"
    return [
        Measurement(f"{what}: a loop over DuckDB", "s", tuple(full.seconds for _, full in loops), "whole process"),
        Measurement(f"{what}: refold run", "s", tuple(full.seconds for _, full in wholes), f"{workers} workers"),
        Measurement("one more query of the loop", "ms", _each(loops, children - few)),
        Measurement("one more SQL child", "ms", _each(wholes, children - few), "stored, with its row"),
    ]


def _each(pairs: list[tuple[Ended, Ended]], more: int) -> tuple[float, ...]:
    return tuple(max(0.0, (full.seconds - part.seconds) / more * 1000) for part, full in pairs)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.children, options.runs, options.workers))


if __name__ == "__main__":
    main()
