"""MongoDB: what can be known without a server, and the rest on the one of REFOLD_TEST_MONGODB_URL."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from refold.errors import DatabaseError
from refold.io.databases.mongodb import MongoDB
from refold.io.settings.config import ConfigFileLoader

FRAME = pd.DataFrame(
    {"id": [1, 2, 3], "name": ["a", "é", None], "at": pd.to_datetime(pd.Series(["2024-01-02", "2024-01-02", None]))}
)


@pytest.fixture
def collection() -> Iterator[MongoDB]:
    """A collection of its own, dropped in the end."""
    url = os.environ.get("REFOLD_TEST_MONGODB_URL")
    if url is None or importlib.util.find_spec("pymongo") is None:
        pytest.skip("MongoDB IS NOT TESTED: needs pymongo, and a server's REFOLD_TEST_MONGODB_URL")
    database = f"refold_{uuid.uuid4().hex}"
    with MongoDB(url, database=database, collection="users") as found:
        yield found
    from pymongo import MongoClient

    with MongoClient(url) as client:
        client.drop_database(database)


def test_a_missing_driver_is_named_with_its_extra() -> None:
    if importlib.util.find_spec("pymongo") is not None:
        pytest.skip("pymongo is installed here")
    with pytest.raises(DatabaseError, match="pymongo") as failure:
        MongoDB()
    assert "pip install 'refold[mongodb]'" in str(failure.value)


def test_a_profile_names_the_server(tmp_path: Path) -> None:
    if importlib.util.find_spec("pymongo") is None:
        pytest.skip("MongoDB IS NOT TESTED: pymongo is not installed")
    (tmp_path / "io_config.yaml").write_text(
        "default: {MONGODB_HOST: 127.0.0.1, MONGODB_PORT: '1', MONGODB_DATABASE: d}"
    )
    with (
        MongoDB.with_config(ConfigFileLoader(tmp_path / "io_config.yaml")) as server,
        pytest.raises(DatabaseError, match="no collection is named"),
    ):
        server.load()


def test_rows_are_documents_and_come_back(collection: MongoDB) -> None:
    collection.export(FRAME)
    found = collection.load({"id": {"$gt": 1}}, sort=[("id", 1)])
    assert found["name"].fillna("").tolist() == ["é", ""]
    assert found["at"].tolist() == [pd.Timestamp("2024-01-02"), pd.NaT]
    assert [type(each) for each in found["_id"]] == [str, str]
    assert len(collection.load(limit=2)) == 2
    assert collection.exists()
    assert not collection.exists("others")


def test_what_happens_to_a_collection_that_is_there(collection: MongoDB) -> None:
    collection.export(FRAME)
    collection.export([{"id": 4, "tags": ["x"]}])
    assert len(collection.load()) == 4
    with pytest.raises(DatabaseError, match="is there already"):
        collection.export(FRAME, if_exists="fail")
    with pytest.raises(DatabaseError, match="append, replace, fail"):
        collection.export(FRAME, if_exists="merge")
    collection.export(FRAME.head(1), if_exists="replace")
    assert collection.load()["id"].tolist() == [1]
