"""What the evaluator makes of folds, of tolerance and of items that name each other, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.testing.reading import Acts, script_of, statuses, values

from refold.errors import PlanError
from refold.model.block import Tolerance
from refold.scheduler.commands import End
from refold.scheduler.events import Wait
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import Observation, Seen, agree, evaluate
from refold.testing.scripted import Act, Ending, Script

DAYS = Draft("days", dynamic=True)
USERS = Draft("users", ("days",), dynamic=True)
CLEAN = Draft("clean", ("users",), levels=1)
DAILY = Draft("daily", ("clean",), reduces=("clean",))
RAGGED: Acts = {("users", (0,)): Act(items=2), ("users", (1,)): Act(items=0), ("users", (2,)): Act(items=1)}


def test_a_reduce_of_one_level_gives_one_list_for_each_outer_key_empty_ones_too() -> None:
    script = script_of(DAYS, USERS, CLEAN, DAILY, acts=RAGGED, days=Act(items=3))
    first = ("clean:0:0(users:0(days().0).0)", "clean:0:1(users:0(days().0).1)")
    assert values(script, "daily") == [
        script.output(3, (0,), [first]),
        "daily:1([])",
        "daily:2([clean:2:0(users:2(days().2).0)])",
    ]
    assert list(evaluate(script).total_final.values()) == [True] * 4


def test_one_level_of_one_axis_is_all_of_them() -> None:
    script = script_of(
        DAYS, Draft("plain", ("days",), levels=1), Draft("all", ("plain",), reduces=("plain",)), days=Act(items=2)
    )
    assert values(script, "all") == ["all([plain:0(days().0), plain:1(days().1)])"]


def test_a_failure_takes_the_outer_key_it_stands_under_and_no_other() -> None:
    acts = RAGGED | {("clean", (0, 1)): Act(Ending.FAILS)}
    script = script_of(DAYS, USERS, CLEAN, DAILY, acts=acts, days=Act(items=3))
    assert statuses(script)["daily"] == {"0": "upstream_failed", "1": "completed", "2": "completed"}


def test_a_producer_that_failed_has_no_fold_and_one_that_a_condition_stopped_has_an_empty_one() -> None:
    acts = RAGGED | {("users", (0,)): Act(Ending.FAILS, fails_after=1), ("users", (2,)): Act(Ending.CONDITION_FALSE)}
    script = script_of(DAYS, USERS, CLEAN, DAILY, acts=acts, days=Act(items=3))
    assert statuses(script)["daily"] == {"0": "upstream_failed", "1": "completed", "2": "completed"}
    assert values(script, "daily")[2] == "daily:2([])"


def test_folds_of_folds_end_one_axis_after_the_other() -> None:
    script = script_of(
        DAYS,
        USERS,
        replace(CLEAN, strategy="sum"),
        DAILY,
        Draft("all", ("daily",), reduces=("daily",)),
        acts=RAGGED,
        days=Act(items=3),
        clean=Act(Ending.LIST, elements=1),
    )
    assert values(script, "daily")[1] == "daily:1(fold())"
    assert values(script, "daily")[2] == "daily:2(fold(clean:2:0(users:2(days().2).0)[0]))"
    assert list(statuses(script)["all"]) == [""]


def test_a_computed_fold_takes_values_left_to_right_and_passes_over_none() -> None:
    acts: Acts = {("plain", (1,)): Act(Ending.NONE), ("plain", (2,)): Act(Ending.LIST, elements=2)}
    acts |= {("plain", (3,)): Act(Ending.FALSE)}
    drafts = (DAYS, Draft("plain", ("days",), strategy="sum"), Draft("all", ("plain",), reduces=("plain",)))
    script = script_of(*drafts, acts=acts, days=Act(items=4), all=Act())
    run = evaluate(script).runs["all"][()]
    whole = "fold(plain:0(days().0), plain:2(days().2)[0], plain:2(days().2)[1], False)"
    assert run.value == script.output(2, (), [whole])
    assert run.value != script.output(2, (), [whole.replace("False", "None")])


def test_the_items_of_a_block_that_is_dynamic_for_others_fold_over_all_its_runs() -> None:
    drafts = (
        DAYS,
        Draft("users", ("days",), dynamic=True, children=("child",), strategy="sum"),
        Draft("child", ("users",)),
        Draft("all", ("users",), reduces=("users",)),
    )
    script = script_of(*drafts, acts=RAGGED, days=Act(items=3))
    fold = "fold(users:0(days().0).0, users:0(days().0).1, users:2(days().2).0)"
    assert evaluate(script).runs["all"][()].value == script.output(3, (), [fold])


def tolerating(tolerance: Tolerance, acts: Acts, items: int = 4) -> Script:
    drafts = (
        DAYS,
        Draft("plain", ("days",)),
        Draft("child", ("plain",), tolerance=tolerance),
        Draft("all", ("child",), reduces=("child",)),
    )
    return script_of(*drafts, acts=acts, days=Act(items=items))


ONE_FAILED: Acts = {("plain", (1,)): Act(Ending.FAILS)}
TWO_FAILED = ONE_FAILED | {("child", (2,)): Act(Ending.FAILS)}


@pytest.mark.parametrize(
    ("tolerance", "acts", "word"),
    [
        (Tolerance(0), ONE_FAILED, "upstream_failed"),
        (Tolerance(1), ONE_FAILED, "completed"),
        (Tolerance(1), TWO_FAILED, "upstream_failed"),
        (Tolerance(2), TWO_FAILED, "completed"),
        (Tolerance(percent=25.0), ONE_FAILED, "completed"),
        (Tolerance(percent=49.0), TWO_FAILED, "upstream_failed"),
        # One of four, less the one that a condition stopped, is more than thirty percent.
        (Tolerance(percent=30.0), ONE_FAILED | {("child", (2,)): Act(Ending.CONDITION_FALSE)}, "upstream_failed"),
    ],
)
def test_a_reduce_puts_up_with_what_is_tolerated(tolerance: Tolerance, acts: Acts, word: str) -> None:
    assert statuses(tolerating(tolerance, acts))["all"] == {"": word}


def test_what_is_tolerated_adds_nothing_and_leaves_the_pipeline_run_completed() -> None:
    script = tolerating(Tolerance(2), TWO_FAILED)
    assert values(script, "all") == [script.output(3, (), [tuple(values(script, "child")[at] for at in (0, 3))])]
    assert evaluate(script).end is End.COMPLETED


def test_a_failure_is_excused_only_if_every_way_leads_to_where_it_is_tolerated() -> None:
    drafts = (
        DAYS,
        Draft("plain", ("days",)),
        Draft("child", ("plain",), tolerance=Tolerance(1)),
        Draft("other", ("plain",)),
    )
    assert evaluate(script_of(*drafts[:3], acts=ONE_FAILED, days=Act(items=3))).end is End.COMPLETED
    assert evaluate(script_of(*drafts, acts=ONE_FAILED, days=Act(items=3))).end is End.FAILED
    reducing = (*drafts[:3], Draft("count", ("plain",), reduces=("plain",)))
    assert evaluate(script_of(*reducing, acts=ONE_FAILED, days=Act(items=3))).end is End.FAILED


def test_what_never_closes_is_not_tolerated() -> None:
    script = tolerating(Tolerance(9), {("days", ()): Act(Ending.FAILS, fails_after=2)})
    assert statuses(script)["all"] == {"": "upstream_failed"}


def test_tolerated_runs_of_a_dynamic_block_leave_the_items_of_the_others_on_its_flat_axis() -> None:
    drafts = (DAYS, replace(USERS, tolerance=Tolerance(1)), Draft("each", ("users",), reduces=("users",)))
    acts: Acts = {("users", (0,)): Act(Ending.FAILS, fails_after=1), ("users", (1,)): Act(items=2)}
    script = script_of(*drafts, acts=acts, days=Act(items=2))
    assert values(script, "each") == ["each:0(users:1(days().1).0)", "each:1(users:1(days().1).1)"]
    with pytest.raises(PlanError, match="tolerates"):
        draft_plan(DAYS, replace(USERS, tolerance=Tolerance(1)), Draft("child", ("users",)))


FIRST, SECOND, STATIC = Draft("first", ("days",)), Draft("second", ("days",)), Draft("static")


def waiting(*waits: Wait, acts: Acts | None = None, days: Act | None = None) -> Script:
    """Two children of three items that wait like this; the static block is the number 3."""
    act = replace(days or Act(items=3), waits=waits)
    return script_of(DAYS, FIRST, SECOND, STATIC, acts=acts, days=act, first=Act(), second=Act(), static=Act())


def test_children_follow_what_their_item_names() -> None:
    own = waiting(Wait(0, None, 2), acts={("first", (2,)): Act(Ending.FAILS)})
    assert statuses(own)["first"] == {"0": "upstream_failed", "1": "completed", "2": "failed"}
    assert statuses(own)["second"] == dict.fromkeys("012", "completed")
    other = waiting(Wait(0, 1, 2), acts={("first", (2,)): Act(Ending.FAILS)})
    assert statuses(other)["first"] == {"0": "upstream_failed", "1": "completed", "2": "failed"}
    assert statuses(other)["second"] == {"0": "upstream_failed", "1": "completed", "2": "completed"}
    static = waiting(Wait(1, 3, None), acts={("static", ()): Act(Ending.CONDITION_FALSE)})
    assert statuses(static)["first"] == {"0": "completed", "1": "upstream_failed", "2": "completed"}


def test_what_waits_for_a_waiter_fails_with_it_and_a_false_answer_is_an_end_like_any_other() -> None:
    script = waiting(Wait(0, None, 1), Wait(1, None, 2), acts={("first", (2,)): Act(Ending.FAILS)})
    assert statuses(script)["first"] == {"0": "upstream_failed", "1": "upstream_failed", "2": "failed"}
    script = waiting(Wait(0, None, 1), acts={("first", (1,)): Act(Ending.FALSE)})
    assert statuses(script)["first"] == dict.fromkeys("012", "completed")


def test_a_named_item_that_did_not_come_before_its_generator_failed_leaves_its_waiters_upstream_failed() -> None:
    script = waiting(Wait(0, None, 2), Wait(1, None, 0), days=Act(Ending.FAILS, items=3, fails_after=2))
    assert [run.allowed for run in evaluate(script).runs["first"].values()] == [{Status.UPSTREAM_FAILED}] * 2


def under_outer_failure(*days: str) -> list[str]:
    """Differences when days gave two items and failed, day 0 had two users and day 1 none, and `daily` ended so."""
    acts: Acts = {("users", (0,)): Act(items=2), ("users", (1,)): Act(items=0)}
    script = script_of(DAYS, USERS, CLEAN, DAILY, acts=acts, days=Act(Ending.FAILS, fails_after=2))
    law = evaluate(script)
    runs = {
        block: {key: Seen(run.status, run.value, run.items) for key, run in found.items()}
        for block, found in law.runs.items()
    }
    runs["daily"] = {
        (day,): Seen(Status[word], law.runs["daily"][day,].value if word == "COMPLETED" else None)
        for day, word in enumerate(days)
    }
    observed = Observation(runs, End.FAILED)
    return agree(evaluate(script, observed), observed)


def test_a_fold_under_an_item_of_a_generator_that_failed_may_have_been_in_time_or_not() -> None:
    assert not under_outer_failure("COMPLETED", "COMPLETED")
    assert not under_outer_failure("UPSTREAM_FAILED", "COMPLETED")
    assert under_outer_failure("CONDITION_FAILED", "COMPLETED") == [
        "daily:0: condition_failed; it should be completed or upstream_failed"
    ]


def test_in_batch_mode_not_even_an_empty_fold_is_read_under_an_item_of_what_failed() -> None:
    days = replace(DAYS, batch_mode=True)
    plan = (days, Draft("regions", dynamic=True), Draft("pairs", ("days", "regions"), levels=1))
    script = script_of(*plan, Draft("daily", ("pairs",), reduces=("pairs",)), days=Act(Ending.FAILS, fails_after=2))
    assert statuses(script)["daily"] == {"0": "upstream_failed", "1": "upstream_failed"}
