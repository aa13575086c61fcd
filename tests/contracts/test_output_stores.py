"""The output store's contract, over every adapter."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from refold.outputs import FileOutputStore, MemoryOutputStore, read_latest
from refold.ports.output_store import OutputStore
from refold.testing.output_store_contract import OutputStoreContract, ReadLatest


class TestFileOutputStore(OutputStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> OutputStore:
        return FileOutputStore(tmp_path / "run", tmp_path / "latest")

    @pytest.fixture
    def latest(self, store: OutputStore, tmp_path: Path) -> ReadLatest:
        return partial(read_latest, tmp_path / "latest")


class TestDurableFileOutputStore(TestFileOutputStore):
    @pytest.fixture
    def store(self, tmp_path: Path) -> OutputStore:
        return FileOutputStore(tmp_path / "run", tmp_path / "latest", durable=True)


class TestMemoryOutputStore(OutputStoreContract):
    @pytest.fixture
    def store(self) -> OutputStore:
        return MemoryOutputStore()

    @pytest.fixture
    def latest(self, store: OutputStore) -> ReadLatest:
        assert isinstance(store, MemoryOutputStore)
        return store.read_latest
