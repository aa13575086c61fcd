@custom
def is_storm_day(day: dict, *args, **kwargs) -> bool:
    """Whether so many flights were cancelled that the weather is worth a look.

    A block annotated `-> bool` decides for each item what follows: it completes either way, and on False the
    runs below it are `condition_failed`.
    """
    return 100 * day["cancelled"] > kwargs["storm_percent"] * day["flights"]
