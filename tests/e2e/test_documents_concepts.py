"""The page of core concepts: pipelines, their folders, blocks, and what passes between them.

Numbers are the checklist's. Functions are the page's own, with the imports that it leaves out; a module of the project
stands in for the network.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline, PipelineType
from mage_ai.data_preparation.variable_manager import get_variable
from refold.api.reading import RunReader, list_runs
from refold.api.single_block import run_block
from refold.errors import PipelineError, PipelineRunError
from refold.testing.documented_project import mage, write_project

METADATA = """
blocks:
- uuid: load_data
  type: data_loader
  upstream_blocks: []
  downstream_blocks: [transform_data]
- uuid: transform_data
  type: transformer
  upstream_blocks: [load_data]
  downstream_blocks: [export_data]
- uuid: export_data
  type: data_exporter
  upstream_blocks: [transform_data]
  downstream_blocks: []
created_at: '2026-03-04 12:00:00.000000+00:00'
name: my_pipeline
type: python
uuid: my_pipeline
"""
TWO_LOADERS = """
    - {uuid: customers, type: data_loader, downstream_blocks: [join]}
    - {uuid: orders, type: data_loader, downstream_blocks: [join]}
    - {uuid: join, type: transformer, upstream_blocks: [customers, orders]}
    """
JOIN = """
    from pandas import DataFrame

    if 'transformer' not in globals():
        from mage_ai.data_preparation.decorators import transformer

    @transformer
    def join_data(
        customers: DataFrame,  # From first upstream block
        orders: DataFrame,     # From second upstream block
        *args, **kwargs
    ) -> DataFrame:
        return customers.merge(
            orders,
            left_on='customer_id',
            right_on='id',
            how='left'
        )
    """


def run(project: Path) -> RunReader:
    """The pipeline's run, executed as the documents' Python code does."""
    pipeline = Pipeline.get("my_pipeline", project)
    pipeline.execute_sync()
    [reader] = list_runs(pipeline.project, limit=1)
    return reader


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mage init my_project`, then `Pipeline.create` with the page's arguments."""
    folder = tmp_path_factory.mktemp("created")
    done = mage("init", "my_project", cwd=folder)
    assert done.returncode == 0, done.stderr
    pipeline = Pipeline.create(
        "my_pipeline",
        repo_path=str(folder / "my_project"),
        pipeline_type=PipelineType.PYTHON,
        description="My data pipeline",
        tags=["etl", "production"],
    )
    assert (pipeline.uuid, pipeline.type) == ("my_pipeline", PipelineType.PYTHON)
    return folder / "my_project"


def test_a_created_pipeline_is_read_with_all_that_was_said(created: Path) -> None:
    """D:31-43 (94-96)."""
    pipeline = Pipeline.get("my_pipeline", created)
    assert (pipeline.description, [*pipeline.tags]) == ("My data pipeline", ["etl", "production"])


def test_a_created_pipeline_has_the_files_of_the_tree(created: Path) -> None:
    """D:48-54 (97)."""
    folder = created / "pipelines" / "my_pipeline"
    assert sorted(file.name for file in folder.iterdir()) == ["__init__.py", "metadata.yaml", "requirements.txt"]
    assert (created / "io_config.yaml").is_file()


def test_a_created_pipeline_has_the_keys_and_the_time_of_the_page(created: Path) -> None:
    """D:56-72 (99, 100)."""
    text = (created / "pipelines" / "my_pipeline" / "metadata.yaml").read_text()
    assert re.search(r"^created_at: '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00'$", text, re.MULTILINE)
    assert {"blocks", "created_at", "name", "type", "uuid"} <= set(re.findall(r"^(\w+):", text, re.MULTILINE))


def test_a_missing_package_is_looked_up_in_the_pipelines_requirements(tmp_path: Path) -> None:
    """D:53 (98): `requirements.txt` beside the pipeline holds what its blocks need."""
    loader = "import frobnicate_rows\n\n@data_loader\ndef load_data(*args, **kwargs):\n    return 1\n"
    project = write_project(
        tmp_path,
        "- {uuid: load_data, type: data_loader}\n",
        {"data_loaders/load_data.py": loader, "pipelines/my_pipeline/requirements.txt": "frobnicate-rows\n"},
    )
    done = mage("run", "my_project", "my_pipeline", "--block-uuid", "load_data", cwd=project.parent)
    assert done.returncode == 1
    listing = project / "pipelines" / "my_pipeline" / "requirements.txt"
    assert f"{listing} lists it: run `refold install {project}`" in done.stderr


def test_the_minimal_metadata_of_the_page_loads_and_runs(tmp_path: Path) -> None:
    """D:56-97, D:104-113 (99, 102, 104): no name, no language; a guarded import; the page's load from an API."""
    project = write_project(
        tmp_path,
        "[]\n",
        {
            "pipelines/my_pipeline/metadata.yaml": METADATA,
            "requests.py": """
                class Response:
                    def json(self):
                        return [{'id': 1, 'url': self.url}, {'id': 2, 'url': self.url}]

                def get(url):
                    response = Response()
                    response.url = url
                    return response
                """,
            "data_loaders/load_data.py": """
                import pandas as pd
                import requests

                if 'data_loader' not in globals():
                    from mage_ai.data_preparation.decorators import data_loader

                @data_loader
                def load_data(*args, **kwargs):
                    \"""
                    Load data from an API endpoint
                    \"""
                    url = 'https://api.example.com/data'
                    response = requests.get(url)
                    return pd.DataFrame(response.json())
                """,
            "transformers/transform_data.py": """
                from mage_ai.data_preparation.decorators import transformer

                @transformer
                def transform(df, *args, **kwargs):
                    return df[df['id'] > 1]
                """,
            "data_exporters/export_data.py": """
                @data_exporter
                def export_data(df, *args, **kwargs):
                    df.to_csv(kwargs['repo_path'] + '/exported.csv', index=False)
                """,
        },
    )
    done = mage("run", "my_project", "my_pipeline", cwd=project.parent)
    assert done.returncode == 0, done.stderr
    assert (project / "exported.csv").read_text() == "id,url\n2,https://api.example.com/data\n"


def test_the_loader_without_its_import_fails_with_the_name_and_the_line(tmp_path: Path) -> None:
    """D:87-97 (102): the page uses `requests` without importing it; whoever copies it is told so."""
    loader = "@data_loader\ndef load_data(*args, **kwargs):\n    return requests.get('https://api.example.com/data')\n"
    project = write_project(tmp_path, "- {uuid: load_data, type: data_loader}\n", {"data_loaders/load_data.py": loader})
    with pytest.raises(PipelineRunError, match="load_data: NameError: name 'requests' is not defined"):
        run(project)


def test_a_pipeline_that_is_no_dag_is_refused(tmp_path: Path) -> None:
    """D:6 (89)."""
    project = write_project(
        tmp_path,
        """
        - {uuid: one, type: transformer, upstream_blocks: [two]}
        - {uuid: two, type: transformer, upstream_blocks: [one]}
        """,
        {},
    )
    with pytest.raises(PipelineError, match=r"one -> two -> one|two -> one -> two"):
        run(project)


def test_blocks_run_in_topological_order_whatever_the_file_says(tmp_path: Path) -> None:
    """D:6, D:119-121, D:151-163 (89, 107, 113, 114): inputs are received, code runs, data goes on."""
    note = "\n@{0}\ndef work(*args, **kwargs):\n    print('{1}', *args)\n    return '{1}'\n"
    project = write_project(
        tmp_path,
        """
        - {uuid: export, type: data_exporter, upstream_blocks: [left, right], downstream_blocks: []}
        - {uuid: right, type: transformer, upstream_blocks: [load], downstream_blocks: [export]}
        - {uuid: load, type: data_loader, upstream_blocks: [], downstream_blocks: [left, right]}
        - {uuid: left, type: transformer, upstream_blocks: [load], downstream_blocks: [export]}
        """,
        {
            "data_loaders/load.py": note.format("data_loader", "load"),
            "transformers/left.py": note.format("transformer", "left"),
            "transformers/right.py": note.format("transformer", "right"),
            "data_exporters/export.py": "@data_exporter\ndef work(left, right):\n    print('export', left, right)\n",
        },
    )
    reader = run(project)
    lines = [line.text for line in reader.logs()]
    assert (lines[0], sorted(lines[1:3]), lines[3]) == ("load", ["left load", "right load"], "export left right")
    assert reader.output("export") is None


def test_two_upstreams_arrive_in_order(tmp_path: Path) -> None:
    """D:136-150 (112): the page's join."""
    project = write_project(
        tmp_path,
        TWO_LOADERS,
        {
            "data_loaders/customers.py": """
                import pandas as pd

                @data_loader
                def load_data(*args, **kwargs):
                    return pd.DataFrame({'customer_id': [1, 2], 'name': ['Ann', 'Bob']})
                """,
            "data_loaders/orders.py": """
                import pandas as pd

                @data_loader
                def load_data(*args, **kwargs):
                    return pd.DataFrame({'id': [2, 3], 'amount': [20, 30]})
                """,
            "transformers/join.py": JOIN,
        },
    )
    joined = cast(pd.DataFrame, run(project).output("join"))
    assert joined[["customer_id", "name"]].to_dict("list") == {"customer_id": [1, 2], "name": ["Ann", "Bob"]}
    assert joined["amount"].fillna(0).tolist() == [0, 20]


def test_a_tuple_arrives_as_separate_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D:180-198 (118-120): two frames from two CSV files; the consumer takes `*args`, no `**kwargs`."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load_data, type: data_loader, downstream_blocks: [transform]}
        - {uuid: transform, type: transformer, upstream_blocks: [load_data]}
        """,
        {
            "customers.csv": "customer_id,name\n1,Ann\n2,Bob\n",
            "orders.csv": "customer_id,amount\n2,20\n",
            "data_loaders/load_data.py": """
                import pandas as pd

                @data_loader
                def load_data(*args, **kwargs):
                    customers = pd.read_csv('customers.csv')
                    orders = pd.read_csv('orders.csv')

                    # Return tuple for multiple outputs
                    return customers, orders
                """,
            "transformers/transform.py": """
                from pandas import DataFrame

                @transformer
                def transform(customers: DataFrame, orders: DataFrame, *args) -> DataFrame:
                    return customers.merge(orders, on='customer_id')
                """,
        },
    )
    monkeypatch.chdir(project)
    joined = cast(pd.DataFrame, run(project).output("transform"))
    assert joined.to_dict("list") == {"customer_id": [2], "name": ["Bob"], "amount": [20]}
    folder = project / ".mage_data" / "my_pipeline" / "load_data"
    assert sorted(file.name for file in folder.iterdir()) == ["output_0.parquet", "output_1.parquet"]
    assert pd.read_parquet(folder / "output_1.parquet").to_dict("list") == {"customer_id": [2], "amount": [20]}


RETURNED = ["{'a': [1, None]}", "[1, 'two', {'three': 3.0}]", "3", "None", "{1, 2}", "complex(1, 2)", "b'bytes'"]


@pytest.mark.parametrize("returned", RETURNED)
def test_loaders_and_transformers_return_anything_that_can_be_stored(returned: str, tmp_path: Path) -> None:
    """D:119-121 (105-107): what is returned arrives; an exporter may return it or nothing."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load, type: data_loader, downstream_blocks: [transform]}
        - {uuid: transform, type: transformer, upstream_blocks: [load], downstream_blocks: [export]}
        - {uuid: export, type: data_exporter, upstream_blocks: [transform]}
        """,
        {
            "data_loaders/load.py": f"@data_loader\ndef load_data(*args, **kwargs):\n    return {returned}\n",
            "transformers/transform.py": "@transformer\ndef transform(data, *args, **kwargs):\n    return data\n",
            "data_exporters/export.py": "@data_exporter\ndef export_data(data, *args, **kwargs):\n    return data\n",
        },
    )
    assert run(project).output("export") == eval(returned)


def test_an_output_is_where_the_page_says_and_stays_between_runs(tmp_path: Path) -> None:
    """D:168-179 (115-117): saved by itself, read by any Parquet reader and by the next block that is run alone."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load_data, type: data_loader, downstream_blocks: [count]}
        - {uuid: count, type: custom, upstream_blocks: [load_data]}
        """,
        {
            "data_loaders/load_data.py": """
                import pandas as pd

                @data_loader
                def load_data(*args, **kwargs):
                    print('loading')
                    return pd.DataFrame({'id': [1, 2, 3]})
                """,
            "custom/count.py": """
                if 'custom' not in globals():
                    from mage_ai.data_preparation.decorators import custom

                @custom
                def count(df, *args, **kwargs):
                    return len(df)
                """,
        },
    )
    run(project)
    file = project / ".mage_data" / "my_pipeline" / "load_data" / "output_0.parquet"
    assert pd.read_parquet(file).to_dict("list") == {"id": [1, 2, 3]}
    assert cast(pd.DataFrame, get_variable("my_pipeline", "load_data", repo_path=project))["id"].sum() == 6
    alone = run_block(Pipeline.get("my_pipeline", project), "count")
    assert (alone.value, [line.text for line in alone.printed]) == (3, [])
    assert json.loads((project / ".mage_data" / "my_pipeline" / "count" / "output_0.json").read_text()) == 3
