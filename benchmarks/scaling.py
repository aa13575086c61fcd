"""What a child costs among a thousand, and among a million: `python -m benchmarks.scaling`.

The fan-out of `fanout.py` at each size, beside the floor, all sizes in each round.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.fanout import FanOut, fan_out_measurements, floor_once, run_once
from benchmarks.measurement import FLOOR, REFOLD, Measurement, print_all

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BASE = 10_000
"""What a child costs among so many is what others are compared with."""


def measure(sizes: Sequence[int] = SIZES, runs: int = 5, workers: int = 2) -> list[Measurement]:
    """Both at each size; of each size, the ratio to the floor, and what a child costs beside one among `BASE`."""
    floors: dict[int, list[FanOut]] = {size: [] for size in sizes}
    refolds: dict[int, list[FanOut]] = {size: [] for size in sizes}
    for _ in range(runs):
        for size in sizes:
            floors[size].append(floor_once(size))
            refolds[size].append(run_once(size, workers))
    found: list[Measurement] = []
    for size in sizes:
        found += fan_out_measurements(FLOOR, size, floors[size])
        found += fan_out_measurements(REFOLD, size, refolds[size])
    found += [_throughput(size, floors[size], refolds[size]) for size in sizes]
    if BASE in sizes:
        found += [_growth(size, refolds[BASE], refolds[size]) for size in sizes if size > BASE]
    return found


def _throughput(size: int, floors: Sequence[FanOut], refolds: Sequence[FanOut]) -> Measurement:
    return Measurement(
        f"{size:,} children: Refold's throughput over the floor's",
        "of 1",
        tuple(floor.started / whole.seconds for floor, whole in zip(floors, refolds, strict=True)),
        "Refold as a whole process, the floor from its pool's start on",
    )


def _growth(size: int, base: Sequence[FanOut], larger: Sequence[FanOut]) -> Measurement:
    return Measurement(
        f"a child among {size:,} beside one among {BASE:,}",
        "times",
        tuple((many.started / size) / (few.started / BASE) for few, many in zip(base, larger, strict=True)),
        "what it costs once started",
    )


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_all(measure(options.sizes, options.runs, options.workers))


if __name__ == "__main__":
    main()
