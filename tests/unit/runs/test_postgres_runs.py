"""Runs in PostgreSQL: lost connections, and databases that are not ours alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import SupportsIndex

import psycopg
import pytest

from refold.errors import StoreError
from refold.model.keys import BlockUuid, PipelineUuid
from refold.ports.run_store import BlockRunRow, Control, Lease, RunStatus, RunStore, WriteBatch
from refold.runs import open_run_store
from refold.runs.postgres import PostgresDatabase
from refold.runs.sql import SqlRunStore
from refold.testing.postgres_schema import fresh_schema
from refold.testing.run_store_samples import HERE, LOAD, NOW, SPLIT, TTL, new_run, row

pytestmark = pytest.mark.postgres


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_schema() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[RunStore]:
    with closing(open_run_store(f"{url}&application_name=refold-{id(url)}")) as store:
        yield store


@pytest.fixture
def disconnect(url: str, store: RunStore) -> Callable[[], None]:
    """Ends the store's connections from the server's side."""

    def end() -> None:
        sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(url, autocommit=True) as server:
            assert server.execute(sql, (f"refold-{id(url)}",)).fetchone() == (1,)

    return end


@pytest.fixture
def lease(store: RunStore) -> Lease:
    run = new_run()
    store.create(run)
    return store.acquire(run.id, HERE, NOW, TTL)


def test_a_connection_lost_between_writes_is_replaced(
    store: RunStore, lease: Lease, disconnect: Callable[[], None]
) -> None:
    store.write(lease, WriteBatch(rows=[row(SPLIT, 0)]), NOW, TTL)
    disconnect()
    store.write(lease, WriteBatch(rows=iter([row(SPLIT, 1)])), NOW, TTL)  # type: ignore[arg-type]
    disconnect()
    assert list(store.requests(lease.run)) == []
    disconnect()
    assert store.cached("/project", PipelineUuid("pipeline"), SPLIT, [b"f" * 16]) == {}
    disconnect()
    store.request(lease.run, Control.CANCEL, NOW)
    disconnect()
    store.finish(lease, WriteBatch(rows=[row(LOAD)]), RunStatus.COMPLETED, NOW)
    assert list(store.block_runs(lease.run)) == [row(LOAD), row(SPLIT, 0), row(SPLIT, 1)]
    assert list(store.requests(lease.run)) == [Control.CANCEL]
    assert store.get(lease.run).status is RunStatus.COMPLETED


class LosesConnection(tuple[object, ...]):
    """A row that ends the connection when it is written for the first time."""

    disconnect: Callable[[], None]

    def __getitem__(self, index: SupportsIndex | slice) -> object:  # type: ignore[override]
        if isinstance(index, slice) and hasattr(self, "disconnect"):
            disconnect = self.disconnect
            del self.disconnect
            disconnect()
        return super().__getitem__(index)


def test_a_connection_lost_within_a_write_loses_and_repeats_nothing(
    store: RunStore, lease: Lease, disconnect: Callable[[], None]
) -> None:
    store.write(lease, WriteBatch(rows=[row(SPLIT, 0)]), NOW, TTL)
    trap = LosesConnection(row(SPLIT, 1))
    trap.disconnect = disconnect
    rows = [trap, *(row(SPLIT, number) for number in range(2, 5000))]
    store.write(lease, WriteBatch(rows=rows, summary={"x": 1}), NOW, TTL)  # type: ignore[arg-type]
    assert not hasattr(trap, "disconnect")
    assert list(store.block_runs(lease.run)) == [row(SPLIT, number) for number in range(5000)]
    assert store.get(lease.run).summary == {"x": 1}


def test_rows_written_again_after_a_conflict_keep_the_rest_of_their_batch(store: RunStore, lease: Lease) -> None:
    for attempt in (1, 2, 3):
        rows = [row(SPLIT, number, attempts=attempt) for number in range(attempt, attempt + 50)]
        store.write(lease, WriteBatch(rows=[*rows, *rows[:5]], summary={"attempt": attempt}), NOW, TTL)
    assert [one.attempts for one in store.block_runs(lease.run)] == [1, 2, *[3] * 50]
    assert store.get(lease.run).summary == {"attempt": 3}


def test_whole_numbers_are_times_too(store: RunStore, lease: Lease) -> None:
    whole = BlockRunRow(BlockUuid(SPLIT), b"", 2, 1, 10, 20, 0, 0)
    store.write(lease, WriteBatch(rows=[whole]), NOW, TTL)
    assert list(store.block_runs(lease.run)) == [whole]


def test_a_server_that_stays_away_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlRunStore(PostgresDatabase(f"{url}&application_name=refold-away", patience=0.0))
    run = new_run()
    store.create(run)
    lease = store.acquire(run.id, HERE, NOW, TTL)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'refold-away'"
        )

    def refuse(*_: object, **__: object) -> psycopg.Connection:
        raise psycopg.OperationalError("connection refused")

    with monkeypatch.context() as away:
        away.setattr(psycopg, "connect", refuse)
        with pytest.raises(StoreError, match=r"(?s)connection refused.*Check that the server runs"):
            store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)
    store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)
    assert list(store.block_runs(run.id)) == [row(LOAD)]
    store.close()


def test_no_server_is_an_error_without_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        open_run_store("postgresql://me:secret@127.0.0.1:1/runs")
    assert caught.value.where == "postgresql://me@127.0.0.1:1/runs"
    assert "secret" not in str(caught.value)


def test_a_url_that_cannot_be_read_is_an_error_without_the_password() -> None:
    with pytest.raises(StoreError, match="postgresql://user:password@host:5432/database"):
        open_run_store("postgresql://me@127.0.0.1:1/runs?no_such_option=1")


def test_a_schema_that_is_not_there_is_named_as_the_reason(url: str) -> None:
    with pytest.raises(StoreError, match="no schema to put tables into"):
        open_run_store(f"{url}_elsewhere")


def test_a_newer_schema_is_refused_and_left(url: str) -> None:
    open_run_store(url).close()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="revision 9999"):
            open_run_store(url)
        assert server.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_tables_of_another_program_are_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE TABLE failure (x INTEGER)")
        with pytest.raises(StoreError, match="cannot be brought to revision"):
            open_run_store(url)
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        assert server.execute(sql).fetchall() == [("failure",)]


def test_stores_that_are_opened_at_once_in_a_new_schema_all_open(url: str) -> None:
    errors: list[BaseException] = []
    together = threading.Barrier(3)

    def open_one() -> None:
        together.wait()
        try:
            open_run_store(url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
