"""A retry of single block runs runs them and what descends from them anew, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader
from refold.api.retry_record import RetryRecord
from refold.api.running import retry_run
from refold.errors import NotFoundError, PipelineRunError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.ports.run_store import RunStatus


@contextmanager
def latest(pipeline: Pipeline) -> Iterator[RunReader]:
    reader = RunReader.open("latest", pipeline.project)
    try:
        yield reader
    finally:
        reader.close()


def run(pipeline: Pipeline, **variables: JsonValue) -> None:
    with suppress(PipelineRunError):
        pipeline.execute_sync(variables)


def retry(pipeline: Pipeline, *block_runs: str) -> set[str]:
    """The block runs that a retry of these executes."""
    with latest(pipeline) as reader:
        before = times(reader)
        named = [(block.uuid, key) for block, key in map(reader.resolve, block_runs)]
        retry_run(pipeline, reader.record, reader.store, None, None, named)
    with latest(pipeline) as reader:
        return {uuid for uuid, started in times(reader).items() if started and started != before.get(uuid)}


def times(reader: RunReader) -> dict[str, float | None]:
    return {view.block_run_uuid: view.started_at for view in reader.block_runs()}


@pytest.mark.parametrize(
    ("named", "executed"),
    [
        (["price:cyn:o1"], {"price:cyn:o1", "per_user:cyn", "total"}),
        (["flat:cyn.o0"], {"flat:cyn.o0"}),
        (["total"], {"total"}),
        (["price:ann:o0", "flat:ann.o1"], {"price:ann:o0", "per_user:ann", "total", "flat:ann.o1"}),
        (
            ["orders:cyn"],
            {"orders:cyn", "per_user:cyn", "total"}
            | {f"price:cyn:o{number}" for number in range(3)}
            | {f"flat:cyn.o{number}" for number in range(3)},
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_a_named_run_and_its_descendants_alone_run_anew(
    market: Pipeline, named: Sequence[str], executed: set[str]
) -> None:
    run(market)
    with latest(market) as reader:
        before = {view.block_run_uuid: view.status for view in reader.block_runs()}
    assert retry(market, *named) == executed
    with latest(market) as reader:
        assert {view.block_run_uuid: view.status for view in reader.block_runs()} == before


def test_a_completed_run_is_run_anew_where_a_block_run_is_named(users: Pipeline) -> None:
    run(users)
    assert retry(users, "double:for_user_2") == {"double:for_user_2", "save"}
    with latest(users) as reader:
        assert reader.record.status is RunStatus.COMPLETED
        assert reader.output("save") == {"sum": 12}


def test_what_is_incomplete_runs_too(users: Pipeline) -> None:
    run(users, bad=2)
    assert retry(users, "double:for_user_3") == {"double:for_user_2", "double:for_user_3"}


def test_a_block_that_is_gone_is_refused(users: Pipeline) -> None:
    run(users)
    with latest(users) as reader, pytest.raises(NotFoundError, match=r"no block `dubble`[\s\S]*Did you mean `double`"):
        retry_run(users, reader.record, reader.store, None, None, [(BlockUuid("dubble"), (0,))])


def test_a_retry_writes_down_what_it_found_before_it_began(users: Pipeline) -> None:
    run(users, bad=2)
    with latest(users) as reader:
        assert RetryRecord.read(reader.folder) is None
    retry(users, "double:for_user_3")
    with latest(users) as reader:
        record = RetryRecord.read(reader.folder)
        assert record is not None
        assert record.request.block_runs == ("double:for_user_3",)
        failed, skipped = (
            record.before(reader.labels.uuid(*each)) for each in _keys(reader, "double:for_user_2", "save")
        )
        assert failed is not None
        assert skipped is not None
        assert (failed.status, failed.error) == ("failed", "ValueError: user 2 is bad")
        assert (skipped.status, skipped.error) == ("upstream_failed", None)
        assert record.before(reader.labels.uuid(*next(_keys(reader, "double:for_user_1")))) is None


def _keys(reader: RunReader, *uuids: str) -> Iterator[tuple[BlockUuid, tuple[int, ...]]]:
    for block, key in map(reader.resolve, uuids):
        yield block.uuid, key
