"""The page of core concepts: decorators, variables, settings, tests, and ways to run. Numbers are the checklist's.

Functions are the page's own, with the imports that it leaves out.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from textwrap import dedent
from typing import cast

import pandas as pd
import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline
from mage_ai.data_preparation.variable_manager import set_global_variable
from refold.api.reading import RunReader, list_runs
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.errors import PipelineRunError
from refold.testing.documented_project import mage, write_project

CHAIN = """
    - {uuid: load_data, type: data_loader, upstream_blocks: [], downstream_blocks: [transform_data]}
    - {uuid: transform_data, type: transformer, upstream_blocks: [load_data], downstream_blocks: []}
    """
LOADER_WITH_VARIABLES = """
    @data_loader
    def load_data(*args, **kwargs):
        # Access global variables
        env = kwargs.get('env', 'dev')
        api_key = kwargs.get('api_key')

        url = f'https://api.{env}.example.com/data'
        return fetch_data(url, api_key)

    def fetch_data(url, api_key):
        return [url, api_key]
    """
RETURN_DATA = "@transformer\ndef transform(data, *args, **kwargs):\n    return data\n"
LOADER_WITH_TESTS = """
    import pandas as pd
    from pandas import DataFrame

    @data_loader
    def load_data(*args, **kwargs):
        frames = {
            'good': pd.DataFrame({'id': [1, 2], 'amount': [0, 5]}),
            'undefined': None,
            'empty': pd.DataFrame({'id': [], 'amount': []}),
            'negative': pd.DataFrame({'id': [1, 2], 'amount': [-1, 5]}),
            'duplicate': pd.DataFrame({'id': [1, 1], 'amount': [0, 5]}),
        }
        return frames[kwargs.get('frame', 'good')]

    if 'test' not in globals():
        from mage_ai.data_preparation.decorators import test

    @test
    def test_output(output: DataFrame, *args) -> None:
        \"""
        Validate block output
        \"""
        assert output is not None, 'Output is undefined'
        assert len(output) > 0, 'Output is empty'
        assert output['amount'].min() >= 0, 'Negative amounts found'
        assert not output['id'].duplicated().any(), 'Duplicate IDs found'
    """
CONDITIONAL = """
    - {uuid: load, type: data_loader, downstream_blocks: [should_process]}
    - {uuid: should_process, type: transformer, upstream_blocks: [load], downstream_blocks: [process]}
    - {uuid: process, type: data_exporter, upstream_blocks: [should_process], downstream_blocks: []}
    """


def latest(project: Path) -> RunReader:
    """The newest run."""
    [reader] = list_runs(Pipeline.get("my_pipeline", project).project, limit=1)
    return reader


def run(project: Path, **variables: str | int) -> RunReader:
    """The pipeline's run, one block at a time."""
    Pipeline.get("my_pipeline", project).execute_sync(global_vars=dict(variables), run_tests=True)
    return latest(project)


@pytest.fixture(scope="module")
def variables_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"data_loaders/load_data.py": LOADER_WITH_VARIABLES, "transformers/transform_data.py": RETURN_DATA}
    return write_project(tmp_path_factory.mktemp("running"), CHAIN, files)


@pytest.fixture(scope="module")
def tested_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"data_loaders/load_data.py": LOADER_WITH_TESTS, "transformers/transform_data.py": RETURN_DATA}
    return write_project(tmp_path_factory.mktemp("running"), CHAIN, files)


def test_a_sensor_that_says_true_lets_the_next_block_run(tmp_path: Path) -> None:
    """D:123 (109): one that says False is asked again."""
    project = write_project(
        tmp_path,
        """
        - {uuid: wait, type: sensor, configuration: {poll_interval: 0.01}, downstream_blocks: [load]}
        - {uuid: load, type: data_loader, upstream_blocks: [wait]}
        """,
        {
            "sensors/wait.py": """
                from pathlib import Path

                if 'sensor' not in globals():
                    from mage_ai.data_preparation.decorators import sensor

                @sensor
                def check_condition(*args, **kwargs) -> bool:
                    ready = Path(kwargs['repo_path'], 'ready')
                    print('ready' if ready.exists() else 'not yet')
                    if not ready.exists():
                        ready.touch()
                        return False
                    return True
                """,
            "data_loaders/load.py": "@data_loader\ndef load(*args, **kwargs):\n    print('loading')\n",
        },
    )
    assert [line.text for line in run(project).logs()] == ["not yet", "ready", "loading"]


def test_a_callback_runs_after_its_block(tmp_path: Path) -> None:
    """D:124-125 (110, 111): a custom block returns anything; what the callback returns changes nothing."""
    project = write_project(
        tmp_path,
        """
        - {uuid: work, type: custom}
        callbacks:
        - {uuid: tell, type: callback, upstream_blocks: [work]}
        """,
        {
            "custom/work.py": "@custom\ndef work(*args, **kwargs):\n    print('working')\n    return {'any': (1, 2)}\n",
            "callbacks/tell.py": """
                if 'callback' not in globals():
                    from mage_ai.data_preparation.decorators import callback

                @callback('success')
                def done(parent_block_data, **kwargs) -> None:
                    print(kwargs['parent_block_uuid'], parent_block_data)

                @callback('failure')
                def failed(parent_block_data, **kwargs) -> None:
                    print('never')
                """,
        },
    )
    reader = run(project)
    assert [line.text for line in reader.logs()] == ["working", "work {'any': (1, 2)}"]
    assert reader.output("work") == {"any": (1, 2)}


def test_variables_come_from_the_command_line(variables_project: Path) -> None:
    """D:205-214 (121, 122)."""
    variables = '{"env": "prod", "api_key": "xxx"}'
    done = mage("run", "my_project", "my_pipeline", "--runtime-vars", variables, cwd=variables_project.parent)
    assert done.returncode == 0, done.stderr
    assert latest(variables_project).output("load_data") == ["https://api.prod.example.com/data", "xxx"]


def test_without_variables_the_environment_is_dev(variables_project: Path) -> None:
    """D:205-212 (121)."""
    assert run(variables_project).output("load_data") == ["https://api.dev.example.com/data", None]


def test_variables_set_in_the_pipeline_hold_until_a_run_gives_others(variables_project: Path) -> None:
    """D:205-214 (121, 122): what the UI would set is `variables:` of metadata.yaml."""
    set_global_variable("my_pipeline", "api_key", "kept", repo_path=variables_project)
    assert run(variables_project).output("load_data") == ["https://api.dev.example.com/data", "kept"]
    assert run(variables_project, api_key="given").output("load_data") == [
        "https://api.dev.example.com/data",
        "given",
    ]


def test_a_block_reads_its_settings_from_io_config(tmp_path: Path) -> None:
    """D:218-234 (123, 124)."""
    project = write_project(
        tmp_path,
        "- {uuid: load_data, type: data_loader}\n",
        {
            "io_config.yaml": """
                default:
                  POSTGRES_HOST: localhost
                  POSTGRES_PORT: 5432
                  POSTGRES_USER: mage
                  POSTGRES_PASSWORD: password
                  POSTGRES_DB: analytics
                """,
            "data_loaders/load_data.py": """
                from mage_ai.settings.repo import get_repo_path
                from mage_ai.io.config import ConfigFileLoader
                from os import path

                config_path = path.join(get_repo_path(), 'io_config.yaml')
                config = ConfigFileLoader(config_path, 'default')

                host = config['POSTGRES_HOST']

                @data_loader
                def load_data(*args, **kwargs):
                    return [host, *(config[f'POSTGRES_{key}'] for key in ('PORT', 'USER', 'PASSWORD', 'DB'))]
                """,
        },
    )
    assert run(project).output("load_data") == ["localhost", 5432, "mage", "password", "analytics"]


def test_tests_run_with_the_pipeline_and_are_told(tested_project: Path) -> None:
    """D:239-252 (125, 126)."""
    done = mage("run", "my_project", "my_pipeline", "--test", cwd=tested_project.parent)
    assert done.returncode == 0, done.stderr
    assert "tests of load_data: 1/1 passed" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("undefined", "Output is undefined"),
        ("empty", "Output is empty"),
        ("negative", "Negative amounts found"),
        ("duplicate", "Duplicate IDs found"),
    ],
)
def test_an_assertion_fails_the_block_with_its_message(frame: str, message: str, tested_project: Path) -> None:
    """D:122, D:239-250 (108, 125): and what follows does not run."""
    with pytest.raises(PipelineRunError, match=f"load_data: TestFailedError: test_output: {message}"):
        run(tested_project, frame=frame)
    statuses = {view.block_uuid: view.status for view in latest(tested_project).block_runs()}
    assert statuses == {"load_data": "failed", "transform_data": "upstream_failed"}


def test_sequential_execution_runs_tests_when_told_so(tested_project: Path) -> None:
    """D:258-262 (127): `execute_sync(global_vars, run_tests)`; one block after the other, in dependency order."""
    pipeline = Pipeline.get("my_pipeline", tested_project)
    record = pipeline.execute_sync(global_vars={"env": "prod", "frame": "negative"}, run_tests=False)
    assert record.status == "completed"
    with pytest.raises(PipelineRunError):
        pipeline.execute_sync(global_vars={"env": "prod", "frame": "negative"}, run_tests=True)
    views = [*list_runs(pipeline.project, limit=2)][1].block_runs()
    ends = [(view.started_at or 0.0, view.completed_at or 0.0) for view in views]
    assert ends[0][1] <= ends[1][0]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one worker a core, and there is one core")
def test_independent_blocks_run_in_parallel(tmp_path: Path) -> None:
    """D:266-271 (128): two loaders that each wait for the other's word; one after the other neither would get it."""
    meet = """
        import os
        from select import select

        @data_loader
        def load_data(*args, **kwargs):
            own, other = (os.open(f"{{kwargs['repo_path']}}/{{name}}", os.O_RDWR) for name in {names})
            os.write(other, b'here')
            assert select([own], [], [], 20)[0], 'the other one is not there'
            return kwargs['env']
        """
    project = write_project(
        tmp_path,
        """
        - {uuid: one, type: data_loader}
        - {uuid: other, type: data_loader}
        """,
        {
            "data_loaders/one.py": meet.format(names=("pipe_1", "pipe_2")),
            "data_loaders/other.py": meet.format(names=("pipe_2", "pipe_1")),
        },
    )
    os.mkfifo(project / "pipe_1")
    os.mkfifo(project / "pipe_2")
    pipeline = Pipeline.get("my_pipeline", project)

    async def cell() -> None:
        await pipeline.execute(global_vars={"env": "prod"}, parallel=True, run_tests=True)

    asyncio.run(cell())
    reader = latest(project)
    assert (reader.output("one"), reader.output("other")) == ("prod", "prod")


def test_one_block_runs_alone_on_what_is_there(variables_project: Path) -> None:
    """D:276 (129)."""
    Pipeline.get("my_pipeline", variables_project).execute_sync({"env": "test", "api_key": "alone"})
    done = mage(
        *("run", "my_project", "my_pipeline", "--block-uuid", "transform_data", "--json"), cwd=variables_project.parent
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == ["https://api.test.example.com/data", "alone"]
    assert [view.block_uuid for view in latest(variables_project).block_runs()] == ["transform_data"]


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES])
def test_a_flat_list_unfolds_into_a_run_an_item(kind: ExecutorKind, tmp_path: Path) -> None:
    """D:283-297 (130, 131): the child takes no `**kwargs`, and its frame is its own."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load_data, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [process_partition]}
        - {uuid: process_partition, type: transformer, upstream_blocks: [load_data]}
        """,
        {
            "data_loaders/load_data.py": """
                @data_loader
                def load_data(*args, **kwargs):
                    # Return list of items to process
                    return [
                        {'date': '2024-01-01', 'region': 'US'},
                        {'date': '2024-01-02', 'region': 'EU'},
                        {'date': '2024-01-03', 'region': 'ASIA'},
                    ]
                """,
            "transformers/process_partition.py": """
                from pandas import DataFrame

                def fetch_and_process(date, region):
                    return DataFrame({'date': [date], 'region': [region]})

                @transformer
                def process_partition(data: dict, *args) -> DataFrame:
                    # This block runs once per item
                    date = data['date']
                    region = data['region']
                    return fetch_and_process(date, region)
                """,
        },
    )
    pipeline = Pipeline.get("my_pipeline", project)
    run_pipeline(pipeline, RunOptions(executor=kind, workers=2))
    reader = latest(project)
    frames = [cast(pd.DataFrame, reader.output(view.block_run_uuid)) for view in reader.block_runs("process_partition")]
    assert [frame.to_dict("records") for frame in frames] == [
        [{"date": "2024-01-01", "region": "US"}],
        [{"date": "2024-01-02", "region": "EU"}],
        [{"date": "2024-01-03", "region": "ASIA"}],
    ]


@pytest.mark.parametrize(("rows", "status"), [(1001, "completed"), (1000, "condition_failed")])
@pytest.mark.parametrize("test", ["len(df) > 1000", "df['id'].max() >= 1000"], ids=["a bool", "numpy's bool"])
def test_a_transformer_that_says_no_stops_what_follows(rows: int, status: str, test: str, tmp_path: Path) -> None:
    """D:302-305 (132): the run completes either way."""
    project = write_project(
        tmp_path,
        CONDITIONAL,
        {
            "data_loaders/load.py": """
                import pandas as pd

                @data_loader
                def load_data(*args, **kwargs):
                    return pd.DataFrame({'id': range(kwargs['rows'])})
                """,
            "transformers/should_process.py": dedent(f"""
                from pandas import DataFrame

                @transformer
                def should_process(df: DataFrame, *args) -> bool:
                    # Return True to execute downstream blocks
                    return {test}
                """),
            "data_exporters/process.py": "@data_exporter\ndef export(*args):\n    return 'processed'\n",
        },
    )
    reader = run(project, rows=rows)
    assert reader.status == "completed"
    assert {view.block_uuid: view.status for view in reader.block_runs()} == {
        "load": "completed",
        "should_process": "completed",
        "process": status,
    }
