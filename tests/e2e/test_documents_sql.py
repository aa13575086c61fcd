"""SQL in the documents: dynamic SQL blocks of the design page, and the SQL loader of the page of core concepts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.io.databases.providers import find_provider
from refold.io.databases.sessions import session
from refold.io.databases.statement import Statement
from refold.io.settings.config import ConfigFileLoader
from refold.testing.database_servers import fresh_mariadb, fresh_postgres
from refold.testing.documented_project import write_project

DYNAMIC_SQL = """
    - uuid: data_loader
      type: data_loader
      configuration: {dynamic: true}
      upstream_blocks: []
      downstream_blocks: [dynamic_sql_loader]
    - uuid: dynamic_sql_loader
      type: data_loader
      language: sql
      configuration: {dynamic: true%s}
      upstream_blocks: [data_loader]
      downstream_blocks: [transformer]
    - uuid: transformer
      type: transformer
      upstream_blocks: [dynamic_sql_loader]
      downstream_blocks: []
    """
DYNAMIC_SQL_FILES = {
    "data_loaders/data_loader.py": """
        @data_loader
        def load_data(*args, **kwargs):
            return [[dict(uuid=1), dict(uuid=2)]]
        """,
    "data_loaders/dynamic_sql_loader.sql": """
        SELECT * FROM {{ df_1 }}
        UNION ALL
        SELECT 2 AS uuid
        """,
    "transformers/transformer.py": """
        @transformer
        def transform(data, *args, **kwargs):
            return data
        """,
}
LOADER = """
-- data_loader
SELECT
    customer_id,
    SUM(amount) as total_spent,
    COUNT(*) as order_count
FROM orders
WHERE created_at >= '2024-01-01'
GROUP BY customer_id
"""
ORDERS = (
    "CREATE TABLE orders (customer_id INTEGER, amount NUMERIC(10, 2), created_at DATE)",
    (
        "INSERT INTO orders VALUES (1, 10.50, '2024-01-01'), (1, 4.50, '2024-03-01'), (2, 7.25, '2024-02-01'), "
        "(2, 99.00, '2023-12-31'), (3, 1.00, '2023-01-01')"
    ),
)


def run(project: Path) -> RunReader:
    pipeline = Pipeline.get("my_pipeline", project)
    pipeline.execute_sync()
    [reader] = list_runs(pipeline.project, limit=1)
    return reader


@pytest.fixture(params=["duckdb", "sqlite", "postgres", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The word of a database, and its settings."""
    files: Mapping[str, object] = {
        "DUCKDB_DATABASE": str(tmp_path / "shop.duckdb"),
        "SQLITE_DATABASE": str(tmp_path / "shop.sqlite"),
    }
    with ExitStack() as stack:
        if request.param == "postgres":
            yield "postgres", stack.enter_context(fresh_postgres())
        elif request.param == "mysql":
            yield "mysql", stack.enter_context(fresh_mariadb())
        else:
            yield str(request.param), files


def profile(settings: Mapping[str, object]) -> dict[str, str]:
    return {"io_config.yaml": json.dumps({"version": "0.1.1", "default": settings})}


def check_dynamic_sql(reader: RunReader) -> None:
    children = {
        f"{block}{each.block_run_uuid.removeprefix(block)}": reader.output(each.block_run_uuid)
        for block in ("dynamic_sql_loader", "transformer")
        for each in reader.block_runs(block, "completed")
    }
    assert list(children) == [
        *("dynamic_sql_loader:0", "dynamic_sql_loader:1"),
        *("transformer:0:0", "transformer:0:1", "transformer:1:0", "transformer:1:1"),
    ]
    got = {name: cast("pd.Series", row)["uuid"] for name, row in children.items() if name.startswith("transformer")}
    assert got == {"transformer:0:0": 1, "transformer:0:1": 2, "transformer:1:0": 2, "transformer:1:1": 2}


def test_a_dynamic_sql_block_unfolds_by_its_rows_for_each_item(tmp_path: Path) -> None:
    check_dynamic_sql(run(write_project(tmp_path, DYNAMIC_SQL % "", DYNAMIC_SQL_FILES)))


def test_a_dynamic_sql_block_unfolds_the_same_on_every_database(
    tmp_path: Path, database: tuple[str, Mapping[str, object]]
) -> None:
    provider, settings = database
    blocks = DYNAMIC_SQL % f", data_provider: {provider}"
    check_dynamic_sql(run(write_project(tmp_path, blocks, {**DYNAMIC_SQL_FILES, **profile(settings)})))


def test_the_loader_of_the_core_concepts_groups_on_every_database(
    tmp_path: Path, database: tuple[str, Mapping[str, object]]
) -> None:
    provider, settings = database
    blocks = f"""
        - uuid: load_orders
          type: data_loader
          language: sql
          configuration: {{data_provider: {provider}}}
          upstream_blocks: []
          downstream_blocks: []
        """
    project = write_project(tmp_path, blocks, {"data_loaders/load_orders.sql": LOADER, **profile(settings)})
    with session(find_provider(provider, "test"), ConfigFileLoader(project / "io_config.yaml")) as connection:
        for statement in ORDERS:
            connection.query(Statement.of(statement))
    frame = cast("pd.DataFrame", run(project).output("load_orders"))
    rows = sorted(frame.to_dict("records"), key=lambda row: row["customer_id"])
    assert rows == [
        {"customer_id": 1, "total_spent": 15.0, "order_count": 2},
        {"customer_id": 2, "total_spent": 7.25, "order_count": 1},
    ]
