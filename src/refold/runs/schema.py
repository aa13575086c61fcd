"""The tables of a run store: what migrations must arrive at, and what composed queries are built from.

    run        a pipeline run, its lease, its summary; `number` stands for its id in all other tables
    block      a block of a run's plan: its number stands for its uuid, its position is its place in the plan
    block_run  a block run that is over; keyed by (run, block, key), so that it is read in key order without sorting
    failure    why a block run failed
    items      items that a run of a dynamic block gave, a row a chunk
    fold       what the first runs of a group were folded to
    chunk      where a chunk lies
    request    what users ask of a run

Tables have no foreign keys: one writer writes them, and `SqlRunStore.delete` knows them all. SQLAlchemy takes a fifth
of a second to import, so the tables are made when first asked for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa


@cache
def metadata() -> sa.MetaData:
    """All tables. Imports SQLAlchemy."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    _add_run_tables(metadata)
    _add_block_run_tables(metadata)
    _add_output_tables(metadata)
    return metadata


def _add_run_tables(metadata: sa.MetaData) -> None:
    import sqlalchemy as sa

    bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    sa.Table(
        "run",
        metadata,
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("id", bytewise, nullable=False, unique=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("pipeline_uuid", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("completed_at", sa.Double),
        sa.Column("lease_token", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_expires_at", sa.Double),
        sa.Column("variables", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Index("run_created", "created_at", "id"),
        sa.Index("run_pipeline", "project", "pipeline_uuid", "created_at", "id"),
    )
    sa.Table(
        "block",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.UniqueConstraint("run", "uuid"),
    )
    sa.Table(
        "request",
        metadata,
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("control", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Index("request_run", "run"),
    )


def _add_block_run_tables(metadata: sa.MetaData) -> None:
    import sqlalchemy as sa

    not_completed = sa.text("status <> 2 AND status <> 3")
    cached = sa.text("fingerprint IS NOT NULL AND status IN (2, 3)")
    sa.Table(
        "block_run",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("completed_at", sa.Double),
        sa.Column("chunk", sa.Integer),
        sa.Column("position", sa.Integer),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("fingerprint", sa.LargeBinary),
        sa.Column("kept", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Index(
            "block_run_not_completed",
            "run",
            "block",
            "key",
            sqlite_where=not_completed,
            postgresql_where=not_completed,
        ),
        sa.Index(
            "block_run_cached",
            "fingerprint",
            "run",
            "block",
            "key",
            sqlite_where=cached,
            postgresql_where=cached,
        ),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "failure",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("traceback", sa.Text, nullable=False),
    )


def _add_output_tables(metadata: sa.MetaData) -> None:
    import sqlalchemy as sa

    sa.Table(
        "items",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("named", sa.Boolean, nullable=False),
        sa.Column("fingerprints", sa.LargeBinary, nullable=False),
        sa.Column("waits", sa.Text),
    )
    sa.Table(
        "fold",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("levels", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("outer_key", sa.LargeBinary, primary_key=True),
        sa.Column("folded", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "chunk",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("byte_offset", sa.BigInteger, nullable=False),
        sa.Column("byte_length", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def sqlite_ddl() -> str:
    """The statements that make an empty SQLite database: what `schema.sqlite.sql` holds.

    New files are made from that text, so that neither SQLAlchemy nor Alembic is imported. After a change of the tables
    it is written anew: `Path("schema.sqlite.sql").write_text(sqlite_ddl())`.
    """
    import sqlalchemy as sa
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

    revision = sa.Table(  # as Alembic makes it
        "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False)
    )
    revision.append_constraint(sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"))
    statements: list[ExecutableDDLElement] = [CreateTable(revision)]
    for table in metadata().sorted_tables:
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    texts = [str(statement.compile(dialect=sqlite.dialect())) for statement in statements]
    lines = [line.rstrip() for text in texts for line in f"{text.strip()};".splitlines()]
    return "\n".join(lines) + "\n"
