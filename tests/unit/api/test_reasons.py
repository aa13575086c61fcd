"""One sentence says why a block run is as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader
from refold.api.reasons import Reason, ReasonKind, explain
from refold.api.running import retry_run
from refold.api.single_block import run_block
from refold.api.wiring import open_project_store
from refold.engine.ownership import this_process
from refold.engine.pipeline_run import LEASE_SECONDS
from refold.errors import NotFoundError, PipelineRunError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid, RunId, decode_key
from refold.ports.run_store import FailureRow, NewRun, RunStatus, WriteBatch
from refold.scheduler.status import Status

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]


@contextmanager
def latest(pipeline: Pipeline) -> Iterator[RunReader]:
    reader = RunReader.open("latest", pipeline.project)
    try:
        yield reader
    finally:
        reader.close()


def run(pipeline: Pipeline, **variables: JsonValue) -> RunId:
    with suppress(PipelineRunError):
        pipeline.execute_sync(variables)
    with latest(pipeline) as reader:
        return reader.record.id


def why(pipeline: Pipeline, uuid: str) -> Reason:
    with latest(pipeline) as reader:
        return explain(reader, uuid)


def retry(pipeline: Pipeline, from_block: str | None = None, *block_runs: str) -> None:
    with latest(pipeline) as reader:
        named = [(block.uuid, key) for block, key in map(reader.resolve, block_runs)]
        retry_run(pipeline, reader.record, reader.store, from_block, None, named)


def edit(pipeline: Pipeline, block: str, old: str, new: str) -> None:
    file = pipeline.block(block).file
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def rewind(pipeline: Pipeline, *gone: str, ended: RunStatus | None = None) -> None:
    """A run like the latest in which some block runs are not over; an engine that lives drives it unless it `ended`."""
    store = open_project_store(pipeline.project)
    with latest(pipeline) as reader:
        before, missing = reader.record, {(block.uuid, key) for block, key in map(reader.resolve, gone)}
        again = RunId("20990101-000000-000beef")
        store.create(
            NewRun(again, before.project, before.pipeline_uuid, 4.1e9, {}, before.options, before.blocks)
        )  # fmt: skip
        lease = store.acquire(again, this_process(), 4.1e9, LEASE_SECONDS)
        rows = [
            row for row in reader.store.block_runs(before.id) if (row.block, decode_key(row.key)) not in missing
        ]  # fmt: skip
        chunks = [
            row._replace(segment=str(reader.folder / row.segment)) for row in reader.store.chunks(before.id)
        ]  # fmt: skip
        items = [row for block in reader.plan for row in reader.store.items(before.id, block.uuid)]
        batch = WriteBatch(chunks, items, rows, list(reader.store.failures(before.id)))
        if ended is None:
            store.write(lease, batch, 4.1e9, LEASE_SECONDS)
        else:
            store.finish(lease, batch, ended, 4.1e9)
    store.close()


def test_a_first_run_says_so(users: Pipeline) -> None:
    run(users)
    reason = why(users, "double:for_user_2")
    assert (reason.kind, reason.status, reason.block_run_uuid) == (ReasonKind.RAN, "completed", "double:for_user_2")
    assert reason.sentence.startswith("`double:for_user_2` ran for the first time")


def test_a_failed_run_says_its_error(users: Pipeline) -> None:
    run(users, bad=2)
    reason = why(users, "double:for_user_2")
    assert (reason.kind, reason.status) == (ReasonKind.FAILED, "failed")
    assert reason.sentence.endswith("failed: ValueError: user 2 is bad")


def test_what_follows_a_failure_names_its_root_across_blocks(market: Pipeline) -> None:
    run(market, bad=["ann1", "ann2"])  # one more than is tolerated
    for uuid in ("per_user:ann", "total"):
        reason = why(market, uuid)
        assert (reason.kind, reason.block_runs) == (ReasonKind.UPSTREAM_FAILED, ["price:ann:o1"])
        assert "`price:ann:o1`, which it needs, failed: ValueError: ann1 has no price" in reason.sentence
    assert why(market, "after_zip:3").block_runs == ["zipped:3"]


def test_a_dynamic_run_that_failed_midway_is_the_root_also_where_all_its_children_completed(users: Pipeline) -> None:
    run(users)
    store = open_project_store(users.project)
    with latest(users) as reader:
        record = reader.record
        load, save = (store.block_run(record.id, BlockUuid(uuid), b"") for uuid in ("load", "save"))
    assert load is not None
    assert save is not None
    rows = [
        load._replace(status=Status.FAILED),
        save._replace(status=Status.UPSTREAM_FAILED, chunk=None, position=None),
    ]
    failure = FailureRow(load.block, load.key, "OSError: gone", "OSError: gone", "")
    lease = store.acquire(record.id, this_process(), 0.0, LEASE_SECONDS)
    store.finish(lease, WriteBatch(rows=rows, failures=[failure]), RunStatus.FAILED, 1.0)
    store.close()
    reason = why(users, "save")
    assert reason.sentence == "`save` did not run: `load`, which it needs, failed: OSError: gone"


def test_a_dynamic_run_that_failed_midway_is_the_root_of_its_groups_failure(market: Pipeline) -> None:
    edit(
        market,
        "orders",
        'yield f"{user}{number}"',
        'if number == 2: raise OSError("gone")\n        yield f"{user}{number}"',
    )
    run(market)
    reason = why(market, "per_user:ann")
    assert (reason.kind, reason.block_runs) == (ReasonKind.UPSTREAM_FAILED, ["orders:ann"])
    assert "failed: OSError: gone" in reason.sentence


def test_a_position_on_a_flat_axis_that_never_was_says_whose_run_prevented_it(market: Pipeline) -> None:
    edit(market, "orders", "    for number", '    if user == "cyn":\n        raise OSError("gone")\n    for number')
    run(market)
    reason = why(market, "flat:ann.o1")
    assert (reason.kind, reason.status, reason.block_runs) == (ReasonKind.NOT_RUN, None, ["orders:cyn"])
    assert reason.sentence.startswith("`flat:ann.o1` does not exist: `orders:cyn` did not complete")


def test_a_flat_axis_is_waited_for_as_a_whole(market: Pipeline) -> None:
    run(market)
    rewind(market, "orders:cyn", "flat:ann.o1")
    assert why(market, "flat:ann.o1").block_runs == ["orders:cyn"]


def test_in_batch_mode_the_whole_dynamic_run_is_waited_for(users: Pipeline) -> None:
    run(users)
    rewind(users, "load", "double:for_user_2")
    assert why(users, "double:for_user_2").kind is ReasonKind.READY
    store = open_project_store(users.project)
    store.delete([RunId("20990101-000000-000beef")])
    store.close()
    batch = users.update_block("load", configuration={"dynamic": {"parent": True, "mode": "batch"}})
    run(Pipeline.get(batch.uuid, batch.project))
    rewind(users, "load", "double:for_user_2")
    assert why(users, "double:for_user_2").block_runs == ["load"]


def conditional(make_pipeline: MakePipeline) -> Pipeline:
    return make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: odd, type: transformer, upstream_blocks: [load]}
        - {uuid: work, type: transformer, upstream_blocks: [load, odd]}
        - {uuid: after, type: transformer, upstream_blocks: [work]}
        - {uuid: big, type: transformer, upstream_blocks: [load]}
        - {uuid: next, type: transformer, upstream_blocks: [big]}
        conditionals:
        - {uuid: is_big, type: conditional, upstream_blocks: [big]}
        """.replace("[load, odd]}", "[load, odd], configuration: {dynamic: {join: align}}}"),
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 2]\n",
            "transformers/odd.py": "@transformer\ndef odd(number) -> bool:\n    return number % 2 == 1\n",
            "transformers/work.py": "@transformer\ndef work(number, _odd):\n    return number\n",
            "transformers/after.py": "@transformer\ndef after(number):\n    return number\n",
            "transformers/big.py": "@transformer\ndef big(number):\n    return number\n",
            "transformers/next.py": "@transformer\ndef following(number):\n    return number\n",
            "conditionals/is_big.py": "@condition\ndef is_big(number):\n    return number > 5\n",
        },
    )


def test_a_skipped_run_names_the_condition_its_own_or_whose(make_pipeline: MakePipeline) -> None:
    pipeline = conditional(make_pipeline)
    run(pipeline)
    for uuid in ("work:1", "after:1"):
        reason = why(pipeline, uuid)
        assert (reason.kind, reason.status, reason.block_runs) == (ReasonKind.SKIPPED, "condition_failed", ["odd:1"])
        assert "`odd:1`, which it follows, returned False" in reason.sentence
    assert why(pipeline, "big:0").sentence == "`big:0` did not run: the condition `is_big` said False"
    reason = why(pipeline, "next:0")
    assert "the condition `is_big` of `big:0`, which it follows, said False" in reason.sentence


def test_a_run_waits_for_what_is_not_over_and_names_a_few(market: Pipeline) -> None:
    run(market)
    gone = [f"price:{user}:o{number}" for user in ("ann", "cyn") for number in range(3)]
    rewind(market, *gone, "per_user:ann", "per_user:cyn", "total")
    reason = why(market, "per_user:ann")
    assert (reason.kind, reason.status, reason.count) == (ReasonKind.WAITS, None, 3)
    assert reason.sentence == (
        "`per_user:ann` waits for 3 block runs that are not over: `price:ann:o0`, `price:ann:o1`, `price:ann:o2`"
    )
    reason = why(market, "total")
    assert (reason.count, reason.block_runs) == (2, ["per_user:ann", "per_user:cyn"])
    assert why(market, "price:ann:o0").kind is ReasonKind.READY


def test_many_are_counted_and_an_open_axis_may_bring_more(users: Pipeline) -> None:
    edit(users, "load", "[1, 2, 3]", "list(range(9))")
    edit(users, "load", "for number in (1, 2, 3)", "for number in range(9)")
    run(users)
    rewind(users, "load", "save", *(f"double:for_user_{number}" for number in range(2, 9)))
    reason = why(users, "save")
    assert (reason.count, len(reason.block_runs)) == (8, 3)
    assert reason.sentence == (
        "`save` waits for 8 block runs that are not over: `double:for_user_2`, `double:for_user_3`, "
        "`double:for_user_4` and 5 more; more may come"
    )


def test_a_run_that_ended_or_was_interrupted_waits_for_nothing(users: Pipeline) -> None:
    run(users)
    rewind(users, "double:for_user_3", "save", ended=RunStatus.CANCELLED)
    reason = why(users, "save")
    assert reason.kind is ReasonKind.NOT_RUN
    assert "the run ended (cancelled), while it waited for 1 block run" in reason.sentence


def test_siblings_that_metadata_orders_are_waited_for(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: work, type: transformer, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load(**kwargs):
                    return [[1, 2], [{"block_uuid": "first"}, {"block_uuid": "second", "upstream_blocks": ["first"]}]]
                """,
            "transformers/work.py": """
                @transformer
                def work(item, **kwargs):
                    assert item != kwargs.get("bad")
                    return item
                """,
        },
    )
    run(pipeline)
    rewind(pipeline, "work:first", "work:second")
    assert why(pipeline, "work:second").block_runs == ["work:first"]
    store = open_project_store(pipeline.project)
    store.delete([RunId("20990101-000000-000beef")])
    store.close()
    run(pipeline, bad=1)
    reason = why(pipeline, "work:second")
    assert (reason.kind, reason.block_runs) == (ReasonKind.UPSTREAM_FAILED, ["work:first"])


def test_a_retry_keeps_what_completed_and_says_why_the_rest_ran(users: Pipeline) -> None:
    edit(users, "double", 'number == kwargs.get("bad")', "number == kwargs.get('bad') and not mended")
    edit(users, "double", "@transformer", "mended = False\n@transformer")
    run(users, bad=2)
    edit(users, "double", "mended = False", "mended = True")
    retry(users)
    assert why(users, "double:for_user_1").kind is ReasonKind.KEPT
    failed = why(users, "double:for_user_2")
    assert (failed.kind, failed.status) == (ReasonKind.RERAN, "completed")
    assert "it had failed, ValueError: user 2 is bad" in failed.sentence
    follower = why(users, "save")
    assert follower.kind is ReasonKind.RERAN
    assert "something that it needs had not completed before; `double:for_user_2` completed now" in follower.sentence


def test_a_retry_from_a_block_or_block_run_says_that_it_was_asked_for(users: Pipeline) -> None:
    run(users)
    retry(users, "double")
    assert "it was asked for (--from-block)" in why(users, "double:for_user_1").sentence
    assert "it follows `double`, which was asked for (--from-block)" in why(users, "save").sentence
    assert why(users, "load").kind is ReasonKind.KEPT
    retry(users, None, "double:for_user_3")
    assert "it was asked for (--block-run)" in why(users, "double:for_user_3").sentence
    assert "its input `double:for_user_3`, which was asked for (--block-run), ran anew" in why(users, "save").sentence
    assert why(users, "double:for_user_1").kind is ReasonKind.KEPT


def test_another_item_at_a_label_is_a_reason_to_run_anew(users: Pipeline) -> None:
    run(users)
    edit(users, "load", "[1, 2, 3]", "[1, 20, 3]")
    retry(users, None, "load")
    # Descendants of a dynamic run that was asked for are asked for, too.
    assert "it descends from `load`, which was asked for (--block-run)" in why(users, "double:for_user_2").sentence


def test_items_that_are_given_again_keep_their_runs_and_others_run(users: Pipeline) -> None:
    run(users)
    rewind(users, "load", "double:for_user_3", "save", ended=RunStatus.CANCELLED)  # as a kill leaves it
    edit(users, "load", "[1, 2, 3]", "[1, 20, 3]")
    retry(users)
    assert why(users, "double:for_user_1").kind is ReasonKind.KEPT
    assert "it was not over when the run stopped" in why(users, "load").sentence
    for uuid in ("double:for_user_2", "double:for_user_3"):
        reason = why(users, uuid)
        assert (reason.kind, reason.block_runs) == (ReasonKind.RERAN, ["load"])
        assert "`load` gave its item anew, and on that very item it had not completed before" in reason.sentence


def test_a_place_that_changed_is_a_reason_to_run_anew(users: Pipeline) -> None:
    run(users, bad=1)
    changed = Pipeline.get(users.uuid, users.project).update_block(
        "double", configuration={"reduce_output": True, "dynamic": {"reduce": "max"}}
    )
    edit(changed, "double", "return [number * 2]", "return number * 2")
    edit(changed, "double", "if number == kwargs", "if number == 99 and kwargs")
    edit(changed, "save", "sum(numbers)", "numbers")
    retry(Pipeline.get(users.uuid, users.project))
    assert "its place in the pipeline had changed" in why(users, "save").sentence


CACHED = {
    "data_loaders/load.py": "@data_loader\ndef load(**kwargs):\n    return kwargs.get('number', 1)\n",
    "transformers/work.py": "@transformer\ndef work(number):\n    return number + 1\n",
}


def cached(make_pipeline: MakePipeline, configuration: str = "{cache: true}") -> Pipeline:
    return make_pipeline(
        f"""
        - {{uuid: load, type: data_loader}}
        - {{uuid: work, type: transformer, upstream_blocks: [load], configuration: {configuration}}}
        """,
        CACHED,
    )


def test_an_answer_from_an_earlier_run_names_that_run(make_pipeline: MakePipeline) -> None:
    pipeline = cached(make_pipeline)
    earlier = run(pipeline)
    assert "it is cached, but no earlier run has completed it" in why(pipeline, "work").sentence
    run(pipeline)
    reason = why(pipeline, "work")
    assert (reason.kind, reason.run_id) == (ReasonKind.CACHED, earlier)
    assert f"the result of run {earlier} answered it" in reason.sentence


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("code", "its code differs from that in run"),
        ("configuration", "its configuration differs from that in run"),
        ("inputs", "the variables, or its inputs, differ from those in run"),
        ("upstream", "its inputs differ from those in run"),
    ],
)
def test_a_cached_block_that_ran_all_the_same_says_what_differed(
    make_pipeline: MakePipeline, change: str, difference: str
) -> None:
    pipeline = cached(make_pipeline)
    earlier = run(pipeline)
    if change == "code":
        edit(pipeline, "work", "+ 1", "+ 2")
    elif change == "configuration":
        pipeline = pipeline.update_block("work", configuration={"cache": True, "unit": "m"})
    elif change == "upstream":
        edit(pipeline, "load", "1)", "7)")
    run(pipeline, **({"number": 5} if change == "inputs" else {}))
    reason = why(pipeline, "work")
    assert (reason.kind, reason.run_id) == (ReasonKind.RAN, earlier)
    assert f"{difference} {earlier}" in reason.sentence


def test_a_block_that_was_not_cached_then_is_told_apart(make_pipeline: MakePipeline) -> None:
    earlier = run(cached(make_pipeline, "{}"))
    pipeline = cached(make_pipeline)
    run(pipeline)
    assert f"run {earlier} did not keep what it ran on" in why(pipeline, "work").sentence


def test_what_does_not_exist_is_not_found_and_near_names_are_told(users: Pipeline) -> None:
    run(users)
    with pytest.raises(NotFoundError, match=r"gave no item `for_user_7`\n.*for_user_"):
        why(users, "double:for_user_7")
    with pytest.raises(NotFoundError, match="Did you mean `double`"):
        why(users, "dubble:for_user_1")


def test_a_run_of_one_block_says_that_the_others_were_not_run(users: Pipeline) -> None:
    run_block(users, "load")
    run_block(users, "double")
    assert why(users, "double:for_user_1").kind is ReasonKind.RAN
    assert why(users, "load").sentence == "`load` was not run: the run ran `double` alone"


def test_a_cancelled_run_says_whether_it_had_begun(users: Pipeline) -> None:
    run(users)
    store = open_project_store(users.project)
    with latest(users) as reader:
        row = reader.store.block_run(reader.record.id, BlockUuid("save"), b"")
        assert row is not None
        lease = store.acquire(reader.record.id, this_process(), 0.0, LEASE_SECONDS)
        for started, text in ((None, "before it began"), (1.0, "while it ran")):
            rows = [row._replace(status=Status.CANCELLED, started_at=started)]
            store.write(lease, WriteBatch(rows=rows), 0.0, LEASE_SECONDS)
            assert explain(reader, "save").sentence == f"`save` was cancelled with the run, {text}"
    store.close()
