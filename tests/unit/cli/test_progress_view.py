"""What is seen of a run while it goes on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest
from rich.console import Console

from refold.cli.progress_view import LINE_SECONDS, LineProgress, LiveProgress, Rates, done_text, fitting
from refold.engine.pipeline_run import PipelineRun
from refold.engine.progress import BlockProgress
from refold.model.keys import BlockUuid, RunId
from refold.ports.run_store import RunStatus

_RUN = RunId("run-1")


def block(uuid: str, total: int = 1, completed: int = 0, failed: int = 0, running: int = 0) -> BlockProgress:
    return BlockProgress(
        uuid=BlockUuid(uuid),
        total=total,
        total_final=True,
        running=running,
        completed=completed,
        failed=failed,
        upstream_failed=0,
        condition_failed=0,
        cancelled=0,
    )


@dataclass
class FakeRun:
    """As much of a pipeline run as a view looks at."""

    blocks: Sequence[BlockProgress] = ()
    id: RunId = _RUN
    end: RunStatus | None = None
    cancelling: bool = False
    looks: int = 0

    @property
    def progress(self) -> tuple[BlockProgress, ...]:
        self.looks += 1
        return tuple(self.blocks)

    def seen_by(self, view: LineProgress | LiveProgress) -> None:
        view(cast(PipelineRun, self))


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_without_a_terminal_there_is_a_line_every_few_seconds(clock: FakeClock) -> None:
    stream = io.StringIO()
    view = LineProgress("flights", stream, LINE_SECONDS, clock)
    run = FakeRun([block("load", completed=1), block("clean", total=1000, completed=40, failed=2, running=8)])
    for _ in range(1200):
        run.seen_by(view)
        clock.now += 0.01
    assert stream.getvalue().splitlines() == [
        "run run-1 of `flights`",
        "5.0s: 43/1,001 done, 8 running, 2 failed  (clean 42/1,000)",
        "10.0s: 43/1,001 done, 8 running, 2 failed  (clean 42/1,000)",
    ]
    assert run.looks == 3


def test_a_cancel_is_told_at_once_and_once(clock: FakeClock) -> None:
    stream = io.StringIO()
    view = LineProgress("flights", stream, LINE_SECONDS, clock)
    run = FakeRun([block("load", running=1)])
    run.seen_by(view)
    run.cancelling = True
    for _ in range(3):
        run.seen_by(view)
    assert stream.getvalue().splitlines()[1:] == ["cancelling... (Ctrl-C again to kill)"]


def test_a_view_that_nobody_reads_does_not_end_the_run(clock: FakeClock) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    view = LineProgress("flights", Closed(), LINE_SECONDS, clock)
    run = FakeRun([block("load", running=1)])
    run.seen_by(view)
    run.end = RunStatus.COMPLETED
    run.seen_by(view)
    assert view.run_id == "run-1"


def test_a_terminal_has_a_line_a_block_and_none_a_child(clock: FakeClock) -> None:
    stream = io.StringIO()
    view = LiveProgress("flights", stream, ["load", "clean"], clock)
    FakeRun([block("load", completed=1), block("clean", total=100_000, completed=500, running=8)]).seen_by(view)
    console = Console(file=stream, width=100)
    console.print(view.table())
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("flights  run run-1")
    assert [line.split()[0] for line in lines[1:]] == ["block", "load", "clean"]
    assert "500/100,000" in lines[3]


def test_more_blocks_than_lines_show_those_under_way_and_count_the_others() -> None:
    blocks = [block(f"b{at}", completed=1) for at in range(50)]
    blocks[20] = replace(blocks[20], running=1)
    blocks[30] = replace(blocks[30], failed=1)
    shown, hidden = fitting(blocks, 5)
    assert [each.uuid for each in shown] == ["b0", "b1", "b2", "b20", "b30"]
    assert len(hidden) == 45
    assert fitting(blocks, 50) == (blocks, ())


def test_a_total_that_may_grow_says_so() -> None:
    assert done_text(block("clean", total=365, completed=300)) == "300/365"
    assert done_text(replace(block("clean", total=365, completed=300), total_final=False)) == "300/365+"
    assert done_text(replace(block("clean", total=0), total_final=False)) == "-"


def test_a_rate_forgets_what_is_long_ago() -> None:
    rates = Rates()
    for second in range(11):
        rates.add(float(second), [block("clean", total=1000, completed=100 * min(second, 4))])
    assert rates.rate("clean") == 0.0
    rates.add(11.0, [block("clean", total=1000, completed=900)])
    assert rates.rate("clean") == 100.0
    assert rates.rate("unknown") == 0.0
