"""Object stores: one class over fsspec's drivers, here over a store in memory."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from refold.errors import FileStoreError, ProjectError
from refold.io.files.object_stores import S3, AzureBlobStorage, BucketStore, GoogleCloudStorage, ObjectStore, Store
from refold.io.settings.config import ConfigFileLoader

FRAME = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "é", None]})


class MemoryStore(BucketStore):
    """A store that fsspec keeps in memory."""

    store = Store("Memory", "memory", "", "", lambda _: {})


@pytest.fixture
def bucket() -> Iterator[str]:
    """A bucket of its own."""
    import fsspec

    name = f"bucket-{uuid.uuid4().hex}"
    filesystem = fsspec.filesystem("memory")
    filesystem.mkdir(f"/{name}")
    yield name
    filesystem.rm(f"/{name}", recursive=True)


@pytest.mark.parametrize(
    "key", ["a.csv", "in/a.csv.gz", "in/a.json", "a.jsonl.zst", "a.parquet", "/a.feather", "a.xml"]
)
def test_rows_come_back(key: str, bucket: str) -> None:
    store = MemoryStore()
    store.export(FRAME, bucket, key)
    pd.testing.assert_frame_equal(store.load(bucket, key), FRAME)
    assert store.sample(bucket, key, 2)["id"].tolist() == [1, 2]
    assert store.exists(bucket, key)


def test_an_object_is_replaced(bucket: str) -> None:
    with MemoryStore() as store:
        store.export(FRAME, bucket, "a.csv")
        store.export(FRAME.head(1), bucket, "a.csv")
        assert len(store.load(bucket, "a.csv")) == 1


def test_an_export_that_fails_leaves_the_object_as_it_was(bucket: str) -> None:
    store = MemoryStore()
    store.export(FRAME, bucket, "a.xml")
    with pytest.raises(FileStoreError, match="XML cannot"):
        store.export(pd.DataFrame({"a": ["x"] * 1_000 + ["\0"]}), bucket, "a.xml")
    assert len(store.load(bucket, "a.xml")) == 3


def test_objects_below_a_key_and_of_a_pattern_are_one_frame(bucket: str) -> None:
    store = MemoryStore()
    for year in (2023, 2024):
        store.export(pd.DataFrame({"id": [year]}), bucket, f"days/year={year}/part-0.parquet")
    store.export(pd.DataFrame({"x": [1]}), bucket, "days/_metadata.parquet")
    for key in ("days", "days/", "days/*/*.parquet", "days/year=202?/*"):
        assert store.load(bucket, key).to_dict("list") == {"id": [2023, 2024], "year": [2023, 2024]}
    assert store.load(bucket, "days", limit=1)["id"].tolist() == [2023]


def test_what_is_not_there_is_told_with_its_address(bucket: str) -> None:
    store = MemoryStore()
    assert not store.exists(bucket, "none.csv")
    with pytest.raises(FileStoreError, match="no such object or bucket") as failure:
        store.load(bucket, "none.csv")
    assert f"memory://{bucket}/none.csv" in str(failure.value)
    with pytest.raises(FileStoreError, match="no file is there"):
        store.load(bucket, "none/*.csv")


@pytest.mark.parametrize(
    ("bucket_name", "key", "words"),
    [
        ("", "a.csv", "the bucket's name is not given"),
        (None, "a.csv", "the bucket's name is not given"),
        ("b", "", "the key is not given"),
        ("b", "/", "the key is not given"),
        ("b", "s3://b/a.csv", "Give the bucket and the key apart"),
        ("s3://b", "a.csv", "Give the bucket and the key apart"),
        ("b/folder", "a.csv", "has no `/`"),
        ("b", "a\0.csv", "null character"),
    ],
)
def test_names_that_cannot_be_are_refused(bucket_name: str, key: str, words: str) -> None:
    for attempt in (
        lambda: MemoryStore().load(bucket_name, key),
        lambda: MemoryStore().export(FRAME, bucket_name, key),
        lambda: MemoryStore().exists(bucket_name, key),
    ):
        with pytest.raises(FileStoreError, match=words):
            attempt()


def test_a_folder_is_not_written(bucket: str) -> None:
    with pytest.raises(FileStoreError, match="folder"):
        MemoryStore().export(FRAME, bucket, "folder/", format="csv")


PROFILE = """
default:
  AWS_ACCESS_KEY_ID: me
  AWS_SECRET_ACCESS_KEY: s3cret
  AWS_SESSION_TOKEN: ""
  AWS_REGION: eu-west-1
  AWS_ENDPOINT: http://127.0.0.1:9000
  GOOGLE_SERVICE_ACC_KEY: {type: service_account, project_id: shop}
  GOOGLE_SERVICE_ACC_KEY_FILEPATH: /keys/google.json
  GOOGLE_LOCATION: EU
  AZURE_STORAGE_ACCOUNT_NAME: shop
  AZURE_CLIENT_ID: id
  AZURE_CLIENT_SECRET: s3cret
  AZURE_TENANT_ID: tenant
path:
  GOOGLE_SERVICE_ACC_KEY_FILEPATH: /keys/google.json
  AZURE_STORAGE_CONNECTION_STRING: whole
text:
  GOOGLE_SERVICE_ACC_KEY: '{"project_id": "shop"}'
wrong:
  GOOGLE_SERVICE_ACC_KEY: '/keys/google.json'
empty:
"""


@pytest.mark.parametrize(
    ("profile", "store", "options"),
    [
        (
            "default",
            S3,
            {
                "key": "me",
                "secret": "s3cret",
                "endpoint_url": "http://127.0.0.1:9000",
                "client_kwargs": {"region_name": "eu-west-1"},
            },
        ),
        (
            "default",
            GoogleCloudStorage,
            {
                "token": {"type": "service_account", "project_id": "shop"},
                "project": "shop",
                "default_location": "EU",
            },
        ),
        (
            "default",
            AzureBlobStorage,
            {
                "anon": False,
                "account_name": "shop",
                "client_id": "id",
                "client_secret": "s3cret",
                "tenant_id": "tenant",
            },
        ),
        ("path", GoogleCloudStorage, {"token": "/keys/google.json"}),
        ("text", GoogleCloudStorage, {"token": {"project_id": "shop"}, "project": "shop"}),
        ("path", AzureBlobStorage, {"anon": False, "connection_string": "whole"}),
        ("empty", S3, {}),
        ("empty", GoogleCloudStorage, {}),
        ("empty", AzureBlobStorage, {"anon": False}),
    ],
)
def test_the_keys_of_a_profile_are_settings_of_the_driver(
    profile: str, store: type[ObjectStore], options: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "io_config.yaml").write_text(PROFILE)
    assert store.store.options(ConfigFileLoader(tmp_path / "io_config.yaml", profile)) == options


def test_a_key_of_google_that_is_not_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "io_config.yaml").write_text(PROFILE)
    config = ConfigFileLoader(tmp_path / "io_config.yaml", "wrong")
    with pytest.raises(FileStoreError, match="GOOGLE_SERVICE_ACC_KEY_FILEPATH"):
        GoogleCloudStorage.store.options(config)


@pytest.mark.parametrize("store", [S3, GoogleCloudStorage, AzureBlobStorage])
def test_a_driver_that_is_missing_is_named_with_its_extra(store: type[ObjectStore]) -> None:
    if importlib.util.find_spec(store.store.module) is not None:
        pytest.skip(f"{store.store.module} is installed here")
    with pytest.raises(ProjectError) as failure:
        store()
    assert f"`{store.store.module}`" in str(failure.value)
    assert f"pip install 'refold[{store.store.extra}]'" in str(failure.value)


def test_the_blocks_import_paths_give_the_same_classes() -> None:
    from mage_ai.io import azure_blob_storage, file, google_cloud_storage, mongodb, s3
    from refold.io.databases.mongodb import MongoDB
    from refold.io.files.files import FileIO

    assert s3.S3 is S3
    assert google_cloud_storage.GoogleCloudStorage is GoogleCloudStorage
    assert azure_blob_storage.AzureBlobStorage is AzureBlobStorage
    assert file.FileIO is FileIO
    assert mongodb.MongoDB is MongoDB


def test_a_live_s3() -> None:
    """The bucket of REFOLD_TEST_S3_BUCKET, at AWS_ENDPOINT_URL where that is set."""
    bucket = os.environ.get("REFOLD_TEST_S3_BUCKET")
    if bucket is None or importlib.util.find_spec("s3fs") is None:
        pytest.skip("S3 IS NOT TESTED: needs s3fs, and a bucket in REFOLD_TEST_S3_BUCKET")
    store = S3()
    key = f"refold-{uuid.uuid4().hex}"
    for year in (2023, 2024):
        store.export(FRAME, bucket, f"{key}/year={year}/a.parquet")
    assert store.load(bucket, key)["year"].tolist() == [2023] * 3 + [2024] * 3
    assert store.exists(bucket, f"{key}/year=2023/a.parquet")
    assert not store.exists(bucket, f"{key}/none.csv")
    with pytest.raises(FileStoreError, match="no such object"):
        store.load(bucket, f"{key}/none.csv")
