"""A picture of a result: what a child costs against how many there are, for each system.

`python -m benchmarks.plot RESULT.json PICTURE.svg`; needs matplotlib.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import FLOOR, REFOLD, STARTED, WHOLE, Measurement
from benchmarks.result import Result

_COLOURS = {FLOOR: "#808080", REFOLD: "#c1121f"}
_OTHER_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#9467bd", "#8c564b", "#17becf")
_PANELS = {WHOLE: "whole process, start-up counted", STARTED: "once started"}


@dataclass(frozen=True, slots=True)
class Line:
    """One system's costs."""

    system: str
    children: tuple[int, ...]
    middle: tuple[float, ...]
    """Microseconds a child: the medians."""
    least: tuple[float, ...]
    most: tuple[float, ...]


def lines(measurements: Sequence[Measurement], name: str) -> list[Line]:
    """A line for each system, of what is called so."""
    found: Mapping[str, dict[int, list[float]]] = defaultdict(dict)
    for each in measurements:
        if each.system and each.name == name and each.values:
            costs = [value / each.children * 1e6 for value in each.values]
            found[each.system].setdefault(each.children, []).extend(costs)
    return [_line(system, by_children) for system, by_children in found.items()]


def _line(system: str, by_children: Mapping[int, Sequence[float]]) -> Line:
    children = tuple(sorted(by_children))
    return Line(
        system,
        children,
        tuple(statistics.median(by_children[each]) for each in children),
        tuple(min(by_children[each]) for each in children),
        tuple(max(by_children[each]) for each in children),
    )


def draw(result: Result, picture: Path) -> None:
    """Draws it; the picture's kind follows from its name. Raises ImportError without matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "refold"  # the same figures give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"
    drawn = Figure(figsize=(11, 5.2), layout="constrained")
    axes = drawn.subplots(1, 2, sharey=True)
    for axis, (name, title) in zip(axes, _PANELS.items(), strict=True):
        free = iter(_OTHER_COLOURS)
        for line in lines(result.measurements, name):
            colour = _COLOURS.get(line.system) or next(free)
            ours = line.system == REFOLD
            axis.plot(line.children, line.middle, "o-", color=colour, label=line.system, lw=2.4 if ours else 1.4, ms=5)
            axis.vlines(line.children, line.least, line.most, color=colour, lw=1)
        axis.set(xscale="log", yscale="log", xlabel="children", title=title)
        axis.grid(visible=True, alpha=0.25)
    axes[0].set_ylabel("microseconds a child (median, least to most)")
    axes[0].legend(frameon=False, fontsize=9)
    drawn.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


def main() -> None:
    """Draws a stored result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    draw(Result.load(options.result), options.picture)


if __name__ == "__main__":
    main()
