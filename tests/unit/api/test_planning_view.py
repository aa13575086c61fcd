"""A plan says what would run, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from refold.api.pipeline import Pipeline
from refold.api.planning_view import describe_plan
from refold.errors import PipelineError


def test_counts_are_the_items_of_the_axes_multiplied(nested: Pipeline) -> None:
    plan = describe_plan(nested)
    assert plan.pipeline_uuid == "daily"
    assert {block.uuid: block.count for block in plan.blocks} == {
        "shops": "1",
        "orders": "|shops|",
        "price": "|shops| x |orders|",
        "total": "1",
        "days": "1",
        "pairs": "|shops| x |orders| x |days|",
    }


def test_a_block_shows_its_upstreams_and_how_they_reach_it(nested: Pipeline) -> None:
    blocks = {block.uuid: block for block in describe_plan(nested).blocks}
    orders, total, pairs = (blocks[uuid] for uuid in blocks if uuid in {"orders", "total", "pairs"})
    assert (orders.dynamic, orders.axes, orders.reduces) == (True, ["shops"], [])
    assert (total.dynamic, total.axes, total.reduces) == (False, [], ["price"])
    assert (pairs.type, pairs.upstreams) == ("custom", ["orders", "total", "days"])


def test_a_plan_starts_and_writes_nothing(users: Pipeline) -> None:
    describe_plan(users)
    assert not users.project.data_folder.exists()


def test_what_cannot_run_is_an_error_here_already(
    make_pipeline: Callable[[str, Mapping[str, str]], Pipeline],
) -> None:
    with pytest.raises(PipelineError, match="a block file is missing"):
        describe_plan(make_pipeline("- {uuid: load, type: data_loader}", {}))
