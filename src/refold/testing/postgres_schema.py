"""A PostgreSQL schema for one test, on the server of REFOLD_TEST_POSTGRES_URL; without a server the test is skipped."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

URL = os.environ.get("REFOLD_TEST_POSTGRES_URL", "postgresql://root@127.0.0.1:5432/test")


@contextmanager
def fresh_schema() -> Iterator[str]:
    """The URL of an empty schema of its own, dropped in the end. Skips the test, with the reason, without a server."""
    try:
        import psycopg
    except ImportError:
        pytest.skip("PostgreSQL IS NOT TESTED: psycopg is not installed")
    try:
        server = psycopg.connect(URL, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        pytest.skip(f"PostgreSQL IS NOT TESTED: no server at {URL} (REFOLD_TEST_POSTGRES_URL): {reason}")
    schema = f"refold_{uuid.uuid4().hex}"
    with server:
        server.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            yield f"{URL}{'&' if '?' in URL else '?'}options=-csearch_path%3D{schema}"
        finally:
            server.execute(f"DROP SCHEMA {schema} CASCADE".encode())
