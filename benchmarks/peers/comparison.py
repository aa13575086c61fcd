"""Refold, the floor and other systems at the same fan-out, by turns: `python -m benchmarks.peers.comparison`.

Each is a process of its own, with two workers where it can be told; start-up is counted, and told apart.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.fanout import FanOut, fan_out_measurements, floor_once, run_once
from benchmarks.measurement import FLOOR, REFOLD, WHOLE, Measurement, print_all
from benchmarks.peers.answer import read_answer
from benchmarks.peers.systems import PEERS, Peer, environment
from benchmarks.whole_process import ProcessFailed, in_one_line, watched

LIMIT = 180.0
"""Seconds after which a system is given up."""
OWN_SIZES = (10, 50, 500, 20_000)
"""On how many children Refold and the floor are measured in each round."""


@dataclass(slots=True)
class Entry:
    """One system on so many children."""

    system: str
    children: int
    run: Callable[[], FanOut]
    detail: str
    is_peer: bool = True
    """Whether it may fail without all of the comparison failing."""
    ended: list[FanOut] = field(default_factory=list)
    failure: str = ""
    """Why it was given up."""

    def take_turn(self) -> None:
        """Measures it once more, unless it was given up. Raises ProcessFailed when Refold or the floor fails."""
        if self.failure:
            return
        try:
            self.ended.append(self.run())
        except (ProcessFailed, ValueError) as error:
            if not self.is_peer:
                raise
            self.failure = f"given up: {in_one_line(error)}"

    def measurements(self) -> list[Measurement]:
        """Its rows; one without values where it could not be measured."""
        if self.failure:
            return [Measurement(WHOLE, "s", (), self.failure, self.system, self.children)]
        return fan_out_measurements(self.system, self.children, self.ended, self.detail)


def run_peer(peer: Peer, children: int) -> FanOut:
    """A peer's fan-out. Raises ProcessFailed, or ValueError when it did not say how it went."""
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        ended = watched(
            [sys.executable, "-m", f"benchmarks.peers.{peer.module}", str(children), *peer.way],
            LIMIT,
            environment(Path(folder)),
        )
    return FanOut(ended.seconds, read_answer(ended.output).seconds, ended.own_mb, ended.tree_mb)


def _entries(few: bool) -> Iterator[Entry]:
    for size in OWN_SIZES[:3] if few else OWN_SIZES:
        yield Entry(FLOOR, size, partial(floor_once, size), "outputs and rows are kept", is_peer=False)
        kept = "outputs and rows are kept, a retry goes on from them"
        yield Entry(REFOLD, size, partial(run_once, size, 2), kept, is_peer=False)
    for peer in PEERS:
        for size in peer.sizes[:1] if few else peer.sizes:
            entry = Entry(peer.name, size, partial(run_peer, peer, size), peer.kept)
            if not peer.is_installed:
                entry.failure = f"absent: {peer.package} is not installed"
            yield entry


def measure(runs: int = 5, few: bool = False) -> list[Measurement]:
    """All of them, once in each round; `few` measures each on its fewest children only."""
    entries: Sequence[Entry] = list(_entries(few))
    for _ in range(runs):
        for entry in entries:
            entry.take_turn()
    return [measurement for entry in entries for measurement in entry.measurements()]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--few", action="store_true", help="each on its fewest children only")
    options = parser.parse_args()
    print_all(measure(options.runs, options.few))


if __name__ == "__main__":
    main()
