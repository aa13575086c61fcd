"""Runs are read back: by id, by name, by input, line by line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.api.wiring import open_project_store
from refold.engine.ownership import this_process
from refold.engine.pipeline_run import LEASE_SECONDS
from refold.errors import BadInputError, NotFoundError, PipelineRunError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, PipelineUuid, RunId, encode_key
from refold.model.project import Project
from refold.ports.run_store import BlockRunRow, NewRun, Owner, RunStatus, RunStore, WriteBatch
from refold.scheduler.status import Status

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]


@contextmanager
def reading(pipeline: Pipeline, run: str = "latest") -> Iterator[RunReader]:
    reader = RunReader.open(run, pipeline.project)
    try:
        yield reader
    finally:
        reader.close()


def half_done(pipeline: Pipeline, store: RunStore, owner: Owner) -> RunId:
    """A run that an engine began at 100 s and reported on at 110 s: of its child's runs one is stored."""
    run = RunId("20260101-000000-000abcd")
    blocks: list[Mapping[str, JsonValue]] = [
        {"uuid": "load", "dynamic": True},
        {"uuid": "double", "upstream_blocks": ["load"], "axes": ["load"]},
    ]
    store.create(NewRun(run, str(pipeline.project.path), PipelineUuid("daily"), 90.0, {}, {}, blocks))
    lease = store.acquire(run, owner, 100.0, LEASE_SECONDS)
    row = BlockRunRow(BlockUuid("double"), encode_key((0,)), Status.COMPLETED_FALSE, 1, 101.0, 102.0, None, None)
    counts: JsonValue = {"total": 3, "total_final": True, "completed": 0}
    store.write(lease, WriteBatch(rows=[row], summary={"blocks": {"double": counts}}), 110.0, LEASE_SECONDS)
    return run


def test_a_run_is_found_by_id_by_the_beginning_of_it_and_as_the_latest(users: Pipeline) -> None:
    first, second = users.execute_sync().id, users.execute_sync().id
    for wanted, found in ((first, first), ("latest", second), (second[:-1], second)):
        with reading(users, wanted) as reader:
            assert reader.record.id == found


def test_a_beginning_that_two_runs_share_names_both(users: Pipeline) -> None:
    runs = {users.execute_sync().id, users.execute_sync().id}
    with pytest.raises(NotFoundError, match="begins the ids of 2 runs") as caught:
        RunReader.open("2", users.project)
    assert all(run in str(caught.value) for run in runs)


@pytest.mark.parametrize("run", ["latest", "nope", ""])
def test_a_run_that_is_not_there_is_not_found(users: Pipeline, run: str) -> None:
    with pytest.raises(NotFoundError):
        RunReader.open(run, users.project)


def test_the_head_is_the_documented_object(users: Pipeline) -> None:
    with pytest.raises(PipelineRunError):
        users.execute_sync({"bad": 2})
    with reading(users) as reader:
        head = json.loads(json.dumps(reader.head()))
    assert head.pop("run_id") == reader.record.id
    assert head.pop("seconds") >= 0
    assert head == {
        "pipeline_uuid": "daily",
        "status": "failed",
        "blocks": {
            "load": _counts(total=1, completed=1),
            "double": _counts(total=3, completed=2, failed=1),
            "save": _counts(total=1, upstream_failed=1),
        },
        "failures": [{"error": "ValueError: user 2 is bad", "count": 1, "block_runs": ["double:for_user_2"]}],
    }


def _counts(**given: int) -> dict[str, object]:
    words = ("total", "completed", "failed", "upstream_failed", "condition_failed", "cancelled")
    return {**dict.fromkeys(words, 0), **given, "total_final": True}


def test_block_runs_are_listed_in_plan_order_then_key_order(nested: Pipeline) -> None:
    nested.execute_sync()
    with reading(nested) as reader:
        names = [view.block_run_uuid for view in reader.block_runs()]
    assert names[:8] == [
        "shops",
        "orders:north%3A1",
        "orders:south",
        "price:north%3A1:0",
        "price:north%3A1:1",
        "price:south:0",
        "price:south:1",
        "total",
    ]
    assert names[9:12] == ["pairs:north%3A1:0:monday", "pairs:north%3A1:0:1", "pairs:north%3A1:1:monday"]
    assert len(names) == 17


def test_a_block_run_says_how_it_went(users: Pipeline) -> None:
    with pytest.raises(PipelineRunError):
        users.execute_sync({"bad": 2})
    with reading(users) as reader:
        [view] = reader.block_runs("double", "failed")
        assert [each.key for each in reader.block_runs("double", "completed")] == [(0,), (2,)]
        [static] = reader.block_runs("load")
    assert (view.block_run_uuid, view.label, view.key) == ("double:for_user_2", "for_user_2", (1,))
    assert (view.status, view.attempts, view.error) == ("failed", 1, "ValueError: user 2 is bad")
    assert view.started_at is not None
    assert view.completed_at is not None
    assert view.started_at <= view.completed_at
    assert (static.label, static.key, static.error) == (None, (), None)


def test_an_unknown_status_or_block_is_refused_with_what_is_meant(users: Pipeline) -> None:
    users.execute_sync()
    with reading(users) as reader:
        with pytest.raises(BadInputError, match="Did you mean `completed`"):
            reader.block_runs(status="complete")
        with pytest.raises(BadInputError, match="Did you mean `double`"):
            reader.block_runs("dubble")


def test_outputs_are_what_block_runs_returned(nested: Pipeline) -> None:
    nested.execute_sync()
    with reading(nested) as reader:
        assert reader.output("shops") == ["north", "south"]
        assert reader.output("orders:south") == ["south 0", "south 1"]
        assert reader.output("price:north%3A1:1") == ["north 1", 7]
        assert reader.output("pairs:south:1:monday") == "south 1 mon (1, 1, 0) 8"


def test_rows_of_a_frame_are_items_of_the_output(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader, configuration: {dynamic: true}}",
        {
            "data_loaders/load.py": """
                from pandas import DataFrame
                @data_loader
                def load():
                    return DataFrame({"a": [1, 2]})
                """
        },
    )
    pipeline.execute_sync()
    with reading(pipeline) as reader:
        rows = reader.output("load")
    assert isinstance(rows, list)
    assert [row.to_dict() for row in rows] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dubble", "Did you mean `double`"),
        ("double:for_user_9", "gave no item `for_user_9`"),
        ("double", "such as `double:for_user_1`, `double:for_user_2`"),
        ("load:0", "runs once and has no `0`"),
        ("double:for_user_2", "it is failed, ValueError: user 2 is bad"),
        ("save", "it is upstream_failed"),
    ],
)
def test_an_output_that_is_not_there_says_what_there_is(users: Pipeline, name: str, message: str) -> None:
    with pytest.raises(PipelineRunError):
        users.execute_sync({"bad": 2})
    with reading(users) as reader, pytest.raises(NotFoundError, match=message):
        reader.output(name)


def test_a_trace_names_the_block_run_behind_every_reduced_element(nested: Pipeline) -> None:
    nested.execute_sync()
    with reading(nested) as reader:
        traced = [(entry.index, entry.block_run_uuid, entry.element) for entry in reader.trace("total")]
        reduced = reader.output("total")
        assert isinstance(reduced, list)
        for index, uuid, element in traced:
            output = reader.output(uuid)
            assert isinstance(output, list)
            assert index is not None
            assert element is not None
            assert reduced[index] == output[element]
    assert [index for index, _, _ in traced] == list(range(8))
    assert traced[3] == (3, "price:north%3A1:1", 1)


def test_a_trace_shows_item_whole_output_and_their_keys_in_a_product(nested: Pipeline) -> None:
    nested.execute_sync()
    with reading(nested) as reader:
        traced = [tuple(getattr(e, name) for name in e.__slots__) for e in reader.trace("pairs:south:1:monday")]
    assert traced == [
        ("orders", None, "orders:south", 1, None),
        ("total", None, "total", None, None),
        ("days", None, "days", 0, None),
    ]


def test_a_run_whose_engine_is_gone_is_interrupted_and_counted_from_its_rows(users: Pipeline) -> None:
    store = open_project_store(users.project)
    owner = Owner(this_process().host, 2**22 + 1, 0.0)
    run = half_done(users, store, owner)
    store.close()
    with reading(users, run) as reader:
        assert reader.status == "interrupted"
        assert reader.seconds == 10.0
        blocks = reader.head()["blocks"]
    assert isinstance(blocks, dict)
    counts = blocks["double"]
    assert isinstance(counts, dict)
    assert (counts["total"], counts["completed"]) == (3, 1)


def test_a_run_that_goes_on_has_taken_until_now(users: Pipeline) -> None:
    store = open_project_store(users.project)
    run = half_done(users, store, this_process())
    reader = RunReader(users.project, store.get(run), store, now=lambda: 130.0)
    assert (reader.status, reader.seconds) == ("running", 30.0)
    with pytest.raises(NotFoundError, match="not done yet"):
        reader.output("load")
    reader.close()


def test_logs_are_merged_by_time_and_told_apart_by_block_run(users: Pipeline) -> None:
    users.execute_sync()
    with reading(users) as reader:
        everything = list(reader.logs())
        assert [line.text for line in everything] == ["doubling 1", "doubling 2", "doubling 3", "[2, 4, 6]"]
        assert [line.text for line in reader.logs("double:for_user_2")] == ["doubling 2"]
        assert [line.block_run for line in reader.logs("double")] == [f"double:for_user_{n}" for n in (1, 2, 3)]
        with pytest.raises(NotFoundError):
            reader.logs("dubble")
    assert [line.at for line in everything] == sorted(line.at for line in everything)


def test_half_a_line_of_a_killed_process_is_passed_over(users: Pipeline) -> None:
    users.execute_sync()
    with reading(users) as reader:
        (reader.folder / "logs" / "killed.jsonl").write_text('not JSON\n{"at": 1.0, "block_r')
        assert len(list(reader.logs())) == 4


def test_following_goes_on_until_the_run_is_over_and_misses_nothing(users: Pipeline) -> None:
    store = open_project_store(users.project)
    run = half_done(users, store, this_process())
    lines = [_line("first"), *_halves(_line("second"))]

    def write(text: str) -> None:
        with (reader.folder / "logs" / "1.jsonl").open("a") as file:
            file.write(text)

    def wait(_seconds: float) -> None:
        if lines:
            write(lines.pop(0))
            return
        write(_line("last"))
        store.finish(store.acquire(run, this_process(), 120.0, 20.0), WriteBatch(), RunStatus.COMPLETED, 120.0)

    reader = RunReader(users.project, store.get(run), store, wait)
    (reader.folder / "logs").mkdir(parents=True)
    assert [line.text for line in reader.logs("double", follow=True)] == ["first", "second", "last"]
    reader.close()


def _line(text: str) -> str:
    return json.dumps({"at": 1.0, "block_run": "double:0", "stream": "stdout", "text": text}) + "\n"


def _halves(text: str) -> tuple[str, str]:
    return text[:20], text[20:]


def test_runs_are_listed_newest_first_and_can_be_kept(users: Pipeline) -> None:
    runs = [users.execute_sync().id for _ in range(3)]
    readers = list(list_runs(users.project))
    assert [reader.record.id for reader in readers] == runs[::-1]
    assert [reader.head()["status"] for reader in readers] == ["completed"] * 3
    assert [reader.record.id for reader in list_runs(users.project, "daily", limit=1)] == runs[-1:]
    assert list(list_runs(users.project, "weekly")) == []


def test_a_project_that_was_moved_keeps_its_runs(users: Pipeline, tmp_path: Path) -> None:
    run = users.execute_sync().id
    shutil.move(users.project.path, tmp_path / "moved")
    [reader] = list_runs(Project.load(tmp_path / "moved"))
    assert reader.record.id == run
    assert reader.output("save") == {"sum": 12}
