"""The design page of dynamic blocks: shapes, names, inputs and reduced lists. Numbers are the checklist's."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.api.running import retry_run
from refold.errors import PipelineRunError
from refold.ports.run_store import RunStatus
from refold.testing.documented_project import write_project

LOAD_USERS = """
from typing import Dict, List


@data_loader
def load_data(*args, **kwargs) -> List[List[Dict]]:
    users = []
    metadata = []

    for i in range(3):
        i += 1
        users.append(dict(id=i, name=f'user_{i}'))
        metadata.append(dict(block_uuid=f'for_user_{i}'))

    return [
        users,
        metadata, # optional
    ]
"""
ANONYMIZE = """
from typing import Dict, List


@transformer
def transform(data: Dict, *args, **kwargs) -> List[Dict]:
    data['id'] = int(data['id']) * 100
    return [data]
"""
RECEIVED = "@transformer\ndef transform(data, *args, **kwargs):\n    return {'received': data, 'more': args}\n"
USERS = [{"id": number, "name": f"user_{number}"} for number in (1, 2, 3)]
ANONYMOUS = [{"id": number * 100, "name": f"user_{number}"} for number in (1, 2, 3)]
FAMILY = """
    - uuid: load_users
      type: data_loader
      configuration: {dynamic: true}
      upstream_blocks: []
      downstream_blocks: [anonymize_user_data]
    - uuid: anonymize_user_data
      type: transformer
      configuration: {reduce_output: %s}
      upstream_blocks: [load_users]
      downstream_blocks: [clean_column_names, compute_engagement_score]
    - uuid: clean_column_names
      type: transformer
      upstream_blocks: [anonymize_user_data]
      downstream_blocks: []
    - uuid: compute_engagement_score
      type: transformer
      upstream_blocks: [anonymize_user_data]
      downstream_blocks: []
    """
ITEMS_AND_CHILD = """
    - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [child]}
    - {uuid: child, type: transformer, upstream_blocks: [load]}
    """


def run(project: Path) -> RunReader:
    """The pipeline's run, executed as the documents' Python code does."""
    pipeline = Pipeline.get("my_pipeline", project)
    pipeline.execute_sync()
    [reader] = list_runs(pipeline.project, limit=1)
    return reader


def outputs(reader: RunReader, block: str) -> dict[str, object]:
    """What each run of the block returned, by its uuid."""
    return {view.block_run_uuid: reader.output(view.block_run_uuid) for view in reader.block_runs(block)}


def family(tmp_path: Path, reduce_output: str) -> RunReader:
    files = {
        "data_loaders/load_users.py": LOAD_USERS,
        "transformers/anonymize_user_data.py": ANONYMIZE,
        "transformers/clean_column_names.py": RECEIVED,
        "transformers/compute_engagement_score.py": RECEIVED,
    }
    return run(write_project(tmp_path, FAMILY % reduce_output, files))


@pytest.fixture(scope="module")
def passed_on(tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    """A run in which the children's outputs go on to children of theirs."""
    return family(tmp_path_factory.mktemp("family"), "false")


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    """A run of the same pipeline in which the children reduce."""
    return family(tmp_path_factory.mktemp("family"), "true")


def test_children_are_named_after_the_metadata(passed_on: RunReader) -> None:
    """B:97-108, B:116-137, B:175-194 (34, 45, 47-49, 51-55): three runs, their names, and what they return."""
    assert outputs(passed_on, "anonymize_user_data") == {
        f"anonymize_user_data:for_user_{number}": [user] for number, user in enumerate(ANONYMOUS, 1)
    }


@pytest.mark.parametrize("block", ["clean_column_names", "compute_engagement_score"])
def test_grandchildren_inherit_names_and_get_their_own_parents_bare_dict(passed_on: RunReader, block: str) -> None:
    """B:112, B:198-225 (46, 52, 56-61): one output, `[data]`, is one positional argument, `data`."""
    assert outputs(passed_on, block) == {
        f"{block}:for_user_{number}": {"received": user, "more": ()} for number, user in enumerate(ANONYMOUS, 1)
    }


def test_two_blocks_below_make_six_runs(passed_on: RunReader) -> None:
    """B:3, B:25, B:200 (35, 37, 57): three users, two blocks."""
    below = ("clean_column_names", "compute_engagement_score")
    assert sum(len(list(passed_on.block_runs(block))) for block in below) == 6


def test_a_reducing_block_gives_each_consumer_the_list_of_three(reduced: RunReader) -> None:
    """B:227-246 (62-64): two runs instead of six."""
    assert outputs(reduced, "clean_column_names") == {"clean_column_names": {"received": ANONYMOUS, "more": ()}}
    assert outputs(reduced, "compute_engagement_score") == {
        "compute_engagement_score": {"received": ANONYMOUS, "more": ()}
    }


def test_a_returned_list_is_spread_over_positional_arguments(tmp_path: Path) -> None:
    """B:112 (46): several outputs of a child, several arguments below it."""
    blocks = """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}, downstream_blocks: [split]}
        - {uuid: split, type: transformer, upstream_blocks: [load], downstream_blocks: [join]}
        - {uuid: join, type: transformer, upstream_blocks: [split]}
        """
    files = {
        "data_loaders/load.py": "@data_loader\ndef load(*args, **kwargs):\n    return [['a b', 'c d']]\n",
        "transformers/split.py": "@transformer\ndef split(text, *args, **kwargs):\n    return text.split()\n",
        "transformers/join.py": "@transformer\ndef join(first, second, **kwargs):\n    return second + first\n",
    }
    assert outputs(run(write_project(tmp_path, blocks, files)), "join") == {"join:0": "ba", "join:1": "dc"}


NAMED = """
[
    [{"id": 1, "name": "user_1"}, {"id": 2, "name": "user_2"}, {"id": 3, "name": "user_3"}],
    [{"block_uuid": "for_user_1"}, {"block_uuid": "for_user_2"}, {"block_uuid": "for_user_3"}],
]
"""


@pytest.mark.parametrize(
    ("returned", "labels", "items"),
    [
        (NAMED, ["for_user_1", "for_user_2", "for_user_3"], USERS),
        ("[[dict(uuid=1), dict(uuid=2)]]", ["0", "1"], [{"uuid": 1}, {"uuid": 2}]),
        ("pd.DataFrame({'source': ['a', 'b']})", ["0", "1"], [{"source": "a"}, {"source": "b"}]),
        (
            "[pd.DataFrame({'source': ['a', 'b']}), [{'block_uuid': 'copy_a'}, {'block_uuid': 'copy_b'}]]",
            ["copy_a", "copy_b"],
            [{"source": "a"}, {"source": "b"}],
        ),
    ],
    ids=["the exact nested output", "no metadata", "a frame", "a frame with metadata"],
)
def test_shapes_that_unfold(returned: str, labels: list[str], items: list[dict[str, object]], tmp_path: Path) -> None:
    """B:10-89, B:116-135, B:264-276, C:2 (36, 39, 41-44, 47-49, 66, 68, 74): the first list is passed down."""
    files = {
        "data_loaders/load.py": f"import pandas as pd\n\n@data_loader\ndef load(*args, **kwargs):\n"
        f"    return {returned.strip()}\n",
        "transformers/child.py": "@transformer\ndef transform(data, *args, **kwargs):\n    return dict(data)\n",
    }
    reader = run(write_project(tmp_path, ITEMS_AND_CHILD, files))
    assert outputs(reader, "child") == {f"child:{label}": item for label, item in zip(labels, items, strict=True)}


def test_two_items_of_one_name_are_refused(tmp_path: Path) -> None:
    """B:133 (50): a `block_uuid` must be unique within its list."""
    loader = "@data_loader\ndef load():\n    return [[1, 2, 3], [{'block_uuid': name} for name in 'aba']]\n"
    files = {"data_loaders/load.py": loader, "transformers/child.py": RECEIVED}
    with pytest.raises(PipelineRunError, match="load: DuplicateLabelError: items 0 and 2 are both named 'a'"):
        run(write_project(tmp_path, ITEMS_AND_CHILD, files))


def test_python_blocks_two_levels_down_are_named_parent_first(tmp_path: Path) -> None:
    """B:254-284 (66, 68, 70), with a Python block in the SQL block's place."""
    blocks = """
        - {uuid: data_loader, type: data_loader, configuration: {dynamic: true}}
        - {uuid: dynamic_loader, type: data_loader, configuration: {dynamic: true}, upstream_blocks: [data_loader]}
        - {uuid: transformer, type: transformer, upstream_blocks: [dynamic_loader]}
        """
    files = {
        "data_loaders/data_loader.py": """
            @data_loader
            def load_data(*args, **kwargs):
                return [[dict(uuid=1), dict(uuid=2)]]
            """,
        "data_loaders/dynamic_loader.py": """
            import pandas as pd

            @data_loader
            def load_data(row, *args, **kwargs):
                return pd.DataFrame([row, dict(uuid=2)])
            """,
        "transformers/transformer.py": """
            @transformer
            def transform(data, *args, **kwargs):
                return data
            """,
    }
    reader = run(write_project(tmp_path, blocks, files))
    assert [view.label for view in reader.block_runs("dynamic_loader")] == ["0", "1"]
    found = {uuid: dict(cast("dict[str, int]", row)) for uuid, row in outputs(reader, "transformer").items()}
    assert found == {
        "transformer:0:0": {"uuid": 1},
        "transformer:0:1": {"uuid": 2},
        "transformer:1:0": {"uuid": 2},
        "transformer:1:1": {"uuid": 2},
    }


def test_retrying_what_is_incomplete_runs_unfinished_children_only(tmp_path: Path) -> None:
    """B:32 (39, 40): copies that a frame specifies; those that failed are made again, the others stay."""
    blocks = """
        - {uuid: plan, type: data_loader, configuration: {dynamic: true}}
        - {uuid: copy, type: transformer, upstream_blocks: [plan]}
        - {uuid: verify, type: transformer, upstream_blocks: [copy]}
        """
    files = {
        "data_loaders/plan.py": """
            import pandas as pd

            @data_loader
            def load(*args, **kwargs):
                return pd.DataFrame({'source': ['a', 'b', 'c'], 'target': ['x', 'y', 'z']})
            """,
        "transformers/copy.py": """
            from pathlib import Path

            @transformer
            def transform(row, *args, **kwargs):
                folder = Path(kwargs['repo_path'])
                with open(folder / 'copied', 'a') as file:
                    file.write(row['source'])
                if row['source'] == 'b' and not (folder / 'network').exists():
                    raise ConnectionError('no route to host')
                return row['target']
            """,
        "transformers/verify.py": RECEIVED,
    }
    project = write_project(tmp_path, blocks, files)
    pipeline = Pipeline.get("my_pipeline", project)
    with pytest.raises(PipelineRunError, match="copy:1: ConnectionError: no route to host"):
        pipeline.execute_sync()
    [reader] = list_runs(pipeline.project)
    assert {view.label: view.status for view in reader.block_runs("verify")} == {
        "0": "completed",
        "1": "upstream_failed",
        "2": "completed",
    }
    (project / "network").touch()
    assert retry_run(pipeline, reader.record, reader.store, None).status is RunStatus.COMPLETED
    assert sorted((project / "copied").read_text()) == ["a", "b", "b", "c"]
