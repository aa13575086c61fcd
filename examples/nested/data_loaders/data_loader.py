@data_loader
def load_data(*args, **kwargs) -> list[list[dict]]:
    """Two items without names, so their positions name the runs."""
    return [[{"uuid": 1}, {"uuid": 2}]]
