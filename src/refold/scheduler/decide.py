"""The scheduler: `decide(state, event) -> commands`.

Pure: no I/O, clock, logging, randomness or async; time arrives on events. The work is in `unfolding` (how outcomes
travel) and `dispatch` (what is handed out next); this module says what each event means.

    RunStarted       static blocks without upstreams become ready
    SlotsFree        batches are handed out, producers are pulled
    RunsTaken        ready runs are handed out, but to nobody
    ItemsArrived     children come to be, and start (or wait for their parent, in batch mode)
    ProducerPaused   its slot is free
    RunsBegan        a rate lets others begin some time later
    RunsFinished     runs end, or wait for a retry, or are handed back
    Folded           the next stretch of a fold may follow, or those who read it have it
    TimerFired       a retry or a sensor is due, or a rate lets more runs begin
    CancelRequested  what has not begun is cancelled, what runs is interrupted
"""

from __future__ import annotations

from refold.errors import ProtocolError
from refold.scheduler.blocks import BlockState, Verdict
from refold.scheduler.commands import Command, End, FinishRun, Interrupt, StartTimer
from refold.scheduler.dispatch import Dispatch
from refold.scheduler.events import (
    CancelRequested,
    Event,
    Folded,
    ItemsArrived,
    Outcome,
    ProducerPaused,
    RunsBegan,
    RunsFinished,
    RunsTaken,
    RunStarted,
    SlotsFree,
    TimerFired,
)
from refold.scheduler.ranges import Ranges, gather, stretches
from refold.scheduler.state import State
from refold.scheduler.status import Status
from refold.scheduler.unfolding import Unfolding

LAST: dict[Outcome, Status] = {
    Outcome.COMPLETED: Status.COMPLETED,
    Outcome.COMPLETED_FALSE: Status.COMPLETED_FALSE,
    Outcome.CONDITION_FAILED: Status.CONDITION_FAILED,
    Outcome.FAILED_FOR_GOOD: Status.FAILED,
    Outcome.CANCELLED: Status.CANCELLED,
}


def decide(state: State, event: Event) -> list[Command]:
    """Applies one event to the state; what the engine has to do now, in order.

    Raises ProtocolError when the event is illegal in this state; the state is then of no more use.
    """
    if state.finished:
        raise ProtocolError(f"{event!r} after the pipeline run was finished")
    if state.started == isinstance(event, RunStarted):
        raise ProtocolError(f"{event!r}: a pipeline run starts once, and first")
    unfolding = Unfolding(state)
    match event:
        case RunStarted():
            state.started = True
            unfolding.begin()
        case SlotsFree():
            if not state.cancelling:
                Dispatch(unfolding, event).run()
        case RunsTaken():
            _take(unfolding, event)
        case ItemsArrived():
            unfolding.arrive(state.blocks[event.block], event)
        case ProducerPaused():
            _pause(state.blocks[event.block], event.run)
        case RunsBegan():
            _begin(state.blocks[event.block], event)
        case RunsFinished():
            _finish_runs(unfolding, event)
        case Folded():
            _fold(unfolding, event)
        case TimerFired():
            _fire(state, event.timer)
        case CancelRequested():
            _cancel(unfolding)
    unfolding.drain()
    _finish_if_settled(unfolding)
    return unfolding.commands


def _take(unfolding: Unfolding, event: RunsTaken) -> None:
    block = unfolding.state.blocks[event.block]
    block.ready.take_named(event.runs)
    for start, stop in event.runs:
        unfolding.change(block, start, stop, Status.INITIAL, Status.QUEUED)


def _begin(block: BlockState, event: RunsBegan) -> None:
    if block.bucket is None:
        raise ProtocolError(f"{block.plan.uuid}: {event!r}, but it has no rate")
    block.bucket.begin(event.runs, event.at)


def _pause(block: BlockState, run: int) -> None:
    supply = block.supply
    if supply is None or run not in supply.producing or run in supply.paused:
        raise ProtocolError(f"{block.plan.uuid}, run {run}: paused, but it does not produce")
    supply.pause(run)


def _finish_runs(unfolding: Unfolding, event: RunsFinished) -> None:
    block = unfolding.state.blocks[event.block]
    position = 0
    if block.bucket is not None and not event.began:
        for start, stop in event.runs:
            block.bucket.give_back(start, stop)
    for start, stop in event.runs:
        codes = event.outcomes[position : position + stop - start]
        position += stop - start
        for code, low, high in stretches(codes, start):
            _end_stretch(unfolding, block, low, high, Outcome(code))
    if position != len(event.outcomes):
        raise ProtocolError(f"{block.plan.uuid}: {len(event.outcomes)} outcomes for {position} runs")


def _end_stretch(unfolding: Unfolding, block: BlockState, start: int, stop: int, outcome: Outcome) -> None:
    if outcome in LAST:
        unfolding.end(block, start, stop, Status.QUEUED, LAST[outcome])
        return
    if unfolding.state.cancelling:
        last = Status.FAILED if outcome is Outcome.FAILED else Status.CANCELLED
        unfolding.end(block, start, stop, Status.QUEUED, last)
        return
    for low, high in _give_up_doomed(unfolding, block, start, stop, outcome):
        if outcome is Outcome.FAILED:
            _fail(unfolding, block, low, high)
            continue
        if outcome is Outcome.UNSTARTED and block.bucket is not None:
            block.bucket.give_back(low, high)
        _hand_back(unfolding, block, low, high)
        if outcome is Outcome.UNSTARTED:
            block.ready.add(low, high)
        else:
            _start_timer(unfolding, block, ((low, high),), block.plan.sensor_interval or 0.0)


def _give_up_doomed(unfolding: Unfolding, block: BlockState, start: int, stop: int, outcome: Outcome) -> Ranges:
    """Ends those of a range whose forebear failed: they are not tried again. Returns the others."""
    if not block.doomed:
        return ((start, stop),)
    for run in range(start, stop):
        if run in block.doomed:
            block.doomed.discard(run)
            if outcome is Outcome.FAILED:
                unfolding.end(block, run, run + 1, Status.QUEUED, Status.FAILED)
            else:
                _hand_back(unfolding, block, run, run + 1)
                unfolding.end(block, run, run + 1, Status.INITIAL, Status.UPSTREAM_FAILED)
    return gather(run for run in range(start, stop) if block.status[run] == Status.QUEUED)


def _hand_back(unfolding: Unfolding, block: BlockState, start: int, stop: int) -> None:
    unfolding.change(block, start, stop, Status.QUEUED, Status.INITIAL)
    if block.supply is not None and block.supply.producing:
        for run in range(start, stop):
            block.supply.over(run)


def _fail(unfolding: Unfolding, block: BlockState, start: int, stop: int) -> None:
    """Failed attempts: those with retries left wait for their timer, the others end."""
    policy = block.plan.retry
    if not policy.retries:
        unfolding.end(block, start, stop, Status.QUEUED, Status.FAILED)
        return
    again: dict[int, list[int]] = {}
    for run in range(start, stop):
        failures = block.failures[run] = block.failures.get(run, 0) + 1
        if failures > policy.retries:
            unfolding.end(block, run, run + 1, Status.QUEUED, Status.FAILED)
        else:
            _hand_back(unfolding, block, run, run + 1)
            again.setdefault(failures, []).append(run)
    for failures, runs in again.items():
        _start_timer(unfolding, block, gather(runs), policy.wait(failures))


def _start_timer(unfolding: Unfolding, block: BlockState, runs: Ranges, seconds: float) -> None:
    state = unfolding.state
    state.timers[state.next_timer] = (block.number, runs)
    unfolding.command(StartTimer(state.next_timer, seconds))
    state.next_timer += 1


def _fold(unfolding: Unfolding, event: Folded) -> None:
    state = unfolding.state
    fold = state.fold(event.block, event.fold)
    ahead = fold.ahead.get(event.group)
    if ahead is None or not ahead.busy:
        raise ProtocolError(f"{event!r}: nothing is being folded there")
    ahead.busy = False
    ahead.stopped = ahead.stopped or not event.ok
    state.folding -= 1
    fold.unlooked.add(event.group)
    if ahead.released:
        unfolding.release(fold, event.group, Verdict.GOOD)


def _fire(state: State, timer: int) -> None:
    if timer not in state.timers:
        return  # the runs were cancelled meanwhile
    number, runs = state.timers.pop(timer)
    block = state.blocks[number]
    if block.bucket is not None and block.bucket.timer == timer:
        block.bucket.timer = None
    for start, stop in runs:
        for low, high in block.stretches_of(Status.INITIAL, start, stop):
            block.ready.add(low, high)


def _cancel(unfolding: Unfolding) -> None:
    state = unfolding.state
    if state.cancelling:
        return
    state.cancelling = True
    state.timers.clear()
    unfolding.command(Interrupt())
    for block in state.blocks:
        block.unopened.clear()
        unfolding.end_waiting(block, 0, len(block.status), Status.CANCELLED)


def _finish_if_settled(unfolding: Unfolding) -> None:
    state = unfolding.state
    if state.cancelling:
        if not state.folding and not any(block.counts[Status.QUEUED] for block in state.blocks):
            state.finished = True
            unfolding.command(FinishRun(End.CANCELLED))
    elif not state.unsettled and not state.folding:
        state.finished = True
        failed = any(block.counts[Status.FAILED] and not state.excused(block.number) for block in state.blocks)
        unfolding.command(FinishRun(End.FAILED if failed else End.COMPLETED))
