"""All measurements, one after the other: `python -m benchmarks`, or `make bench`.

Prints one table. A whole run also leaves `benchmarks/results/<date>.json`, and a picture beside it.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, plot, report, suite
from benchmarks.result import Result

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """0; 1 when something could not be measured, a peer that is not installed not counted."""
    options = _options()
    if options.list:
        print("\n".join(f"{benchmark.name:<16}{benchmark.title}" for benchmark in suite.BENCHMARKS))
        return 0
    chosen = [suite.named(name) for name in options.only] if options.only else suite.BENCHMARKS
    sections = []
    for benchmark in chosen:
        print(f"{benchmark.name} ...", end=" ", file=sys.stderr, flush=True)
        sections.append(suite.run(benchmark, options.quick))
        print(f"{sections[-1].seconds:.0f} s{', FAILED' if sections[-1].failure else ''}", file=sys.stderr, flush=True)
    today = datetime.now(UTC).date().isoformat()
    result = Result(today, options.quick, machine.describe(), tuple(sections))
    print(report.text(result), flush=True)
    whole = not options.quick and not options.only
    if options.output is not None or whole:
        _save(result, options.output or RESULTS)
    return int(any(section.failure for section in sections))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, once: only shows that all of it works")
    parser.add_argument("--only", action="append", metavar="NAME", help="this one; may be given several times")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="save there, whatever was measured")
    return parser.parse_args()


def _save(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stored, picture = folder / f"{result.date}.json", folder / f"{result.date}.svg"
    result.save(stored)
    print(f"\nsaved: {stored}", flush=True)
    try:
        plot.draw(result, picture)
    except ImportError:
        print("no picture: matplotlib is not installed", flush=True)
    else:
        print(f"saved: {picture}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
