@transformer
def transform(tens: int, units: int, *args, **kwargs) -> int:
    """Each run of B with each run of C: `d:4:2` returns 42."""
    return tens + units
