"""Every run store keeps the promises of the port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from refold.ports.run_store import RunStore
from refold.runs import MemoryRunStore, open_run_store
from refold.testing.postgres_schema import fresh_schema
from refold.testing.run_store_contract import RunStoreContract
from refold.testing.run_store_samples import OpenStore
from refold.testing.run_store_sharing_contract import SharedRunStoreContract


@contextmanager
def opening(open_one: Callable[[], RunStore]) -> Iterator[OpenStore]:
    """Opens stores, and closes them all in the end."""
    opened: list[RunStore] = []

    def open_store() -> RunStore:
        opened.append(open_one())
        return opened[-1]

    try:
        yield open_store
    finally:
        for store in opened:
            store.close()


class TestMemoryRunStore(RunStoreContract):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        store = MemoryRunStore()
        return lambda: store


class TestSqliteRunStore(RunStoreContract, SharedRunStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with opening(lambda: open_run_store(tmp_path / "runs.db")) as open_store:
            yield open_store


@pytest.mark.postgres
class TestPostgresRunStore(RunStoreContract, SharedRunStoreContract):
    @pytest.fixture
    def open_store(self) -> Iterator[OpenStore]:
        with fresh_schema() as url, opening(lambda: open_run_store(url)) as open_store:
            yield open_store
