"""`reduce_input: lazy`: a block below one that reduces reads what it gets piece by piece."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from refold.api.replaying import open_replay
from refold.api.single_block import run_block
from refold.api.wiring import ExecutorKind
from refold.errors import PlanError
from refold.model.block import JsonValue
from refold.ports.run_store import RunStatus
from refold.testing.lab import PASS, Lab, load, statuses, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
LAZY: dict[str, JsonValue] = {"reduce_input": "lazy"}
LOOK = """
from collections.abc import Sequence

@transformer
def look(values):
    assert isinstance(values, Sequence) and not isinstance(values, list), type(values)
    first = list(values)
    return {
        'length': len(values), 'all': first, 'again': values[::-1], 'last': values[-1], 'same': values == first,
        'text': repr(values),
    }
"""
FRAME = """
import pandas as pd

@transformer
def frame(n):
    return pd.DataFrame({'n': [n] * n, f'only_{n}': n})
"""
READ = """
import pathlib
import pyarrow.parquet as pq

@transformer
def read(path):
    assert isinstance(path, pathlib.Path)
    file = pq.ParquetFile(path)
    groups = [file.read_row_group(at)['n'].to_pylist() for at in range(file.num_row_groups)]
    return {'groups': groups, 'columns': file.schema_arrow.names, 'path': str(path)}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@KINDS
def test_a_list_is_a_sequence_that_loads_what_it_is_asked_for(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[3, 0, 2]"), dynamic=True)
    lab.add("repeat", "@transformer\ndef repeat(n):\n    return [n] * n\n", ["numbers"], reduce_output=True)
    lab.add("look", LOOK, ["repeat"], dynamic=LAZY)
    reader = lab.run(kind)
    assert reader.output("look") == {
        "length": 5,
        "all": [3, 3, 3, 2, 2],
        "again": [2, 2, 3, 3, 3],
        "last": 2,
        "same": True,
        "text": "<lazy list of 5 elements of `repeat`>",
    }


@KINDS
def test_frames_are_one_parquet_file_of_the_run(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[3, 1, 2]"), dynamic=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    lab.add("eager", PASS, ["frame"])
    reader = lab.run(kind)
    seen = reader.output("read")
    assert isinstance(seen, dict)
    assert seen["groups"] == [[3, 3, 3], [1], [2, 2]]
    path = Path(seen["path"])
    assert path.is_relative_to(reader.folder)
    eager = reader.output("eager")
    assert isinstance(eager, pd.DataFrame)
    pd.testing.assert_frame_equal(pd.read_parquet(path), eager)


@KINDS
def test_levels_1_gives_one_for_each_outer_key(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("users", load("[2, 0, 1]"), dynamic=True)
    lab.add("pages", "@transformer\ndef pages(n):\n    return list(range(1, n + 1))\n", ["users"], dynamic=True)
    lab.add("page", PASS, ["pages"], reduce_output=True, dynamic={"reduce": {"levels": 1}})
    lab.add("frame", FRAME, ["pages"], reduce_output=True, dynamic={"reduce": {"strategy": "concat", "levels": 1}})
    lab.add("listed", "@transformer\ndef listed(pages):\n    return {'got': list(pages)}\n", ["page"], dynamic=LAZY)
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    reader = lab.run(kind)
    assert values(reader, "listed") == {"0": [1, 2], "1": [], "2": [1]}
    found = {uuid: seen["groups"] for uuid, seen in values(reader, "read").items() if isinstance(seen, dict)}
    assert found == {"0": [[1], [2, 2]], "1": [], "2": [[1]]}


@KINDS
def test_items_of_a_block_that_is_dynamic_for_others_are_read_lazily(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("items", "@data_loader\ndef give():\n    yield {'n': 1}\n    yield [2, 3]\n", dynamic=True)
    lab.add("each", PASS, ["items"])
    whole = "@transformer\ndef whole(items):\n    return {'got': [items[1], len(items)]}\n"
    lab.add("whole", whole, ["items"], dynamic=LAZY)
    lab.pipeline = lab.pipeline.update_block("items", configuration={"dynamic": {"parent": ["each"]}})
    assert lab.run(kind).output("whole") == {"got": [[2, 3], 2]}


@KINDS
def test_other_strategies_are_values_as_ever(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[3, 1, 2]"), dynamic=True)
    lab.add("total", PASS, ["numbers"], reduce_output=True, dynamic={"reduce": "sum"})
    lab.add("see", PASS, ["total"], dynamic=LAZY)
    assert lab.run(kind).output("see") == 6


@KINDS
def test_eager_and_lazy_readers_of_one_block_see_the_same(lab: Lab, kind: ExecutorKind) -> None:
    """600 runs, so that something is folded ahead for the eager one."""
    code = "import pandas as pd\n@transformer\ndef frame(n):\n    return pd.DataFrame({'n': [n]})\n"
    lab.add("numbers", load("list(range(600))"), dynamic=True)
    lab.add("frame", code, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("eager", "@transformer\ndef eager(frame):\n    return frame['n'].tolist()\n", ["frame"])
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    reader = lab.run(kind)
    seen = reader.output("read")
    assert isinstance(seen, dict)
    assert reader.output("eager") == list(range(600)) == [n for group in seen["groups"] for n in group]


@KINDS
def test_what_is_returned_is_the_plain_list(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[1, 2]"), dynamic=True)
    lab.add("each", PASS, ["numbers"], reduce_output=True)
    lab.add("back", PASS, ["each"], dynamic=LAZY)
    lab.add("unfold", PASS, ["each"], dynamic={**LAZY, "parent": True})
    lab.add("more", "@transformer\ndef more(n):\n    return n + 1\n", ["unfold"])
    reader = lab.run(kind)
    assert reader.output("back") == [1, 2]
    assert type(reader.output("back")) is list
    assert values(reader, "more") == {"0": 2, "1": 3}


@KINDS
def test_several_runs_that_read_one_file_share_it(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[2, 1]"), dynamic=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("others", load("[10, 20, 30]"), dynamic=True)
    lab.add(
        "use",
        "@transformer\ndef use(path, n):\n    return str(path), path.stat().st_mtime_ns\n",
        ["frame", "others"],
        dynamic=LAZY,
    )
    assert len({str(value) for value in values(lab.run(kind), "use").values()}) == 1


@KINDS
def test_what_makes_no_file_fails_its_reader(lab: Lab, kind: ExecutorKind) -> None:
    code = "import pandas as pd\n@transformer\ndef frame(n):\n    return pd.DataFrame({'c': [n]})\n"
    lab.add("items", load("[1, 'two']"), dynamic=True)
    lab.add("frame", code, ["items"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    reader = lab.run(kind)
    assert reader.record.status is RunStatus.FAILED
    assert statuses(reader, "frame") == {"0": "completed", "1": "completed"}
    [group] = reader.store.failure_groups(reader.record.id)
    assert "`concat` over `frame`: column `c` is int64 in frame 0 and large_string in frame 1" in group.error


def test_a_retry_reads_the_file_of_before_unless_something_else_was_returned(lab: Lab) -> None:
    lab.add("numbers", load("[3, 1, 2]"), dynamic=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("read", READ.replace("    return", "    raise LookupError\n    return"), ["frame"], dynamic=LAZY)
    reader = lab.run()
    [before] = (reader.folder / "folded").iterdir()
    written = before.stat()
    lab.edit("read", READ)
    reader = lab.retry(reader)
    seen = reader.output("read")
    assert isinstance(seen, dict)
    assert (Path(seen["path"]), before.stat()) == (before, written)
    again = lab.retry(reader, "frame").output("read")
    assert isinstance(again, dict)
    assert again["path"] != seen["path"]
    assert again["groups"] == seen["groups"]


def test_a_switch_to_lazy_is_seen_by_a_retry(lab: Lab) -> None:
    lab.add("numbers", load("[2, 1]"), dynamic=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("read", READ, ["frame"])
    reader = lab.run()
    assert statuses(reader, "read") == {"": "failed"}
    lab.pipeline = lab.pipeline.update_block("read", configuration={"dynamic": LAZY})
    assert statuses(lab.retry(reader), "read") == {"": "completed"}


def test_lazy_inputs_are_explained_and_replayed(lab: Lab) -> None:
    lab.add("numbers", load("[2, 1]"), dynamic=True)
    lab.add("each", PASS, ["numbers"], reduce_output=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("look", LOOK, ["each"], dynamic=LAZY)
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    reader = lab.run(ExecutorKind.PROCESSES)
    for block in ("look", "read"):
        replayed = open_replay(reader, lab.pipeline, block).run().shown
        assert replayed == reader.output(block)
    assert [(entry.index, entry.block_run_uuid) for entry in reader.trace("look")] == [(0, "each:0"), (1, "each:1")]
    assert [(entry.index, entry.block_run_uuid) for entry in reader.trace("read")] == [(0, "frame:0"), (1, "frame:1")]
    alone = run_block(lab.pipeline, "read").value
    assert isinstance(alone, dict)
    assert alone["groups"] == [[2, 2], [1]]


def test_it_stands_on_a_block_below_one_that_reduces(lab: Lab) -> None:
    lab.add("numbers", load("[2, 1]"), dynamic=True)
    lab.add("each", PASS, ["numbers"], dynamic=LAZY)
    with pytest.raises(PlanError, match=r"block `each`.*reduce_input(.|\n)*none of its upstreams does"):
        lab.run()


def test_the_eager_error_is_the_lazy_one(lab: Lab) -> None:
    """What is no frame is told in the same words."""
    lab.add("numbers", load("[2, 1]"), dynamic=True)
    lab.add("frame", PASS, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("eager", PASS, ["frame"])
    lab.add("lazy", PASS, ["frame"], dynamic=LAZY)
    reader = lab.run()
    [group] = reader.store.failure_groups(reader.record.id)
    assert "takes data frames (pandas, polars or pyarrow), and met int: 2" in group.error
    assert statuses(reader, "eager") == statuses(reader, "lazy") == {"": "failed"}


def test_an_empty_reduce_is_a_file_without_columns(lab: Lab) -> None:
    lab.add("numbers", load("[]"), dynamic=True)
    lab.add("frame", FRAME, ["numbers"], reduce_output=True, dynamic={"reduce": "concat"})
    lab.add("read", READ, ["frame"], dynamic=LAZY)
    seen = lab.run().output("read")
    assert isinstance(seen, dict)
    assert (seen["groups"], seen["columns"]) == ([], [])
    assert pq.read_table(seen["path"]).num_rows == 0
