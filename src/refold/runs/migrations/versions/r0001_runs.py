"""Runs, their blocks and block runs, failures, items, chunks and requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables as of this revision; later changes of `refold.runs.schema` come as later revisions."""
    _make_run_tables()
    _make_block_run_tables()
    _make_output_tables()


def _make_run_tables() -> None:
    op.create_table(
        "run",
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False, unique=True),
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
    )
    op.create_index("run_created", "run", ["created_at", "id"])
    op.create_index("run_pipeline", "run", ["project", "pipeline_uuid", "created_at", "id"])
    op.create_table(
        "block",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.UniqueConstraint("run", "uuid"),
    )
    op.create_table(
        "request",
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("control", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
    )
    op.create_index("request_run", "request", ["run"])


def _make_block_run_tables() -> None:
    op.create_table(
        "block_run",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("completed_at", sa.Double),
        sa.Column("chunk", sa.Integer),
        sa.Column("position", sa.Integer),
        sqlite_with_rowid=False,
    )
    not_completed = sa.text("status <> 2 AND status <> 3")
    op.create_index(
        "block_run_not_completed",
        "block_run",
        ["run", "block", "key"],
        sqlite_where=not_completed,
        postgresql_where=not_completed,
    )
    op.create_table(
        "failure",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("traceback", sa.Text, nullable=False),
    )


def _make_output_tables() -> None:
    op.create_table(
        "items",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("named", sa.Boolean, nullable=False),
        sa.Column("fingerprints", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chunk",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("byte_offset", sa.BigInteger, nullable=False),
        sa.Column("byte_length", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
