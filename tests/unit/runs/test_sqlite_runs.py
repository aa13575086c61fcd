"""Runs in an SQLite file: how it is opened, shared, and what goes wrong with files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from refold.errors import BadInputError, StoreError
from refold.model.keys import encode_key
from refold.ports.run_store import Lease, RunStatus, RunStore, WriteBatch
from refold.runs import open_run_store
from refold.runs.database import Transaction
from refold.runs.sql import SqlRunStore
from refold.runs.sqlite import SqliteDatabase
from refold.scheduler.status import Status
from refold.testing.run_store_samples import HERE, LOAD, NOW, SPLIT, TTL, failure, new_run, row

T = TypeVar("T")
_connect = sqlite3.connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def started(store: RunStore) -> Lease:
    run = new_run()
    store.create(run)
    return store.acquire(run.id, HERE, NOW, TTL)


def test_a_store_is_opened_by_path_text_or_url(path: Path) -> None:
    with closing(open_run_store(path)) as store:
        lease = started(store)
    for where in (str(path), f"sqlite:///{path}"):
        with closing(open_run_store(where)) as store:
            assert store.get(lease.run).id == lease.run


@pytest.mark.parametrize("url", ["mysql://root@host/runs", "sqlite://", "postgresql+asyncpg://host/runs"])
def test_other_urls_are_refused_with_the_kinds_there_are(url: str) -> None:
    with pytest.raises(BadInputError, match=r"sqlite:///path, or postgresql://"):
        open_run_store(url)


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "100% ünïcode?.db"
    open_run_store(path).close()
    assert path.is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "runs.db"
    with pytest.raises(StoreError) as caught:
        open_run_store(path)
    assert caught.value.where == str(path.parent)
    assert "move away the file that is in its place" in str(caught.value.fix)


def test_a_folder_where_the_file_should_be_is_named_and_left(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="is a folder") as caught:
        open_run_store(path)
    assert caught.value.where == str(path)
    assert list(path.iterdir()) == []


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """As a user who may read the folder and its files, and not write them."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.parametrize("exists", [False, True], ids=["a new file", "a file that is there"])
def test_a_read_only_folder_says_what_to_make_writable(exists: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        if exists:
            open_run_store(path).close()
        with nobody(path.parent), pytest.raises(StoreError, match="writable") as caught:
            started(open_run_store(path))
        assert caught.value.where == str(path)


def test_a_file_that_is_no_database_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"dear diary, " * 100)
    with pytest.raises(StoreError, match=r"(?s)not a database.*move this one away") as caught:
        open_run_store(path)
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"dear diary, " * 100


def test_another_programs_database_stays_as_it_is(path: Path) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
    with pytest.raises(StoreError, match="another program's database: it has tables diary"):
        open_run_store(path)
    with closing(_connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]


def test_a_newer_schema_is_refused_with_both_revisions(path: Path) -> None:
    open_run_store(path).close()
    with closing(_connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"revision 9999, and this Refold knows revisions up to \d{4}") as caught:
        open_run_store(path)
    assert caught.value.where == str(path)
    assert caught.value.fix is not None
    assert "Upgrade Refold" in caught.value.fix


def test_a_full_disk_keeps_what_was_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_run_store(path)) as store:
        lease = started(store)
        store.write(lease, WriteBatch(rows=[row(SPLIT, 0)]), NOW, TTL)

    def connect_to_a_small_disk(*args: object, **options: object) -> sqlite3.Connection:
        connection = _connect(*args, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count = 30")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_to_a_small_disk)
    with closing(open_run_store(path)) as store:
        batch = WriteBatch(rows=[row(SPLIT, number) for number in range(20_000)], summary={"late": 1})
        with pytest.raises(StoreError, match=r"(?s)full.*Free some disk space") as caught:
            store.write(lease, batch, NOW, TTL)
        assert caught.value.where == str(path)
        assert list(store.block_runs(lease.run)) == [row(SPLIT, 0)]
        store.finish(lease, WriteBatch(rows=[row(SPLIT, 1)]), RunStatus.FAILED, NOW)
    monkeypatch.undo()
    with closing(open_run_store(path)) as store:
        assert list(store.block_runs(lease.run)) == [row(SPLIT, 0), row(SPLIT, 1)]
        assert store.get(lease.run).summary == {}


def test_a_text_that_is_not_unicode_is_an_error_about_it(path: Path) -> None:
    with closing(open_run_store(path)) as store, pytest.raises(StoreError, match="not Unicode"):
        store.create(new_run("\ud800"))


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    with closing(open_run_store(path)) as store:
        lease = started(store)
        store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)
        with closing(_connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM block_run")
            with closing(open_run_store(path)) as reader:
                assert list(reader.block_runs(lease.run)) == [row(LOAD)]
                assert [record.id for record in reader.list_runs()] == [lease.run]
            writer.execute("ROLLBACK")


def test_a_writer_does_not_wait_for_readers(path: Path) -> None:
    with closing(open_run_store(path)) as store, closing(open_run_store(path)) as reader:
        lease = started(store)
        store.write(lease, WriteBatch(rows=[row(SPLIT, number) for number in range(5000)]), NOW, TTL)
        reading = reader.block_runs(lease.run)
        next(reading)
        store.write(lease, WriteBatch(rows=[row(LOAD)]), NOW, TTL)
        assert sum(1 for _ in reading) == 4999


class Steps:
    """How much SQLite has done, in steps of its own, a hundred at a time."""

    taken = 0

    def count(self) -> int:
        self.taken += 100
        return 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()

    def connect_and_count(*args: object, **options: object) -> sqlite3.Connection:
        connection = _connect(*args, **options)  # type: ignore[call-overload]
        connection.set_progress_handler(steps.count, 100)
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_and_count)
    return steps


def test_what_did_not_complete_is_found_without_reading_what_did(path: Path, steps: Steps) -> None:
    with closing(open_run_store(path)) as store:
        lease = started(store)
        failed = [row(SPLIT, number, status=Status.FAILED) for number in (7, 20_001)]
        store.write(lease, WriteBatch(rows=[row(SPLIT, number) for number in range(20_000) if number != 7]), NOW, TTL)
        store.write(lease, WriteBatch(rows=failed), NOW, TTL)
        steps.taken = 0
        assert list(store.block_runs(lease.run, statuses={Status.FAILED, Status.CANCELLED})) == failed
        assert steps.taken < 2000


def test_an_earlier_result_is_found_without_reading_what_is_like_it(path: Path, steps: Steps) -> None:
    with closing(open_run_store(path)) as store:
        for _ in range(3):
            lease = started(store)
            rows = [row(SPLIT, number)._replace(fingerprint=b"same" * 4) for number in range(10_000)]
            store.write(lease, WriteBatch(rows=rows), NOW, TTL)
        record = store.get(lease.run)
        steps.taken = 0
        found = store.cached(record.project, record.pipeline_uuid, SPLIT, [b"same" * 4, b"none" * 4])
        assert found == {b"same" * 4: (lease.run, rows[-1])}
        assert steps.taken < 2000


def test_a_file_that_another_process_holds_is_an_error_in_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_run_store(path).close()

    def connect_without_patience(*args: object, **options: object) -> sqlite3.Connection:
        return _connect(*args, **{**options, "timeout": 0})  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_without_patience)
    with closing(open_run_store(path)) as store, closing(_connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"(?s)locked.*Another process has held the file"):
            store.create(new_run())


@pytest.mark.parametrize(("durable", "mode"), [(False, 1), (True, 2)])
def test_durable_stores_wait_for_the_disk(
    path: Path, durable: bool, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []

    def connect_and_remember(*args: object, **options: object) -> sqlite3.Connection:
        opened.append(_connect(*args, **options))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_and_remember)
    with closing(open_run_store(path, durable=durable)):
        assert opened[0].execute("PRAGMA synchronous").fetchall() == [(mode,)]
        assert opened[0].execute("PRAGMA journal_mode").fetchall() == [("wal",)]


_OPEN = """
import sys
from refold.runs import open_run_store
print("ready", flush=True)
sys.stdin.readline()
open_run_store(sys.argv[1]).close()
"""


@pytest.mark.parametrize("exists", [False, True], ids=["a new file", "a file of the first revision"])
def test_processes_that_open_a_file_at_once_all_succeed(path: Path, exists: bool) -> None:
    if exists:
        with closing(_connect(path)) as connection:
            connection.executescript(Path(__file__).with_name("store_0001.sql").read_text())
    command = [sys.executable, "-c", _OPEN, str(path)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    with closing(open_run_store(path)) as store:
        started(store)


_WRITE = """
import sys
from refold.ports.run_store import Lease, WriteBatch
from refold.runs import open_run_store
from refold.scheduler.status import Status
from refold.testing.run_store_samples import HERE, NOW, SPLIT, TTL, failure, row
store = open_run_store(sys.argv[1])
lease = store.acquire(sys.argv[2], HERE, NOW, TTL)
for number in range(100_000):
    rows = [row(SPLIT, number, inner) for inner in range(300)]
    failures = [failure(SPLIT, number)]
    store.write(lease, WriteBatch(rows=rows, failures=failures, summary={"batches": number + 1}), NOW, TTL)
    print(number + 1, flush=True)
"""


@pytest.mark.parametrize("batches", [1, 8, 21])
def test_a_killed_writer_leaves_whole_batches_and_all_that_it_reported(path: Path, batches: int) -> None:
    run = new_run()
    with closing(open_run_store(path)) as store:
        store.create(run)
        with subprocess.Popen([sys.executable, "-c", _WRITE, str(path), run.id], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            reported = [int(child.stdout.readline()) for _ in range(batches)]
            child.send_signal(signal.SIGKILL)
            reported += [int(line) for line in child.stdout]
        written = store.get(run.id).summary["batches"]
        assert isinstance(written, int)
        assert written >= reported[-1]
        expected = [row(SPLIT, number, inner) for number in range(written) for inner in range(300)]
        assert list(store.block_runs(run.id)) == expected
        assert list(store.failures(run.id)) == [failure(SPLIT, number) for number in range(written)]


class ForgetfulDatabase(SqliteDatabase):
    """Keeps each transaction, and then tries it again, as when only the word of its end was lost."""

    def transact(self, work: Callable[[Transaction], T]) -> T:
        super().transact(work)

        def again(transaction: Transaction) -> T:
            transaction.again = True
            return work(transaction)

        return super().transact(again)


def test_a_transaction_that_was_kept_may_be_tried_again(path: Path) -> None:
    with closing(open_run_store(path)) as store, closing(SqlRunStore(ForgetfulDatabase(path))) as forgetful:
        run = new_run()
        store.create(run)
        lease = forgetful.acquire(run.id, HERE, NOW, TTL)
        batch = WriteBatch(rows=[row(SPLIT, 0), row(SPLIT, 1)], failures=[failure(SPLIT, 1)])
        forgetful.write(lease, batch, NOW, TTL)
        forgetful.write(lease, WriteBatch(forgotten=[(SPLIT, encode_key((0,)))]), NOW, TTL)
        forgetful.finish(lease, WriteBatch(rows=[row(LOAD)], summary={"x": 1}), RunStatus.COMPLETED, NOW + 1)
        assert list(store.block_runs(run.id)) == [row(LOAD), row(SPLIT, 1)]
        assert list(store.failures(run.id)) == [failure(SPLIT, 1)]
        assert (store.get(run.id).status, store.get(run.id).completed_at) == (RunStatus.COMPLETED, NOW + 1)
