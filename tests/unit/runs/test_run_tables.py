"""The tables of a run store: made from text, by migrations, or as the schema says, they are the same."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from refold.errors import StoreError
from refold.model.keys import RunId
from refold.ports.run_store import ChunkRow, Control, RunStatus, WriteBatch
from refold.runs import open_run_store, schema
from refold.runs.upgrade import HEAD, migrate
from refold.scheduler.status import Status
from refold.testing.postgres_schema import fresh_schema
from refold.testing.run_store_samples import FOLD, HERE, LOAD, NOW, SPLIT, TTL, failure, fold, items, new_run, row

FIRST = Path(__file__).with_name("store_0001.sql").read_text()
"""A file as the first revision had it, with a run: how that version of the code made and filled it."""


def tables(path: Path) -> dict[str, str]:
    """The definitions in a file, but for white space and quotes."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: "".join(sql.replace('"', "").split()) for name, sql in found}


def migrated(path: Path) -> None:
    """Makes a file as Alembic makes it."""
    migrate("sqlite", lambda: sqlite3.connect(path, isolation_level=None), "BEGIN IMMEDIATE", str(path))


def test_the_text_that_new_files_are_made_from_is_the_schema() -> None:
    text = Path(schema.__file__).with_name("schema.sqlite.sql").read_text()
    assert text == schema.sqlite_ddl(), "write schema.sqlite.sql anew, as sqlite_ddl() says"


def test_migrations_make_what_the_text_makes(tmp_path: Path) -> None:
    open_run_store(tmp_path / "text.db").close()
    migrated(tmp_path / "migrated.db")
    assert tables(tmp_path / "text.db") == tables(tmp_path / "migrated.db")
    with closing(sqlite3.connect(tmp_path / "migrated.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_the_code_knows_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "refold.runs:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def differences(engine: sa.Engine) -> list[object]:
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), schema.metadata()))


def test_nothing_is_left_to_migrate_in_sqlite(tmp_path: Path) -> None:
    migrated(tmp_path / "runs.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'runs.db'}", poolclass=sa.NullPool)
    assert differences(engine) == []


@pytest.mark.postgres
def test_nothing_is_left_to_migrate_in_postgresql() -> None:
    with fresh_schema() as url:
        open_run_store(url).close()
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
        assert differences(engine) == []


def test_an_old_file_is_migrated_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    with closing(open_run_store(path)) as store:
        store.create(new_run())
    open_run_store(tmp_path / "new.db").close()
    assert tables(path) == tables(tmp_path / "new.db")


def check_and_use(where: Path | str) -> None:
    """A store of the first revision is opened: its run is as it was, and goes on."""
    with closing(open_run_store(where)) as store:
        run = RunId("old-run")
        record = store.get(run)
        assert (record.status, record.completed_at, record.summary) == (RunStatus.FAILED, NOW + 5, {"done": 1})
        assert [block["uuid"] for block in record.blocks] == [LOAD, SPLIT, FOLD]
        assert list(store.requests(run)) == [Control.CANCEL]
        rows = [row(LOAD), row(SPLIT, 0), row(SPLIT, 1, status=Status.FAILED, chunk=None)]
        assert list(store.block_runs(run)) == rows
        assert list(store.failures(run)) == [failure(SPLIT, 1)]
        assert list(store.items(run, SPLIT)) == [items(SPLIT, (), 0, 2)]
        assert list(store.chunks(run)) == [ChunkRow(0, "segment", 0, 9)]
        assert list(store.folds(run, SPLIT)) == []
        lease = store.acquire(run, HERE, NOW + 6, TTL)
        new = row(SPLIT, 1, attempts=2)._replace(digest=b"12345678", fingerprint=b"f" * 16)
        batch = WriteBatch(rows=[new], items=[items(SPLIT, (), 2, 1)._replace(waits="[]")], folds=[fold(SPLIT, (), 2)])
        store.finish(lease, batch, RunStatus.COMPLETED, NOW + 7)
        assert list(store.block_runs(run)) == [*rows[:2], new]
        assert store.cached(record.project, record.pipeline_uuid, SPLIT, [b"f" * 16]) == {b"f" * 16: (run, new)}
        assert list(store.items(run, SPLIT)) == [items(SPLIT, (), 0, 2), *batch.items]
        assert list(store.folds(run, SPLIT)) == batch.folds
        assert list(store.failures(run)) == []


def test_a_file_of_the_first_revision_is_brought_up_to_date_with_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST)
    check_and_use(path)
    open_run_store(tmp_path / "new.db").close()
    assert tables(path) == tables(tmp_path / "new.db")


@pytest.mark.postgres
def test_a_schema_of_the_first_revision_is_brought_up_to_date_with_its_runs() -> None:
    with fresh_schema() as url:
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", "refold.runs:migrations")
            command.upgrade(config, "0001")
            copy_first_store(connection)
        check_and_use(url)
        assert differences(engine) == []


def copy_first_store(connection: sa.Connection) -> None:
    """The rows of the first revision's file, in tables of that revision."""
    made = sa.MetaData()
    made.reflect(connection)
    with closing(sqlite3.connect(":memory:")) as file:
        file.executescript(FIRST)
        file.row_factory = sqlite3.Row
        for table in made.tables.values():
            rows = [dict(found) for found in file.execute(f'SELECT * FROM "{table.name}"')]
            values = [
                {name: bool(value) if name == "named" else value for name, value in found.items()} for found in rows
            ]
            if table.name != "alembic_version":
                connection.execute(sa.insert(table), values)


@contextmanager
def occupied(path: Path) -> Iterator[None]:
    """A file in which another program's table stands where one of ours belongs."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("CREATE TABLE failure (x)")
    yield


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with occupied(path), pytest.raises(StoreError, match=f"cannot be brought to revision {HEAD}") as caught:
        open_run_store(path)
    assert caught.value.where == str(path)
    assert set(tables(path)) == {"alembic_version", "failure"}


_DRIVE = """
import sys
from refold.ports.run_store import Control, RunStatus, WriteBatch
from refold.runs import open_run_store
from refold.model.keys import PipelineUuid, RunId
from refold.ports.run_store import NewRun, Owner
store = open_run_store(sys.argv[1])
run = NewRun(RunId(sys.argv[2]), "/project", PipelineUuid("p"), 1.0, {}, {}, [{"uuid": "a"}])
store.create(run)
lease = store.acquire(run.id, Owner("host", 1, 1.0), 1.0, 9.0)
store.clear_requests(run.id)
store.update_plan(lease, run.blocks)
batch = WriteBatch(rows=[("a", b"", 4, 1, 1.0, 2.0, None, None)], failures=[("a", b"", "E", "E", "E")])
batch.folds = [("a", -1, b"", 1, b"d" * 16, 0, 0)]
store.write(lease, batch, 1.0, 9.0)
store.request(run.id, Control.CANCEL, 1.0)
store.requests(run.id), store.get(run.id), store.block_run(run.id, "a", b""), store.failure_groups(run.id)
list(store.block_runs(run.id)), list(store.items(run.id, "a")), list(store.chunks(run.id)), list(store.failures(run.id))
list(store.folds(run.id, "a")), store.cached("/project", "p", "a", [b"f" * 16])
store.finish(lease, WriteBatch(), RunStatus.FAILED, 2.0)
store.steal(run.id, "host|1|1.0")
store.close()
print({"sqlalchemy", "alembic", "psycopg", "pandas", "pyarrow"} & set(sys.modules))
"""


def test_driving_a_run_imports_no_heavy_library(tmp_path: Path) -> None:
    for run in ("in a new file", "in a file that is there"):
        command = [sys.executable, "-c", _DRIVE, str(tmp_path / "runs.db"), run]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("set()\n", "")
