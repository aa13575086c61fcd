@data_exporter
def export_data(users: list[dict], **kwargs) -> None:
    """Runs once, with all three users."""
    for user in users:
        print(f"{user['id']}  {user['name']}  {user['token']}")
