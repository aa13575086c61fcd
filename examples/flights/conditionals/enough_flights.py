@condition
def evaluate_condition(day, *args, **kwargs) -> bool:
    """Whether the day has enough flights to judge it. Asked for each day, before its `day_delays` run."""
    return len(day) >= kwargs["min_flights"]
