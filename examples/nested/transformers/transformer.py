@transformer
def transform(row: dict, *args, **kwargs) -> dict:
    """Runs once for each row of each run above."""
    return row
