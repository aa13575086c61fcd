"""Objects of S3, Google Cloud Storage and Azure Blob Storage as DataFrames, one class over fsspec's drivers.

What the stores differ in is a row each: the driver, and which keys of io_config.yaml are which of its settings.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, Self

from refold.errors import FileStoreError, ProjectError
from refold.io.files.file_formats import file_kind
from refold.io.files.frame_files import (
    Part,
    data_files,
    is_pattern,
    load_frame,
    plain_folder,
    require_one_format,
    told,
    write_frame,
)
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.config_keys import ConfigKey

if TYPE_CHECKING:
    import pandas as pd

StoreOptions = dict[str, object]
"""Settings of a driver of fsspec."""


class FileSystem(Protocol):
    """What is asked of a driver of fsspec."""

    def info(self, path: str) -> Mapping[str, object]: ...
    def exists(self, path: str) -> bool: ...
    def isdir(self, path: str) -> bool: ...
    def find(self, path: str) -> list[str]: ...
    def glob(self, path: str) -> list[str]: ...
    def open(self, path: str, mode: str) -> BinaryIO: ...
    def put_file(self, lpath: str, rpath: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of object store."""

    name: str
    """For people."""
    protocol: str
    """What fsspec calls it."""
    module: str
    """The driver that must be installed; empty for one that always is."""
    extra: str
    """The extra of Refold that installs it."""
    options: Callable[[ConfigFileLoader], StoreOptions]
    """The driver's settings in a profile of io_config.yaml; what the profile leaves out is the driver's own affair:
    the environment, or the role of the machine."""


class ObjectStore:
    """What all of them have in common. Their blocks call `load`, `export`, `sample` and `exists`."""

    store: ClassVar[Store]

    def __init__(self, **options: object) -> None:
        """`options` are the settings of fsspec's driver. Raises ProjectError when it is not installed."""
        if self.store.module and importlib.util.find_spec(self.store.module) is None:
            raise ProjectError(
                f"{self.store.name} needs the library `{self.store.module}`, which is not installed",
                fix=f"Install it with `pip install 'refold[{self.store.extra}]'`.",
            )
        # Others write to the bucket too: what was in it a moment ago must not be remembered.
        self._options: StoreOptions = {"use_listings_cache": False, **options}

    @classmethod
    def with_config(cls, config: ConfigFileLoader) -> Self:
        """With the keys of a profile of io_config.yaml; those that are missing or empty are left to the driver."""
        return cls(**cls.store.options(config))

    def _load(
        self, bucket: str, key: str, wanted: str | None, limit: int | None, options: Mapping[str, object]
    ) -> pd.DataFrame:
        path, shown = self._place(bucket, key)
        with told(shown, "read"):
            parts = self._parts(path, shown)
        require_one_format(parts, wanted, shown)
        return load_frame(parts, wanted, limit, options)

    def _export(self, df: object, bucket: str, key: str, wanted: str | None, options: Mapping[str, object]) -> None:
        path, shown = self._place(bucket, key)
        name = key.rpartition("/")[2]
        if not name:
            raise FileStoreError("names a folder, and rows are written to an object", where=shown)
        kind = file_kind(name, wanted, shown)
        # The object is put when it is complete: a driver's own writer publishes what it has when an error closes it.
        with told(shown, f"written as {kind.format}"), tempfile.TemporaryDirectory(prefix="refold-") as folder:
            local = os.path.join(folder, "object")
            with open(local, "wb") as file:
                write_frame(df, file, kind, name, options, shown)
            self._filesystem().put_file(local, path)

    def _exists(self, bucket: str, key: str) -> bool:
        path, shown = self._place(bucket, key)
        with told(shown, "looked up"):
            return bool(self._filesystem().exists(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Connections are the driver's, which shares them with others."""

    def _filesystem(self) -> FileSystem:
        import fsspec

        filesystem: FileSystem = fsspec.filesystem(self.store.protocol, **self._options)
        return filesystem

    def _parts(self, path: str, shown: str) -> list[Part]:
        filesystem = self._filesystem()
        try:
            kind = filesystem.info(path)["type"]
        except FileNotFoundError:
            if not is_pattern(path):
                raise
            found = [each for each in filesystem.glob(path) if not filesystem.isdir(each)]
            folder = plain_folder(path)
        else:
            if kind != "directory":
                return [Part(shown, lambda: filesystem.open(path, "rb"))]
            folder = path
            found = filesystem.find(path)
        files = data_files([each.lstrip("/") for each in found], folder.lstrip("/"))
        return [self._part(filesystem, each, below) for each, below in files]

    def _part(self, filesystem: FileSystem, path: str, below: str) -> Part:
        return Part(self._shown(path), lambda: filesystem.open(path, "rb"), below)

    def _place(self, bucket: str, key: str) -> tuple[str, str]:
        """Where the object is, for the driver and for people."""
        given: tuple[tuple[str, object], ...] = (("the bucket's name", bucket), ("the key", key))
        for what, text in given:
            if not isinstance(text, str) or not text.strip("/ "):
                raise FileStoreError(f"{what} is not given", where=f"{self.store.name}: {bucket!r}, {key!r}")
            if "\0" in text or "://" in text:
                raise FileStoreError(
                    f"{what} holds what none has, a null character or `://`",
                    where=f"{self.store.name}: {bucket!r}, {key!r}",
                    fix="Give the bucket and the key apart: `load('my-bucket', 'folder/users.csv')`.",
                )
        if "/" in bucket and not bucket.startswith("arn:"):
            raise FileStoreError(
                f"a bucket's name has no `/`: {bucket!r}", where=self.store.name, fix="What follows it is the key."
            )
        path = f"{bucket}/{key.lstrip('/')}"
        return path, self._shown(path)

    def _shown(self, path: str) -> str:
        return f"{self.store.protocol}://{path.lstrip('/')}"


def _given(options: Mapping[str, object]) -> StoreOptions:
    return {name: value for name, value in options.items() if value not in (None, "", {})}


def _s3_options(config: ConfigFileLoader) -> StoreOptions:
    return _given(
        {
            "key": config[ConfigKey.AWS_ACCESS_KEY_ID],
            "secret": config[ConfigKey.AWS_SECRET_ACCESS_KEY],
            "token": config[ConfigKey.AWS_SESSION_TOKEN],
            "endpoint_url": config[ConfigKey.AWS_ENDPOINT],
            "client_kwargs": _given({"region_name": config[ConfigKey.AWS_REGION]}),
        }
    )


def _google_options(config: ConfigFileLoader) -> StoreOptions:
    import json

    key = config[ConfigKey.GOOGLE_SERVICE_ACC_KEY]
    if isinstance(key, str) and key.strip():
        try:
            key = json.loads(key)
        except ValueError:
            raise FileStoreError(
                "GOOGLE_SERVICE_ACC_KEY is not the JSON of a service account's key",
                where=str(config.path),
                fix="Give the JSON itself, or the path of its file as GOOGLE_SERVICE_ACC_KEY_FILEPATH.",
            ) from None
    token = key or config[ConfigKey.GOOGLE_SERVICE_ACC_KEY_FILEPATH]
    project = key.get("project_id") if isinstance(key, dict) else None
    return _given({"token": token, "project": project, "default_location": config[ConfigKey.GOOGLE_LOCATION]})


def _azure_options(config: ConfigFileLoader) -> StoreOptions:
    options = {
        "account_name": config[ConfigKey.AZURE_STORAGE_ACCOUNT_NAME],
        "tenant_id": config[ConfigKey.AZURE_TENANT_ID],
        "client_id": config[ConfigKey.AZURE_CLIENT_ID],
        "client_secret": config[ConfigKey.AZURE_CLIENT_SECRET],
        "connection_string": config["AZURE_STORAGE_CONNECTION_STRING"],
    }
    # Without a secret the driver would ask anonymously, and the machine's own identity would never be tried.
    return {"anon": False, **_given(options)}


class BucketStore(ObjectStore):
    """An object store that speaks of buckets and keys."""

    def load(
        self,
        bucket_name: str,
        object_key: str,
        format: str | None = None,  # noqa: A002 - the name that callers use
        limit: int | None = None,
        **options: object,
    ) -> pd.DataFrame:
        """The rows of an object, or of all objects below a key or that match a pattern, at most `limit`.

        Its ending says the format unless `format` does; `options` go to pandas (`sep`, `columns`). Raises
        FileStoreError when there is no such object or it cannot be read.
        """
        return self._load(bucket_name, object_key, format, limit, options)

    def sample(
        self,
        bucket_name: str,
        object_key: str,
        size: int = 1000,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> pd.DataFrame:
        """The first `size` rows, as `load` gives them."""
        return self._load(bucket_name, object_key, format, size, options)

    def export(
        self,
        df: object,
        bucket_name: str,
        object_key: str,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> None:
        """Writes rows to an object, in the place of the one that may be there: at once, or not at all.

        `df` is a DataFrame of pandas or polars, an Arrow table, or dicts. Raises FileStoreError.
        """
        self._export(df, bucket_name, object_key, format, options)

    def exists(self, bucket_name: str, object_key: str) -> bool:
        """Whether there is such an object, or any below this key. Raises FileStoreError when the store does not say."""
        return self._exists(bucket_name, object_key)


class S3(BucketStore):
    """Amazon S3, and stores that speak like it (AWS_ENDPOINT)."""

    store = Store("Amazon S3", "s3", "s3fs", "s3", _s3_options)


class GoogleCloudStorage(BucketStore):
    """Google Cloud Storage."""

    store = Store("Google Cloud Storage", "gs", "gcsfs", "gcs", _google_options)


class AzureBlobStorage(ObjectStore):
    """Azure Blob Storage, by container and the path of a blob."""

    store = Store("Azure Blob Storage", "abfs", "adlfs", "azure", _azure_options)

    def load(
        self,
        container_name: str,
        blob_path: str,
        format: str | None = None,  # noqa: A002 - the name that callers use
        limit: int | None = None,
        **options: object,
    ) -> pd.DataFrame:
        """The rows of a blob, or of all blobs below a path or that match a pattern, at most `limit`.

        Its ending says the format unless `format` does; `options` go to pandas (`sep`, `columns`). Raises
        FileStoreError when there is no such blob or it cannot be read.
        """
        return self._load(container_name, blob_path, format, limit, options)

    def sample(
        self,
        container_name: str,
        blob_path: str,
        size: int = 1000,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> pd.DataFrame:
        """The first `size` rows, as `load` gives them."""
        return self._load(container_name, blob_path, format, size, options)

    def export(
        self,
        df: object,
        container_name: str,
        blob_path: str,
        format: str | None = None,  # noqa: A002
        **options: object,
    ) -> None:
        """Writes rows to a blob, in the place of the one that may be there: at once, or not at all.

        `df` is a DataFrame of pandas or polars, an Arrow table, or dicts. Raises FileStoreError.
        """
        self._export(df, container_name, blob_path, format, options)

    def exists(self, container_name: str, blob_path: str) -> bool:
        """Whether there is such a blob, or any below this path. Raises FileStoreError when the store does not say."""
        return self._exists(container_name, blob_path)
