import pandas as pd


@transformer
def transform(day: pd.DataFrame, *args, **kwargs) -> dict:
    """One day in numbers. A flight without a departure delay never left: it was cancelled."""
    delays = day["dep_delay"].dropna()
    return {
        "date": kwargs["date"],
        "weekday": kwargs["weekday"],
        "flights": len(day),
        "cancelled": len(day) - len(delays),
        "delay_minutes": int(delays.sum()),
        "mean_delay": round(float(delays.mean()), 2),
        "p90_delay": round(float(delays.quantile(0.9)), 2),
        "worst_delay": int(delays.max()),
    }


@test
def test_day(day, *args) -> None:
    assert day["date"].startswith("2013-"), "a day of another year"
    assert 0 <= day["cancelled"] < day["flights"] <= 1014, "2013 had no day with more than 1,014 flights"
    assert day["mean_delay"] <= day["worst_delay"]
