@transformer
def transform(row: dict, *args, **kwargs) -> list[dict]:
    """Is a child and dynamic itself: adds a second row to the one it was given, and both unfold again."""
    return [row, {"uuid": 2}]
