"""The durable floor: what a bare process pool needs for the same work. No engine of ours is in it.

Each child's output is on disk and has a row in SQLite; nothing is scheduled, nothing unfolds, nothing can be retried.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.child import Item, child, items

_TABLE = (
    "create table block_run(id integer primary key, run int, block text, uuid text, status text, "
    "started real, ended real, attempts int, segment int, position int)"
)
_INSERT = (
    "insert into block_run(run, block, uuid, status, started, ended, attempts, segment, position) "
    "values(?,?,?,?,?,?,?,?,?)"
)
Row = tuple[int, str, str, str, float, float, int, int, int]


def run_chunk(task: tuple[int, list[Item], str]) -> list[Row]:
    """Runs the children of one chunk and writes their outputs."""
    number, given, folder = task
    rows: list[Row] = []
    position = 0
    with (Path(folder) / f"{number}.seg").open("wb") as segment:
        for item in given:
            started = time.time()
            blob = pickle.dumps(child(item), 5)
            segment.write(blob)
            position += len(blob)
            rows.append((1, "t", f"t:{item['id']}", "completed", started, time.time(), 1, number, position))
    return rows


def measure(children: int, chunk: int = 500) -> float:
    """Seconds that so many children take, from the start of the pool to the last row."""
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        database = sqlite3.connect(Path(folder) / "runs.db")
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        database.execute(_TABLE)
        begin = time.perf_counter()
        given = items(children)
        tasks = [(at, given[at * chunk : (at + 1) * chunk], folder) for at in range(-(-children // chunk))]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for rows in pool.imap_unordered(run_chunk, tasks):
                with database:
                    database.executemany(_INSERT, rows)
        seconds = time.perf_counter() - begin
        database.close()
    return seconds


if __name__ == "__main__":
    print(measure(int(sys.argv[1])))
