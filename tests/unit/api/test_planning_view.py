"""A plan says what would run, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from refold.api.pipeline import Pipeline
from refold.api.planning_view import describe_plan
from refold.api.reading import list_runs
from refold.api.run_counts import RunCounts
from refold.api.snapshot import AxisSnapshot, PlanSnapshot
from refold.errors import BadInputError, PipelineError, PipelineRunError, PlanError
from refold.model.keys import BlockUuid

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]
A, B, X, Y, Z = (BlockUuid(name) for name in "abxyz")


def test_counts_are_the_items_of_the_axes_multiplied_and_nested_ones_summed(nested: Pipeline) -> None:
    plan = describe_plan(nested)
    assert plan.pipeline_uuid == "daily"
    assert {block.uuid: block.count for block in plan.blocks} == {
        "shops": "1",
        "orders": "|shops|",
        "price": "|orders of shops|",
        "total": "1",
        "days": "1",
        "pairs": "|orders of shops| x |days|",
    }


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([], "1"),
        ([AxisSnapshot(A), AxisSnapshot(A)], "|a| x |a|"),
        ([AxisSnapshot(A), AxisSnapshot(X, (0,)), AxisSnapshot(Y, (0, 1))], "|y of x of a|"),
        ([AxisSnapshot(A), AxisSnapshot(B), AxisSnapshot(X, (0, 1))], "|x of (a x b)|"),
        ([AxisSnapshot(A), AxisSnapshot(X, (0,)), AxisSnapshot(Y, (0,))], "|(x x y) of a|"),
        (
            [AxisSnapshot(A), AxisSnapshot(X, (0,)), AxisSnapshot(Y, (0, 1)), AxisSnapshot(Z, (0,))],
            "|((y of x) x z) of a|",
        ),
        ([AxisSnapshot(A), AxisSnapshot(B), AxisSnapshot(X, (0, 1)), AxisSnapshot(Y, (0,))], "|((x of b) x y) of a|"),
        ([AxisSnapshot(X, flat=True), AxisSnapshot(B)], "|all x| x |b|"),
        ([AxisSnapshot(A), AxisSnapshot(X, (0,), flat=True)], "|all x of a|"),
        ([AxisSnapshot(A, zipped=(AxisSnapshot(B),)), AxisSnapshot(X, (0,))], "|x of (a zip b)|"),
    ],
)
def test_words_for_axes_that_depend_on_each_other(axes: list[AxisSnapshot], words: str) -> None:
    assert RunCounts(PlanSnapshot([], "here"), {}).formula(axes) == words


def test_a_block_shows_its_upstreams_and_how_they_reach_it(market: Pipeline) -> None:
    blocks = {str(block.uuid): block for block in describe_plan(market).blocks}
    assert (blocks["orders"].dynamic, blocks["orders"].reduces) == (True, [])
    assert (blocks["per_user"].upstreams, blocks["per_user"].reduces) == (["price", "users"], ["price"])
    notes = {uuid: " / ".join(block.notes) for uuid, block in blocks.items()}
    assert notes["users"] == ""
    assert notes["orders"] == "each of its runs gives items of its own"
    assert notes["price"] == "up to 1 run may fail without a reduce over it being given up"
    assert "`price` and `users` are aligned: one run for each item of `users`" in notes["per_user"]
    assert "gets the outputs of all runs of `price` as one value for each of |users|, by `sum`" in notes["per_user"]
    assert notes["total"] == ""  # that is the ordinary reduce, and seen in `reduces`
    assert blocks["total"].reduces == ["per_user"]
    assert notes["flat"] == "runs for each item of all runs of `orders`, as one axis"
    assert "`users` and `regions` are zipped: paired by index" in notes["zipped"]
    assert notes["after_zip"] == ""


def test_assumed_items_become_numbers(market: Pipeline) -> None:
    plan = describe_plan(market, {"users": 1000, "orders": 5, "regions": 1200})
    assert {block.uuid: block.number for block in plan.blocks} == {
        "users": 1,
        "orders": 1000,
        "price": 5000,
        "per_user": 1000,
        "total": 1,
        "flat": 5000,
        "regions": 1,
        "zipped": 1200,
        "after_zip": 1200,
    }
    assert (plan.number, plan.missing) == (14_403, [])
    [zipped] = (block for block in plan.blocks if block.uuid == "zipped")
    assert "of its runs 200 have no partner, and fail" in zipped.notes


def test_what_is_not_assumed_stays_in_words(nested: Pipeline) -> None:
    plan = describe_plan(nested, {"shops": 10, "orders": 100})
    [pairs] = (block for block in plan.blocks if block.uuid == "pairs")
    assert (pairs.assumed_count, pairs.number) == ("1,000 x |days|", None)
    assert (plan.number, plan.missing) == (1 + 10 + 1000 + 1 + 1, ["days"])


def test_assumed_numbers_are_those_of_a_run(market: Pipeline) -> None:
    file = market.block("orders").file
    file.write_text(file.read_text().replace('0 if user == "bob" else 3', "3"))
    with pytest.raises(PipelineRunError, match="no partner"):
        market.execute_sync()
    [reader] = list_runs(market.project, limit=1)
    blocks = reader.head()["blocks"]
    assert isinstance(blocks, dict)
    totals = {uuid: counts["total"] for uuid, counts in blocks.items() if isinstance(counts, dict)}
    plan = describe_plan(market, {"users": 3, "orders": 3, "regions": 4})
    assert totals == {block.uuid: block.number for block in plan.blocks}


@pytest.mark.parametrize(
    ("assumed", "message"),
    [
        ("user", r"`user` is no block of the pipeline\n.*Did you mean `users`"),
        ("price", r"`price` is not dynamic: it has no items\n.*orders, regions, users"),
    ],
)
def test_items_are_assumed_of_dynamic_blocks_alone(market: Pipeline, assumed: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        describe_plan(market, {assumed: 3})


@pytest.mark.parametrize(
    ("limit", "note", "number"),
    [
        ("fail", "may give 10 items a run: with 12 the run fails", 12),
        ("limit", "leaves out all but 10 of the 12 items of a run", 10),
    ],
)
def test_a_limit_on_items_is_told(make_pipeline: MakePipeline, limit: str, note: str, number: int) -> None:
    pipeline = make_pipeline(
        f"""
        - uuid: load
          type: data_loader
          configuration:
            dynamic: {{parent: true, max_child_block_runs: 10, on_max_child_block_runs_exceeded: {limit}}}
        - {{uuid: work, type: transformer, upstream_blocks: [load]}}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return []\n",
            "transformers/work.py": "@transformer\ndef work(item):\n    return item\n",
        },
    )
    load, work = describe_plan(pipeline, {"load": 12}).blocks
    assert (load.notes, work.number) == ([note], number)


def test_levels_and_lists_of_single_runs_are_told(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}}
        - uuid: days
          type: transformer
          upstream_blocks: [shops]
          configuration: {dynamic: {parent: [sales, other], mode: batch}}
        - uuid: sales
          type: transformer
          upstream_blocks: [days]
          configuration: {dynamic: {parent: true, reduce: {levels: 1}, tolerate: 5%}, reduce_output: true}
        - {uuid: each, type: transformer, upstream_blocks: [sales]}
        - {uuid: other, type: transformer, upstream_blocks: [days]}
        - {uuid: whole, type: transformer, upstream_blocks: [days]}
        """,
        {
            "data_loaders/shops.py": "@data_loader\ndef shops():\n    return []\n",
            **{
                f"transformers/{name}.py": f"@transformer\ndef {name}(item):\n    return [item]\n"
                for name in ("days", "sales", "each", "other", "whole")
            },
        },
    )
    blocks = {str(block.uuid): block for block in describe_plan(pipeline, {"shops": 2, "days": 3, "sales": 4}).blocks}
    assert (blocks["each"].count, blocks["each"].number) == ("|all sales of shops|", 24)
    assert blocks["each"].notes == ["runs for each item of all runs of `sales`, as one axis for each of |shops|"]
    assert blocks["whole"].notes == ["gets the items of one run of `days` as one list"]
    assert "hands its items on when it has given all of them" in blocks["days"].notes
    assert "up to 5% of its runs may fail without a reduce over it being given up" in blocks["sales"].notes


def test_a_plan_starts_and_writes_nothing(users: Pipeline) -> None:
    describe_plan(users)
    assert not users.project.data_folder.exists()


def test_what_cannot_run_is_an_error_here_already(make_pipeline: MakePipeline) -> None:
    with pytest.raises(PipelineError, match="a block file is missing"):
        describe_plan(make_pipeline("- {uuid: load, type: data_loader}", {}))


def test_all_that_cannot_be_planned_is_told_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: {parent: true, tolerate: 3}}}
        - {uuid: one, type: transformer, upstream_blocks: [load], configuration: {dynamic: {join: zip}}}
        - {uuid: two, type: transformer, upstream_blocks: [load], configuration: {dynamic: {join: align}}}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return []\n",
            "transformers/one.py": "@transformer\ndef one(item):\n    return item\n",
            "transformers/two.py": "@transformer\ndef two(item):\n    return item\n",
        },
    )
    with pytest.raises(PlanError) as raised:
        describe_plan(pipeline)
    assert all(f"block `{uuid}`" in str(raised.value) for uuid in ("load", "one", "two"))


def test_buffers_rates_and_limits_by_value_are_shown_where_they_are_set(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - uuid: shops
          type: data_loader
          configuration: {dynamic: {parent: true, buffer: {items: 20, bytes: 64MB}, rate: 100/m, limit_by: country}}
        - uuid: days
          type: transformer
          upstream_blocks: [shops]
          configuration: {dynamic: {mode: batch, buffer: 1, rate: 50, limit_by: {key: day, limit: 3}}}
        - {uuid: ask, type: transformer, upstream_blocks: [days], configuration: {dynamic: {rate: 1/h}}}
        - {uuid: tell, type: transformer, upstream_blocks: [ask], configuration: {dynamic: {rate: 0.7}}}
        """,
        {
            "data_loaders/shops.py": "@data_loader\ndef shops():\n    return []\n",
            **{
                f"transformers/{name}.py": f"@transformer\ndef {name}(item):\n    return [item]\n"
                for name in ("days", "ask", "tell")
            },
        },
    )
    notes = {str(block.uuid): list(block.notes) for block in describe_plan(pipeline).blocks}
    assert notes["shops"] == [
        "up to 20 items or 64,000,000 bytes may wait to be read; then it pauses",
        "of each block that unfolds its items, at most 100 a minute begin",
        "of each block that unfolds its items, at most 1 run at a time for items with the same `country`",
    ]
    assert notes["days"][2:] == [
        "its `buffer` bounds nothing: in batch mode nobody reads its items before it has given all of them",
        "of each block that unfolds its items, at most 50 a second begin",
        "of each block that unfolds its items, at most 3 runs at a time for items with the same `day`",
    ]
    assert notes["ask"] == ["of its runs, at most 1 an hour begin"]
    assert notes["tell"] == ["of its runs, at most 42 a minute begin"]
