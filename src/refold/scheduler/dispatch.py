"""What to hand out next: the deepest block first, then the smallest number; and who may produce more.

Deepest first gives first results early and keeps little in flight (design 2.10). Producers run on credits; one that is
ahead of its readers pauses without holding a slot. If nothing else can run it is given more, so that no buffer can
bring a run to a stand.
"""

from __future__ import annotations

from refold.scheduler.blocks import BlockState
from refold.scheduler.commands import Fold, Pull, RunBatch
from refold.scheduler.events import SlotsFree
from refold.scheduler.ranges import Ranges, count, numbers
from refold.scheduler.status import Status
from refold.scheduler.unfolding import Unfolding


class Dispatch:
    """Answers one `SlotsFree`."""

    def __init__(self, unfolding: Unfolding, event: SlotsFree) -> None:
        self._unfolding = unfolding
        self._state = unfolding.state
        self._sizes = event.batch_sizes
        self._slots = event.slots
        self._running = self._state.running

    def run(self) -> None:
        """Hands out as much as there are slots for."""
        while self._slots > 0 and self._round():
            pass
        for block in self._state.blocks:
            if block.granted:
                self._grant(block)
        if self._running == 0 and not self._state.folding:
            self._unblock()
            if self._running == 0 and not self._state.timers:
                self._break_circle()

    def _round(self) -> bool:
        """Goes through the blocks once; whether what was combined may have given work to one that was passed."""
        combined = False
        for block in self._state.deepest_first:
            if block.folds:
                self._fold(block)
            due = block.join is not None and bool(block.join.cursor)
            while self._slots > 0 and self._hand_out(block):
                pass
            self._unfolding.drain()
            if self._slots <= 0:
                return False
            combined = combined or (block.join is not None and due and not block.join.cursor)
        return combined

    def _fold(self, block: BlockState) -> None:
        """Has stretches of completed runs folded ahead of those who will read them (design 2.4)."""
        for fold in block.folds:
            if fold.number is None:
                continue
            while fold.unlooked and self._slots > 0:
                group = min(fold.unlooked)
                runs = fold.look_ahead(group).take()
                if runs is None:
                    fold.unlooked.discard(group)
                    continue
                self._state.folding += 1
                self._slots -= 1
                self._unfolding.command(Fold(block.number, fold.number, group, runs))

    def _allowance(self, block: BlockState) -> int | None:
        """How many more runs of this block may be under way; None without a limit."""
        limits = []
        if self._state.plan.concurrency_limit is not None:
            limits.append(self._state.plan.concurrency_limit - self._running)
        if block.plan.concurrency_limit is not None:
            limits.append(block.plan.concurrency_limit - block.running)
        return min(limits) if limits else None

    def _hand_out(self, block: BlockState) -> bool:
        """Hands out one batch of this block, if it can."""
        if not block.has_work():
            return False
        allowance = self._allowance(block)
        if allowance is not None and allowance <= 0:
            return False
        size = max(1, self._sizes[block.number])
        join = block.join
        if join and join.cursor and block.ready.size < size * self._slots:
            self._unfolding.combine(block, size * self._slots - block.ready.size)
        size = min(size, -(-block.ready.size // self._slots))
        if allowance is not None:
            size = min(size, -(-allowance // self._slots))
        runs = block.ready.take(size, block.status, Status.INITIAL)
        if not runs:
            return join is not None and block.has_work()
        self._start(block, runs, allowance)
        return True

    def _start(self, block: BlockState, runs: Ranges, allowance: int | None) -> None:
        for start, stop in runs:
            self._unfolding.change(block, start, stop, Status.INITIAL, Status.QUEUED)
        width = block.plan.width if allowance is None else max(1, min(block.plan.width, allowance))
        failures = (
            {run: block.failures[run] for run in numbers(runs) if run in block.failures} if block.failures else {}
        )
        held = count(runs)
        credit = 0
        if block.items is not None:
            credit = max(1, self._room(block) // held)
            for run in numbers(runs):
                block.granted[run] = block.items.arrived_from(run) + credit
        self._unfolding.command(
            RunBatch(block.number, runs, width, failures, credit, block.plan.buffer_bytes if credit else 0)
        )
        self._slots -= 1
        self._running += held

    def _room(self, block: BlockState) -> int:
        """How many more items may come before the block's buffer is full."""
        items = block.items
        assert items is not None
        outstanding = sum(max(0, granted - items.arrived_from(run)) for run, granted in block.granted.items())
        unread = block.unread()
        room = block.plan.buffer_items - unread - outstanding
        if items.bytes and items.size:
            average = items.bytes / items.size
            room = min(room, int(block.plan.buffer_bytes / average) - unread - outstanding)
        return room

    def _grant(self, block: BlockState) -> None:
        """Gives producers more credit once their readers have caught up by half."""
        items = block.items
        assert items is not None
        room = self._room(block)
        waiting = sorted(block.paused) or sorted(
            run for run, granted in block.granted.items() if granted <= items.arrived_from(run)
        )
        if room < max(1, self._whole(block) // 2) or not waiting:
            return
        for run in waiting:
            share = max(1, room // len(waiting))
            if room < share or not self._pull(block, run, share):
                return
            room -= share

    def _whole(self, block: BlockState) -> int:
        items = block.items
        assert items is not None
        if not (items.bytes and items.size):
            return block.plan.buffer_items
        return min(block.plan.buffer_items, max(1, int(block.plan.buffer_bytes * items.size / items.bytes)))

    def _pull(self, block: BlockState, run: int, share: int) -> bool:
        if run in block.paused:
            allowance = self._allowance(block)
            if self._slots <= 0 or (allowance is not None and allowance <= 0):
                return False
            block.paused.discard(run)
            self._slots -= 1
            self._running += 1
        block.granted[run] += share
        self._unfolding.command(Pull(block.number, run, share, block.plan.buffer_bytes))
        return True

    def _unblock(self) -> None:
        """Nothing runs and nothing could be handed out: a paused producer is given more."""
        for block in self._state.deepest_first:
            if block.paused:
                self._pull(block, min(block.paused), max(1, self._whole(block) // 2))
                return

    def _break_circle(self) -> None:
        """Nothing runs, and nothing ever would: runs that wait for named ones wait in a circle, and fail (design 2.9).

        What items of one dynamic run name is checked where they are made; names of static blocks can lead from one
        dynamic block to another and back.
        """
        for number, run in self._state.waiting.give_up():
            block = self._state.blocks[number]
            self._unfolding.end_waiting(block, run, run + 1, Status.FAILED)
        self._unfolding.drain()
