"""A list, a frame, a generator and an async generator make the same runs with the same values, in both modes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from refold.api.wiring import ExecutorKind
from refold.ports.run_store import RunStatus
from refold.testing.lab import PASS, Lab, statuses, values

NAMES = "[{'block_uuid': 'c', 'upstream_blocks': ['a']}, {'block_uuid': 'b'}, {'block_uuid': 'a'}]"
YIELDING = f"def load(*args):\n    for item in zip([3, 2, 1], {NAMES}):\n        yield item\n"
WAYS = {
    "list": f"@data_loader\ndef load(*args):\n    return [[3, 2, 1], {NAMES}]\n",
    "async list": f"@data_loader\nasync def load(*args):\n    return [[3, 2, 1], {NAMES}]\n",
    "generator": f"@data_loader\n{YIELDING}",
    "async generator": f"import asyncio\n@data_loader\nasync {YIELDING}        await asyncio.sleep(0)\n",
}
MODES = pytest.mark.parametrize("mode", ["stream", "batch"])
FAILING = {
    "generator": "@data_loader\ndef load(*args):\n    yield 1\n    yield 2\n    raise ValueError('midway')\n",
}
FAILING["async generator"] = FAILING["generator"].replace("def", "async def")
SUM = "@data_exporter\ndef export(total):\n    return total\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def build(lab: Lab, code: str, mode: str) -> None:
    lab.add("load", code, dynamic={"mode": mode})
    lab.add("child", PASS, ["load"], reduce_output=True, dynamic={"reduce": "sum"})
    lab.add("total", SUM, ["child"])


@MODES
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def test_every_way_makes_the_same_runs(lab: Lab, way: str, mode: str, kind: ExecutorKind) -> None:
    build(lab, WAYS[way], mode)
    reader = lab.run(kind)
    assert reader.record.status is RunStatus.COMPLETED
    assert values(reader, "child") == {"c": 3, "b": 2, "a": 1}
    assert values(reader, "total") == {"": 6}


@pytest.mark.parametrize("way", FAILING)
def test_children_of_a_generator_that_fails_never_start_in_batch_mode(lab: Lab, way: str) -> None:
    build(lab, FAILING[way], "batch")
    reader = lab.run()
    assert reader.record.status is RunStatus.FAILED
    found: Mapping[str, str] = statuses(reader, "child")
    assert set(found.values()) == {"upstream_failed"}
    assert statuses(reader, "total") == {"": "upstream_failed"}


def test_an_async_generator_runs_where_a_loop_is_running_already(lab: Lab) -> None:
    build(lab, WAYS["async generator"], "stream")

    async def cell() -> None:
        assert values(lab.run(), "total") == {"": 6}

    asyncio.run(cell())
