"""What to hand out next: the deepest block first, then the smallest number; and who may produce more.

Deepest first gives first results early and keeps little in flight (design 2.10). Producers run on credits; one that is
ahead of its readers pauses without holding a slot. If nothing else can lead to its items being read it is given more,
so that no buffer can bring a run to a stand.

A block with a rate is given to workers that have nothing to do, so that its runs begin soon after they are handed out:
until they have, fewer others may. Where there is no such worker just now, nothing more is handed out before there is.
"""

from __future__ import annotations

from refold.scheduler.blocks import BlockState
from refold.scheduler.commands import Fold, Pull, RunBatch, StartTimer
from refold.scheduler.events import SlotsFree
from refold.scheduler.limits import LimitedRuns
from refold.scheduler.ranges import Ranges, count, gather, numbers
from refold.scheduler.rates import Bucket
from refold.scheduler.status import Status
from refold.scheduler.supply import Credit, Supply
from refold.scheduler.unfolding import Unfolding

AHEAD = 20_000
"""How many combinations that limits hold back are made, in search of one that they do not."""


class Dispatch:
    """Answers one `SlotsFree`."""

    def __init__(self, unfolding: Unfolding, event: SlotsFree) -> None:
        self._unfolding = unfolding
        self._state = unfolding.state
        self._sizes = event.batch_sizes
        self._slots = event.slots
        self._idle = event.idle
        self._now = event.now
        self._running = self._state.running
        self._state.wants_idle = False

    def run(self) -> None:
        """Hands out as much as there are slots for."""
        while self._slots > 0 and self._round():
            pass
        if self._state.wants_idle:
            self._slots = 0
        for block in self._state.blocks:
            if block.supply is not None and block.supply.hungry:
                self._grant(block, block.supply)
        if self._slots > 0:
            self._unblock()
            if self._running == 0 and not self._state.folding and not self._state.timers:
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
            if self._slots <= 0 or self._state.wants_idle:
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
                self._use_slot()
                self._unfolding.command(Fold(block.number, fold.number, group, runs))

    def _use_slot(self) -> None:
        """Something is handed out; executors give it to a worker that has nothing to do, if there is one."""
        self._slots -= 1
        self._idle -= 1

    def _allowance(self, block: BlockState) -> int | None:
        """How many more runs of this block may be under way; None without a limit."""
        limits = []
        if self._state.plan.concurrency_limit is not None:
            limits.append(self._state.plan.concurrency_limit - self._running)
        if block.plan.concurrency_limit is not None:
            limits.append(block.plan.concurrency_limit - block.running)
        return min(limits) if limits else None

    def _hand_out(self, block: BlockState) -> bool:
        """Hands out one batch of this block, if it can; of a limited block all that it can."""
        if not block.has_work():
            return False
        admitted: int | None = None
        if block.supply is not None and block.supply.bounded:
            admitted = self._admitted(block, block.supply)
        allowance, size = self._allowance(block), self._sizes[block.number]
        if self._slots <= 0 or (allowance is not None and allowance <= 0):
            return False
        if allowance is not None:
            size = min(size, -(-allowance // self._slots))
        if admitted is not None:
            size, allowance = min(size, admitted), _least(allowance, admitted)
        if size <= 0:
            return False
        if isinstance(block.ready, LimitedRuns):
            return self._hand_out_limited(block, block.ready, size, allowance)
        join = block.join
        if join and join.cursor and block.ready.size < size * self._slots:
            self._unfolding.combine(block, size * self._slots - block.ready.size)
        size = min(size, -(-block.ready.size // self._slots))
        if block.bucket is not None:
            tokens = self._beginning(block.bucket, block)
            size = min(size, -(-tokens // max(1, min(self._idle, self._slots))))
        if size <= 0:
            return False
        runs = block.ready.take(size, block.status, Status.INITIAL)
        if not runs:
            return join is not None and block.has_work()
        self._start(block, runs)
        return True

    def _admitted(self, block: BlockState, supply: Supply) -> int:
        """How many runs of a dynamic block may begin: none while one of them waits for credit.

        Without room none either, as each could leave an item behind; one, where nothing else leads to reading.
        """
        if supply.paused:
            self._grant(block, supply)
        if supply.paused:
            return 0
        room = supply.room().items
        return room if room > 0 else int(not self._leads_to_reading(block))

    def _beginning(self, bucket: Bucket, block: BlockState) -> int:
        """How many runs of a block with a rate may begin; none without a worker that has nothing to do."""
        tokens = bucket.available(self._now)
        wait = bucket.seconds_until(block.ready.size) if tokens <= 0 and bucket.timer is None else None
        if wait is not None:
            bucket.timer = self._state.next_timer
            self._state.timers[bucket.timer] = (block.number, ())
            self._state.next_timer += 1
            self._unfolding.command(StartTimer(bucket.timer, wait))
        if tokens > 0 and self._idle <= 0:
            self._state.wants_idle = True
        return tokens if self._idle > 0 else 0

    def _hand_out_limited(self, block: BlockState, ready: LimitedRuns, size: int, allowance: int | None) -> bool:
        """The same for a block of which only so many may be under way for each value (`limit_by`)."""
        workers = self._slots
        if block.bucket is not None:
            allowance = _least(allowance, self._beginning(block.bucket, block))
            workers = min(workers, self._idle)
        if size <= 0 or workers <= 0 or (allowance is not None and allowance <= 0):
            return False
        runs = list(numbers(self._take_limited(block, ready, _least(allowance, size * workers))))
        share = -(-len(runs) // workers)
        for at in range(0, len(runs), max(1, share)):
            self._start(block, gather(runs[at : at + share]))
        return bool(runs)

    def _take_limited(self, block: BlockState, ready: LimitedRuns, most: int) -> Ranges:
        """Up to so many runs that no limit holds back; of a join, combinations are made in search of them."""
        runs, join = ready.take(most, block.status, Status.INITIAL), block.join
        while join and join.cursor and count(runs) < most and ready.size < AHEAD and not ready.stuck():
            self._unfolding.combine(block, most)
            runs += ready.take(most - count(runs), block.status, Status.INITIAL)
        return runs

    def _start(self, block: BlockState, runs: Ranges) -> None:
        held = count(runs)
        for start, stop in runs:
            self._unfolding.change(block, start, stop, Status.INITIAL, Status.QUEUED)
        width = block.plan.width
        failures = (
            {run: block.failures[run] for run in numbers(runs) if run in block.failures} if block.failures else {}
        )
        credit = self._lend(block, block.supply, runs) if block.supply is not None else Credit(0, 0)
        if block.bucket is not None:
            block.bucket.take(runs)
        self._unfolding.command(RunBatch(block.number, runs, width, failures, credit.items, credit.size))
        self._use_slot()
        self._running += held

    def _lend(self, block: BlockState, supply: Supply, runs: Ranges) -> Credit:
        """The credit of producing runs that begin: a share of the room, as others may begin now or later."""
        held = count(runs)
        beginning = held + min(block.ready.size, held * (self._slots - 1))
        return supply.lend(numbers(runs), beginning + 1 if block.plan.axes else beginning)

    def _grant(self, block: BlockState, supply: Supply) -> None:
        """Gives producers more credit once their readers have caught up by half."""
        waiting = sorted(supply.hungry)
        for at, run in enumerate(waiting):
            credit = supply.share(run, len(waiting) - at)
            if credit is not None:
                self._pull(block, supply, run, credit)

    def _pull(self, block: BlockState, supply: Supply, run: int, credit: Credit) -> None:
        """Lets a producing run give more; a paused one, if there is a slot for it."""
        if run in supply.paused:
            allowance = self._allowance(block)
            if self._slots <= 0 or (allowance is not None and allowance <= 0):
                return
            self._use_slot()
            self._running += 1
        supply.pull(run, credit)
        self._unfolding.command(Pull(block.number, run, credit.items, credit.size))

    def _unblock(self) -> None:
        """What was handed out leads to no reading of some block's items: a paused run of it is given more.

        Of several such blocks, those come first that hold the fewest unread items: the others may wait for theirs.
        """
        paused = [block for block in self._state.deepest_first if block.supply is not None and block.supply.paused]
        for block in sorted(paused, key=_unread):
            supply = block.supply
            assert supply is not None, "it was looked at"
            if self._slots > 0 and not self._leads_to_reading(block):
                self._pull(block, supply, min(supply.paused), supply.half)

    def _leads_to_reading(self, producer: BlockState) -> bool:
        """Whether a run, a fold or a timer is under way after which items of a dynamic block may be read."""
        state = self._state
        # A name may be that of any static block.
        blocks = state.blocks if state.waiting else [state.blocks[number] for number in producer.leads_to_reading]
        numbered = {block.number for block in blocks}
        return (
            any(block.running > 0 for block in blocks)
            or any(number in numbered for number, _ in state.timers.values())
            or (state.folding > 0 and any(fold.busy() for block in blocks for fold in block.folds))
        )

    def _break_circle(self) -> None:
        """Nothing runs, and nothing ever would: runs that wait for named ones wait in a circle, and fail (design 2.9).

        What items of one dynamic run name is checked where they are made; names of static blocks can lead from one
        dynamic block to another and back.
        """
        for number, run in self._state.waiting.give_up():
            block = self._state.blocks[number]
            self._unfolding.end_waiting(block, run, run + 1, Status.FAILED)
        self._unfolding.drain()


def _least(limit: int | None, other: int) -> int:
    return other if limit is None else min(limit, other)


def _unread(block: BlockState) -> int:
    return 0 if block.supply is None else block.supply.unread
