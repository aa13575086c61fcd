"""What the evaluator makes of joins, of flat axes and of blocks that are dynamic for some, worked out by hand."""

from __future__ import annotations

import pytest
from tests.unit.testing.reading import Acts, script_of, statuses, values

from refold.errors import PlanError
from refold.model.block import Join, RetryPolicy
from refold.scheduler.commands import End
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import evaluate
from refold.testing.scripted import Act, Ending, Script


def diamond(join: Join) -> Script:
    """The documents' A to B, B to C, and both to D."""
    drafts = (
        Draft("A", dynamic=True),
        Draft("B", ("A",)),
        Draft("C", ("B",)),
        Draft("D", ("B", "C"), join=join),
    )
    return script_of(*drafts, A=Act(items=10))


def test_align_makes_ten_runs_where_product_makes_a_hundred() -> None:
    product, align = (list(evaluate(diamond(join)).runs["D"]) for join in (Join.PRODUCT, Join.ALIGN))
    assert product == [(b, c) for b in range(10) for c in range(10)]
    assert align == [(index,) for index in range(10)]
    assert values(diamond(Join.ALIGN), "D")[3] == "D:3(B:3(A().3), C:3(B:3(A().3)))"


def test_align_multiplies_what_upstreams_do_not_share() -> None:
    drafts = (
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True),
        Draft("regions", dynamic=True),
        Draft("daily", ("days", "regions")),
        Draft("report", ("users", "daily"), join=Join.ALIGN),
    )
    acts: Acts = {("users", (0,)): Act(items=2), ("users", (1,)): Act(items=1)}
    script = script_of(*drafts, acts=acts, days=Act(items=2), regions=Act(items=2))
    # Its axes are days, users and regions; the day is one, whether it comes with the user or with the region.
    assert list(statuses(script)["report"]) == ["0:0:0", "0:0:1", "0:1:0", "0:1:1", "1:0:0", "1:0:1"]
    assert values(script, "report")[3] == ("report:0:1:1(users:0(days().0).1, daily:0:1(days().0, regions().1))")


def test_what_holds_an_axis_twice_cannot_be_aligned() -> None:
    twice = (Draft("a", dynamic=True), Draft("b", ("a",)), Draft("c", ("a", "b")))
    with pytest.raises(PlanError, match="twice"):
        draft_plan(*twice, Draft("d", ("c", "b"), join=Join.ALIGN))


def zipped(left: Act, right: Act) -> Script:
    drafts = (
        Draft("left", dynamic=True),
        Draft("right", dynamic=True),
        Draft("pair", ("left", "right"), join=Join.ZIP),
        Draft("next", ("pair",)),
        Draft("total", ("pair",), reduces=("pair",)),
    )
    return script_of(*drafts, left=left, right=right)


def test_zip_pairs_by_index() -> None:
    script = zipped(Act(items=2), Act(items=2))
    assert values(script, "pair") == ["pair:0(left().0, right().0)", "pair:1(left().1, right().1)"]
    assert evaluate(script).end is End.COMPLETED


def test_what_has_no_partner_in_a_zip_fails_once_both_sides_have_closed() -> None:
    script = zipped(Act(items=1), Act(items=3))
    found = statuses(script)
    assert found["pair"] == {"0": "completed", "1": "failed", "2": "failed"}
    assert found["next"] == {"0": "completed", "1": "upstream_failed", "2": "upstream_failed"}
    assert found["total"] == {"": "upstream_failed"}
    assert evaluate(script).end is End.FAILED


def test_where_one_side_of_a_zip_never_closes_nobody_knows_what_is_too_much() -> None:
    script = zipped(Act(items=4), Act(Ending.FAILS, fails_after=2))
    assert list(statuses(script)["pair"]) == ["0", "1"]
    assert evaluate(script).total_final["pair"] is False


def test_zip_aligns_outer_axes_and_pairs_under_each_outer_key() -> None:
    drafts = (
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True),
        Draft("seats", ("days",), dynamic=True),
        Draft("placed", ("users", "seats"), join=Join.ZIP),
    )
    acts: Acts = {("users", (0,)): Act(items=2), ("users", (1,)): Act(items=1), ("users", (2,)): Act(items=0)}
    acts |= {("seats", (0,)): Act(items=2), ("seats", (1,)): Act(items=2), ("seats", (2,)): Act(items=0)}
    script = script_of(*drafts, acts=acts, days=Act(items=3))
    assert statuses(script)["placed"] == {"0:0": "completed", "0:1": "completed", "1:0": "completed", "1:1": "failed"}
    assert values(script, "placed")[1] == "placed:0:1(users:0(days().0).1, seats:0(days().0).1)"


def test_what_was_zipped_is_not_joined_with_one_side_alone() -> None:
    drafts = (
        Draft("a", dynamic=True),
        Draft("b", dynamic=True),
        Draft("pair", ("a", "b"), join=Join.ZIP),
    )
    for join in (Join.ALIGN, Join.ZIP):
        with pytest.raises(PlanError, match="zipped"):
            draft_plan(*drafts, Draft("again", ("pair", "b"), join=join))
    assert len(draft_plan(*drafts, Draft("again", ("pair", "a"), join=Join.ALIGN)).blocks[3].axes) == 1


def test_the_items_of_all_runs_are_one_axis_under_a_dynamic_block_that_reduces() -> None:
    drafts = (
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True),
        Draft("each", ("users",), reduces=("users",)),
        Draft("total", ("each",), reduces=("each",)),
    )
    acts: Acts = {("users", (0,)): Act(items=2), ("users", (1,)): Act(items=0), ("users", (2,)): Act(items=1)}
    script = script_of(*drafts, acts=acts, days=Act(items=3))
    assert values(script, "each") == [
        "each:0(users:0(days().0).0)",
        "each:1(users:0(days().0).1)",
        "each:2(users:2(days().2).0)",
    ]
    assert list(statuses(script)["total"]) == [""]


def test_a_flat_axis_over_runs_that_did_not_all_complete_has_no_items_and_never_closes() -> None:
    drafts = (
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True),
        Draft("each", ("users",), reduces=("users",)),
        Draft("total", ("each",), reduces=("each",)),
    )
    acts: Acts = {("users", (1,)): Act(Ending.FAILS, fails_after=1)}
    script = script_of(*drafts, acts=acts, days=Act(items=2), users=Act(items=2))
    assert statuses(script)["each"] == {}
    assert evaluate(script).total_final["each"] is False
    assert statuses(script)["total"] == {"": "upstream_failed"}


def test_a_block_dynamic_for_some_gives_the_others_each_run_s_items_as_a_list() -> None:
    drafts = (
        Draft("days", dynamic=True, children=("users",)),
        Draft("users", ("days",), dynamic=True, children=("child",)),
        Draft("child", ("users",)),
        Draft("whole", ("users",)),
        Draft("calendar", ("days",)),
    )
    acts: Acts = {("users", (1,)): Act(items=0)}
    script = script_of(*drafts, acts=acts, days=Act(items=2), users=Act(items=2))
    assert values(script, "calendar") == ["calendar([days().0, days().1])"]
    assert list(statuses(script)["child"]) == ["0:0", "0:1"]
    assert values(script, "whole") == [
        "whole:0([users:0(days().0).0, users:0(days().0).1])",
        "whole:1([])",
    ]


def test_a_list_of_items_is_there_when_its_run_is_complete_and_shares_its_fate() -> None:
    drafts = (
        Draft("days", dynamic=True),
        Draft("users", ("days",), dynamic=True, children=(), retry=RetryPolicy(retries=1)),
        Draft("whole", ("users",)),
        Draft("all", ("users",), reduces=("users",)),
    )
    acts: Acts = {("users", (0,)): Act(Ending.CONDITION_FALSE), ("users", (1,)): Act(Ending.FAILS, fails_after=1)}
    acts |= {("users", (2,)): Act(items=2, failing=(1,))}
    script = script_of(*drafts, acts=acts, days=Act(items=3))
    assert statuses(script)["whole"] == {"0": "condition_failed", "1": "upstream_failed", "2": "completed"}
    assert values(script, "whole")[2] == "whole:2([users:2(days().2).0, users:2(days().2).1])"
    assert statuses(script)["all"] == {"": "upstream_failed"}
