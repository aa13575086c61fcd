"""The guide to dynamic blocks, step by step: what it says one sees is what one sees. Numbers are the checklist's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import cast

import pytest

from mage_ai.data_preparation.models.pipeline import Pipeline
from refold.api.planning_view import describe_plan
from refold.api.reading import RunReader, list_runs
from refold.api.running import RunOptions, run_pipeline
from refold.api.single_block import SingleBlockResult, run_block
from refold.api.variables import get_variable
from refold.api.wiring import ExecutorKind
from refold.model.project import Project
from refold.testing.documented_project import mage, write_project

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
        metadata,
    ]
"""
ANONYMIZE = """
from typing import Dict, List


@transformer
def transform(data: Dict, *args, **kwargs) -> List[Dict]:
    data['id'] = int(data['id']) * 100
    return [data]
"""
ADD_TOKEN = """
from typing import Dict, List
import uuid


@transformer
def transform(data: Dict, *args, **kwargs) -> List[Dict]:
    data['token'] = uuid.uuid4().hex
    return [data]
"""
PRINT_USERS = """
from typing import Dict, List


@data_exporter
def export_data(users: List[Dict], **kwargs):
    print(users)
"""
USERS = [{"id": 1, "name": "user_1"}, {"id": 2, "name": "user_2"}, {"id": 3, "name": "user_3"}]


@dataclass(frozen=True)
class Built:
    """The guide's pipeline, built in its order, each block run alone as soon as it was there; then run whole."""

    project: Path
    alone: Mapping[str, SingleBlockResult]
    whole: RunReader


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    project = tmp_path_factory.mktemp("guide") / "my_project"
    Project.init(project)
    alone: dict[str, SingleBlockResult] = {}

    def run_alone(uuid: str) -> None:
        alone[uuid] = run_block(Pipeline.get("users", project), uuid)

    pipeline = Pipeline.create("users", repo_path=project)
    pipeline = pipeline.add_block("load_users", "data_loader", content=LOAD_USERS)
    run_alone("load_users")
    pipeline = pipeline.update_block("load_users", configuration={"dynamic": True})
    run_alone("load_users")
    pipeline = pipeline.add_block("anonymize_user_data", "transformer", upstream=["load_users"], content=ANONYMIZE)
    run_alone("anonymize_user_data")
    pipeline = pipeline.add_block("add_token", "transformer", upstream=["anonymize_user_data"], content=ADD_TOKEN)
    pipeline = pipeline.update_block("add_token", upstream_blocks=["load_users"])
    pipeline = pipeline.update_block("add_token", configuration={"reduce_output": True})
    run_alone("add_token")
    pipeline = pipeline.add_block("print_list_of_users", "data_exporter", upstream=["add_token"], content=PRINT_USERS)
    run_alone("print_list_of_users")
    pipeline.execute_sync()
    [whole] = list_runs(pipeline.project, limit=1)
    return Built(project, alone, whole)


def test_the_loader_alone_shows_three_users_and_no_metadata(built: Built) -> None:
    """A:58-77 (1, 2)."""
    assert built.alone["load_users"].shown == USERS
    done = mage("run", "my_project", "users", "--block-uuid", "load_users", cwd=built.project.parent)
    assert (done.returncode, done.stdout) == (0, f"{USERS}\n")


def test_the_metadata_names_the_runs(built: Built) -> None:
    """A:58-77 (1, 2): metadata `for_user_i`, kept beside the items."""
    metadata = get_variable("users", "load_users", "output_1", built.project)
    assert metadata == [{"block_uuid": f"for_user_{number}"} for number in (1, 2, 3)]


def test_the_first_transformer_alone_shows_one_unwrapped_user(built: Built) -> None:
    """A:88-96 (5, 6)."""
    result = built.alone["anonymize_user_data"]
    assert (result.block_run_uuid, result.shown) == ("anonymize_user_data:for_user_1", {"id": 100, "name": "user_1"})


def test_the_second_transformer_alone_shows_a_user_with_a_token(built: Built) -> None:
    """A:107-121 (7, 9, 10): only the loader is above it (8), and it reduces."""
    shown = cast("dict[str, object]", built.alone["add_token"].shown)
    assert {name: shown[name] for name in ("id", "name")} == USERS[0]
    assert len(bytes.fromhex(str(shown["token"]))) == 16


def test_the_exporter_alone_prints_a_list_of_one_user(built: Built) -> None:
    """A:131-138 (11, 12): its function takes `users` and `**kwargs`, no `*args`."""
    assert [line.text for line in built.alone["print_list_of_users"].printed] == [
        str([built.alone["add_token"].shown]),
    ]


def test_the_whole_pipeline_prints_a_list_of_three(built: Built) -> None:
    """A:117, A:141 (9, 13): the second transformer reduces."""
    children = [built.whole.output(f"add_token:for_user_{number}") for number in (1, 2, 3)]
    assert [line.text for line in built.whole.logs("print_list_of_users")] == [
        str([child[0] for child in cast("list[list[object]]", children)])
    ]


def test_the_graph_is_that_of_the_picture(built: Built) -> None:
    """A:112-145 (8, 14): two transformers under the loader, the exporter under the second only."""
    plan = describe_plan(Pipeline.get("users", built.project))
    assert {view.uuid: ([*view.upstreams], view.count) for view in plan.blocks} == {
        "load_users": ([], "1"),
        "anonymize_user_data": (["load_users"], "|load_users|"),
        "add_token": (["load_users"], "|load_users|"),
        "print_list_of_users": (["add_token"], "1"),
    }


def test_one_pipeline_run_has_the_eight_block_runs_of_the_picture(built: Built) -> None:
    """A:156 (18): the text says nine, the picture and the arithmetic eight (decision 0002)."""
    assert built.whole.status == "completed"
    assert sorted(view.block_run_uuid for view in built.whole.block_runs()) == [
        *(f"add_token:for_user_{number}" for number in (1, 2, 3)),
        *(f"anonymize_user_data:for_user_{number}" for number in (1, 2, 3)),
        "load_users",
        "print_list_of_users",
    ]


def test_runs_are_counted_without_their_outputs(built: Built) -> None:
    """A:166-174 (21): what tells the number of children is a few bytes beside the data, which may be gone."""
    pipeline = Pipeline.get("users", built.project)
    pipeline.execute_sync()
    [reader] = list_runs(pipeline.project, limit=1)
    rmtree(reader.folder)
    blocks = cast("dict[str, dict[str, int]]", reader.head()["blocks"])
    assert {uuid: counts["total"] for uuid, counts in blocks.items()} == {
        "load_users": 1,
        "anonymize_user_data": 3,
        "add_token": 3,
        "print_list_of_users": 1,
    }


ABCD = """
    - uuid: a
      type: data_loader
      configuration: {dynamic: %s}
      upstream_blocks: []
      downstream_blocks: [b]
    - uuid: b
      type: transformer
      upstream_blocks: [a]
      downstream_blocks: [c, d]
    - uuid: c
      type: transformer
      upstream_blocks: [b]
      downstream_blocks: [d]
    - uuid: d
      type: data_exporter
      upstream_blocks: [b, c]
      downstream_blocks: []
    """
JOURNAL = """
def note(journal, line):
    with open(journal, 'a') as file:
        file.write(f'{line}\\n')
"""
CHILDREN = {
    "transformers/b.py": """
        @transformer
        def transform(item, *args, journal=None, **kwargs):
            if journal:
                from documents_journal import note
                note(journal, f'b {item}')
            return item
        """,
    "transformers/c.py": """
        @transformer
        def transform(item, *args, journal=None, **kwargs):
            if journal:
                from documents_journal import note
                note(journal, f'c {item}')
            return item * 10
        """,
    "documents_journal.py": JOURNAL,
}
PAIRS = "@data_exporter\ndef export(b, c, *args, **kwargs):\n    return [b, c]\n"


def test_ten_items_make_a_hundred_runs_of_d(tmp_path: Path) -> None:
    """A:180-205 (22, 23, 25, 27, 29, 30): A -> B, B -> C, B -> D, C -> D; each child consumes one output."""
    loader = "@data_loader\ndef load():\n    return list(range(10))\n"
    files = {**CHILDREN, "data_loaders/a.py": loader, "data_exporters/d.py": PAIRS}
    pipeline = Pipeline.get("my_pipeline", write_project(tmp_path, ABCD % "true", files))
    pipeline.execute_sync()
    [reader] = list_runs(pipeline.project)
    assert [view.label for view in reader.block_runs("b")] == [str(index) for index in range(10)]
    assert [view.label for view in reader.block_runs("c")] == [str(index) for index in range(10)]
    expected = {f"d:{left}:{right}": [left, right * 10] for left in range(10) for right in range(10)}
    assert {view.block_run_uuid: reader.output(view.block_run_uuid) for view in reader.block_runs("d")} == expected


def test_children_run_while_their_parent_still_yields(tmp_path: Path) -> None:
    """A:202-209, C:1, C:79 (26, 28-31, 72, 82): the second item is only yielded when the first one's D has run.

    It waits for D at a pipe: were a level waited for, the two would wait for each other until the timeout.
    """
    files = {
        **CHILDREN,
        "data_loaders/a.py": """
            @data_loader
            def load(*args, **kwargs):
                yield 0
                with open(kwargs['pipe']) as pipe:
                    assert pipe.read() == 'd ran'
                yield from range(1, 10)
            """,
        "data_exporters/d.py": """
            @data_exporter
            def export(b, c, *args, **kwargs):
                if (b, c) == (0, 0):
                    with open(kwargs['pipe'], 'w') as pipe:
                        pipe.write('d ran')
                return [b, c]
            """,
    }
    project = write_project(
        tmp_path, (ABCD % "true").replace("type: data_loader", "type: data_loader\n      timeout: 20"), files
    )
    os.mkfifo(project / "pipe")
    pipeline = Pipeline.get("my_pipeline", project)
    options = RunOptions({"pipe": str(project / "pipe")}, executor=ExecutorKind.PROCESSES, workers=2)
    run_pipeline(pipeline, options)
    [reader] = list_runs(pipeline.project)
    assert (reader.status, reader.failures()) == ("completed", [])
    blocks = cast("dict[str, dict[str, int]]", reader.head()["blocks"])
    assert {uuid: counts["completed"] for uuid, counts in blocks.items()} == {"a": 1, "b": 10, "c": 10, "d": 100}


@pytest.mark.parametrize("dynamic", ["{parent: true, modes: [{type: default}]}", "{mode: batch}"])
def test_batch_mode_waits_for_the_whole_list(dynamic: str, tmp_path: Path) -> None:
    """A:194-205 (23, 27): "serial" hands on the whole result at the end, though items are yielded one by one."""
    files = {
        **CHILDREN,
        "data_loaders/a.py": """
            from documents_journal import note

            @data_loader
            def load(*args, **kwargs):
                for item in range(3):
                    note(kwargs['journal'], f'a {item}')
                    yield item
            """,
        "data_exporters/d.py": PAIRS,
    }
    project = write_project(tmp_path, ABCD % dynamic, files)
    pipeline = Pipeline.get("my_pipeline", project)
    pipeline.execute_sync({"journal": str(project / "journal")})
    journal = (project / "journal").read_text().splitlines()
    assert journal[:3] == ["a 0", "a 1", "a 2"]
    assert sorted(journal[3:]) == ["b 0", "b 1", "b 2", "c 0", "c 1", "c 2"]
