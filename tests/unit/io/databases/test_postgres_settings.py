"""The address of a PostgreSQL server, from a profile: whatever characters its settings have, they arrive."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from refold.io.databases.postgres_settings import postgres_address
from refold.testing.database_servers import profile_of


def test_settings_are_parts_of_the_address(tmp_path: Path) -> None:
    settings = {"HOST": "db.example", "PORT": 5433, "USER": "me", "DBNAME": "shop", "SSLMODE": "require"}
    profile = profile_of(tmp_path, {f"POSTGRES_{key}": value for key, value in settings.items()})
    parts = urlsplit(postgres_address(profile))
    assert (parts.hostname, parts.port, parts.username, parts.path) == ("db.example", 5433, "me", "/shop")
    assert parse_qs(parts.query)["sslmode"] == ["require"]
    assert parse_qs(parts.query)["connect_timeout"] == ["10"]


def test_odd_characters_are_those_of_the_setting(tmp_path: Path) -> None:
    odd = "p@ss:/?#%&= 'ž"
    profile = profile_of(tmp_path, {"POSTGRES_USER": odd, "POSTGRES_PASSWORD": odd, "POSTGRES_DB": odd})
    parts = urlsplit(postgres_address(profile))
    assert [unquote(part or "") for part in (parts.username, parts.password, parts.path)] == [odd, odd, f"/{odd}"]


def test_what_is_not_set_is_left_to_the_client(tmp_path: Path) -> None:
    assert postgres_address(profile_of(tmp_path, {})).startswith("postgresql:///?")
    assert postgres_address(None).startswith("postgresql:///?")
