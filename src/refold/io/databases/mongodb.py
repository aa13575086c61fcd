"""MongoDB: documents as rows, and rows as documents."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from refold.errors import DatabaseError, RefoldError
from refold.io.databases.arrow_tables import to_arrow
from refold.io.databases.write_policy import WritePolicy
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.config_keys import ConfigKey

if TYPE_CHECKING:
    import pandas as pd
    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

    Document = dict[str, object]

_AT_A_TIME = 1_000
_SHOWN = 500
"""Characters of an error: those of the driver repeat the documents."""


class MongoDB:
    """The collections of one database. Connects when it is first used; a context closes it."""

    def __init__(
        self,
        connection_string: str | None = None,
        *,
        database: str | None = None,
        collection: str | None = None,
        **settings: object,
    ) -> None:
        """`settings` are those of `pymongo.MongoClient`: host, port, username, password. Raises DatabaseError when the
        driver is not installed or no database is named."""
        if importlib.util.find_spec("pymongo") is None:
            raise DatabaseError(
                "MongoDB needs the library `pymongo`, which is not installed",
                fix="Install it with `pip install 'refold[mongodb]'`.",
            )
        self._settings = {**settings} if connection_string is None else {**settings, "host": connection_string}
        self._database = database
        self._collection = collection
        self._client: MongoClient[Document] | None = None

    @classmethod
    def with_config(cls, config: ConfigFileLoader) -> Self:
        """With the keys MONGODB_* of a profile of io_config.yaml."""
        whole = config[ConfigKey.MONGODB_CONNECTION_STRING]
        port = config[ConfigKey.MONGODB_PORT]
        settings = {
            "host": config[ConfigKey.MONGODB_HOST],
            "port": None if port in (None, "") else int(str(port)),
            "username": config[ConfigKey.MONGODB_USER],
            "password": config[ConfigKey.MONGODB_PASSWORD],
        }
        database = config[ConfigKey.MONGODB_DATABASE]
        collection = config[ConfigKey.MONGODB_COLLECTION]
        return cls(
            str(whole) if whole else None,
            database=str(database) if database else None,
            collection=str(collection) if collection else None,
            **({} if whole else {name: value for name, value in settings.items() if value not in (None, "")}),
        )

    def load(
        self,
        query: Mapping[str, object] | None = None,
        collection: str | None = None,
        limit: int | None = None,
        **options: object,
    ) -> pd.DataFrame:
        """The documents that the filter `query` admits, a row each, at most `limit`.

        `options` are those of pymongo's `find`: `projection`, `sort`. Ids are text. Raises DatabaseError.
        """
        import pandas as pd

        if limit is not None and limit <= 0:
            return pd.DataFrame()
        with self._told(collection):
            found = self._open(collection).find
            find: Callable[..., Iterator[Document]] = found
            documents = find(dict(query or {}), limit=limit or 0, **options)
            return pd.DataFrame([_row(document) for document in documents])

    def sample(self, size: int = 1000, collection: str | None = None) -> pd.DataFrame:
        """Some `size` documents, in the collection's own order."""
        return self.load(None, collection, size)

    def export(
        self, df: object, collection: str | None = None, if_exists: WritePolicy | str = WritePolicy.APPEND
    ) -> None:
        """Inserts a document for each row of a frame, or each dict.

        `append` adds to the collection, `fail` refuses one that is there, and `replace` puts a new one in its place at
        once, without the old one's indexes. Raises DatabaseError; of an `append` that failed, documents may be there.
        """
        policy = _policy(if_exists)
        documents = _documents(df)
        with self._told(collection):
            target = self._open(collection)
            if policy is WritePolicy.FAIL and target.name in target.database.list_collection_names():
                raise DatabaseError(
                    f"the collection `{target.name}` is there already",
                    where="MongoDB",
                    fix="Choose another `if_exists`.",
                )
            if policy is WritePolicy.REPLACE:
                _replace(target.database, target.name, documents)
            else:
                _insert(target, documents)

    def exists(self, collection: str | None = None) -> bool:
        """Whether there is such a collection. Raises DatabaseError when the server does not say."""
        with self._told(collection):
            target = self._open(collection)
            return target.name in target.database.list_collection_names()

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, collection: str | None) -> Collection[Document]:
        from pymongo import MongoClient

        name = collection or self._collection
        if not name:
            raise DatabaseError("no collection is named", where="MongoDB", fix="Give `collection=`.")
        if self._client is None:
            connect: Callable[..., MongoClient[Document]] = MongoClient
            self._client = connect(**{"uuidRepresentation": "standard", **self._settings})
        if self._database is None:
            return self._client.get_default_database()[name]
        return self._client[self._database][name]

    @contextmanager
    def _told(self, collection: str | None) -> Iterator[None]:
        try:
            yield
        except (RefoldError, MemoryError):
            raise
        except Exception as error:  # of the driver, of what it makes bytes of, or of the network
            where = f"MongoDB, collection {collection or self._collection}"
            raise DatabaseError(f"{type(error).__name__}: {str(error)[:_SHOWN]}", where=where) from error


def _policy(if_exists: WritePolicy | str) -> WritePolicy:
    known = (WritePolicy.APPEND, WritePolicy.REPLACE, WritePolicy.FAIL)
    try:
        policy = WritePolicy(str(if_exists))
    except ValueError:
        policy = WritePolicy.MERGE
    if policy in known:
        return policy
    raise DatabaseError(f"`if_exists` cannot be `{if_exists}`", where="MongoDB", fix=f"Give one of {', '.join(known)}.")


def _replace(database: Database[Document], name: str, documents: list[Document]) -> None:
    new = database.create_collection(f"{name}_{uuid.uuid4().hex}")
    try:
        _insert(new, documents)
        new.rename(name, dropTarget=True)
    except BaseException:
        new.drop()
        raise


def _insert(collection: Collection[Document], documents: list[Document]) -> None:
    for start in range(0, len(documents), _AT_A_TIME):
        collection.insert_many(documents[start : start + _AT_A_TIME])


def _documents(value: object) -> list[Document]:
    import pandas as pd

    rows: object = value
    if isinstance(value, Mapping):
        rows = [value]
    elif not isinstance(value, list):
        whole = {"integer_object_nulls": True}
        frame = value if isinstance(value, pd.DataFrame) else to_arrow(value, "MongoDB").to_pandas(**whole)
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    documents: list[Document] = []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, Mapping):
            raise DatabaseError(
                f"a {type(row).__name__} is not a document", where="MongoDB", fix="Give dicts or a frame."
            )
        documents.append({str(name): _stored(each) for name, each in row.items()})
    return documents


def _stored(value: object) -> object:
    """A value as MongoDB has it: times to the millisecond, days as their midnight."""
    import numpy as np
    import pandas as pd
    from bson.decimal128 import Decimal128

    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [_stored(each) for each in value.tolist()]
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    if isinstance(value, Mapping):
        return {str(name): _stored(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_stored(each) for each in value]
    return value


def _row(value: object) -> object:
    """A value of MongoDB as one that other blocks can take: ids are text, exact numbers Decimals."""
    from bson.decimal128 import Decimal128
    from bson.objectid import ObjectId

    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, Mapping):
        return {name: _row(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_row(each) for each in value]
    return value
