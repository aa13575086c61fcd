@transformer
def transform(user: dict, *args, **kwargs) -> list[dict]:
    """Runs once for each user: 1 becomes 100, 2 becomes 200, 3 becomes 300."""
    return [{**user, "id": user["id"] * 100}]


@test
def test_user(user, *args) -> None:
    assert user["id"] in {100, 200, 300}
