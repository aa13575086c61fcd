"""Random pipelines, small but crooked: the same seed always gives the same script.

They are meant to meet every rule of unfolding with every other one: diamonds that join an axis with itself, dynamic
blocks under dynamic blocks, reduces half-way down, static branches, empty fan-outs, sensors, conditions and failures.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from refold.model.block import RetryPolicy
from refold.testing.drafts import Draft, draft_plan
from refold.testing.scripted import Habits, Script

MAX_BLOCKS = 9
MAX_ITEMS = 4
MAX_RUNS = 3000
"""No pipeline can have more block runs than this, whatever its runs do."""


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


def random_script(seed: int) -> Script:
    """A pipeline of 1 to 9 blocks and at most 3,000 block runs, and what each of its runs does."""
    chance = random.Random(seed)
    mood = chance.choice(MOODS)
    drafts: list[Draft] = []
    habits: list[Habits] = []
    size = min(chance.randint(1, MAX_BLOCKS + 3), MAX_BLOCKS)
    while len(drafts) < size:
        draft = _draft(drafts, chance)
        if _most_runs([*drafts, draft]) > MAX_RUNS:
            draft = replace(draft, upstreams=draft.upstreams[:1])
        if _most_runs([*drafts, draft]) > MAX_RUNS:
            draft = Draft(draft.uuid, (drafts[0].uuid,), () if drafts[0].dynamic else (drafts[0].uuid,))
        drafts.append(draft)
        habits.append(_habits(draft, mood, chance))
    limit = chance.randint(1, 5) if chance.random() < 0.15 else None
    return Script(draft_plan(*drafts, concurrency_limit=limit), tuple(habits), seed)


def _draft(above: list[Draft], chance: random.Random) -> Draft:
    count = min(len(above), chance.choice((0, 1, 1, 1, 1, 2, 2, 2, 3)) if len(above) > 1 else len(above))
    # Mostly of the latest blocks, so that pipelines grow deep rather than wide.
    near = above[-4:] if chance.random() < 0.7 else above
    upstreams = chance.sample(near, min(count, len(near)))
    # Out of a dynamic block no edge reduces here.
    reduces = [block.uuid for block in upstreams if not block.dynamic and chance.random() < 0.3]
    dynamic = chance.random() < (0.8 if not above else 0.35)
    return Draft(
        uuid="abcdefghi"[len(above)],
        upstreams=tuple(block.uuid for block in upstreams),
        reduces=tuple(reduces),
        dynamic=dynamic,
        batch_mode=dynamic and chance.random() < 0.3,
        retry=RetryPolicy(retries=chance.choice((0, 0, 1, 2, 3)), delay=chance.choice((0.0, 1.0, 5.0))),
        sensor_interval=chance.choice((1.0, 20.0)) if not dynamic and chance.random() < 0.1 else None,
        concurrency_limit=chance.randint(1, 4) if chance.random() < 0.2 else None,
        width=chance.randint(2, 4) if chance.random() < 0.2 else 1,
        buffer_items=chance.choice((1, 2, 3, 6, 1000)),
        buffer_bytes=chance.choice((2000, 64 * 2**20)),
    )


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


def _most_runs(drafts: list[Draft]) -> int:
    plan = draft_plan(*drafts)
    return sum(MAX_ITEMS ** len(block.axes) for block in plan.blocks)
