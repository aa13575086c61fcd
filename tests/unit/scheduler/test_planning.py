"""What a pipeline's blocks mean for unfolding, and what cannot be planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PlanError
from refold.model.block import Block, BlockType, DynamicSettings, JsonValue, Language
from refold.model.keys import BlockUuid
from refold.scheduler.planning import ASYNC_WIDTH, make_plan


def block(
    uuid: str, *upstream: str, settings: DynamicSettings | None = None, dynamic: dict[str, JsonValue] | None = None
) -> Block:
    return Block(
        uuid=BlockUuid(uuid),
        name=uuid,
        type=BlockType.TRANSFORMER,
        language=Language.PYTHON,
        file=Path(f"{uuid}.py"),
        upstream_blocks=tuple(map(BlockUuid, upstream)),
        configuration={} if dynamic is None else {"dynamic": dynamic},
        dynamic=settings or DynamicSettings(),
    )


DYNAMIC = DynamicSettings(dynamic=True)
REDUCE = DynamicSettings(reduce_output=True)


def axes(*blocks: Block) -> dict[str, list[str]]:
    plan = make_plan(blocks)
    return {planned.uuid: [plan.blocks[axis].uuid for axis in planned.axes] for planned in plan.blocks}


def test_a_block_iterates_over_what_its_upstreams_do_and_their_items() -> None:
    found = axes(
        block("days", settings=DYNAMIC),
        block("users", "days", settings=DYNAMIC),
        block("clean", "users"),
        block("static"),
        block("both", "clean", "static"),
    )
    assert found == {"days": [], "users": ["days"], "clean": ["days", "users"], "static": [], "both": ["days", "users"]}


def test_two_upstreams_over_the_same_items_multiply() -> None:
    found = axes(block("a", settings=DYNAMIC), block("b", "a"), block("c", "b"), block("d", "b", "c"))
    assert found["d"] == ["a", "a"]


def test_a_reducing_edge_ends_all_axes_for_the_blocks_that_it_names() -> None:
    some = DynamicSettings(reduce_output=(BlockUuid("one"),))
    found = axes(
        block("a", settings=DYNAMIC),
        block("b", "a", settings=some),
        block("one", "b"),
        block("each", "b"),
        block("asked", "b", settings=DynamicSettings(reduce_output_upstream=(BlockUuid("b"),))),
    )
    assert (found["one"], found["each"], found["asked"]) == ([], ["a"], [])


def test_a_static_dynamic_block_that_reduces_still_unfolds() -> None:
    both = DynamicSettings(dynamic=True, reduce_output=True)
    assert axes(block("a", settings=both), block("b", "a"))["b"] == ["a"]


def test_a_dynamic_child_that_reduces_is_refused() -> None:
    both = DynamicSettings(dynamic=True, reduce_output=True)
    with pytest.raises(PlanError, match="block `b`, reduce_output"):
        make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=both), block("c", "b")])


@pytest.mark.parametrize(
    ("key", "value"),
    [("join", "align"), ("tolerate", "5%"), ("reduce", "sum"), ("reduce", {"levels": 1}), ("max_child_block_runs", 9)],
)
def test_a_setting_that_would_change_what_runs_is_never_passed_over(key: str, value: JsonValue) -> None:
    with pytest.raises(PlanError, match=f"configuration.dynamic.{key}"):
        make_plan([block("a", dynamic={key: value})])


def test_settings_that_say_what_happens_anyway_are_accepted() -> None:
    make_plan([block("a", dynamic={"join": "product", "reduce": {"strategy": "list"}})])


def test_a_dynamic_block_for_some_of_its_children_only_is_refused() -> None:
    some = DynamicSettings(dynamic=True, children=(BlockUuid("b"),))
    with pytest.raises(PlanError, match=r"configuration.dynamic.parent"):
        make_plan([block("a", settings=some), block("b", "a")])


def test_depth_is_the_longest_way_and_async_blocks_are_wide() -> None:
    plan = make_plan([block("a"), block("b", "a"), block("c", "a", "b")], 7, asynchronous=frozenset({BlockUuid("b")}))
    assert [planned.depth for planned in plan.blocks] == [0, 1, 2]
    assert [planned.width for planned in plan.blocks] == [1, ASYNC_WIDTH, 1]
    assert plan.concurrency_limit == 7
