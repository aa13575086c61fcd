"""A trace names the block run, and the element or item, behind everything that a block run gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader
from refold.api.tracing import NO_ITEM, NONE
from refold.errors import PipelineRunError
from refold.model.keys import BlockUuid

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]
PRICE, USERS = BlockUuid("price"), BlockUuid("users")
LOAD = """
@data_loader
def load(**kwargs):
    return [[1, None, 3, 4], [{"block_uuid": f"n{number}"} for number in range(4)]]
"""


@contextmanager
def run_of(pipeline: Pipeline, **variables: object) -> Iterator[RunReader]:
    with suppress(PipelineRunError):
        pipeline.execute_sync(dict(variables))  # type: ignore[arg-type]
    reader = RunReader.open("latest", pipeline.project)
    try:
        yield reader
    finally:
        reader.close()


def sources(reader: RunReader, uuid: str) -> list[tuple[str | None, int | None, str, int | None]]:
    return [(each.strategy, each.index, each.block_run_uuid, each.element) for each in reader.trace(uuid)]


def folded(make_pipeline: MakePipeline, reduce: str, body: str, more: str = "") -> Pipeline:
    """Four items, a child that reduces, and a consumer."""
    return make_pipeline(
        f"""
        - {{uuid: load, type: data_loader, configuration: {{dynamic: true}}}}
        - uuid: work
          type: transformer
          upstream_blocks: [load]
          configuration: {{reduce_output: true, dynamic: {{reduce: {reduce}, tolerate: 2}}}}
        - {{uuid: save, type: data_exporter, upstream_blocks: [work]}}
        """,
        {
            "data_loaders/load.py": LOAD,
            "transformers/work.py": f"@transformer\ndef work(item):\n    {body}\n{more}",
            "data_exporters/save.py": "@data_exporter\ndef save(value):\n    return [value]\n",
        },
    )


def test_sums_of_one_level_name_the_runs_of_their_own_group(market: Pipeline) -> None:
    with run_of(market) as reader:
        trace = reader.trace("per_user:ann")
        assert [(each.upstream, each.block_run_uuid) for each in trace] == [
            ("price", "price:ann:o0"),
            ("price", "price:ann:o1"),
            ("price", "price:ann:o2"),
            ("users", "users"),
        ]
        assert not any(trace.passed_over.values())
        assert sources(reader, "per_user:bob") == [(None, None, "users", 1)]


def test_a_value_that_is_none_is_passed_over_and_counted(market: Pipeline) -> None:
    with run_of(market) as reader:
        trace = reader.trace("per_user:cyn")
        assert [each.block_run_uuid for each in trace] == ["price:cyn:o1", "price:cyn:o2", "users"]
        assert trace.passed_over[PRICE] == {NONE: 1}


def test_a_failure_that_is_tolerated_is_left_out_and_counted(market: Pipeline) -> None:
    with run_of(market, bad=["ann1"]) as reader:
        trace = reader.trace("per_user:ann")
        assert [each.block_run_uuid for each in trace] == ["price:ann:o0", "price:ann:o2", "users"]
        assert trace.passed_over[PRICE] == {"failed": 1}


def test_an_item_of_a_flat_axis_is_traced_to_the_run_that_gave_it(market: Pipeline) -> None:
    with run_of(market) as reader:
        assert sources(reader, "flat:ann.o2") == [(None, None, "orders:ann", 2)]
        assert sources(reader, "flat:cyn.o0") == [(None, None, "orders:cyn", 0)]
        for uuid, index in (("flat:ann.o2", 2), ("flat:cyn.o0", 0)):
            [entry] = reader.trace(uuid)
            given = reader.output(entry.block_run_uuid)
            assert isinstance(given, list)
            assert str(reader.output(uuid)).startswith(given[index])


def test_zipped_items_are_traced_to_one_index_and_a_missing_one_is_told(market: Pipeline) -> None:
    with run_of(market) as reader:
        assert sources(reader, "zipped:bob") == [(None, None, "users", 1), (None, None, "regions", 1)]
        assert sources(reader, "after_zip:bob") == [(None, None, "zipped:bob", None)]
        trace = reader.trace("zipped:3")
        assert [(each.upstream, each.element) for each in trace] == [("regions", 3)]
        assert trace.passed_over[USERS] == {NO_ITEM: 1}


def test_every_element_of_a_list_has_its_index_none_included(make_pipeline: MakePipeline) -> None:
    with run_of(folded(make_pipeline, "list", "return [item] if item != 3 else [3, 3]")) as reader:
        assert sources(reader, "save") == [
            ("list", 0, "work:n0", 0),
            ("list", 1, "work:n1", 0),
            ("list", 2, "work:n2", 0),
            ("list", 3, "work:n2", 1),
            ("list", 4, "work:n3", 0),
        ]
        assert reader.output("save") == [[1, None, 3, 3, 4]]


@pytest.mark.parametrize("strategy", ["sum", "min", "max", "count", "add"])
def test_a_computed_fold_lists_what_was_folded_in_order(make_pipeline: MakePipeline, strategy: str) -> None:
    pipeline = folded(make_pipeline, strategy, "return item", "\ndef add(total, value):\n    return total + value\n")
    with run_of(pipeline) as reader:
        assert sources(reader, "save") == [
            (strategy, None, "work:n0", 0),
            (strategy, None, "work:n2", 0),
            (strategy, None, "work:n3", 0),
        ]


def test_the_items_of_a_block_that_is_no_parent_are_traced_as_a_list(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: {parent: [work]}}}
        - {uuid: work, type: transformer, upstream_blocks: [load]}
        - {uuid: all, type: data_exporter, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": LOAD,
            "transformers/work.py": "@transformer\ndef work(item):\n    return item\n",
            "data_exporters/all.py": "@data_exporter\ndef everything(items):\n    return {'items': items}\n",
        },
    )
    with run_of(pipeline) as reader:
        assert sources(reader, "all") == [("list", index, "load", index) for index in range(4)]
