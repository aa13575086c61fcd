"""Writers of one table at once, and writers that are killed: nothing is lost, and no table is half of one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from refold.io.databases.database import Database
from refold.io.databases.named_databases import MySQL
from refold.testing.live_databases import LIVE, live_database

WRITERS = 4
ROWS = 3_000
REPLACE_FOR_EVER = """
import itertools, json, sys, time
import pandas as pd
from refold.io.databases import named_databases
from refold.io.settings.config import ConfigFileLoader

kind, config, rows = sys.argv[1:]
with getattr(named_databases, kind).with_config(ConfigFileLoader(config)) as db:
    for version in itertools.count(1):
        frame = pd.DataFrame({"id": range(int(rows)), "version": version, "text": "x" * 50})
        begun = time.perf_counter()
        db.export(frame, None, "t", if_exists="replace")
        print(json.dumps({"version": version, "seconds": time.perf_counter() - begun}), flush=True)
"""

Make = Callable[[], Database]


@pytest.fixture(params=[pytest.param(word, marks=pytest.mark.postgres if word == "postgres" else ()) for word in LIVE])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with live_database(request.param, tmp_path) as make:
        yield make


def all_at_once(make: Make, work: Callable[[Database, int], None]) -> None:
    databases = [make() for _ in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(work, databases, range(WRITERS)))


def counted(db: Database) -> Sequence[int]:
    found = db.load("SELECT COUNT(*) AS a, COUNT(DISTINCT id) AS b FROM t").iloc[0]
    return [int(found["a"]), int(found["b"])]


def test_writers_that_append_lose_nothing(make: Make) -> None:
    def append(db: Database, writer: int) -> None:
        for turn in range(5):
            first = (writer * 5 + turn) * 20
            db.export(pd.DataFrame({"id": range(first, first + 20)}), None, "t", if_exists="append")

    all_at_once(make, append)
    assert counted(make()) == [WRITERS * 100, WRITERS * 100]


def test_writers_that_merge_lose_and_double_nothing(make: Make) -> None:
    def merge(db: Database, writer: int) -> None:
        for turn in range(4):
            rows = pd.DataFrame({"id": [*range(30), 100 + writer * 4 + turn], "writer": writer})
            db.export(rows, None, "t", if_exists="append", unique_constraints=["id"])

    all_at_once(make, merge)
    assert counted(make()) == [30 + WRITERS * 4, 30 + WRITERS * 4]


def test_of_writers_that_replace_one_is_the_last(make: Make) -> None:
    def replace(db: Database, writer: int) -> None:
        for _ in range(3):
            db.export(pd.DataFrame({"id": range(200), "writer": writer}), None, "t")

    all_at_once(make, replace)
    db = make()
    assert counted(db) == [200, 200]
    assert len(db.load("SELECT DISTINCT writer FROM t")) == 1


@pytest.mark.parametrize("kills", [3, pytest.param(24, marks=pytest.mark.soak)])
def test_a_replacing_writer_that_is_killed_leaves_a_whole_table(make: Make, tmp_path: Path, kills: int) -> None:
    db = make()
    kind = type(db).__name__
    db.export(pd.DataFrame({"id": range(ROWS), "version": 0, "text": "x" * 50}), None, "t")
    db.close()
    for kill in range(kills):
        last = killed_while_replacing(kind, tmp_path / "io_config.yaml", (kill + 0.5) / kills)
        found = db.load("SELECT COUNT(*) AS n, MIN(version) AS a, MAX(version) AS b FROM t").iloc[0]
        assert (found["n"], found["a"]) == (ROWS, found["b"])
        assert found["a"] in {last, last + 1}
        db.close()
    db.export(pd.DataFrame({"id": [1]}), None, "t")
    if isinstance(db, MySQL):
        assert db.load("SHOW TABLES").iloc[:, 0].tolist() == ["t"]


def killed_while_replacing(kind: str, config: Path, moment: float) -> int:
    """The last version that the process said it had written; it is killed at that part of the time one takes."""
    command = [sys.executable, "-c", REPLACE_FOR_EVER, kind, str(config), str(ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [json.loads(process.stdout.readline()) for _ in range(2)][-1]
        try:
            process.wait(said["seconds"] * moment)
        except subprocess.TimeoutExpired:
            process.kill()
        rest = [json.loads(line) for line in process.stdout if line.endswith("\n")]
    return int([said, *rest][-1]["version"])
