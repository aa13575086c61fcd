"""A result as tables for the terminal, and as Markdown for the docs.

`python -m benchmarks.report RESULT.json` prints the Markdown; `--into docs/performance.md` writes it there, between the
lines `<!-- figures -->` and `<!-- end of figures -->`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import sentence
from benchmarks.measurement import STARTED, TREE_MEMORY, WHOLE, Measurement
from benchmarks.result import Result

FROM, TO = "<!-- figures -->", "<!-- end of figures -->"
_FAN_OUT = [
    "system",
    "children",
    "whole process, s",
    "children a second",
    "µs a child",
    "once started, µs a child",
    "memory, MB",
]
_OTHER = ["what", "median", "least", "most", "times", "unit", "remark"]
Rows = list[list[str]]


def figure(value: float) -> str:
    """Three digits that count; whole numbers from a hundred on: `0.0123`, `1.20`, `12.3`, `123`, `1,234`."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def spread(values: Sequence[float], middle: float) -> str:
    """The median, with the least and the most where there is more than one."""
    return figure(middle) if len(values) == 1 else f"{figure(middle)} ({figure(min(values))} to {figure(max(values))})"


def fan_outs(measurements: Sequence[Measurement]) -> Rows:
    """A row for each system and number of children; systems in the order in which they were measured."""
    found: dict[str, dict[int, dict[str, Measurement]]] = {}
    for each in measurements:
        if each.system:
            found.setdefault(each.system, {}).setdefault(each.children, {})[each.name] = each
    return [
        _fan_out_row(system, children, by_children[children])
        for system, by_children in found.items()
        for children in sorted(by_children)
    ]


def _fan_out_row(system: str, children: int, figures: dict[str, Measurement]) -> list[str]:
    whole = figures[WHOLE]
    if not whole.values:
        return [system, f"{children:,}", whole.detail, "", "", "", ""]
    return [
        system,
        f"{children:,}",
        spread(whole.values, whole.median),
        figure(children / whole.median),
        figure(whole.median / children * 1e6),
        _each(figures[STARTED], children / 1e6),
        _each(figures[TREE_MEMORY], 1.0),
    ]


def _each(measured: Measurement, divisor: float) -> str:
    return spread([value / divisor for value in measured.values], measured.median / divisor)


def others(measurements: Sequence[Measurement]) -> Rows:
    """A row for each measurement that is not a fan-out's."""
    return [_other_row(each) for each in measurements if not each.system]


def _other_row(each: Measurement) -> list[str]:
    values = each.values
    figures = [figure(each.median), figure(min(values)), figure(max(values))] if values else ["", "", ""]
    return [each.name, *figures, str(len(values)), each.unit, each.detail]


def text(result: Result) -> str:
    """For the terminal: all fan-outs in one table, then what else each benchmark measured."""
    rows = fan_outs(result.measurements)
    lines = [sentence(result.machine), *(["", *_aligned([_FAN_OUT, *rows], left={0})] if rows else [])]
    titles = {section.title: others(section.measurements) for section in result.sections}
    aligned = iter(_aligned([_OTHER, *(row for found in titles.values() for row in found)], left={0, 5, 6}))
    if any(titles.values()):
        lines += ["", next(aligned)]
    for title, found in titles.items():
        if found:
            lines += ["", f"-- {title}", *(next(aligned) for _ in found)]
    return "\n".join([*lines, *_failures(result)])


def _aligned(rows: Rows, left: set[int]) -> list[str]:
    """Lines with columns of one width; those in `left` are words, the others numbers."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _failures(result: Result) -> Iterator[str]:
    for section in result.sections:
        if section.failure:
            yield f"\nNot measured: {section.title} ({section.failure})"


def markdown(result: Result) -> str:
    """For the docs: when and on what, then the same tables."""
    versions = result.machine["libraries"]
    assert isinstance(versions, dict)
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    blocks = [f"Taken on {result.date}: {sentence(result.machine)}; {told}."]
    rows = fan_outs(result.measurements)
    if rows:
        blocks.append(_markdown_table(_FAN_OUT, rows))
    for section in result.sections:
        found = others(section.measurements)
        if found:
            blocks += [f"### {section.title}", _markdown_table(_OTHER, found)]
    return "\n\n".join([*blocks, *(failure.strip() for failure in _failures(result))]) + "\n"


def _markdown_table(headers: Sequence[str], rows: Rows) -> str:
    lines = [headers, ["-" for _ in headers], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def write_into(page: str, figures: str) -> str:
    """The page with these figures between its two marks. Raises ValueError where it has none."""
    before, begins, rest = page.partition(FROM)
    _, ends, after = rest.partition(TO)
    if not begins or not ends:
        raise ValueError(f"the page has no lines {FROM} and {TO}")
    return f"{before}{FROM}\n\n{figures}\n{TO}{after}"


def main() -> None:
    """Prints the Markdown, or writes it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--into", type=Path, help="a page with the two lines")
    options = parser.parse_args()
    figures = markdown(Result.load(options.result))
    if options.into is None:
        print(figures, end="")
    else:
        options.into.write_text(write_into(options.into.read_text(), figures))


if __name__ == "__main__":
    main()
