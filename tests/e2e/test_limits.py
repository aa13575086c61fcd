"""Rates, buffers and limits by value with real workers: children write down when they began and ended.

A rate is a lower bound on time, so a slow machine cannot break it; but from the moment when a worker says that a run
begins to the first line of the child, more or less time may pass from one run to the next. So much is forgiven.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from refold.api.reading import RunReader
from refold.api.running import run_pipeline
from refold.api.wiring import ExecutorKind
from refold.errors import PipelineError
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.ports.run_store import RunStatus
from refold.testing.lab import PASS, Lab, statuses, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
JITTER = 0.1
"""Seconds by which a beginning may be off, as the child sees it, where much else is going on."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def listed(items: int, shops: int = 3) -> str:
    """A loader of numbers, each of one shop."""
    metadata = f"[{{'block_uuid': f'item {{i}}', 'shop': i % {shops}}} for i in range({items})]"
    return f"@data_loader\ndef load(*args):\n    return [list(range({items})), {metadata}]\n"


def yielding(items: int, asynchronous: bool = False, size: int = 1) -> str:
    """A generator of numbers that writes down when it gave each of them."""
    prefix, pause = ("async ", "        await asyncio.sleep(0)\n") if asynchronous else ("", "")
    return (
        "import asyncio, time\n"
        "@data_loader\n"
        f"{prefix}def load(*args, **kwargs):\n"
        f"    for i in range({items}):\n"
        "        with open(kwargs['log'], 'a') as log:\n"
        "            log.write(f'gave {i} {time.monotonic()}\\n')\n"
        f"{pause}"
        f"        yield {{'number': i, 'filling': 'x' * {size}}}\n"
    )


def timed(seconds: float = 0.0, asynchronous: bool = False) -> str:
    """A child that says when it began and ended (of whatever process, by one clock), and what it got."""
    prefix, sleep = ("async ", "await asyncio.sleep") if asynchronous else ("", "time.sleep")
    return (
        "import asyncio, time\n"
        "@transformer\n"
        f"{prefix}def child(item):\n"
        "    began = time.monotonic()\n"
        f"    {sleep}({seconds})\n"
        "    return {'began': began, 'ended': time.monotonic(), 'item': item}\n"
    )


def told(reader: RunReader, block: str = "child") -> list[Mapping[str, float]]:
    """What the children of a block said, in the order in which they began."""
    found = [said for said in values(reader, block).values() if isinstance(said, dict)]
    return sorted(found, key=lambda said: float(said["began"]))


def demand_rate(began: list[float], rate: float) -> None:
    """No window holds more beginnings than the rate lets."""
    burst = max(1, math.ceil(rate / 100))
    for first in range(len(began)):
        for last in range(first, len(began)):
            most = rate * (began[last] - began[first] + JITTER) + burst
            assert last - first + 1 <= most, f"{last - first + 1} runs from {began[first]} to {began[last]}"


@KINDS
@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
def test_runs_begin_no_faster_than_the_rate(lab: Lab, kind: ExecutorKind, asynchronous: bool) -> None:
    lab.add("load", listed(40), dynamic={"parent": True, "rate": "20/s"})
    lab.add("child", timed(0.01, asynchronous), ["load"])
    reader = lab.run(kind)
    assert reader.record.status is RunStatus.COMPLETED
    began = [said["began"] for said in told(reader)]
    assert len(began) == 40
    demand_rate(began, 20.0)


def test_async_runs_under_way_hold_up_no_beginning(lab: Lab, tmp_path: Path) -> None:
    """None ends before all have begun."""
    lab.add("load", listed(12), dynamic={"parent": True, "rate": "20/s"})
    meeting = (
        "import asyncio, pathlib, time\n"
        "@transformer\n"
        "async def child(item, **kwargs):\n"
        "    began, here = time.monotonic(), pathlib.Path(kwargs['meeting'])\n"
        "    (here / str(item)).touch()\n"
        "    while len(list(here.iterdir())) < 12:\n"
        "        await asyncio.sleep(0.01)\n"
        "    return {'began': began, 'ended': time.monotonic()}\n"
    )
    lab.add("child", meeting, ["load"])
    (tmp_path / "meeting").mkdir()
    said = told(lab.run(ExecutorKind.PROCESSES, meeting=str(tmp_path / "meeting")))
    assert len(said) == 12
    demand_rate([each["began"] for each in said], 20.0)


def test_a_high_rate_lets_some_begin_at_once(lab: Lab) -> None:
    lab.add("load", listed(300), dynamic={"parent": True, "rate": "500/s"})
    lab.add("child", timed(), ["load"])
    demand_rate([said["began"] for said in told(lab.run(ExecutorKind.PROCESSES))], 500.0)


def test_attempts_count_and_a_retry_of_the_run_begins_only_what_is_left(lab: Lab) -> None:
    lab.add("load", listed(20), dynamic={"parent": True, "rate": 20})
    failing = timed().replace("    return", "    if item % 5 == 0:\n        raise ValueError(item)\n    return")
    lab.add("child", failing, ["load"])
    first = lab.run(ExecutorKind.PROCESSES)
    assert sorted(statuses(first, "child").values()) == ["completed"] * 16 + ["failed"] * 4
    before = {said["item"]: said["began"] for said in told(first)}
    lab.edit("child", timed())
    again = told(lab.retry(first))
    assert {said["item"]: said["began"] for said in again if said["item"] in before} == before
    demand_rate([said["began"] for said in again if said["item"] not in before], 20.0)


def test_a_rate_on_a_block_that_is_not_dynamic_is_its_own(lab: Lab) -> None:
    lab.add("load", listed(15), dynamic={"parent": True})
    lab.add("first", PASS, ["load"])
    lab.add("child", timed(), ["first"], dynamic={"rate": "20/s"})
    demand_rate([said["began"] for said in told(lab.run(ExecutorKind.PROCESSES))], 20.0)


def demand_apart(said: list[Mapping[str, float]], shops: int) -> None:
    """Runs of one shop come one after the other."""
    for shop in range(shops):
        for before, after in pairwise([each for each in said if each["item"] % shops == shop]):
            assert before["ended"] <= after["began"], f"shop {shop}: two at once"
            assert before["item"] < after["item"], f"shop {shop}: in key order"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
def test_runs_of_one_value_come_one_after_the_other(lab: Lab, asynchronous: bool) -> None:
    lab.add("load", listed(30), dynamic={"parent": True, "limit_by": "shop"})
    lab.add("child", timed(0.01, asynchronous), ["load"])
    reader = lab.run(ExecutorKind.PROCESSES)
    assert reader.record.status is RunStatus.COMPLETED
    said = told(reader)
    assert len(said) == 30
    demand_apart(said, 3)
    if asynchronous:
        assert any(after["began"] < before["ended"] for before, after in pairwise(said)), "those of others go on"


def test_a_limit_of_two_lets_two_of_a_value_be_under_way(lab: Lab) -> None:
    lab.add("load", listed(24, shops=2), dynamic={"parent": True, "limit_by": {"key": "shop", "limit": 2}})
    lab.add("child", timed(0.02, asynchronous=True), ["load"])
    said = told(lab.run(ExecutorKind.PROCESSES))
    for shop in range(2):
        of_shop = [each for each in said if each["item"] % 2 == shop]
        for each in of_shop:
            at_once = sum(other["began"] <= each["began"] < other["ended"] for other in of_shop)
            assert at_once <= 2


def test_items_without_metadata_or_the_key_are_one_value(lab: Lab) -> None:
    lab.add("load", "@data_loader\ndef load(*args):\n    return [[1, 2, 3, 4], [{'other': 1}, {'shop': None}]]\n",
            dynamic={"parent": True, "limit_by": "shop"})  # fmt: skip
    lab.add("child", timed(0.02, asynchronous=True), ["load"])
    demand_apart(told(lab.run(ExecutorKind.PROCESSES)), 1)


def test_a_retry_of_the_run_keeps_to_the_limit(lab: Lab) -> None:
    lab.add("load", listed(12), dynamic={"parent": True, "limit_by": "shop"})
    failing = "@transformer\ndef child(item):\n    raise ValueError(item)\n"
    lab.add("child", failing, ["load"])
    first = lab.run(ExecutorKind.PROCESSES)
    assert first.record.status is RunStatus.FAILED
    lab.edit("child", timed(0.02, asynchronous=True))
    again = lab.retry(first)
    assert len(told(again)) == 12
    demand_apart(told(again), 3)


def test_rows_of_a_frame_are_limited_by_their_metadata(lab: Lab) -> None:
    lab.add(
        "load",
        "import pandas as pd\n@data_loader\ndef load(*args):\n"
        "    return [pd.DataFrame({'n': range(9)}), [{'shop': n % 2} for n in range(9)]]\n",
        dynamic={"parent": True, "limit_by": "shop"},
    )
    lab.add("child", timed(0.02, asynchronous=True).replace("'item': item}", "'item': int(item['n'])}"), ["load"])
    demand_apart(told(lab.run(ExecutorKind.PROCESSES)), 2)


def test_a_rate_and_limits_hold_together(lab: Lab) -> None:
    limits: dict[str, JsonValue] = {"rate": "40/s", "limit_by": "shop", "max_concurrent_child_block_runs": 2}
    lab.add("load", listed(24), dynamic={"parent": True, **limits})
    lab.add("child", timed(0.03, asynchronous=True), ["load"])
    said = told(lab.run(ExecutorKind.PROCESSES))
    assert len(said) == 24
    demand_rate([each["began"] for each in said], 40.0)
    demand_apart(said, 3)
    for each in said:
        assert sum(other["began"] <= each["began"] < other["ended"] for other in said) <= 2


def ahead(log: Path, said: list[Mapping[str, float]]) -> int:
    """How many items were given, at most, that no child had begun on: by one clock, in two processes or more."""
    gave = [float(line.split()[2]) for line in log.read_text(encoding="utf-8").splitlines()]
    began = [each["began"] for each in said]
    return max(sum(other <= at for other in gave) - sum(other <= at for other in began) for at in gave)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["generator", "async generator"])
def test_a_generator_is_no_further_ahead_than_its_buffer(lab: Lab, asynchronous: bool, tmp_path: Path) -> None:
    lab.add("load", yielding(60, asynchronous), dynamic={"parent": True, "buffer": 4})
    lab.add("child", timed(0.005), ["load"], dynamic={"max_concurrent_child_block_runs": 1})
    log = tmp_path / "log"
    reader = lab.run(ExecutorKind.PROCESSES, log=str(log))
    said = told(reader)
    assert len(said) == 60
    # Handed out is read: beside the buffer there are those that workers have, and one that is being given.
    assert ahead(log, said) <= 4 + 1 + 1


@KINDS
def test_large_items_wait_for_those_before_them(lab: Lab, kind: ExecutorKind, tmp_path: Path) -> None:
    buffer: dict[str, JsonValue] = {"items": 100, "bytes": "100kB"}
    lab.add("load", yielding(20, size=80_000), dynamic={"parent": True, "buffer": buffer})
    lab.add("child", timed(0.01), ["load"], dynamic={"max_concurrent_child_block_runs": 1})
    log = tmp_path / "log"
    said = told(lab.run(kind, log=str(log)))
    assert len(said) == 20
    assert ahead(log, said) <= 2 + 1 + 1


@KINDS
@pytest.mark.parametrize("join", ["product", "align", "zip"])
def test_two_streams_with_tiny_buffers_meet_to_the_end(lab: Lab, kind: ExecutorKind, join: str, tmp_path: Path) -> None:
    lab.add("outer", "@data_loader\ndef outer(*args):\n    return [1, 2, 3]\n", dynamic={"parent": True})
    generator = "@transformer\nasync def {0}(item):\n    for n in range(4):\n        yield [item, n]\n"
    for name in ("left", "right"):
        lab.add(name, generator.format(name), ["outer"], dynamic={"parent": True, "buffer": 1})
    pair = "@transformer\ndef pair(one, other):\n    return {'got': [one, other]}\n"
    lab.add("pair", pair, ["left", "right"], dynamic={"join": join})
    reader = lab.run(kind, log=str(tmp_path / "log"))
    assert reader.record.status is RunStatus.COMPLETED
    expected = {"product": 144, "align": 48, "zip": 12}
    assert len(values(reader, "pair")) == expected[join]


def test_many_generators_share_few_workers_and_one_small_buffer(lab: Lab) -> None:
    lab.add("outer", "@data_loader\ndef outer(*args):\n    return list(range(30))\n", dynamic={"parent": True})
    generator = "@transformer\ndef inner(item):\n    for n in range(5):\n        yield 10 * item + n\n"
    lab.add("inner", generator, ["outer"], dynamic={"parent": True, "buffer": {"items": 3, "bytes": 40}})
    lab.add("child", PASS, ["inner"], reduce_output=True, dynamic={"reduce": "sum"})
    lab.add("total", "@data_exporter\ndef total(total):\n    return total\n", ["child"])
    reader = lab.run(ExecutorKind.PROCESSES)
    assert values(reader, "total") == {"": sum(10 * item + n for item in range(30) for n in range(5))}


def test_a_wrong_setting_is_told_before_anything_runs(lab: Lab, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n" + listed(1)
    lab.add("load", code, dynamic={"parent": True, "rate": "50/s"})
    metadata = lab.project.path / "pipelines" / "lab" / "metadata.yaml"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("50/s", "50/fortnight"), encoding="utf-8")
    with pytest.raises(PipelineError) as caught:
        run_pipeline(Pipeline.get("lab", lab.project))
    line = next(n for n, text in enumerate(metadata.read_text(encoding="utf-8").splitlines(), 1) if "fortnight" in text)
    assert "found '50/fortnight'" in caught.value.message
    assert caught.value.where == f"{metadata}:{line} (blocks.load.configuration.dynamic.rate)"
    assert not marker.exists()
