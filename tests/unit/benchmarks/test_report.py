"""The tables of a result."""

from __future__ import annotations

import pytest
from benchmarks.measurement import OWN_MEMORY, STARTED, TREE_MEMORY, WHOLE, Measurement
from benchmarks.report import fan_outs, figure, markdown, text, write_into
from benchmarks.result import Result, Section


def fan_out(system: str, children: int, whole: tuple[float, ...], started: tuple[float, ...]) -> list[Measurement]:
    memory = tuple(50.0 for _ in whole)
    return [
        Measurement(WHOLE, "s", whole, "", system, children),
        Measurement(STARTED, "s", started, "", system, children),
        Measurement(OWN_MEMORY, "MB", memory, "", system, children),
        Measurement(TREE_MEMORY, "MB", memory, "", system, children),
    ]


def result(*sections: Section) -> Result:
    machine: dict[str, object] = {
        "processor": "A processor",
        "cores": 2,
        "memory_gb": 8.0,
        "kernel": "Linux 6.1",
        "python": "3.11.7",
        "libraries": {"refold": "1.0", "ray": None},
    }
    return Result("2026-01-31", quick=False, machine=machine, sections=sections)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.01234, "0.0123"), (1.2, "1.20"), (12.34, "12.3"), (99.96, "100"), (123.4, "123"), (1234567.8, "1,234,568")],
)
def test_figures_have_three_digits_that_count_and_whole_numbers_have_commas(value: float, said: str) -> None:
    assert figure(value) == said


def test_a_fan_out_is_told_a_second_and_a_child_with_and_without_start_up() -> None:
    measured = fan_out("Refold", 1000, (2.0, 1.0, 4.0), (0.5, 0.25, 1.0))
    assert fan_outs(measured) == [
        ["Refold", "1,000", "2.00 (1.00 to 4.00)", "500", "2,000", "500 (250 to 1,000)", "50.0 (50.0 to 50.0)"]
    ]


def test_systems_stand_together_by_their_number_of_children() -> None:
    measured = [*fan_out("Refold", 10, (1,), (1,)), *fan_out("Ray", 10, (1,), (1,)), *fan_out("Refold", 5, (1,), (1,))]
    assert [row[:2] for row in fan_outs(measured)] == [["Refold", "5"], ["Refold", "10"], ["Ray", "10"]]


def test_a_system_that_is_absent_has_a_row_that_says_so() -> None:
    absent = Measurement(WHOLE, "s", (), "absent: ray is not installed", "Ray", 500)
    assert fan_outs([absent]) == [["Ray", "500", "absent: ray is not installed", "", "", "", ""]]
    assert "Ray" in text(result(Section("peers", "Peers", 1.0, (absent,))))


def test_a_benchmark_that_failed_is_told_with_its_reason() -> None:
    failed = result(Section("late", "One that hangs", 60.0, (), "not done after 60 s"))
    for told in (text(failed), markdown(failed)):
        assert "Not measured: One that hangs (not done after 60 s)" in told


def test_the_table_of_the_terminal_is_aligned() -> None:
    measured = (Measurement("the first", "s", (1.5,)), Measurement("the whole of it", "s", (1500.0,), "8 workers"))
    lines = text(result(Section("waits", "Blocks that wait", 1.0, measured))).splitlines()
    assert lines[2:] == [
        "what             median  least   most  times  unit  remark",
        "",
        "-- Blocks that wait",
        "the first          1.50   1.50   1.50      1  s",
        "the whole of it   1,500  1,500  1,500      1  s     8 workers",
    ]


def test_the_docs_get_the_machine_and_a_table_for_each_benchmark() -> None:
    section = Section("waits", "Blocks that wait", 1.0, (Measurement("a | b", "s", (1.0, 2.0, 3.0)),))
    assert markdown(result(section)).splitlines() == [
        "Taken on 2026-01-31: A processor, 2 cores, 8.0 GB, Linux 6.1, Python 3.11.7; refold 1.0.",
        "",
        "### Blocks that wait",
        "",
        "| what | median | least | most | times | unit | remark |",
        "| - | - | - | - | - | - | - |",
        "| a \\| b | 2.00 | 1.00 | 3.00 | 3 | s |  |",
    ]


def test_figures_replace_those_between_the_marks_of_a_page() -> None:
    page = "# Speed\n\n<!-- figures -->\n\nold\n\n<!-- end of figures -->\n\nmore\n"
    once = write_into(page, "new\n")
    assert once == "# Speed\n\n<!-- figures -->\n\nnew\n\n<!-- end of figures -->\n\nmore\n"
    assert write_into(once, "new\n") == once


def test_a_page_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        write_into("# Speed\n", "new\n")
