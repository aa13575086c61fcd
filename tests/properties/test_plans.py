"""Random blocks, planned twice: the planner and the drafts read the law of axes, joins and folds the same way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from refold.errors import PlanError
from refold.model.block import Block, BlockType, DynamicSettings, Join, Language, Reduction, Tolerance
from refold.model.keys import BlockUuid
from refold.scheduler.plan import Axis, Fold, Plan, PlannedBlock
from refold.scheduler.planning import make_plan
from refold.testing.drafts import Draft, draft_plan
from refold.testing.random_pipelines import MAX_BLOCKS, TASTES, random_draft


def random_drafts(seed: int) -> list[Draft]:
    """Drafts of which each but the last was legal when it came; some tolerate what cannot be tolerated."""
    chance = random.Random(seed)
    taste = chance.choice(TASTES)
    drafts: list[Draft] = []
    while len(drafts) < MAX_BLOCKS and is_legal(drafts):
        draft = random_draft(drafts, taste, chance)
        drafts.append(replace(draft, join=chance.choice(tuple(Join)) if len(draft.upstreams) > 1 else draft.join))
    if chance.random() < 0.3:
        number = chance.randrange(len(drafts))
        drafts[number] = replace(drafts[number], tolerance=Tolerance(1))
    return drafts


def is_legal(drafts: Sequence[Draft]) -> bool:
    try:
        draft_plan(*drafts)
    except PlanError:
        return False
    return True


def blocks_of(drafts: Sequence[Draft], chance: random.Random) -> list[Block]:
    """The drafts as a project has them; that an edge reduces is said by its upstream, by all of it, or downstream."""
    said_above: dict[str, list[BlockUuid]] = {draft.uuid: [] for draft in drafts}
    said_below: dict[str, list[BlockUuid]] = {draft.uuid: [] for draft in drafts}
    for draft in drafts:
        for uuid in draft.reduces:
            said = chance.choice((said_above, said_below, None))
            if said is not said_below:
                said_above[uuid].append(BlockUuid(draft.uuid))
            if said is not said_above:
                said_below[draft.uuid].append(BlockUuid(uuid))
    return [block_of(draft, drafts, said_above[draft.uuid], said_below[draft.uuid]) for draft in drafts]


def block_of(draft: Draft, drafts: Sequence[Draft], above: list[BlockUuid], below: list[BlockUuid]) -> Block:
    followers = [BlockUuid(other.uuid) for other in drafts if draft.uuid in other.upstreams]
    settings = DynamicSettings(
        dynamic=draft.dynamic,
        batch_mode=draft.batch_mode,
        reduce_output=True if followers and followers == above else tuple(above) if above else False,
        reduce_output_upstream=tuple(below),
        children=None if draft.children is None else tuple(map(BlockUuid, draft.children)),
        join=draft.join,
        reduction=Reduction(strategy=draft.strategy, levels=draft.levels),
        tolerance=draft.tolerance,
    )
    return Block(
        uuid=BlockUuid(draft.uuid),
        name=draft.uuid,
        type=BlockType.TRANSFORMER,
        language=Language.PYTHON,
        file=Path("/nowhere"),
        upstream_blocks=tuple(map(BlockUuid, draft.upstreams)),
        dynamic=settings,
        retry=draft.retry,
    )


def in_comparison(plan: Plan) -> list[tuple[object, ...]]:
    """All that the law says of a plan; nothing of the order in which folds are listed, and partners of zips."""
    return [
        (
            block.uuid,
            [
                (edge.upstream, edge.kind, edge.iterates, edge.columns, edge.levels, fold_of(plan, block, at))
                for at, edge in enumerate(block.edges)
            ],
            [in_order(axis) for axis in block.axes],
            sorted(block.folds, key=repr),
            (block.join, block.depth, block.dynamic, block.batch_mode, block.tolerance, block.retry),
        )
        for block in plan.blocks
    ]


def fold_of(plan: Plan, block: PlannedBlock, at: int) -> Fold | None:
    edge = block.edges[at]
    return None if edge.fold is None else plan.blocks[edge.upstream].folds[edge.fold]


def in_order(axis: Axis) -> Axis:
    return replace(axis, zipped=tuple(sorted(axis.zipped)))


def check(seed: int) -> str:
    """Plans the drafts of a seed both ways; what came of it."""
    drafts = random_drafts(seed)
    blocks = blocks_of(drafts, random.Random(seed))
    try:
        drafted = draft_plan(*drafts)
    except PlanError:
        with pytest.raises(PlanError):
            make_plan(blocks)
        return "refused"
    try:
        planned = make_plan(blocks)
    except PlanError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    assert in_comparison(planned) == in_comparison(drafted), f"seed {seed}"
    return "planned"


@pytest.mark.parametrize("first", range(0, 3000, 500))
def test_random_blocks_are_planned_or_refused_as_the_law_says(first: int) -> None:
    found = [check(seed) for seed in range(first, first + 500)]
    assert found.count("planned") > 100
    assert found.count("refused") > 100


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 60_000, 5000))
def test_fifty_thousand_more_random_blocks_are_planned_or_refused_as_the_law_says(first: int) -> None:
    for seed in range(first, first + 5000):
        check(seed)
