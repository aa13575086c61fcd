"""A stored plan says what keys and inputs mean, also one that an earlier version stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader
from refold.api.run_setup import changed_blocks, prepare
from refold.api.running import retry_run
from refold.api.snapshot import AxisSnapshot, EdgeSnapshot, PlanSnapshot
from refold.errors import NotFoundError, PipelineRunError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.scheduler.plan import EdgeKind

USERS, ORDERS, REGIONS = map(BlockUuid, ("users", "orders", "regions"))


def plan_of(pipeline: Pipeline, **variables: JsonValue) -> PlanSnapshot:
    return PlanSnapshot(prepare(pipeline).snapshot(variables), "here")


def test_axes_edges_and_strategies_are_kept(market: Pipeline) -> None:
    plan = plan_of(market)
    assert plan["price"].axes == (AxisSnapshot(USERS), AxisSnapshot(ORDERS, (0,)))
    price, users = plan["per_user"].edges
    assert price == EdgeSnapshot(BlockUuid("price"), EdgeKind.FOLDED, (0,), 1, "sum", computed=True)
    assert users == EdgeSnapshot(USERS, EdgeKind.ITEMS, (0,))
    assert plan["flat"].axes == (AxisSnapshot(ORDERS, flat=True),)
    [summed] = plan["total"].edges
    assert (summed.kind, summed.levels, summed.strategy, summed.computed) == (EdgeKind.FOLDED, None, "list", False)


def test_a_zip_axis_knows_its_other_side_also_further_down(market: Pipeline) -> None:
    paired = (AxisSnapshot(USERS, zipped=(AxisSnapshot(REGIONS),)),)
    plan = plan_of(market)
    assert (plan["zipped"].axes, plan["after_zip"].axes) == (paired, paired)


def test_aligned_with_a_block_that_pairs_nothing_an_axis_has_no_other_side(market: Pipeline) -> None:
    text = "@custom\ndef work(*values):\n    return values\n"
    for name in ("left", "both"):
        (market.project.path / "custom" / f"{name}.py").write_text(text)
    pipeline = market.add_block("left", "custom", upstream=["users"])
    align: Mapping[str, JsonValue] = {"dynamic": {"join": "align"}}
    pipeline = pipeline.add_block("both", "custom", upstream=["zipped", "left"], configuration=align)
    # Three users and four regions are four runs of `zipped`; `left` has but three.
    assert plan_of(Pipeline.get(pipeline.uuid, pipeline.project))["both"].axes == (AxisSnapshot(USERS),)


def test_digests_tell_code_configuration_and_variables_apart(market: Pipeline) -> None:
    before = plan_of(market, a=1)["price"]
    assert plan_of(market, a=1)["price"] == before
    assert plan_of(market, a=2)["price"].variables != before.variables
    file = market.block("price").file
    file.write_text(file.read_text() + "\n# mended\n")
    assert plan_of(market, a=1)["price"].code != before.code
    changed = Pipeline.get(market.uuid, market.project).update_block("price", configuration={"reduce_output": True})
    assert plan_of(Pipeline.get(changed.uuid, market.project))["price"].configuration != before.configuration


def test_a_condition_is_part_of_a_blocks_code(make_pipeline: Callable[[str, Mapping[str, str]], Pipeline]) -> None:
    blocks = """
        - {uuid: load, type: data_loader}
        conditionals:
        - {uuid: never, type: conditional, upstream_blocks: [load]}
        """
    files = {"data_loaders/load.py": "@data_loader\ndef load():\n    return 1\n"}
    text = "@condition\ndef never():\n    return "
    before = plan_of(make_pipeline(blocks, {**files, "conditionals/never.py": text + "False\n"}))["load"]
    after = plan_of(make_pipeline(blocks, {**files, "conditionals/never.py": text + "True\n"}))["load"]
    assert (before.conditions, before.code == after.code) == (("never",), False)


def test_a_change_of_code_keeps_completed_runs_on_a_retry(users: Pipeline) -> None:
    with suppress(PipelineRunError):
        users.execute_sync({"bad": 2})
    for block in users.blocks:
        block.file.write_text(block.file.read_text().replace("print(", "print('again', "))
    reader = RunReader.open("latest", users.project)
    before = [line.text for line in reader.logs()]
    retry_run(users, reader.record, reader.store, None)
    reader.close()
    reader = RunReader.open("latest", users.project)
    assert [line.text for line in reader.logs()][len(before) :] == ["again doubling 2"]
    reader.close()


def test_a_blocks_place_changes_with_its_upstreams_and_how_they_reach_it(market: Pipeline) -> None:
    with suppress(PipelineRunError):
        market.execute_sync()
    reader = RunReader.open("latest", market.project)
    assert changed_blocks(prepare(market), reader.record) == set()
    configuration: dict[str, JsonValue] = {
        "reduce_output": True,
        "dynamic": {"reduce": {"strategy": "max", "levels": 1}},
    }
    changed = Pipeline.get(market.uuid, market.project).update_block("price", configuration=configuration)
    assert changed_blocks(prepare(changed), reader.record) == {"per_user"}
    reader.close()


FORMER: list[Mapping[str, JsonValue]] = [
    {"uuid": "users", "type": "data_loader", "upstream_blocks": [], "axes": [], "dynamic": True},
    {"uuid": "orders", "type": "transformer", "upstream_blocks": ["users"], "axes": ["users"], "dynamic": True},
    {"uuid": "price", "type": "transformer", "upstream_blocks": ["orders"], "axes": ["users", "orders"]},
    {
        "uuid": "total",
        "type": "data_exporter",
        "upstream_blocks": ["price"],
        "axes": [],
        "reduced_upstream_blocks": ["price"],
    },
    {
        "uuid": "pairs",
        "type": "custom",
        "upstream_blocks": ["users", "total", "orders"],
        "axes": ["users", "users", "orders"],
    },
]
"""What version 0.1.0 stored."""


def test_a_plan_that_the_version_before_stored_is_read_as_what_it_meant() -> None:
    plan = PlanSnapshot(FORMER, "run x")
    assert plan["price"].edges == (EdgeSnapshot(ORDERS, EdgeKind.ITEMS, (0, 1)),)
    assert plan["total"].edges == (EdgeSnapshot(BlockUuid("price"), EdgeKind.FOLDED),)
    assert plan["pairs"].axes == (AxisSnapshot(USERS), AxisSnapshot(USERS), AxisSnapshot(ORDERS, (1,)))
    assert [(edge.kind, edge.columns) for edge in plan["pairs"].edges] == [
        (EdgeKind.ITEMS, (0,)),
        (EdgeKind.BROADCAST, ()),
        (EdgeKind.ITEMS, (1, 2)),
    ]
    assert plan["pairs"].code is None


def test_such_a_block_stands_where_it_stood_when_it_is_planned_now(
    make_pipeline: Callable[[str, Mapping[str, str]], Pipeline],
) -> None:
    block = "@{0}\ndef run(*inputs):\n    return inputs\n"
    now = plan_of(
        make_pipeline(
            """
            - {uuid: users, type: data_loader, configuration: {dynamic: true}}
            - {uuid: orders, type: transformer, upstream_blocks: [users], configuration: {dynamic: true}}
            - {uuid: price, type: transformer, upstream_blocks: [orders], configuration: {reduce_output: true}}
            - {uuid: total, type: data_exporter, upstream_blocks: [price]}
            - {uuid: pairs, type: custom, upstream_blocks: [users, total, orders]}
            """,
            {
                "data_loaders/users.py": block.format("data_loader"),
                "transformers/orders.py": block.format("transformer"),
                "transformers/price.py": block.format("transformer"),
                "data_exporters/total.py": block.format("data_exporter"),
                "custom/pairs.py": block.format("custom"),
            },
        )
    )
    before = PlanSnapshot(FORMER, "run x")
    assert all(block.stands_as(before[block.uuid]) for block in now)


def test_an_unknown_block_says_which_is_meant() -> None:
    with pytest.raises(NotFoundError, match="Did you mean `orders`"):
        PlanSnapshot(FORMER, "run x")["order"]
