"""How a run's progress is shown while it goes on: a live table on a terminal, a line now and then elsewhere.

The engine tells about progress after every round, many times a second; a view looks at it as often as people can read,
and works out counts only then. A view never ends a run: when its stream is gone it falls silent.
"""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from refold.cli.duration import duration_text
from refold.engine.pipeline_run import PipelineRun
from refold.engine.progress import BlockProgress
from refold.model.keys import RunId

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

LIVE_SECONDS = 0.1
"""How often the live table looks at the run."""
LINE_SECONDS = 5.0
"""How often a line is printed where there is no terminal."""
RATE_SECONDS = 5.0
"""Over how long a rate is taken."""
_SIZE = (80, 24)
"""Columns and lines of a terminal that is not known yet."""
_COLUMNS = ("done", "running", "failed", "not reached", "skipped", "a second")
"""Not reached: something upstream failed. Skipped: a condition was false."""
CANCELLING = "cancelling... (Ctrl-C again to kill)"


class Rates:
    """How many block runs of each block ended a second, over the last few seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    def add(self, now: float, blocks: Sequence[BlockProgress]) -> None:
        """Takes in how the blocks stand at this moment, in seconds of any clock that only grows."""
        self._samples.append((now, {block.uuid: block.over for block in blocks}))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_SECONDS:
            self._samples.popleft()

    def rate(self, block: str) -> float:
        """Block runs a second; 0.0 where nothing ended."""
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after.get(block, 0) - before.get(block, 0)) / (end - start) if end > start else 0.0


class ProgressView(ABC):
    """Watches one run; also the engine's observer."""

    def __init__(
        self, pipeline: str, stream: TextIO, every: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.run_id: RunId | None = None
        """The run's id, once it is known."""
        self.blocks: tuple[BlockProgress, ...] = ()
        """How its blocks stood when it was last looked at."""
        self.cancelling = False
        self.rates = Rates()
        self._pipeline = pipeline
        self._stream = stream
        self._every = every
        self._monotonic = monotonic
        self._began = monotonic()
        self._due = self._began
        self._gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, run: PipelineRun) -> None:
        """Looks at the run, if it is time to."""
        now = self._monotonic()
        news = self.run_id is None or run.end is not None or (run.cancelling and not self.cancelling)
        if now < self._due and not news:
            return
        self._due = now + self._every
        self.run_id = run.id
        self.blocks = run.progress
        self.cancelling = run.cancelling
        self.rates.add(now, self.blocks)
        if not self._gone:
            try:
                self.draw(ended=run.end is not None)
            except OSError:
                self._gone = True

    @property
    def elapsed(self) -> str:
        """How long it has been watched."""
        return duration_text(self._monotonic() - self._began)

    @abstractmethod
    def draw(self, ended: bool) -> None:
        """Shows what was seen."""

    def close(self) -> None:
        """Takes the view away."""
        return


class LineProgress(ProgressView):
    """A line every few seconds, for files, pipes and CI."""

    _cancel_said = False
    _start_said = False

    def draw(self, ended: bool) -> None:
        """Prints a line."""
        if not self._start_said:
            self._start_said = True
            self._print(f"run {self.run_id} of `{self._pipeline}`")
        elif self.cancelling and not self._cancel_said and not ended:
            self._cancel_said = True
            self._print(CANCELLING)
        elif not ended:
            self._print(progress_line(self.elapsed, self.blocks))

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def progress_line(elapsed: str, blocks: Sequence[BlockProgress]) -> str:
    """One line: all blocks together, then those under way."""
    total, over = sum(block.total for block in blocks), sum(block.over for block in blocks)
    running, failed = sum(block.running for block in blocks), sum(block.failed for block in blocks)
    more = "" if all(block.total_final for block in blocks) else "+"
    line = f"{elapsed}: {over:,}/{total:,}{more} done, {running:,} running, {failed:,} failed"
    active = [f"{block.uuid} {done_text(block)}" for block in blocks if block.running]
    shown = ", ".join(active[:4]) + (", ..." if len(active) > 4 else "")
    return f"{line}  ({shown})" if active else line


def done_text(block: BlockProgress) -> str:
    """`346/365`; `300/365+` while more runs may come; `-` while there are none."""
    if not block.total and not block.total_final:
        return "-"
    return f"{block.over:,}/{block.total:,}{'' if block.total_final else '+'}"


class LiveProgress(ProgressView):
    """A table that is redrawn in place, one line a block."""

    def __init__(
        self, pipeline: str, stream: TextIO, blocks: Sequence[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(pipeline, stream, LIVE_SECONDS, monotonic)
        self._planned = blocks
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        # Prints of blocks are captured elsewhere; and the clock goes on while a block in this process keeps the engine.
        self._live = Live(
            console=console,
            get_renderable=self.table,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        console.show_cursor(True)  # a second Ctrl-C ends the process at once, and must not leave it hidden
        return self

    def draw(self, ended: bool) -> None:
        """Redraws the table."""
        if self._live is not None and not ended:
            self._live.refresh()

    def close(self) -> None:
        """Takes the table away."""
        if self._live is not None:
            try:
                self._live.stop()
            except OSError:
                self._gone = True

    def table(self) -> RenderableType:
        """The table as it is now."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        width, height = _SIZE if self._live is None else self._live.console.size
        run = f"  run {self.run_id}" if self.run_id is not None else ""
        title = Text(f"{self._pipeline}{run}  {self.elapsed}", style="bold")
        if self.cancelling:
            title.append(f"  {CANCELLING}", style="yellow")
        if not self.blocks:
            return Group(title, Text(f"starting: {len(self._planned)} blocks", style="dim"))
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("block", no_wrap=True, overflow="ellipsis")
        if width >= 90:
            table.add_column("", width=20)
        for column in _COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        shown, hidden = fitting(self.blocks, height - 4)
        for block in shown:
            self._add_row(table, block, bar=width >= 90)
        rest = [Text(f"and {len(hidden)} more blocks: {_hidden_text(hidden)}", style="dim")] if hidden else []
        return Group(title, table, *rest)

    def _add_row(self, table: Table, block: BlockProgress, bar: bool) -> None:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        trouble = block.failed + block.upstream_failed
        over = block.total_final and block.over == block.total
        style = "red" if trouble else "green" if over else "bold" if block.running else "dim"
        cells: list[RenderableType] = [Text(block.uuid, style=style)]
        if bar:
            colour = "red" if trouble else "green" if over else "cyan"
            cells.append(
                ProgressBar(
                    total=max(1, block.total), completed=block.over, width=20, complete_style=colour,
                    finished_style=colour,
                )
            )  # fmt: skip
        rate = self.rates.rate(block.uuid)
        cells += [
            Text(done_text(block)),
            Text(_count(block.running)),
            Text(_count(block.failed), style="red"),
            Text(_count(block.upstream_failed), style="red"),
            Text(_count(block.condition_failed), style="yellow"),
            Text(f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 0.05 else "", style="dim"),
        ]
        table.add_row(*cells)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _hidden_text(blocks: Sequence[BlockProgress]) -> str:
    over = sum(block.total_final and block.over == block.total for block in blocks)
    return f"{over} done, {len(blocks) - over} waiting"


def fitting(blocks: Sequence[BlockProgress], lines: int) -> tuple[Sequence[BlockProgress], Sequence[BlockProgress]]:
    """The blocks that a terminal of so many lines shows, and the others; those under way or failed come first."""
    lines = max(1, lines)
    if len(blocks) <= lines:
        return blocks, ()
    ranked = sorted(range(len(blocks)), key=lambda at: (not blocks[at].running, not blocks[at].failed, at))
    chosen = set(ranked[:lines])
    shown = [block for at, block in enumerate(blocks) if at in chosen]
    return shown, [block for at, block in enumerate(blocks) if at not in chosen]


def open_view(pipeline: str, blocks: Sequence[str], on_stderr: bool) -> ProgressView:
    """The view that suits the stream."""
    stream = sys.stderr if on_stderr else sys.stdout
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return LiveProgress(pipeline, stream, blocks)
    return LineProgress(pipeline, stream, LINE_SECONDS)
