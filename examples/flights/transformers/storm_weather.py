import pandas as pd


@transformer
def transform(storm: bool, weather: pd.DataFrame, *args, **kwargs) -> dict:
    """The weather of one storm day. A run gets its own day's answer and the table that all share."""
    observed = weather.loc[weather["date"] == kwargs["date"]].to_dict("records")
    return observed[0] if observed else {"date": kwargs["date"]}
