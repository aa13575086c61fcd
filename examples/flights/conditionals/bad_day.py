@condition
def evaluate_condition(day, *args, **kwargs) -> bool:
    """Whether the day is bad enough to look at its airlines one by one."""
    return bool(day["dep_delay"].mean() > kwargs["bad_minutes"])
