import pandas as pd


@transformer
def transform(flights: pd.DataFrame, names: dict[str, str], *args, **kwargs) -> dict:
    """One airline on one bad day. `date` comes from the outer item, `airline` from the inner one."""
    delays = flights["dep_delay"].dropna()
    return {
        "date": kwargs["date"],
        "airline": kwargs["airline"],
        "name": names[kwargs["airline"]],
        "flights": len(flights),
        "cancelled": len(flights) - len(delays),
        "delay_minutes": int(delays.sum()),
    }


@test
def test_airline(row, *args) -> None:
    assert 0 <= row["cancelled"] <= row["flights"]
    assert row["flights"] > 0, "an airline without flights is no airline of that day"
