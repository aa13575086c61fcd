@data_loader
def load_data(*args, **kwargs) -> list[list[dict]]:
    """Three users, and a name for each user's block runs."""
    users = [{"id": number, "name": f"user_{number}"} for number in (1, 2, 3)]
    names = [{"block_uuid": f"for_{user['name']}"} for user in users]
    return [users, names]
