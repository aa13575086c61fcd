"""Random pipelines, small but crooked: the same seed always gives the same script.

They are meant to meet every rule of unfolding with every other one: diamonds that join an axis with itself in three
ways, dynamic blocks under dynamic blocks and for some of their downstreams only, folds of all axes and of the last one
half-way down, items of many runs on one axis, static branches, empty fan-outs, items that wait for each other, sensors,
conditions, failures and what is tolerated of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from refold.errors import PlanError
from refold.model.block import LIST, Join, RetryPolicy, Tolerance
from refold.scheduler.plan import EdgeKind, Plan, PlannedBlock
from refold.testing.drafts import Draft, draft_plan
from refold.testing.scripted import Habits, Script

UUIDS = "abcdefghi"
MAX_BLOCKS = len(UUIDS)
MAX_ITEMS = 4
MAX_RUNS = 3000
"""No pipeline can have more block runs than this, whatever its runs do."""
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Mood:
    """How much goes wrong in one pipeline; chances per block run, for the blocks that are struck at all."""

    struck: float = 0.0
    """Chance that a block has the troubles below; the other blocks have none."""
    fails: float = 0.0
    fails_for_good: float = 0.0
    condition_false: float = 0.0
    producers_only: bool = False
    """Whether only dynamic blocks are struck: generators that fail midway, over children that would do well."""


MOODS = (
    Mood(),
    Mood(struck=0.6, condition_false=0.2),
    Mood(struck=0.8, fails=0.4),
    Mood(struck=0.4, fails=0.2, fails_for_good=0.2),
    Mood(struck=0.5, fails=0.2, fails_for_good=0.1, condition_false=0.2),
    Mood(struck=0.7, fails=0.2, fails_for_good=0.35, producers_only=True),
    Mood(struck=0.5, fails=0.5, producers_only=True),
)


@dataclass(frozen=True, slots=True)
class Taste:
    """What the blocks of one pipeline tend to be; chances."""

    dynamic: float = 0.35
    reduces: float = 0.3
    """Chance of an edge."""
    one_level: float = 0.5
    """Chance that a reduce over a block ends the last axis only."""


TASTES = (Taste(), Taste(dynamic=0.25), Taste(dynamic=0.7, reduces=0.15, one_level=0.8), Taste(0.5, 0.35, 0.9))


def random_script(seed: int) -> Script:
    """A pipeline of 1 to 9 blocks and at most 3,000 block runs, and what each of its runs does."""
    chance = random.Random(seed)
    mood, taste = chance.choice(MOODS), chance.choice(TASTES)
    drafts: list[Draft] = []
    size = min(chance.randint(1, MAX_BLOCKS + 3), MAX_BLOCKS)
    while len(drafts) < size:
        drafts.append(_legal_draft(drafts, taste, chance))
    drafts = _with_tolerance(drafts, chance)
    habits = [_habits(draft, mood, chance) for draft in drafts]
    limit = chance.randint(1, 5) if chance.random() < 0.15 else None
    plan = draft_plan(*drafts, concurrency_limit=limit)
    return Script(plan, _with_waits(plan, habits, chance), seed)


def random_draft(above: Sequence[Draft], taste: Taste, chance: random.Random) -> Draft:
    """A block below some of those that are there; what it asks for may be refused."""
    count = min(len(above), chance.choice((0, 1, 1, 1, 1, 2, 2, 2, 3)) if len(above) > 1 else len(above))
    # Mostly of the latest blocks, so that pipelines grow deep rather than wide.
    near = above[-4:] if chance.random() < 0.7 else above
    upstreams = chance.sample(near, min(count, len(near)))
    dynamic = chance.random() < (0.8 if not above else taste.dynamic)
    # Folds of one axis among several are the rarer ones, and need the chance.
    deep = {block.uuid for block in draft_plan(*above).blocks if len(block.axes) > 1}
    reduces = [block.uuid for block in upstreams if chance.random() < (0.5 if block.uuid in deep else taste.reduces)]
    later = UUIDS[len(above) + 1 :]
    retries = chance.choice((0, 0, 1, 2, 3))
    return Draft(
        uuid=UUIDS[len(above)],
        upstreams=tuple(block.uuid for block in upstreams),
        reduces=tuple(reduces),
        dynamic=dynamic,
        children=tuple(uuid for uuid in later if chance.random() < 0.5) if dynamic and chance.random() < 0.3 else None,
        batch_mode=dynamic and chance.random() < 0.3,
        join=chance.choice(tuple(Join)) if len(upstreams) > 1 or chance.random() < 0.05 else Join.PRODUCT,
        strategy=chance.choice((LIST, "sum")),
        levels=1 if chance.random() < taste.one_level else None,
        retry=RetryPolicy(retries=retries, delay=chance.choice((0.0, 1.0, 5.0))),
        sensor_interval=chance.choice((1.0, 20.0)) if not dynamic and chance.random() < 0.1 else None,
        concurrency_limit=chance.randint(1, 4) if chance.random() < 0.2 else None,
        width=chance.randint(2, 4) if chance.random() < 0.2 else 1,
        buffer_items=chance.choice((1, 2, 3, 6, 1000)),
        buffer_bytes=chance.choice((2000, 64 * 2**20)),
        rate=chance.choice((0.5, 3.0, 40.0, 150.0, 900.0)) if chance.random() < 0.15 else None,
        group_limit=chance.randint(1, 3) if dynamic and chance.random() < 0.3 else None,
    )


def _legal_draft(above: Sequence[Draft], taste: Taste, chance: random.Random) -> Draft:
    """A block that can be unfolded, and leaves the pipeline small."""
    for _ in range(_ATTEMPTS):
        draft = random_draft(above, taste, chance)
        try:
            plan = draft_plan(*above, draft)
        except PlanError:
            continue
        if _most_runs(plan) <= MAX_RUNS:
            return draft
    return Draft(UUIDS[len(above)])


def _with_tolerance(drafts: Sequence[Draft], chance: random.Random) -> list[Draft]:
    """Some blocks put up with failures, where a reduce can."""
    found = list(drafts)
    for number, draft in enumerate(drafts):
        tolerance = chance.choice(
            (None, None, Tolerance(chance.randint(0, 3)), Tolerance(0, chance.choice((20.0, 50.0))))
        )
        found[number] = replace(draft, tolerance=tolerance)
        try:
            draft_plan(*found)
        except PlanError:
            found[number] = draft
    return found


def _habits(draft: Draft, mood: Mood, chance: random.Random) -> Habits:
    struck = chance.random() < mood.struck and (draft.dynamic or not mood.producers_only)
    most = chance.randint(1, MAX_ITEMS)
    fewest = chance.choice((0, 1, most))
    return Habits(
        items=(fewest, most),
        fails=mood.fails if struck else 0.0,
        fails_for_good=mood.fails_for_good if struck else 0.0,
        condition_false=mood.condition_false if struck else 0.0,
        returns_false=mood.condition_false if struck and chance.random() < 0.5 else 0.0,
        returns_list=chance.choice((0.0, 0.3, 1.0)),
        returns_none=chance.choice((0.0, 0.1)),
        not_yet=3 if draft.sensor_interval is not None else 0,
        at_once=chance.choice((0.0, 0.0, 0.5, 1.0)),
    )


def _most_runs(plan: Plan) -> int:
    most: list[int] = []
    """How many runs each block has at most."""
    lengths: list[list[int]] = []
    """How many positions each of its axes has at most, under one outer key."""
    for block in plan.blocks:
        axes = [1] * len(block.axes)
        for edge in block.edges:
            upstream = lengths[edge.upstream]
            seen = upstream[: len(edge.columns)]
            if edge.kind is EdgeKind.ITEMS:
                seen = [*upstream, MAX_ITEMS]
            elif edge.kind is EdgeKind.FLAT:
                outer = len(edge.columns) - 1
                seen = [*upstream[:outer], MAX_ITEMS * _product(upstream[outer:])]
            for column, length in zip(edge.columns, seen, strict=False):
                axes[column] = max(axes[column], length)  # of zipped axes the longest counts
        lengths.append(axes)
        most.append(_product(axes))
    return sum(most)


def _product(lengths: Sequence[int]) -> int:
    result = 1
    for length in lengths:
        result *= length
    return result


def _with_waits(plan: Plan, habits: Sequence[Habits], chance: random.Random) -> tuple[Habits, ...]:
    """Some items have their children wait, for what they may name (design 2.9); nothing waits for itself that way."""
    found = list(habits)
    order = _Order([(edge.upstream, block.number) for block in plan.blocks for edge in block.edges])
    for block in plan.blocks:
        children = _lone_children(plan, block)
        if not children or chance.random() < 0.3:
            continue
        siblings = sorted(child for child in children if not _above(plan, child) & children)
        statics = [
            other.number for other in plan.blocks if not other.axes and block.number not in _above(plan, other.number)
        ]
        named = chance.sample(siblings, chance.randint(0, len(siblings)))
        named += chance.sample(statics, min(len(statics), chance.randint(0, 2)))
        wider = order.with_waits(children, set(named), set(siblings))
        if wider.goes_round():
            named = []
        else:
            order = wider
        waits = chance.choice((0.3, 0.8))
        found[block.number] = replace(found[block.number], waits=waits, awaited=(None, None, *named))
    return tuple(found)


def _lone_children(plan: Plan, block: PlannedBlock) -> set[int]:
    """The children of a dynamic block if each iterates over its items alone, so that items can order their runs."""
    children: set[int] = set()
    for other in plan.blocks:
        kinds = {edge.kind for edge in other.edges if edge.upstream == block.number}
        if EdgeKind.FLAT in kinds or (EdgeKind.ITEMS in kinds and sum(edge.iterates for edge in other.edges) > 1):
            return set()
        if EdgeKind.ITEMS in kinds:
            children.add(other.number)
    return children


def _above(plan: Plan, number: int) -> set[int]:
    """All blocks that a block follows, near and far."""
    upstreams = {edge.upstream for edge in plan.blocks[number].edges}
    return upstreams.union(*(_above(plan, upstream) for upstream in upstreams))


@dataclass(frozen=True, slots=True)
class _Order:
    """Which blocks' runs come after which, by the edges and by what items name."""

    pairs: list[tuple[int, int]]
    """Before and after."""
    merged: dict[int, int] = field(default_factory=dict)
    """Siblings that wait for each other, item by item: here they are one block."""

    def with_waits(self, children: set[int], named: set[int], siblings: set[int]) -> _Order:
        """The children wait for what is named."""
        mutual = named & siblings
        merged = self.merged | {sibling: min(mutual) for sibling in mutual}
        return _Order([*self.pairs, *((before, child) for before in named for child in children)], merged)

    def goes_round(self) -> bool:
        """Whether something would wait for itself."""
        graph: dict[int, set[int]] = {}
        for before, after in self.pairs:
            before, after = self.merged.get(before, before), self.merged.get(after, after)
            if before != after:
                graph.setdefault(after, set()).add(before)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError:
            return True
        return False
