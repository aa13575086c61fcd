from collections.abc import Iterator

import pandas as pd


@transformer
def transform(day: pd.DataFrame, *args, **kwargs) -> Iterator[tuple[pd.DataFrame, dict]]:
    """A bad day unfolds once more, into one frame for each airline that flew."""
    for code, flights in day.groupby("carrier"):
        yield flights.reset_index(drop=True), {"block_uuid": code, "airline": code}
