@transformer
def transform(number: int, *args, **kwargs) -> int:
    """Tens: 0, 10, ... 90."""
    return number * 10
