"""All benchmarks, each in a process of its own: one that fails or hangs takes no other with it.

`python -m benchmarks.suite NAME [--quick]` is that process; its last line is what it measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from benchmarks.measurement import Measurement
from benchmarks.result import Section
from benchmarks.whole_process import ProcessFailed, in_one_line, watched

_MARK = "measured: "


class Measure(Protocol):
    """What each benchmark's module has."""

    def __call__(self, **sizes: object) -> list[Measurement]:
        """Measures, as much as these arguments say."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them."""

    name: str
    title: str
    module: str
    limit: float
    """Seconds after which it is given up."""
    quick: Mapping[str, object]
    """Arguments of its `measure` for a run that only shows that it works."""
    full: Mapping[str, object] = field(default_factory=dict)
    """Arguments for a run whose figures count, where they are not its defaults."""

    @property
    def measure(self) -> Measure:
        """Its function."""
        return cast(Measure, importlib.import_module(self.module).measure)


BENCHMARKS = (
    Benchmark(
        "scaling",
        "A list's items, a trivial child each, from a thousand to a million",
        "benchmarks.scaling",
        900,
        {"sizes": (1_000, 10_000), "runs": 1},
    ),
    Benchmark(
        "peers",
        "The same fan-out in other systems",
        "benchmarks.peers.comparison",
        1800,
        {"runs": 1, "few": True},
    ),
    Benchmark("stream", "A, B, C, D that wait: streamed, and in batches", "benchmarks.stream", 600, {"runs": 1}),
    Benchmark("startup", "The shortest commands, as whole processes", "benchmarks.startup", 300, {"runs": 1}),
    Benchmark("latency", "How soon a child begins after its `yield`", "benchmarks.latency", 300, {"items": 50}),
    Benchmark(
        "async",
        "`async def` children that wait, all at once",
        "benchmarks.async_children",
        600,
        {"children": 2_000, "seconds": 1.0},
        {"runs": 3},
    ),
    Benchmark(
        "many-runs",
        "Many runs one after the other in one process: does its memory grow?",
        "benchmarks.many_runs",
        900,
        {"runs": 4, "children": 200},
    ),
    Benchmark(
        "frames",
        "Large frames through two children each, and put together: streamed, and all at once",
        "benchmarks.frames",
        900,
        {"frames": 4, "megabytes": 1.0},
        {"frames": 200, "megabytes": 10.0},
    ),
    Benchmark(
        "elastic",
        "A pool that grows and shrinks, beside one that is always as large",
        "benchmarks.elastic",
        900,
        {"runs": 1, "scale": 0.05},
        {"runs": 2},
    ),
    Benchmark(
        "sql",
        "SQL children beside the same queries in a plain loop",
        "benchmarks.sql_children",
        600,
        {"children": 50, "runs": 1},
    ),
    Benchmark(
        "round-trip",
        "A million rows from PostgreSQL to Parquet and back, beside pandas",
        "benchmarks.database_round_trip",
        900,
        {"rows": 10_000},
    ),
)


def named(name: str) -> Benchmark:
    """The benchmark of this name. Raises SystemExit for another."""
    for benchmark in BENCHMARKS:
        if benchmark.name == name:
            return benchmark
    raise SystemExit(f"there is no benchmark `{name}`; there are {', '.join(each.name for each in BENCHMARKS)}")


def run(benchmark: Benchmark, quick: bool) -> Section:
    """Runs it in a process of its own."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.suite", benchmark.name, *(["--quick"] if quick else [])]
    measurements, failure = [], ""
    try:
        measurements = _read(watched(command, benchmark.limit).output)
    except (ProcessFailed, ValueError) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        failure = in_one_line(error)
    return Section(benchmark.name, benchmark.title, time.perf_counter() - begin, tuple(measurements), failure)


def _read(printed: str) -> list[Measurement]:
    for line in reversed(printed.splitlines()):
        if line.startswith(_MARK):
            return [Measurement.of_json(stored) for stored in json.loads(line.removeprefix(_MARK))]
    raise ValueError(f"it said nothing of what it measured: {printed[-300:]!r}")


def main() -> None:
    """Measures one, and says so in a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    benchmark = named(options.name)
    measurements = benchmark.measure(**(benchmark.quick if options.quick else benchmark.full))
    print(f"{_MARK}{json.dumps([measurement.as_json() for measurement in measurements])}", flush=True)


if __name__ == "__main__":
    main()
