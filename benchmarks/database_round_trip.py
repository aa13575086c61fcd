"""Rows between PostgreSQL, pandas and Parquet, against pandas: `python -m benchmarks.database_round_trip`.

A table of a million rows is loaded into a frame, written to Parquet, read from it, and exported to another table.
pandas does the same by `read_sql`, `to_parquet`, `read_parquet` and `to_sql`, through SQLAlchemy and psycopg. With
`method="multi"` it takes minutes for so many, so that is compared over a tenth of the rows (`--multi-rows`). All must
end with the same rows. The server is that of REFOLD_TEST_POSTGRES_URL; the tables are in a schema of their own, which
is dropped.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.measurement import REFOLD, Measurement, print_all
from refold.io.databases.named_databases import Postgres

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine

PANDAS, MULTI = "pandas", "pandas, multi"
_URL = os.environ.get("REFOLD_TEST_POSTGRES_URL", "postgresql://root@127.0.0.1:5432/test")
_PARAMETERS = 30_000
"""Of one INSERT of pandas: PostgreSQL takes 65,535."""
_MAKE = """
CREATE TABLE {schema}.source AS
SELECT number::bigint AS id, 'customer ' || number AS customer, (number * 37 % 10007)::integer AS quantity,
    number * 0.25::double precision AS price, number % 3 = 0 AS paid,
    timestamp '2024-01-01' + number * interval '1 second' AS ordered_at
FROM generate_series(1, {rows}) AS number
"""
_SAME = "SELECT count(*) AS rows, sum(id) AS ids, sum(price) AS prices, max(ordered_at) AS latest FROM {table}"


def measure(rows: int = 1_000_000, times: int = 1, multi_rows: int | None = None) -> list[Measurement]:
    """Seconds of each half and of the whole, both ways, and how many times as long pandas takes.

    Raises SystemExit when the tables differ, DatabaseError when there is no server.
    """
    import sqlalchemy as sa

    engine = sa.create_engine(sa.make_url(_URL).set(drivername="postgresql+psycopg"))
    found: list[Measurement] = []
    with _schema() as (database, schema), tempfile.TemporaryDirectory(prefix="round-trip-") as folder:
        refold = _refold(database, schema)
        for other, count in ((MULTI, rows // 10 if multi_rows is None else multi_rows), (PANDAS, rows)):
            database.execute_query_raw(
                f"DROP TABLE IF EXISTS {schema}.source;" + _MAKE.format(schema=schema, rows=count)
            )
            trips = {REFOLD: refold, other: _pandas(engine, schema, "multi" if other == MULTI else None)}
            seconds: dict[tuple[str, str], list[float]] = {}
            for _ in range(times):
                for system, trip in trips.items():
                    for half, taken in _timed(trip, Path(folder) / "rows.parquet").items():
                        seconds.setdefault((system, half), []).append(taken)
                    _compare(database, schema, system)
            found += _measurements(f"{count:,} rows", other, seconds)
    engine.dispose()
    return found


Trip = tuple[Callable[[], "pd.DataFrame"], Callable[["pd.DataFrame"], object]]
"""Rows out of the source table, and into another one."""
_OUT, _IN, _WHOLE = "PostgreSQL to Parquet", "Parquet to PostgreSQL", "there and back"


def _refold(database: Postgres, schema: str) -> Trip:
    return (
        lambda: database.load(f"SELECT * FROM {schema}.source"),
        lambda frame: database.export(frame, schema, "made", if_exists="replace"),
    )


def _pandas(engine: Engine, schema: str, method: Literal["multi"] | None) -> Trip:
    import pandas as pd

    def export(frame: pd.DataFrame) -> None:
        size = _PARAMETERS // len(frame.columns)
        frame.to_sql("made", engine, schema=schema, if_exists="replace", index=False, method=method, chunksize=size)

    return lambda: pd.read_sql(f"SELECT * FROM {schema}.source", engine), export


def _timed(trip: Trip, path: Path) -> dict[str, float]:
    import pandas as pd

    load, export = trip
    begun = time.perf_counter()
    load().to_parquet(path)
    between = time.perf_counter()
    export(pd.read_parquet(path))
    ended = time.perf_counter()
    return {_OUT: between - begun, _IN: ended - between, _WHOLE: ended - begun}


def _compare(database: Postgres, schema: str, system: str) -> None:
    source, made = (database.load(_SAME.format(table=f"{schema}.{each}")) for each in ("source", "made"))
    database.commit()  # what was read is not locked any more
    if not source.equals(made):
        raise SystemExit(f"{system}: the tables differ\n{source}\n{made}")


def _measurements(what: str, other: str, seconds: dict[tuple[str, str], list[float]]) -> list[Measurement]:
    found = [Measurement(f"{what}, {half}, {system}", "s", tuple(taken)) for (system, half), taken in seconds.items()]
    for half in (_OUT, _IN, _WHOLE):
        pairs = zip(seconds[other, half], seconds[REFOLD, half], strict=True)
        found.append(Measurement(f"{what}, {half}: {other} takes", "x", tuple(slow / fast for slow, fast in pairs)))
    return found


@contextmanager
def _schema() -> Iterator[tuple[Postgres, str]]:
    """A session and a schema that is dropped in the end."""
    import sqlalchemy as sa

    url, schema = sa.make_url(_URL), f"round_trip_{uuid.uuid4().hex[:8]}"
    database = Postgres(dbname=url.database, user=url.username, password=url.password, host=url.host, port=url.port)
    with database:
        database.execute(f"CREATE SCHEMA {schema}")
        database.commit()
        try:
            yield database, schema
        finally:
            database.rollback()
            database.execute(f"DROP SCHEMA {schema} CASCADE")


def main() -> None:
    """Prints the comparison. Ends with an error where the faster way of pandas takes less than three times as long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--multi-rows", type=int, help='of `to_sql(method="multi")`; a tenth without it')
    options = parser.parse_args()
    found = measure(options.rows, options.times, options.multi_rows)
    print_all(found)
    if found[-1].median < 3:
        raise SystemExit("pandas should take three times as long at least")


if __name__ == "__main__":
    main()
