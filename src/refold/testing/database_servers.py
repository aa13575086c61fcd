"""Databases for one test each, on servers that are there; without a server the test is skipped, by name.

PostgreSQL is that of REFOLD_TEST_POSTGRES_URL (`postgres_schema`), MariaDB or MySQL that of REFOLD_TEST_MYSQL_URL.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from refold.io.settings.config import ConfigFileLoader
from refold.testing.postgres_schema import fresh_schema

MYSQL_URL = os.environ.get("REFOLD_TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/test")


@contextmanager
def fresh_postgres() -> Iterator[Mapping[str, object]]:
    """The POSTGRES_ settings of an empty schema, dropped in the end."""
    with fresh_schema() as url:
        options = parse_qs(urlsplit(url).query)["options"][-1]
        yield {**_settings(url, "POSTGRES", "DBNAME"), "POSTGRES_SCHEMA": options.partition("search_path=")[2]}


@contextmanager
def fresh_mariadb() -> Iterator[Mapping[str, object]]:
    """The MYSQL_ settings of an empty database, dropped in the end."""
    try:
        import pymysql
    except ImportError:
        pytest.skip("MariaDB IS NOT TESTED: pymysql is not installed")
    settings = _settings(MYSQL_URL, "MYSQL", "DATABASE")
    try:
        server = pymysql.connect(
            host=str(settings["MYSQL_HOST"]),
            port=int(str(settings["MYSQL_PORT"])),
            user=str(settings["MYSQL_USER"]),
            password=str(settings["MYSQL_PASSWORD"]),
            connect_timeout=5,
        )
    except pymysql.err.OperationalError as error:
        pytest.skip(f"MariaDB IS NOT TESTED: no server at {MYSQL_URL} (REFOLD_TEST_MYSQL_URL): {error.args[-1]}")
    database = f"refold_{uuid.uuid4().hex}"
    with server, server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        try:
            yield {**settings, "MYSQL_DATABASE": database}
        finally:
            cursor.execute(f"DROP DATABASE {database}")


def profile_of(folder: Path, settings: Mapping[str, object]) -> ConfigFileLoader:
    """The default profile, with these settings, of an io_config.yaml that is written into the folder."""
    path = folder / "io_config.yaml"
    path.write_text(json.dumps({"version": "0.1.1", "default": settings}), encoding="utf-8")
    return ConfigFileLoader(path)


def _settings(url: str, prefix: str, database: str) -> Mapping[str, object]:
    parts = urlsplit(url)
    return {
        f"{prefix}_HOST": parts.hostname or "127.0.0.1",
        f"{prefix}_PORT": parts.port or (5432 if prefix == "POSTGRES" else 3306),
        f"{prefix}_USER": unquote(parts.username or ""),
        f"{prefix}_PASSWORD": unquote(parts.password or ""),
        f"{prefix}_{database}": parts.path.lstrip("/"),
    }
