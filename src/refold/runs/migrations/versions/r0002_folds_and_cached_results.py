"""Folds ahead, generated dependencies of items, and block runs that answer for later ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables as of this revision; the rows there are keep what they say: not kept, without digests or waits."""
    op.add_column("block_run", sa.Column("digest", sa.LargeBinary))
    op.add_column("block_run", sa.Column("fingerprint", sa.LargeBinary))
    op.add_column("block_run", sa.Column("kept", sa.Boolean, server_default=sa.false(), nullable=False))
    cached = sa.text("fingerprint IS NOT NULL AND status IN (2, 3)")
    op.create_index(
        "block_run_cached",
        "block_run",
        ["fingerprint", "run", "block", "key"],
        sqlite_where=cached,
        postgresql_where=cached,
    )
    op.add_column("items", sa.Column("waits", sa.Text))
    op.create_table(
        "fold",
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
