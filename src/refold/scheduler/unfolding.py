"""How outcomes travel: what a finished run, an arrived item or a failed producer means for the blocks that follow.

The rules (design, section 2):

    a run whose inputs are all good                       becomes ready
    a run with a failed input                             becomes upstream_failed
    a run with a condition_failed input, none failed      becomes condition_failed, once all inputs are known
    a reducing edge, when a group of runs is over         is good if all completed, were dropped by a condition, or
                                                          are missing within what the block tolerates
    a producer that fails                                 takes with it what follows its items and has not begun
    a named sibling that does not complete                makes who waits for it upstream_failed
"""

from __future__ import annotations

from collections import deque

from refold.errors import ProtocolError
from refold.scheduler.blocks import BROKEN, VERDICT, BlockState, Downstream, Link, Verdict
from refold.scheduler.commands import Command, Record
from refold.scheduler.events import OPEN, ItemsArrived, Wait
from refold.scheduler.folds import COMPLETE, FoldState
from refold.scheduler.joins import JoinSpace
from refold.scheduler.judging import Judging
from refold.scheduler.ranges import Range, gather
from refold.scheduler.spaces import FlatSpace, ItemSpace, Space
from refold.scheduler.state import State
from refold.scheduler.status import LEGAL, Status


class Unfolding:
    """Applies outcomes to a state and gathers the commands that follow, within one event."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.commands: list[Command] = []
        self._judging = Judging(state, self)
        self._due: deque[tuple[BlockState, int, int, Status]] = deque()
        """Runs that have just ended, whose downstreams have not been told."""

    def command(self, command: Command) -> None:
        """Adds a command; records of one block that follow each other become one."""
        last = self.commands[-1] if self.commands else None
        if (
            isinstance(command, Record)
            and isinstance(last, Record)
            and (last.block, last.status) == (command.block, command.status)
        ):
            command = Record(command.block, join(last.runs, command.runs), command.status)
            self.commands.pop()
        self.commands.append(command)

    def change(self, block: BlockState, start: int, stop: int, old: Status, new: Status) -> None:
        """Changes a range from one status to another, if that is legal."""
        if new not in LEGAL[old] or block.status.count(old, start, stop) != stop - start:
            found = sorted({Status(code).name for code in block.status[start:stop]})
            raise ProtocolError(
                f"{block.plan.uuid}, runs {start} to {stop - 1}: {' '.join(found)} cannot become {new.name}",
                fix="This is a defect of Refold; please report it with the run's folder.",
            )
        block.move(start, stop, old, new)
        if block.keeps_account:
            block.account(start, stop, old, new)

    def end(self, block: BlockState, start: int, stop: int, old: Status, new: Status) -> None:
        """A range reaches its last status: it is recorded, and its downstreams will be told."""
        self.change(block, start, stop, old, new)
        self.command(Record(block.number, ((start, stop),), new))
        self._due.append((block, start, stop, new))

    def end_waiting(self, block: BlockState, start: int, stop: int, new: Status) -> None:
        """The same, for those of a range that were not handed out yet."""
        for low, high in block.stretches_of(Status.INITIAL, start, stop):
            self.end(block, low, high, Status.INITIAL, new)

    def drain(self) -> None:
        """Tells downstreams, and settles blocks, until nothing more follows."""
        while True:
            while self._due:
                self._tell(*self._due.popleft())
            if not (self._judging.judge() or self._settle()):
                return

    def _tell(self, block: BlockState, start: int, stop: int, status: Status) -> None:
        verdict = VERDICT[status]
        for fold in block.folds:
            fold.ended(start, stop, broken=status in BROKEN)
        for run in range(start, stop) if self.state.waiting else ():
            completed = status in COMPLETE and run not in block.doomed
            self._let_go(self.state.waiting.over((block.number, run), completed=completed))
        if block.items is not None:
            self._tell_of_producers(block, block.items, start, stop, verdict)
        for low, high, seen in self._seen(block, start, stop, verdict):
            for downstream in block.downstream:
                if downstream.link is Link.BROADCAST:
                    self.open_gate(downstream.block, seen)
                elif downstream.link is Link.RUNS:
                    self.resolve(downstream, low, high, seen)

    def _seen(self, block: BlockState, start: int, stop: int, verdict: Verdict) -> list[tuple[int, int, Verdict]]:
        """The verdicts that downstreams see: a doomed run's is FAILED, whatever became of the run itself."""
        if not block.doomed:
            return [(start, stop, verdict)]
        seen: list[tuple[int, int, Verdict]] = []
        for run in range(start, stop):
            this = Verdict.FAILED if run in block.doomed else verdict
            block.doomed.discard(run)
            if seen and seen[-1][2] is this:
                seen[-1] = (seen[-1][0], run + 1, this)
            else:
                seen.append((run, run + 1, this))
        return seen

    def _tell_of_producers(self, block: BlockState, items: ItemSpace, start: int, stop: int, verdict: Verdict) -> None:
        assert block.supply is not None, "a dynamic block has one"
        supply = block.supply
        for run in range(start, stop) if supply.producing or block.unopened else ():
            supply.over(run)
            for low, high in block.unopened.pop(run, ()):
                self._resolve_items(block, low, high, Verdict.FAILED if run in block.doomed else verdict)
        if verdict is Verdict.FAILED and items.size:
            failed = range(start, stop)
            self.doom(items, gather(p for p, run in enumerate(items.parent) if run in failed))
        block.doomed.difference_update(range(start, stop))
        for fold in self.state.folds:
            if fold.levels is None:
                continue
            if fold.block.space is items:
                fold.to_judge.update(range(start, stop))
            elif not isinstance(fold.block.space, ItemSpace):
                fold.recheck()

    def _resolve_items(self, block: BlockState, start: int, stop: int, verdict: Verdict) -> None:
        for downstream in block.downstream:
            if downstream.link is not Link.ITEMS:
                continue
            if not self.state.waiting or downstream.factor is not None:
                self.resolve(downstream, start, stop, verdict)
                continue
            for position in range(start, stop):
                run = (downstream.block.number, position)
                if not self.state.waiting.hold(run, verdict):
                    self._let_go([(run, verdict)])

    def _let_go(self, free: list[tuple[tuple[int, int], int]]) -> None:
        """Runs whose item has come, and which need not wait for siblings any more."""
        for (number, run), own in free:
            verdict = Verdict.FAILED if self.state.waiting.failed((number, run)) else Verdict(own)
            self.admit(self.state.blocks[number], run, run + 1, verdict)

    def resolve(self, downstream: Downstream, start: int, stop: int, verdict: Verdict) -> None:
        """One iterated input of a block is known for a range of its upstream's positions."""
        block = downstream.block
        if block.join is None or downstream.factor is None:
            self.admit(block, start, stop, verdict)
        else:
            block.join.cursor.resolve(downstream.factor, start, stop, verdict)

    def admit(self, block: BlockState, start: int, stop: int, verdict: Verdict) -> None:
        """The iterated inputs of a range of runs are known; what they wait for together may not be."""
        gate = block.gate
        if verdict is Verdict.FAILED or gate.verdict is Verdict.FAILED:
            self.end_waiting(block, start, stop, Status.UPSTREAM_FAILED)
            return
        for low, high in block.stretches_of(Status.INITIAL, start, stop):
            if gate.verdict is Verdict.PENDING:
                gate.held[verdict].append((low, high))
            elif max(verdict, gate.verdict) is Verdict.GOOD:
                block.ready.add(low, high)
                if self.state.newly_ready is not None:
                    self.state.newly_ready.append((block.number, low, high))
            else:
                self.end(block, low, high, Status.INITIAL, Status.CONDITION_FAILED)

    def open_gate(self, block: BlockState, verdict: Verdict) -> None:
        """One of the inputs that all runs of a block wait for together is known."""
        gate = block.gate
        gate.pending -= 1
        gate.worst = max(gate.worst, verdict)
        if gate.verdict is Verdict.FAILED:
            return
        if verdict is Verdict.FAILED:
            gate.verdict = Verdict.FAILED
            self._release(block)
            self.end_waiting(block, 0, len(block.status), Status.UPSTREAM_FAILED)
        elif gate.pending == 0:
            gate.verdict = gate.worst
            for held, ranges in self._release(block).items():
                for start, stop in ranges:
                    self.admit(block, start, stop, held)

    def _release(self, block: BlockState) -> dict[Verdict, list[Range]]:
        held = block.gate.held
        block.gate.held = {verdict: [] for verdict in held}
        return held

    def begin(self) -> None:
        """The pipeline run starts: static blocks stand at their one position."""
        for block in self.state.blocks:
            if block.gate.pending == 0:
                block.gate.verdict = Verdict.GOOD
            if block.space is self.state.root:
                self.admit(block, 0, 1, Verdict.GOOD)

    def grow(self, space: Space, count: int) -> None:
        """New positions, the last ones: each block of the space has that many runs more."""
        start, stop = space.size - count, space.size
        if not count:
            return
        for block in self.state.standing_at(space):
            block.grow(count)
            if self.state.cancelling:
                self.end_waiting(block, start, stop, Status.CANCELLED)
        for fold in self.state.folds:
            if fold.outer is space:
                fold.to_judge.update(range(start, stop))
        for join, factor in self.state.joined_with(space):
            join.arrive(factor, start, stop)
            if join.eager:
                join.cursor.resolve(factor, start, stop, Verdict.GOOD)
                while join.cursor:
                    self._make(join, stop - start)

    def _make(self, join: JoinSpace, limit: int) -> list[tuple[int, int]]:
        """Makes up to `limit` combinations into positions; their verdicts, as (verdict, how many) stretches."""
        start = join.size
        stretches = join.cursor.take(limit, join.columns)
        join.made(start)
        if join.size > start:
            self.grow(join, join.size - start)
        return stretches

    def arrive(self, block: BlockState, event: ItemsArrived) -> None:
        """A producing run gave items."""
        run, start, stop = event.run, event.start, event.stop
        supply = block.supply
        if supply is None or block.items is None or block.items.arrived_from(run) != start:
            raise ProtocolError(f"{block.plan.uuid}, run {run}: items {start} to {stop} out of turn")
        if block.status[run] != Status.QUEUED:
            raise ProtocolError(f"{block.plan.uuid}, run {run}: items {start} to {stop}, but it does not produce")
        if len(event.groups) != (stop - start if block.plan.group_limit is not None else 0):
            raise ProtocolError(f"{block.plan.uuid}, run {run}: {len(event.groups)} groups of {stop - start} items")
        first = block.items.grow(run, start, stop, event.groups)
        last = first + stop - start
        supply.arrive(run, stop - start, event.size)
        self.grow(block.items, stop - start)
        for wait in event.waits:
            self._wait(block, run, start, wait)
        if run in block.doomed:
            self.doom(block.items, ((first, last),))
            self._resolve_items(block, first, last, Verdict.FAILED)
        elif block.plan.batch_mode:
            block.unopened.setdefault(run, []).append((first, last))
        else:
            self._resolve_items(block, first, last, Verdict.GOOD)

    def _wait(self, block: BlockState, run: int, start: int, wait: Wait) -> None:
        """The children at an item wait for another run; of an item that came before, it is known now for which."""
        state, items = self.state, block.items
        assert items is not None
        position = items.position_of(run, wait.item)
        for downstream in block.downstream:
            if downstream.link is not Link.ITEMS or downstream.factor is not None:
                continue
            waiter = (downstream.block.number, position)
            if wait.target == OPEN:
                state.waiting.wait(waiter, None)
                continue
            named = state.blocks[downstream.block.number if wait.block is None else wait.block]
            target = 0 if wait.target is None else items.position_of(run, wait.target)
            if wait.item < start:
                state.waiting.found(waiter, (named.number, target))
            else:
                state.waiting.wait(waiter, (named.number, target))
            if named.is_over(target):
                completed = named.status[target] in COMPLETE and target not in named.doomed
                self._let_go(state.waiting.over((named.number, target), completed=completed))

    def doom(self, space: Space, ranges: tuple[Range, ...]) -> None:
        """A forebear of these positions failed after it had given them: what has not begun there never will."""
        pending: list[tuple[Space, tuple[Range, ...]]] = [(space, ranges)]
        while pending:
            space, ranges = pending.pop()
            for block in self.state.standing_at(space):
                for start, stop in ranges:
                    self.end_waiting(block, start, stop, Status.UPSTREAM_FAILED)
                    for low, high in block.stretches_of(Status.QUEUED, start, stop):
                        block.doomed.update(range(low, high))
            pending += self._beyond(space, ranges)

    def _beyond(self, space: Space, ranges: tuple[Range, ...]) -> list[tuple[Space, tuple[Range, ...]]]:
        """The positions of other spaces that descend from these."""
        doomed = {position for start, stop in ranges for position in range(start, stop)}
        found: list[tuple[Space, tuple[Range, ...]]] = []
        nested: list[ItemSpace | FlatSpace] = [block.items for block in self.state.blocks if block.items is not None]
        nested += self.state.flats
        for flat in self.state.flats:
            if flat.outer is space:
                flat.doomed |= doomed
        found += [
            (child, gather(position for position, at in enumerate(child.parent) if at in doomed))
            for child in nested
            if child.outer is space
        ]
        for join, factor in self.state.joined_with(space):
            for position in doomed:
                join.cursor.overrule(factor, position, Verdict.FAILED)
            found.append((join, gather(p for p, at in enumerate(join.columns[factor]) if at in doomed)))
        return [(beyond, ranges) for beyond, ranges in found if ranges]

    def combine(self, block: BlockState, limit: int) -> None:
        """Makes up to `limit` combinations of a join into runs."""
        join = block.join
        assert join is not None
        position = join.size
        for verdict, length in self._make(join, limit):
            self.admit(block, position, position + length, Verdict(verdict))
            position += length

    def release(self, fold: FoldState, group: int, verdict: Verdict) -> None:
        """Those who read a group may have it, or never will."""
        self._judging.release(fold, group, verdict)

    def _settle(self) -> bool:
        """Marks blocks that are over; whether any were."""
        state = self.state
        settled = [block for block in state.unsettled if self._is_settled(block)]
        for block in settled:
            block.settled = True
            if block.supply is not None:
                block.supply.end()
        if settled:
            state.unsettled = [block for block in state.unsettled if not block.settled]
        for block in settled:
            for fold in block.folds:
                fold.recheck()
        return bool(settled)

    def _is_settled(self, block: BlockState) -> bool:
        if block.over != len(block.status) or not block.space.settled():
            return False
        return block.space.total() == block.space.size


def join(ranges: tuple[Range, ...], more: tuple[Range, ...]) -> tuple[Range, ...]:
    """Both, one after the other; one range where they touch."""
    if ranges and more and ranges[-1][1] == more[0][0]:
        return (*ranges[:-1], (ranges[-1][0], more[0][1]), *more[1:])
    return ranges + more
