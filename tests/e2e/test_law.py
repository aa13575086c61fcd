"""The law of unfolding, run for real: joins, folds, flat axes, tolerance, generated dependencies (design 2)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from refold.api.wiring import ExecutorKind
from refold.errors import PlanError
from refold.model.block import JsonValue
from refold.ports.run_store import RunStatus
from refold.testing.lab import ALL, PASS, Lab, load, statuses, values

NAMED = load("[[10, 20], [{'block_uuid': 'ann'}, {'block_uuid': 'bob'}]]")
KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@KINDS
def test_a_diamond_aligned_runs_once_an_item(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("a", NAMED, dynamic=True)
    lab.add("b", PASS, ["a"])
    lab.add("c", "@transformer\ndef transform(value):\n    return value + 1\n", ["b"])
    lab.add("d", ALL, ["b", "c"], dynamic={"join": "align"})
    assert values(lab.run(kind), "d") == {"ann": [10, 11], "bob": [20, 21]}


@KINDS
def test_what_is_not_shared_multiplies_under_what_is(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("users", load("['ann', 'bob']"), dynamic=True)
    lab.add("pages", "@transformer\ndef pages(user):\n    return [user + '/1', user + '/2']\n", ["users"], dynamic=True)
    lab.add("days", "@transformer\ndef days(user):\n    return ['mon', 'tue']\n", ["users"], dynamic=True)
    lab.add("visit", ALL, ["pages", "days"], dynamic={"join": "align"})
    assert values(lab.run(kind), "visit") == {
        "0:0:0": ["ann/1", "mon"],
        "0:0:1": ["ann/1", "tue"],
        "0:1:0": ["ann/2", "mon"],
        "0:1:1": ["ann/2", "tue"],
        "1:0:0": ["bob/1", "mon"],
        "1:0:1": ["bob/1", "tue"],
        "1:1:0": ["bob/2", "mon"],
        "1:1:1": ["bob/2", "tue"],
    }


@KINDS
def test_a_zip_pairs_by_index_and_fails_what_has_no_partner(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("names", NAMED, dynamic=True)
    lab.add("ages", load("[1, 2, 3]"), dynamic=True)
    lab.add("pair", ALL, ["names", "ages"], dynamic={"join": "zip"})
    reader = lab.run(kind)
    assert values(reader, "pair") == {"ann": [10, 1], "bob": [20, 2]}
    assert statuses(reader, "pair") == {"ann": "completed", "bob": "completed", "2": "failed"}
    assert reader.record.status is RunStatus.FAILED
    [group] = reader.store.failure_groups(reader.record.id)
    assert "zip" in group.error
    assert "`names`, `ages`" in group.error


def test_an_axis_held_twice_cannot_be_aligned(lab: Lab) -> None:
    lab.add("a", load("[1, 2]"), dynamic=True)
    lab.add("b", PASS, ["a"])
    lab.add("twice", ALL, ["a", "b"])
    lab.add("d", ALL, ["twice", "b"], dynamic={"join": "align"})
    with pytest.raises(PlanError, match=r"block `d`.*\n?.*`twice` has the items of `a` twice"):
        lab.run()


def test_all_that_cannot_be_planned_is_said_at_once(lab: Lab) -> None:
    lab.add("a", load("[1, 2]"), dynamic=True)
    lab.add("b", PASS, ["a"], reduce_output=True, dynamic={"reduce": "no_such"})
    lab.add("c", PASS, ["a"], reduce_output=True, dynamic={"reduce": "nor_this"})
    lab.add("d", PASS, ["a"], dynamic={"join": "align"})
    with pytest.raises(PlanError, match=r"3 things(.|\n)*`no_such`(.|\n)*`nor_this`(.|\n)*block `d`"):
        lab.run()


@KINDS
def test_every_strategy_folds_in_key_order(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[3, 1, 2]"), dynamic=True)
    frame = "import pandas as pd\n@transformer\ndef frame(number):\n    return pd.DataFrame({'n': [number] * number})\n"
    entry = "@transformer\ndef entry(number):\n    return {'last': number, number: True}\n"
    own = "@transformer\ndef own(number):\n    return number\n\ndef digits(acc, value):\n    return acc * 10 + value\n"
    given = {"sum": PASS, "count": PASS, "min": PASS, "max": PASS, "concat": frame, "merge": entry}
    for strategy, code in given.items():
        lab.add(f"by_{strategy}", code, ["numbers"], reduce_output=True, dynamic={"reduce": strategy})
        lab.add(f"see_{strategy}", PASS, [f"by_{strategy}"])
    lab.add("by_own", own, ["numbers"], reduce_output=True, dynamic={"reduce": {"strategy": "digits", "initial": 0}})
    lab.add("see_own", PASS, ["by_own"])
    reader = lab.run(kind)
    seen = {name: reader.output(f"see_{name}") for name in ("sum", "count", "min", "max", "merge", "own")}
    assert seen == {
        "sum": 6,
        "count": 3,
        "min": 1,
        "max": 3,
        "merge": {"last": 2, 3: True, 1: True, 2: True},
        "own": 312,
    }
    frames = reader.output("see_concat")
    assert isinstance(frames, pd.DataFrame)
    assert frames["n"].tolist() == [3, 3, 3, 1, 2, 2]


@KINDS
def test_levels_1_gives_one_list_an_outer_key_empty_ones_too(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("users", NAMED, dynamic=True)
    lab.add("pages", "@transformer\ndef pages(n):\n    return list(range(n // 10 - 1))\n", ["users"], dynamic=True)
    lab.add("page", PASS, ["pages"], reduce_output=True, dynamic={"reduce": {"levels": 1}})
    lab.add("user", ALL, ["page", "users"], dynamic={"join": "align"})
    assert values(lab.run(kind), "user") == {"ann": [[], 10], "bob": [[0], 20]}


@KINDS
def test_a_dynamic_block_that_reduces_gives_one_axis(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("users", NAMED, dynamic=True)
    code = "@transformer\ndef pages(n):\n    return [[n, n + 1], [{'block_uuid': 'x', 'page': 1}, {}]]\n"
    lab.add("pages", code, ["users"], reduce_output=True, dynamic=True)
    told = "@transformer\ndef f(n, **kw):\n    return [n, kw['dynamic_block_key'], kw.get('page')]\n"
    lab.add("page", told, ["pages"])
    assert values(lab.run(kind), "page") == {
        "ann.x": [10, (0,), 1],
        "ann.1": [11, (1,), None],
        "bob.x": [20, (2,), 1],
        "bob.1": [21, (3,), None],
    }


@KINDS
def test_a_block_may_be_dynamic_for_some_of_its_children(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("a", load("[1, 2]"), dynamic=True)
    lab.add("b", "@transformer\ndef b(n):\n    return [n] * n\n", ["a"])
    lab.add("each", ALL, ["b"])
    lab.add("whole", ALL, ["b"])
    lab.pipeline = lab.pipeline.update_block("b", configuration={"dynamic": {"parent": ["each"]}})
    reader = lab.run(kind)
    assert values(reader, "each") == {"0:0": [1], "1:0": [2], "1:1": [2]}
    assert values(reader, "whole") == {"0": [[1]], "1": [[2, 2]]}


FRAGILE = "@transformer\ndef fragile(n):\n    assert n != 2, 'two'\n    return n\n"


@pytest.mark.parametrize(("tolerate", "sums"), [(1, [8]), ("25%", [8]), ("24%", None), (0, None)])
def test_tolerated_failures_are_left_out_and_the_run_completes(
    lab: Lab, tolerate: int | str, sums: list[int] | None
) -> None:
    lab.add("a", load("[1, 2, 3, 4]"), dynamic=True)
    lab.add("f", FRAGILE, ["a"], reduce_output=True, dynamic={"tolerate": tolerate, "reduce": "sum"})
    lab.add("total", ALL, ["f"])
    reader = lab.run()
    assert statuses(reader, "f")["1"] == "failed"
    assert reader.record.status is (RunStatus.FAILED if sums is None else RunStatus.COMPLETED)
    assert values(reader, "total") == ({} if sums is None else {"": sums})


def test_a_tolerated_failure_is_mended_by_a_retry_and_folded_anew(lab: Lab) -> None:
    lab.add("a", load("[1, 2, 3, 4]"), dynamic=True)
    lab.add("f", FRAGILE, ["a"], reduce_output=True, dynamic={"tolerate": 1})
    lab.add("total", ALL, ["f"])
    lab.add("aside", ALL, ["a"])
    before = lab.run()
    assert values(before, "total") == {"": [[1, 3, 4]]}
    lab.edit("f", PASS)
    after = lab.retry(before)
    assert values(after, "total") == {"": [[1, 2, 3, 4]]}
    times = {view.block_run_uuid: view.started_at for view in before.block_runs("aside")}
    assert {view.block_run_uuid: view.started_at for view in after.block_runs("aside")} == times


def test_a_retry_folds_only_what_changed(lab: Lab, tmp_path: Path) -> None:
    log, mended = tmp_path / "folded", tmp_path / "mended"
    add = f"def add(acc, value):\n    with open({str(log)!r}, 'a') as log:\n        log.write(f'{{value}} ')\n"
    child = f"import os\n\n@transformer\ndef f(n):\n    assert n != 1900 or os.path.exists({str(mended)!r})\n"
    fragile = child + "    return n\n\n" + add + "    return acc + value\n"
    lab.add("a", load("list(range(2000))"), dynamic=True)
    few_at_once: dict[str, JsonValue] = {"reduce": {"strategy": "add", "initial": 0}}
    few_at_once["max_concurrent_child_block_runs"] = 100
    lab.add("f", fragile, ["a"], reduce_output=True, dynamic=few_at_once)
    lab.add("total", PASS, ["f"])
    before = lab.run()
    assert statuses(before, "total") == {"": "upstream_failed"}
    folded = log.read_text().split()
    assert len(folded) == 1500, "in stretches, behind the runs, up to where one is missing"
    mended.touch()
    after = lab.retry(before)
    assert values(after, "total") == {"": sum(range(2000))}
    assert log.read_text().split() == [str(n) for n in range(2000)], "in key order, each value once"


ADD = "\n\ndef add(acc, value):\n    return acc + value * {times}\n"


@pytest.mark.parametrize(
    ("reduce", "code", "total"),
    [
        ({"strategy": "add", "initial": 0}, PASS + ADD.format(times=2), 2 * sum(range(1200))),
        ({"strategy": "add", "initial": 7}, PASS + ADD.format(times=1), 7 + sum(range(1200))),
        ({"strategy": "max"}, PASS, 1199),
    ],
    ids=["another function", "another beginning", "another strategy"],
)
def test_a_retry_folds_all_anew_where_it_folds_in_another_way(
    lab: Lab, reduce: dict[str, JsonValue], code: str, total: int
) -> None:
    lab.add("a", load("list(range(1200))"), dynamic=True)
    first = "@transformer\ndef f(n):\n    assert n != 1199, n\n    return n\n" + ADD.format(times=1)
    lab.add("f", first, ["a"], reduce_output=True, dynamic={"reduce": {"strategy": "add", "initial": 0}})
    lab.add("total", PASS, ["f"])
    before = lab.run()
    lab.edit("f", code)
    lab.pipeline = lab.pipeline.update_block("f", configuration={"reduce_output": True, "dynamic": {"reduce": reduce}})
    assert values(lab.retry(before), "total") == {"": total}


@KINDS
def test_items_order_their_siblings(lab: Lab, kind: ExecutorKind, tmp_path: Path) -> None:
    log = tmp_path / "order"
    walls, base = "'upstream_blocks': ['walls']", "'upstream_blocks': ['base']"
    metadata = f"[{{'block_uuid': 'roof', {walls}}}, {{'block_uuid': 'walls', {base}}}, {{'block_uuid': 'base'}}]"
    lab.add("parts", load(f"[[1, 2, 3], {metadata}]"), dynamic=True)
    note = f"    with open({str(log)!r}, 'a') as log:\n        log.write(kw['block_run_uuid'] + ' ')\n"
    lab.add("build", "@transformer\ndef build(n, **kw):\n" + note, ["parts"])
    assert lab.run(kind).record.status is RunStatus.COMPLETED
    assert log.read_text().split() == ["build:base", "build:walls", "build:roof"]


@KINDS
def test_who_waits_for_a_failed_sibling_is_upstream_failed(lab: Lab, kind: ExecutorKind) -> None:
    yields = "    yield 1, {'block_uuid': 'b', 'upstream_blocks': ['a']}\n    yield 2, {'block_uuid': 'a'}\n"
    lab.add("parts", "@data_loader\ndef parts():\n" + yields, dynamic=True)
    lab.add("build", FRAGILE, ["parts"])
    assert statuses(lab.run(kind), "build") == {"b": "upstream_failed", "a": "failed"}


def test_two_blocks_whose_items_wait_for_each_other_fail_and_say_why(lab: Lab) -> None:
    for one, other in (("left", "right"), ("right", "left")):
        item = f"[[1, 2], [{{'block_uuid': 'first', 'upstream_blocks': ['{other}_total']}}]]"
        lab.add(one, load(item), dynamic=True)
        lab.add(f"{one}_child", PASS, [one], reduce_output=True)
    lab.add("left_total", PASS, ["left_child"])
    lab.add("right_total", PASS, ["right_child"])
    reader = lab.run()
    assert statuses(reader, "left_child") == {"first": "failed", "1": "completed"}
    assert statuses(reader, "right_total") == {"": "upstream_failed"}
    [group] = reader.store.failure_groups(reader.record.id)
    assert group.size == 2
    assert "wait" in group.error


@pytest.mark.parametrize(("names", "said"), [(["zoo"], "zoo"), (["b"], "b")], ids=["never came", "a circle"])
def test_names_that_lead_nowhere_start_nothing(lab: Lab, names: list[str], said: str) -> None:
    metadata = f"[{{'block_uuid': 'a'}}, {{'block_uuid': 'b', 'upstream_blocks': {names}}}]"
    lab.add("parts", load(f"[[1, 2], {metadata}]"), dynamic=True)
    lab.add("build", PASS, ["parts"])
    reader = lab.run()
    assert statuses(reader, "parts") == {"": "failed"}
    assert statuses(reader, "build") == {}
    assert said in reader.store.failure_groups(reader.record.id)[0].error


@pytest.mark.parametrize("exceeded", ["fail", "limit"])
def test_too_many_children_fail_or_are_left_out(lab: Lab, exceeded: str) -> None:
    limits: dict[str, JsonValue] = {
        "parent": True,
        "max_child_block_runs": 2,
        "on_max_child_block_runs_exceeded": exceeded,
    }
    lab.add("a", load("[1, 2, 3]"), dynamic=limits)
    lab.add("b", PASS, ["a"])
    reader = lab.run()
    assert values(reader, "b") == ({} if exceeded == "fail" else {"0": 1, "1": 2})
    assert reader.record.status is (RunStatus.FAILED if exceeded == "fail" else RunStatus.COMPLETED)
