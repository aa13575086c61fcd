import pandas as pd

DAY = ["date", "weekday", "flights", "cancelled", "delay_minutes", "mean_delay", "p90_delay", "worst_delay"]
AIRLINE = ["date", "airline", "name", "flights", "cancelled", "delay_minutes"]
WEATHER = ["date", "rain_inches", "wind_mph", "sight_miles"]


def totals(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Days, flights, cancelled flights and mean delay of each group; a mean over flights, not over days."""
    table = rows.groupby(by, as_index=False).agg(
        days=("date", "nunique"),
        flights=("flights", "sum"),
        cancelled=("cancelled", "sum"),
        delay_minutes=("delay_minutes", "sum"),
    )
    table["mean_delay"] = (table["delay_minutes"] / (table["flights"] - table["cancelled"])).round(2)
    return table


@transformer
def transform(days: list[dict], airlines: list[dict], storms: list[dict], *args, **kwargs) -> tuple:
    """Folds the year back together: three lists arrive, in the order of the dates, and four tables leave."""
    day_table = pd.DataFrame(days, columns=DAY)
    months = totals(day_table.assign(month=day_table["date"].str[:7]), ["month"])
    bad_days = totals(pd.DataFrame(airlines, columns=AIRLINE), ["airline", "name"])
    bad_days = bad_days.sort_values("mean_delay", ascending=False, ignore_index=True)
    storm_table = day_table[["date", "weekday", "flights", "cancelled"]].merge(
        pd.DataFrame(storms, columns=WEATHER), on="date"
    )
    return day_table, months, bad_days, storm_table


@test
def test_tables(days, months, airlines, storms, *args) -> None:
    assert days["date"].is_monotonic_increasing, "the days are in order, however they finished"
    assert not days["date"].duplicated().any(), "a day is there twice"
    assert days["flights"].max() == 1014, "27 November, the day before Thanksgiving, was the busiest"
    assert months["flights"].sum() == days["flights"].sum() <= 336_776, "flights were lost or made up"
    assert airlines["days"].max() <= days["date"].nunique()
    assert set(storms["date"]) <= set(days["date"]), "a storm on a day that was skipped"
