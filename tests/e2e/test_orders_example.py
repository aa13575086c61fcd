"""The example `orders`: a fan-out in SQL, whose table pandas alone arrives at too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "orders"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copied = tmp_path / "orders"
    shutil.copytree(EXAMPLE, copied, ignore=shutil.ignore_patterns(".mage_data", "results"))
    return copied


Row = tuple[str, str, float, int]
"""Region, customer, what they spent, in how many orders."""


def run(project: Path, *options: str) -> list[Row]:
    """The table after a run, as DuckDB has it."""
    command = [sys.executable, "-m", "refold.cli", "run", str(project), "orders", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    with duckdb.connect(str(project / "results" / "orders.duckdb"), read_only=True) as database:
        rows = database.sql("SELECT region, customer, round(spent, 2), orders FROM best_customers").fetchall()
    return [(str(region), str(customer), float(spent), int(orders)) for region, customer, spent, orders in rows]


def best_customers(project: Path, since: str, best: int) -> list[Row]:
    orders = pd.read_csv(project / "data" / "orders.csv")
    late = orders[orders["day"] >= since].groupby(["region", "customer"])["amount"].agg(["sum", "count"]).reset_index()
    late = late.sort_values(["region", "sum"], ascending=[True, False]).groupby("region").head(best)
    return [
        (str(region), str(customer), round(float(spent), 2), int(count))
        for region, customer, spent, count in late.itertuples(index=False)
    ]


def test_the_best_customers_of_each_region_are_those_that_pandas_finds(project: Path) -> None:
    found = run(project)
    assert found == best_customers(project, since="2026-03-01", best=2)
    assert len(found) == 6


def test_variables_of_a_run_are_values_of_its_queries(project: Path) -> None:
    run(project)
    found = run(project, "--runtime-vars", '{"best": 1, "since": "2026-05-01"}')
    assert found == best_customers(project, since="2026-05-01", best=1)
    assert len(found) == 3, "the table was replaced"
