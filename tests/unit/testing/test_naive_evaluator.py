"""The yardstick itself, held against examples worked out by hand."""

from __future__ import annotations

import pytest
from tests.unit.testing.reading import Acts, script_of, statuses, values

from refold.model.block import RetryPolicy
from refold.model.keys import Key
from refold.scheduler.commands import End
from refold.scheduler.status import Status
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import Observation, Seen, agree, evaluate
from refold.testing.scripted import Act, Ending, Script

Runs = dict[str, dict[Key, Seen]]


def test_three_users_through_two_children_and_a_reduce_are_eight_runs() -> None:
    script = script_of(
        Draft("users", dynamic=True),
        Draft("anonymize", ("users",)),
        Draft("clean", ("anonymize",)),
        Draft("table", ("clean",), reduces=("clean",)),
        users=Act(items=3),
    )
    evaluation = evaluate(script)
    assert sum(map(len, evaluation.runs.values())) == 8
    assert values(script, "clean") == [
        "clean:0(anonymize:0(users().0))",
        "clean:1(anonymize:1(users().1))",
        "clean:2(anonymize:2(users().2))",
    ]
    assert evaluation.end is End.COMPLETED
    assert all(evaluation.total_final.values())


def test_an_axis_that_comes_twice_is_multiplied_with_itself() -> None:
    script = script_of(
        Draft("A", dynamic=True), Draft("B", ("A",)), Draft("C", ("B",)), Draft("D", ("B", "C")), A=Act(items=10)
    )
    runs = evaluate(script).runs
    assert {block: len(found) for block, found in runs.items()} == {"A": 1, "B": 10, "C": 10, "D": 100}
    assert list(runs["D"]) == [(b, c) for b in range(10) for c in range(10)]
    assert runs["D"][3, 7].value == "D:3:7(B:3(A().3), C:7(B:7(A().7)))"


def test_a_dynamic_block_under_a_dynamic_block_names_its_runs_outermost_first() -> None:
    script = script_of(
        Draft("outer", dynamic=True),
        Draft("inner", ("outer",), dynamic=True),
        Draft("transformer", ("inner",)),
        outer=Act(items=2),
        inner=Act(items=2),
    )
    assert list(statuses(script)["transformer"]) == ["0:0", "0:1", "1:0", "1:1"]
    assert values(script, "transformer")[2] == "transformer:1:0(inner:1(outer().1).0)"


def test_inner_axes_may_be_ragged_and_a_reduce_keeps_key_order() -> None:
    acts: Acts = {("o", ()): Act(items=3)}
    acts |= {("i", (0,)): Act(items=2), ("i", (1,)): Act(items=0), ("i", (2,)): Act(items=1)}
    acts |= {("leaf", (0, 1)): Act(Ending.NONE)}
    plan = draft_plan(
        Draft("o", dynamic=True),
        Draft("i", ("o",), dynamic=True),
        Draft("leaf", ("i",)),
        Draft("t", ("leaf",), reduces=("leaf",)),
    )
    script = Script(plan, fixed=acts)
    assert list(statuses(script)["leaf"]) == ["0:0", "0:1", "2:0"]
    assert values(script, "t") == ["t([leaf:0:0(i:0(o().0).0), None, leaf:2:0(i:2(o().2).0)])"]


def test_a_reduce_takes_lists_apart_and_keeps_none() -> None:
    acts: Acts = {("d", ()): Act(items=4), ("r", (0,)): Act(Ending.LIST, elements=2)}
    acts |= {("r", (1,)): Act(Ending.LIST, elements=0), ("r", (2,)): Act(Ending.NONE), ("r", (3,)): Act(Ending.FALSE)}
    plan = draft_plan(Draft("d", dynamic=True), Draft("r", ("d",)), Draft("t", ("r",), reduces=("r",)))
    assert values(Script(plan, fixed=acts), "t") == ["t([r:0(d().0)[0], r:0(d().0)[1], None, False])"]


def test_no_items_mean_no_children_an_empty_list_and_a_completed_run() -> None:
    script = script_of(
        Draft("d", dynamic=True),
        Draft("child", ("d",)),
        Draft("grandchild", ("child",), dynamic=True),
        Draft("total", ("child",), reduces=("child",)),
        d=Act(items=0),
    )
    assert statuses(script) == {"d": {"": "completed"}, "child": {}, "grandchild": {}, "total": {"": "completed"}}
    assert values(script, "total") == ["total([])"]
    assert evaluate(script).end is End.COMPLETED


def test_static_and_dynamic_parents_mix_first_upstream_slowest() -> None:
    script = script_of(
        Draft("config"),
        Draft("x", dynamic=True),
        Draft("y", dynamic=True),
        Draft("pair", ("x", "config", "y")),
        x=Act(items=2),
        y=Act(items=3),
    )
    assert list(statuses(script)["pair"]) == ["0:0", "0:1", "0:2", "1:0", "1:1", "1:2"]
    assert values(script, "pair")[5] == "pair:1:2(x().1, config(), y().2)"


def test_a_failed_run_takes_its_own_branch_only_and_the_reduce() -> None:
    acts: Acts = {("d", ()): Act(items=3), ("a", (1,)): Act(Ending.FAILS)}
    plan = draft_plan(
        Draft("d", dynamic=True), Draft("a", ("d",)), Draft("b", ("a",)), Draft("total", ("b",), reduces=("b",))
    )
    script = Script(plan, fixed=acts)
    found = statuses(script)
    assert found["a"] == {"0": "completed", "1": "failed", "2": "completed"}
    assert found["b"] == {"0": "completed", "1": "upstream_failed", "2": "completed"}
    assert found["total"] == {"": "upstream_failed"}
    assert evaluate(script).end is End.FAILED


def test_a_condition_stops_its_branch_and_a_reduce_drops_it() -> None:
    acts: Acts = {("d", ()): Act(items=3), ("a", (1,)): Act(Ending.CONDITION_FALSE)}
    plan = draft_plan(
        Draft("d", dynamic=True), Draft("a", ("d",)), Draft("b", ("a",)), Draft("total", ("b",), reduces=("b",))
    )
    script = Script(plan, fixed=acts)
    assert statuses(script)["b"] == {"0": "completed", "1": "condition_failed", "2": "completed"}
    assert values(script, "total") == ["total([b:0(a:0(d().0)), b:2(a:2(d().2))])"]
    assert evaluate(script).end is End.COMPLETED


def test_false_stops_what_follows_but_is_a_value_to_a_reduce() -> None:
    acts: Acts = {("d", ()): Act(items=2), ("check", (0,)): Act(Ending.FALSE)}
    plan = draft_plan(
        Draft("d", dynamic=True),
        Draft("check", ("d",)),
        Draft("next", ("check",)),
        Draft("answers", ("check",), reduces=("check",)),
    )
    script = Script(plan, fixed=acts)
    found = statuses(script)
    assert found["check"] == {"0": "completed", "1": "completed"}
    assert found["next"] == {"0": "condition_failed", "1": "completed"}
    assert values(script, "answers") == ["answers([False, check:1(d().1)])"]


def test_a_condition_failed_dynamic_run_closes_its_axis_with_nothing() -> None:
    script = script_of(
        Draft("d", dynamic=True),
        Draft("a", ("d",)),
        Draft("total", ("a",), reduces=("a",)),
        d=Act(Ending.CONDITION_FALSE, items=3),
    )
    assert statuses(script) == {"d": {"": "condition_failed"}, "a": {}, "total": {"": "completed"}}
    assert evaluate(script).total_final == {"d": True, "a": True, "total": True}


def test_failure_outranks_a_condition() -> None:
    script = script_of(
        Draft("no"),
        Draft("bad"),
        Draft("both", ("no", "bad")),
        no=Act(Ending.CONDITION_FALSE),
        bad=Act(Ending.FAILS),
    )
    assert statuses(script)["both"] == {"": "upstream_failed"}


def test_a_generator_that_fails_midway_leaves_its_axis_open() -> None:
    script = script_of(
        Draft("d", dynamic=True),
        Draft("a", ("d",)),
        Draft("b", ("a",)),
        Draft("total", ("b",), reduces=("b",)),
        d=Act(Ending.FAILS, items=5, fails_after=2),
    )
    evaluation = evaluate(script)
    assert list(evaluation.runs["a"]) == [(0,), (1,)]
    assert evaluation.runs["b"][1,].allowed == {Status.COMPLETED, Status.UPSTREAM_FAILED}
    assert evaluation.runs["total"][()].allowed == {Status.UPSTREAM_FAILED}
    assert evaluation.total_final == {"d": True, "a": False, "b": False, "total": True}


def midway(**statuses_of: str) -> list[str]:
    """Differences when d gave two items and failed, and what followed ended as stated."""
    script = script_of(
        Draft("d", dynamic=True), Draft("a", ("d",)), Draft("b", ("a",)), d=Act(Ending.FAILS, items=5, fails_after=2)
    )
    by_law = evaluate(script)
    runs: Runs = {"d": {(): Seen(Status.FAILED, items=2)}}
    for block, words in statuses_of.items():
        runs[block] = {
            (index,): Seen(Status[word], by_law.runs[block][index,].value) for index, word in enumerate(words.split())
        }
    observed = Observation(runs, End.FAILED)
    return agree(evaluate(script, observed), observed)


def test_what_finished_before_the_generator_failed_stays_and_the_rest_does_not_begin() -> None:
    assert not midway(a="COMPLETED COMPLETED", b="COMPLETED UPSTREAM_FAILED")
    assert not midway(a="COMPLETED UPSTREAM_FAILED", b="UPSTREAM_FAILED UPSTREAM_FAILED")
    assert midway(a="COMPLETED UPSTREAM_FAILED", b="COMPLETED COMPLETED") == [
        "b:1: completed; it should be upstream_failed"
    ]
    assert midway(a="COMPLETED CANCELLED", b="COMPLETED UPSTREAM_FAILED") == [
        "a:1: cancelled; it should be completed or upstream_failed",
    ]


def test_in_batch_mode_nothing_starts_under_a_generator_that_fails() -> None:
    script = script_of(
        Draft("d", dynamic=True, batch_mode=True), Draft("a", ("d",)), d=Act(Ending.FAILS, items=5, fails_after=2)
    )
    runs = evaluate(script).runs["a"]
    assert [run.allowed for run in runs.values()] == [{Status.UPSTREAM_FAILED}] * 2


@pytest.mark.parametrize(("retries", "word", "children"), [(0, "failed", 1), (1, "failed", 2), (2, "completed", 4)])
def test_a_retry_gives_the_same_items_and_those_that_were_missing(retries: int, word: str, children: int) -> None:
    script = script_of(
        Draft("d", dynamic=True, retry=RetryPolicy(retries=retries)),
        Draft("a", ("d",)),
        d=Act(items=4, failing=(1, 2)),
    )
    assert statuses(script)["d"] == {"": word}
    assert len(statuses(script)["a"]) == children


def test_a_cancelled_pipeline_run_may_stop_anywhere_but_not_go_on_after_what_was_cancelled() -> None:
    script = script_of(Draft("a"), Draft("b", ("a",)))
    stopped: Runs = {"a": {(): Seen(Status.CANCELLED)}, "b": {(): Seen(Status.CANCELLED)}}
    impossible: Runs = {"a": {(): Seen(Status.CANCELLED)}, "b": {(): Seen(Status.COMPLETED, "b(a())")}}
    for runs, differences in (
        (stopped, []),
        (impossible, ["b: completed; it should be cancelled or upstream_failed"]),
    ):
        observed = Observation(runs, End.CANCELLED, cancelled=True)
        assert agree(evaluate(script, observed), observed) == differences


def test_differences_are_told_run_by_run() -> None:
    script = script_of(Draft("d", dynamic=True), Draft("a", ("d",)), d=Act(items=3))
    runs: Runs = {"d": {(): Seen(Status.COMPLETED, "d()", 3)}}
    runs["a"] = {
        (0,): Seen(Status.COMPLETED, "a:0(d().1)"),
        (1,): Seen(Status.FAILED),
        (7,): Seen(Status.COMPLETED, "a:7(d().7)"),
    }
    observed = Observation(runs, End.FAILED)
    assert agree(evaluate(script, observed), observed) == [
        "a:7: a run that should not exist",
        "a:0: returned 'a:0(d().1)'; it should have returned 'a:0(d().0)'",
        "a:1: failed; it should be completed",
        "a:2: never recorded; it should be completed",
        "the pipeline run ended failed, not completed",
    ]
