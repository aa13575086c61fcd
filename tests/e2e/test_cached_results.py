"""`configuration.cache: true`: a run is not executed where one with the same code, inputs and configuration was."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.api.cleaning import clean
from refold.api.wiring import ExecutorKind
from refold.outputs import read_latest
from refold.testing.lab import Lab, load, statuses, values

COUNTED = """@transformer
def child(number{extra}):
    with open({log!r}, "a") as log:
        log.write(f"{{number}} ")
    return {result}
"""


class CountedLab(Lab):
    """A lab whose child notes each execution."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log = folder / "log"

    def code(self, result: str = "number * 10", extra: str = "") -> str:
        return COUNTED.format(log=str(self.log), result=result, extra=extra)

    def executed(self) -> list[str]:
        """What was executed since this was asked before, in order of size."""
        text = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(text)


@pytest.fixture
def lab(tmp_path: Path) -> CountedLab:
    lab = CountedLab(tmp_path)
    lab.add("a", load("[1, 2, 3]"), dynamic=True)
    lab.add("b", lab.code(), ["a"], cache=True, reduce_output=True)
    lab.add("c", "@transformer\ndef total(numbers):\n    return sum(numbers)\n", ["b"])
    return lab


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def test_a_second_run_executes_only_what_is_new(lab: CountedLab, kind: ExecutorKind) -> None:
    lab.run(kind)
    assert lab.executed() == ["1", "2", "3"]
    lab.edit("a", load("[3, 4, 1]"))
    reader = lab.run(kind)
    assert lab.executed() == ["4"]
    assert values(reader, "b") == {"0": 30, "1": 40, "2": 10}
    assert values(reader, "c") == {"": 80}
    assert set(statuses(reader, "b").values()) == {"completed"}


def test_other_code_or_configuration_is_executed(lab: CountedLab) -> None:
    lab.run()
    lab.executed()
    lab.edit("b", lab.code("number * 11"))
    assert values(lab.run(), "c") == {"": 66}
    assert lab.executed() == ["1", "2", "3"]
    lab.pipeline = lab.pipeline.update_block("b", configuration={"cache": True, "reduce_output": True, "limit": 5})
    lab.run()
    assert lab.executed() == ["1", "2", "3"]
    lab.run()
    assert lab.executed() == []


def test_variables_count_where_the_function_takes_them(lab: CountedLab) -> None:
    lab.run(day="monday")
    lab.run(day="tuesday")
    assert lab.executed() == ["1", "2", "3"]
    lab.edit("b", lab.code(extra=", **kwargs"))
    lab.run(day="monday")
    lab.run(day="tuesday")
    assert lab.executed() == ["1", "1", "2", "2", "3", "3"]
    lab.run(day="monday")
    assert lab.executed() == []


def test_inputs_count_by_content_however_they_came_to_be(tmp_path: Path) -> None:
    lab = CountedLab(tmp_path)
    lab.add("a", load("{'n': 1}"))
    lab.add("b", lab.code("7"), ["a"], cache=True)
    lab.run()
    assert lab.executed() == ["1}", "{'n':"]
    lab.edit("a", load("dict(n=2 - 1)"))
    assert values(lab.run(), "b") == {"": 7}
    assert lab.executed() == []


def test_a_reduced_input_counts_as_a_whole(tmp_path: Path) -> None:
    lab = CountedLab(tmp_path)
    lab.add("a", load("[1, 2]"), dynamic=True)
    lab.add("b", "@transformer\ndef b(n):\n    return n\n", ["a"], reduce_output=True, dynamic={"reduce": "sum"})
    lab.add("c", lab.code("number"), ["b"], cache=True)
    lab.run()
    lab.run()
    assert lab.executed() == ["3"]
    lab.edit("a", load("[1, 3]"))
    assert values(lab.run(), "c") == {"": 4}
    assert lab.executed() == ["4"]


def test_failures_are_not_kept(lab: CountedLab) -> None:
    lab.edit("b", lab.code("1 // (number - 2)"))
    assert statuses(lab.run(), "b") == {"0": "completed", "1": "failed", "2": "completed"}
    lab.executed()
    lab.run()
    assert lab.executed() == ["2"]


def test_a_cached_loader_gives_its_items_again(tmp_path: Path) -> None:
    lab = CountedLab(tmp_path)
    items = "[[5, 6], [{'block_uuid': 'x', 'upstream_blocks': ['y']}, {'block_uuid': 'y'}]]"
    code = f"@data_loader\ndef load():\n    with open({str(lab.log)!r}, 'a') as log:\n        log.write('loaded ')\n"
    lab.add("a", code + f"    return {items}\n", cache=True, dynamic=True)
    lab.add("b", "@transformer\ndef b(n):\n    return n\n", ["a"])
    assert values(lab.run(), "b") == values(lab.run(), "b") == {"x": 5, "y": 6}
    assert lab.executed() == ["loaded"]


def test_a_block_that_a_retry_names_is_executed(lab: CountedLab) -> None:
    lab.run()
    reader = lab.run()
    lab.executed()
    assert values(lab.retry(reader, from_block="b"), "c") == {"": 60}
    assert lab.executed() == ["1", "2", "3"]
    lab.run()
    assert lab.executed() == []


def test_what_was_taken_over_stays_when_the_earlier_run_is_cleaned_away(lab: CountedLab) -> None:
    lab.run()
    reader = lab.run()
    assert clean(lab.project, keep=1, older_than=None, now=0.0).runs == 1
    assert values(lab.read(reader.record.id), "b") == {"0": 10, "1": 20, "2": 30}
    lab.executed()
    lab.run()
    assert lab.executed() == []


def test_a_static_result_taken_over_is_the_latest(tmp_path: Path) -> None:
    lab = CountedLab(tmp_path)
    lab.add("a", load("1"))
    lab.add("b", lab.code("{'from': number}"), ["a"], cache=True)
    lab.run()
    lab.edit("a", load("2"))
    lab.run()
    lab.edit("a", load("1"))
    lab.run()
    assert read_latest(lab.project.data_folder / "lab", "b") == {"from": 1}
