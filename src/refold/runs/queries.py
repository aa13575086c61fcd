"""What people ask of runs, in as many ways as they like: statements composed with SQLAlchemy from the tables.

They are handed to the driver as text, like all other statements, so a store has one way to its database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refold.model.keys import PipelineUuid
from refold.runs.database import Value
from refold.runs.schema import metadata
from refold.runs.statements import RUN_COLUMNS

if TYPE_CHECKING:
    import sqlalchemy as sa


def runs_query(
    dialect: str, project: str | None, pipeline: PipelineUuid | None, limit: int | None
) -> tuple[str, Mapping[str, Value]]:
    """The statement that lists runs, newest first, and its parameters. Imports SQLAlchemy."""
    import sqlalchemy as sa

    run = metadata().tables["run"]
    query = sa.select(*(run.c[name] for name in RUN_COLUMNS)).order_by(run.c.created_at.desc(), run.c.id.desc())
    if project is not None:
        query = query.where(run.c.project == project)
    if pipeline is not None:
        query = query.where(run.c.pipeline_uuid == pipeline)
    if limit is not None:
        query = query.limit(limit)
    compiled = query.compile(dialect=_dialect(dialect))
    return str(compiled), compiled.params


def _dialect(name: str) -> sa.Dialect:
    """SQLAlchemy's view of a driver, with named parameters."""
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.dialect(paramstyle="named") if name == "sqlite" else postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
