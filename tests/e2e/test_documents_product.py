"""The product page, as far as it promises what a run does. Numbers are the checklist's."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.api.running import RunOptions, run_pipeline
from refold.api.wiring import ExecutorKind
from refold.errors import PipelineRunError
from refold.testing.documented_project import write_project

RECEIVED = "@transformer\ndef transform(*args):\n    return {'received': args}\n"


def run(project: Path) -> RunReader:
    """The pipeline's run, executed as the documents' Python code does; it may fail."""
    pipeline = Pipeline.get("my_pipeline", project)
    with suppress(PipelineRunError):
        pipeline.execute_sync()
    [reader] = list_runs(pipeline.project, limit=1)
    return reader


def outputs(reader: RunReader, block: str) -> dict[str, object]:
    """What each completed run of the block received, by its uuid."""
    found = {view.block_run_uuid: reader.output(view.block_run_uuid) for view in reader.block_runs(block, "completed")}
    return {uuid: value["received"] for uuid, value in found.items() if isinstance(value, dict)}


def test_a_static_parent_gives_its_value_to_each_child(tmp_path: Path) -> None:
    """C:75 (77): static and dynamic parents of one block."""
    project = write_project(
        tmp_path,
        """
        - {uuid: rates, type: data_loader, downstream_blocks: [price]}
        - {uuid: items, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [price]}
        - {uuid: price, type: transformer, upstream_blocks: [rates, items]}
        """,
        {
            "data_loaders/rates.py": "@data_loader\ndef load():\n    return {'EUR': 2}\n",
            "data_loaders/items.py": "@data_loader\ndef load():\n    return [10, 20]\n",
            "transformers/price.py": RECEIVED,
        },
    )
    assert outputs(run(project), "price") == {"price:0": ({"EUR": 2}, 10), "price:1": ({"EUR": 2}, 20)}


def test_several_parents_give_every_combination_a_name_of_its_own(tmp_path: Path) -> None:
    """C:75 (78, 79): 2 x 2 runs, though names put side by side could be mistaken for one another."""
    named = "@data_loader\ndef load():\n    return [{0}, [{{'block_uuid': name}} for name in {1}]]\n"
    project = write_project(
        tmp_path,
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [sell]}
        - {uuid: days, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [sell]}
        - {uuid: sell, type: transformer, upstream_blocks: [shops, days]}
        """,
        {
            "data_loaders/shops.py": named.format([1, 2], ["a", "a:b"]),
            "data_loaders/days.py": named.format([10, 20], ["b:c", "c"]),
            "transformers/sell.py": RECEIVED,
        },
    )
    assert outputs(run(project), "sell") == {
        "sell:a:b%3Ac": (1, 10),
        "sell:a:c": (1, 20),
        "sell:a%3Ab:b%3Ac": (2, 10),
        "sell:a%3Ab:c": (2, 20),
    }


def test_a_block_joins_parents_of_different_depth(tmp_path: Path) -> None:
    """C:75 (79): a grandparent's item beside a child's; the join of the guide's A, B, C and D."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [double, both]}
        - {uuid: double, type: transformer, upstream_blocks: [load], downstream_blocks: [both]}
        - {uuid: both, type: transformer, upstream_blocks: [load, double]}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 2]\n",
            "transformers/double.py": "@transformer\ndef double(item):\n    return item * 2\n",
            "transformers/both.py": RECEIVED,
        },
    )
    assert outputs(run(project), "both") == {
        "both:0:0": (1, 2),
        "both:0:1": (1, 4),
        "both:1:0": (2, 2),
        "both:1:1": (2, 4),
    }


def test_a_slow_sibling_holds_nobody_back(tmp_path: Path) -> None:
    """C:73, C:77 (76, 80): the first child ends only when a descendant of the last one has run."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [work]}
        - {uuid: work, type: transformer, timeout: 20, upstream_blocks: [load], downstream_blocks: [after]}
        - {uuid: after, type: transformer, timeout: 20, upstream_blocks: [work]}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [0, 1, 2, 3]\n",
            "transformers/work.py": """
                @transformer
                def work(item, **kwargs):
                    if item == 0:
                        with open(f"{kwargs['repo_path']}/pipe") as pipe:
                            assert pipe.read() == 'after 3'
                    return item
                """,
            "transformers/after.py": """
                @transformer
                def after(item, **kwargs):
                    if item == 3:
                        with open(f"{kwargs['repo_path']}/pipe", 'w') as pipe:
                            pipe.write('after 3')
                    return item
                """,
        },
    )
    os.mkfifo(project / "pipe")
    pipeline = Pipeline.get("my_pipeline", project)
    run_pipeline(pipeline, RunOptions(executor=ExecutorKind.PROCESSES, workers=2))
    [reader] = list_runs(pipeline.project)
    assert (reader.status, reader.failures()) == ("completed", [])


def test_a_failure_stays_in_its_branch(tmp_path: Path) -> None:
    """C:77 (81): a failing item costs what follows it; its siblings and other branches complete."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [work, other]}
        - {uuid: work, type: transformer, upstream_blocks: [load], downstream_blocks: [after]}
        - {uuid: after, type: transformer, upstream_blocks: [work]}
        - {uuid: other, type: transformer, upstream_blocks: [load]}
        - {uuid: apart, type: data_loader}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 0, 2]\n",
            "data_loaders/apart.py": "@data_loader\ndef load():\n    return 'apart'\n",
            "transformers/work.py": "@transformer\ndef work(item):\n    return 2 / item\n",
            "transformers/after.py": RECEIVED,
            "transformers/other.py": RECEIVED,
        },
    )
    reader = run(project)
    assert reader.status == "failed"
    assert {view.block_run_uuid: view.status for view in reader.block_runs() if view.status != "completed"} == {
        "work:1": "failed",
        "after:1": "upstream_failed",
    }
    assert outputs(reader, "after") == {"after:0": (2.0,), "after:2": (1.0,)}
    assert len(outputs(reader, "other")) == 3


@pytest.mark.parametrize(
    ("block", "origins"),
    [("work:two", [("load", 1)]), ("fold", [("work:one", 0), ("work:two", 0), ("work:two", 1)])],
)
def test_every_value_is_traced_to_the_run_that_made_it(
    block: str, origins: list[tuple[str, int]], tmp_path: Path
) -> None:
    """C:71, C:81 (75, 85): an item, and a reduced list element by element, each with its place in the output."""
    project = write_project(
        tmp_path,
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [work]}
        - uuid: work
          type: transformer
          configuration: {reduce_output: true}
          upstream_blocks: [load]
          downstream_blocks: [fold]
        - {uuid: fold, type: data_exporter, upstream_blocks: [work]}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load():
                    yield 1, {'block_uuid': 'one'}
                    yield 2, {'block_uuid': 'two'}
                """,
            "transformers/work.py": "@transformer\ndef work(item):\n    return list(range(item))\n",
            "data_exporters/fold.py": "@data_exporter\ndef fold(numbers):\n    return numbers\n",
        },
    )
    reader = run(project)
    traced = [(entry.block_run_uuid, entry.element) for entry in reader.trace(block)]
    assert traced == origins
