"""What a pipeline's blocks mean for unfolding, and what cannot be planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PlanError
from refold.model.block import (
    BUFFER_BYTES,
    BUFFER_ITEMS,
    Block,
    BlockType,
    DynamicSettings,
    Join,
    Language,
    LimitBy,
    Reduction,
    Tolerance,
)
from refold.model.keys import BlockUuid
from refold.scheduler.plan import Axis, EdgeKind, Fold
from refold.scheduler.planning import ASYNC_WIDTH, make_plan


def block(uuid: str, *upstream: str, settings: DynamicSettings | None = None) -> Block:
    return Block(
        uuid=BlockUuid(uuid),
        name=uuid,
        type=BlockType.TRANSFORMER,
        language=Language.PYTHON,
        file=Path(f"{uuid}.py"),
        upstream_blocks=tuple(map(BlockUuid, upstream)),
        dynamic=settings or DynamicSettings(),
    )


DYNAMIC = DynamicSettings(dynamic=True)
REDUCE = DynamicSettings(reduce_output=True)


def axes(*blocks: Block) -> dict[str, list[str]]:
    plan = make_plan(blocks)
    return {planned.uuid: [plan.blocks[axis.block].uuid for axis in planned.axes] for planned in plan.blocks}


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


def test_a_dynamic_child_that_reduces_gives_one_flat_axis() -> None:
    both = DynamicSettings(dynamic=True, reduce_output=True)
    plan = make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=both), block("c", "b")])
    assert plan.blocks[2].axes == (Axis(1, flat=True),)
    assert plan.blocks[2].edges[0].kind is EdgeKind.FLAT


def test_a_dynamic_child_that_reduces_one_level_gives_a_flat_axis_for_each_outer_key() -> None:
    flat = DynamicSettings(dynamic=True, reduce_output=True, reduction=Reduction(levels=1))
    plan = make_plan(
        [
            block("a", settings=DYNAMIC),
            block("b", "a", settings=DYNAMIC),
            block("c", "b", settings=flat),
            block("d", "c"),
        ]
    )
    assert plan.blocks[3].axes == (Axis(0), Axis(2, (0,), flat=True))


def test_those_that_are_no_children_of_a_dynamic_block_get_each_runs_items_as_a_list() -> None:
    some = DynamicSettings(dynamic=True, children=(BlockUuid("child"),))
    plan = make_plan(
        [block("a", settings=DYNAMIC), block("b", "a", settings=some), block("child", "b"), block("all", "b")]
    )
    assert [len(planned.axes) for planned in plan.blocks] == [0, 1, 2, 1]
    [edge] = plan.blocks[3].edges
    assert (edge.kind, edge.levels, edge.reduces) == (EdgeKind.FOLDED, 0, False)


LAZY = DynamicSettings(lazy_input=True)


@pytest.mark.parametrize(("strategy", "ahead"), [("concat", False), ("list", False), ("sum", True), ("own", True)])
def test_what_is_read_piece_by_piece_alone_is_not_folded_ahead(strategy: str, ahead: bool) -> None:
    folds = DynamicSettings(reduce_output=True, reduction=Reduction(strategy))
    above = block("a", settings=DYNAMIC), block("b", "a", settings=folds)
    plan = make_plan([*above, block("lazy", "b", settings=LAZY)])
    assert plan.blocks[1].folds == (Fold(computed=ahead),)
    plan = make_plan([*above, block("lazy", "b", settings=LAZY), block("eager", "b")])
    eager, lazy = plan.blocks[3].edges[0].fold, plan.blocks[2].edges[0].fold
    assert [plan.blocks[1].folds[fold].computed for fold in (lazy, eager) if fold is not None] == [
        ahead,
        strategy != "list",
    ]


def test_who_reads_one_run_alone_has_nothing_to_read_piece_by_piece() -> None:
    with pytest.raises(PlanError, match=r"block `b`, configuration\.dynamic\.reduce_input: .*none of its upstreams"):
        make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=LAZY)])
    some = DynamicSettings(dynamic=True, children=(BlockUuid("each"),))
    make_plan([block("a", settings=some), block("each", "a"), block("whole", "a", settings=LAZY)])


def test_a_strategy_is_computed_by_workers_and_a_list_is_not() -> None:
    summed = DynamicSettings(reduce_output=True, reduction=Reduction("sum", levels=1))
    plan = make_plan(
        [
            block("a", settings=DYNAMIC),
            block("b", "a", settings=DYNAMIC),
            block("c", "b", settings=summed),
            block("d", "c"),
        ]
    )
    assert plan.blocks[2].folds == (Fold(levels=1, computed=True),)
    plan = make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=REDUCE), block("c", "b")])
    assert plan.blocks[1].folds == (Fold(levels=None, computed=False),)


def test_one_level_of_a_block_with_one_axis_is_all_of_it() -> None:
    levels = DynamicSettings(reduce_output=True, reduction=Reduction(levels=1))
    plan = make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=levels), block("c", "b")])
    assert plan.blocks[2].axes == ()
    assert plan.blocks[2].edges[0].levels is None


def test_a_limit_of_a_dynamic_block_is_one_on_its_children() -> None:
    limited = DynamicSettings(dynamic=True, max_concurrent_child_block_runs=3)
    own = DynamicSettings(max_concurrent_child_block_runs=2)
    plan = make_plan([block("a", settings=limited), block("b", "a"), block("c", "a", settings=own), block("d", "b")])
    assert [planned.concurrency_limit for planned in plan.blocks] == [None, 3, 2, None]


ZIP, ALIGN = DynamicSettings(join=Join.ZIP), DynamicSettings(join=Join.ALIGN)
TOLERANT = Tolerance(count=1)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([block("a", settings=DYNAMIC), block("b", "a", settings=ALIGN)], "block `b`.*join.*two upstream blocks"),
        (
            [
                block("a", settings=DYNAMIC),
                block("b", "a", settings=DynamicSettings(dynamic=True, reduce_output=True, reduction=Reduction("sum"))),
                block("c", "b"),
            ],
            "block `b`.*reduce.*`sum` has nothing to fold",
        ),
        (
            [block("a", settings=DynamicSettings(dynamic=True, tolerance=TOLERANT)), block("b", "a")],
            "block `a`.*tolerate.*unclosed",
        ),
        (
            [
                block("a", settings=DYNAMIC),
                block("b", settings=DYNAMIC),
                block("z", "a", "b", settings=ZIP),
                block("c", "z", "b", settings=ALIGN),
            ],
            "block `c`.*join.*pairs the items of `a` with those of `b`",
        ),
        (
            [
                block("a", settings=DYNAMIC),
                block("b", settings=DYNAMIC),
                block("x", "a"),
                block("y", "b", "a"),
                block(
                    "r",
                    "x",
                    "y",
                    settings=DynamicSettings(join=Join.ALIGN, reduce_output=True, reduction=Reduction(levels=1)),
                ),
                block("c", "r"),
            ],
            "block `r`.*last axis cannot be reduced alone",
        ),
    ],
    ids=["nothing to align", "strategy of items", "tolerant producer", "hidden by a zip", "last axis"],
)
def test_what_cannot_be_planned_names_block_key_and_reason(blocks: list[Block], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_plan(blocks)


def test_all_that_cannot_be_planned_is_said_at_once() -> None:
    with pytest.raises(PlanError, match=r"2 things cannot be planned:(.|\n)*block `b`(.|\n)*block `c`"):
        make_plan([block("a", settings=DYNAMIC), block("b", "a", settings=ALIGN), block("c", "a", settings=ZIP)])


def test_depth_is_the_longest_way_and_async_blocks_are_wide() -> None:
    plan = make_plan([block("a"), block("b", "a"), block("c", "a", "b")], 7, asynchronous=frozenset({BlockUuid("b")}))
    assert [planned.depth for planned in plan.blocks] == [0, 1, 2]
    assert [planned.width for planned in plan.blocks] == [1, ASYNC_WIDTH, 1]
    assert plan.concurrency_limit == 7


def test_a_rate_is_that_of_each_child_and_the_slowest_of_several_holds() -> None:
    plan = make_plan(
        [
            block("d", settings=DynamicSettings(dynamic=True, rate=50.0)),
            block("e", settings=DynamicSettings(dynamic=True, rate=20.0)),
            block("child", "d"),
            block("pair", "d", "e"),
            block("own", "d", settings=DynamicSettings(rate=5.0)),
            block("nested", "d", settings=DynamicSettings(dynamic=True, rate=1.0)),
            block("below", "child"),
            block("alone", settings=DynamicSettings(rate=3.0)),
        ]
    )
    rates = {planned.uuid: planned.rate for planned in plan.blocks}
    assert rates == {
        "d": None, "e": None, "child": 50.0, "pair": 20.0, "own": 5.0, "nested": 50.0, "below": None, "alone": 3.0,
    }  # fmt: skip


def test_a_buffer_and_a_limit_by_value_are_of_the_dynamic_block_itself() -> None:
    limit = LimitBy("shop", 2)
    bounded = DynamicSettings(dynamic=True, buffer_items=5, buffer_bytes=100, limit_by=limit)
    plan = make_plan([block("d", settings=bounded), block("e", settings=DYNAMIC), block("c", "d")])
    first, second, child = plan.blocks
    assert (first.buffer_items, first.buffer_bytes, first.group_limit) == (5, 100, 2)
    assert (second.buffer_items, second.buffer_bytes, second.group_limit) == (BUFFER_ITEMS, BUFFER_BYTES, None)
    assert child.group_limit is None
