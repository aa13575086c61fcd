"""Pipelines run from Python: in scripts, notebooks, threads and event loops."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import list_runs
from refold.api.running import RunOptions
from refold.errors import PipelineRunError
from refold.model.pipeline_metadata import PipelineType
from refold.ports.run_store import RunStatus

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]

SENSOR = {
    "sensors/never.py": "@sensor\ndef never():\n    raise RuntimeError('was asked')\n",
    "data_loaders/load.py": "@data_loader\ndef load(seen):\n    return {'sensor': seen}\n",
}
SENSOR_BLOCKS = """
    - {uuid: never, type: sensor}
    - {uuid: load, type: data_loader, upstream_blocks: [never]}
    """


class Gate(ModuleType):
    """What a block and a test in the same process wait for each other with."""

    def __init__(self) -> None:
        super().__init__("refold_test_gate")
        self.reached = threading.Event()
        self.open = threading.Event()


@pytest.fixture
def gate() -> Iterator[Gate]:
    module = Gate()
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_a_pipeline_with_dynamic_blocks_runs_in_this_process(users: Pipeline) -> None:
    record = users.execute_sync(global_vars={"bad": 0})
    assert record.status is RunStatus.COMPLETED
    assert record.variables == {"bad": 0}
    [reader] = list_runs(users.project)
    assert reader.output("save") == {"sum": 12}


def test_a_failed_run_raises_with_failures_by_kind(users: Pipeline) -> None:
    with pytest.raises(PipelineRunError) as caught:
        users.execute_sync({"bad": 2})
    [reader] = list_runs(users.project)
    assert caught.value.message == "the pipeline `daily` failed\n  double:for_user_2: ValueError: user 2 is bad"
    assert f"refold retry {reader.record.id}" in str(caught.value)


def test_many_failures_of_a_kind_are_named_by_the_first_few(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: work, type: transformer, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return list(range(30))\n",
            "transformers/work.py": "@transformer\ndef work(item):\n    raise ValueError(f'bad {item}')\n",
        },
    )
    with pytest.raises(PipelineRunError, match=r"work:0, work:1, work:2, work:3, work:4 and 25 more: ValueError"):
        pipeline.execute_sync()


def test_sensors_are_not_asked_when_told_so(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(SENSOR_BLOCKS, SENSOR)
    record = pipeline.execute_sync(run_sensors=False)
    [reader] = list_runs(pipeline.project)
    assert reader.output("load") == {"sensor": True}
    assert RunOptions.of(record).run_sensors is False
    with pytest.raises(PipelineRunError, match="was asked"):
        pipeline.execute_sync()


def test_tests_are_skipped_when_told_so(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader}",
        {"data_loaders/load.py": "@data_loader\ndef load():\n    return 1\n@test\ndef never(n):\n    assert n > 1\n"},
    )
    assert pipeline.execute_sync(run_tests=False).status is RunStatus.COMPLETED
    with pytest.raises(PipelineRunError, match="TestFailedError: never"):
        pipeline.execute_sync()


def test_an_async_block_runs_from_inside_an_event_loop_as_in_a_notebook(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader}",
        {"data_loaders/load.py": "@data_loader\nasync def load():\n    return 7\n"},
    )

    async def cell() -> None:
        pipeline.execute_sync()

    asyncio.run(cell())
    [reader] = list_runs(pipeline.project)
    assert reader.output("load") == 7


def test_execute_leaves_the_event_loop_free(make_pipeline: MakePipeline, gate: Gate) -> None:
    pipeline = make_pipeline("- {uuid: load, type: data_loader}", _waiting_block())

    async def main() -> RunStatus:
        running = asyncio.create_task(pipeline.execute(parallel=False))
        await asyncio.to_thread(gate.reached.wait)
        gate.open.set()  # the loop can do this while the block waits for it
        return (await running).status

    assert asyncio.run(main()) is RunStatus.COMPLETED


def test_cancelling_the_task_cancels_the_run(make_pipeline: MakePipeline, gate: Gate) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader}
        - {uuid: after, type: transformer, upstream_blocks: [load]}
        """,
        {**_waiting_block(), "transformers/after.py": "@transformer\ndef after(value):\n    return value\n"},
    )

    async def main() -> None:
        running = asyncio.create_task(pipeline.execute(parallel=False))
        await asyncio.to_thread(gate.reached.wait)
        running.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    [reader] = list_runs(pipeline.project)
    assert reader.status == "cancelled"
    assert [view.status for view in reader.block_runs("after")] == ["cancelled"]


def _waiting_block() -> Mapping[str, str]:
    text = """
        import refold_test_gate
        @data_loader
        def load():
            refold_test_gate.reached.set()
            refold_test_gate.open.wait()
        """
    return {"data_loaders/load.py": text}


def test_execute_runs_in_worker_processes(users: Pipeline) -> None:
    assert asyncio.run(users.execute()).status is RunStatus.COMPLETED


def test_a_misspelt_argument_is_warned_of(users: Pipeline) -> None:
    with pytest.warns(UserWarning, match="`global_var` has no effect"):
        users.execute_sync(global_var={"bad": 2})
    users.execute_sync(update_status=False, build_block_output_stdout=None)


def test_mages_import_path_gives_the_pipeline_that_runs(users: Pipeline) -> None:
    from mage_ai.data_preparation.models import pipeline as facade

    assert facade.PipelineType is PipelineType
    record = facade.Pipeline.get("daily", users.project.path).execute_sync()
    assert record.status is RunStatus.COMPLETED


def test_runs_in_several_threads_keep_their_prints_apart(make_pipeline: MakePipeline) -> None:
    gate = threading.Barrier(2)
    module = ModuleType("refold_test_barrier")
    module.__dict__["gate"] = gate
    sys.modules[module.__name__] = module
    pipeline = make_pipeline(
        "- {uuid: talk, type: data_loader}",
        {
            "data_loaders/talk.py": """
                from refold_test_barrier import gate

                @data_loader
                def talk(*args, name, **kwargs):
                    gate.wait(30)
                    print(f"this is {name}")
                    gate.wait(30)
                """
        },
    )
    streams = sys.stdout, sys.stderr
    threads = [threading.Thread(target=pipeline.execute_sync, args=({"name": name},)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del sys.modules[module.__name__]
    assert (sys.stdout, sys.stderr) == streams
    for reader in list_runs(pipeline.project):
        assert [line.text for line in reader.logs()] == [f"this is {reader.record.variables['name']}"]
