"""A retry's answers from memory: which runs are not executed again, and what becomes of their stored rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from refold.engine.batch_builder import BatchBuilder, sequence_of
from refold.engine.byte_columns import Marks
from refold.engine.completed_runs import completed_runs
from refold.engine.item_waits import waits_of
from refold.engine.places import NOWHERE
from refold.engine.recollection import Recollection, Reconciled
from refold.engine.result_cache import ResultCache
from refold.engine.row_buffer import RowBuffer
from refold.engine.run_keys import encoded_keys, joined_keys
from refold.engine.times import Times
from refold.model.keys import BlockUuid
from refold.ports.run_store import BlockRunRow, ItemsRow
from refold.scheduler.events import Event, ItemsArrived, Outcome, RunsFinished, RunsTaken
from refold.scheduler.plan import Axis, EdgeKind
from refold.scheduler.ranges import Range, Ranges, gather, numbers
from refold.scheduler.state import State
from refold.scheduler.status import Status

_OUTCOMES = bytes(
    Outcome.COMPLETED_FALSE if status == Status.COMPLETED_FALSE else Outcome.COMPLETED for status in range(256)
)
"""By status of a run that completed before: what is told of it."""


class Reuse:
    """Answers one pipeline run's batches from what is recollected of it."""

    def __init__(
        self, memory: Recollection, state: State, builder: BatchBuilder, rows: RowBuffer, cache: ResultCache
    ) -> None:
        self._memory = memory
        self._cache = cache
        self._state = state
        self._builder = builder
        self._rows = rows
        state.newly_ready = []
        self._unchanged = [Marks() for _ in state.blocks]
        """By block: reused runs whose rows are there already, under the same keys."""
        self._forgotten: set[tuple[BlockUuid, bytes]] = set()
        """Rows that were deleted since: where they are those of now, they are written anew."""
        self._forgotten_of: set[BlockUuid] = set()
        """Blocks of which some were."""
        self._fresh = [Marks() for _ in state.blocks]
        """By block: runs that are executed anew; what completed on what they gave before is stale."""

    def forget_obsolete(self) -> None:
        """The rows of what is to run anew go, before anything new is written."""
        for block, key in self._memory.obsolete:
            self._rows.forget(block, key)
        for block, key in self._memory.obsolete_items:
            self._rows.forget_items(block, key)

    def take_ready(self, times: dict[int, Times]) -> list[Event]:
        """The events that tell of those newly ready runs that completed before."""
        ready = self._state.newly_ready
        events: list[Event] = []
        while ready:
            block, start, stop = ready.pop(0)
            # Combinations of a product are handed out in the moment in which they become ready.
            waiting = self._state.blocks[block].stretches_of(Status.INITIAL, start, stop)
            _, answers = self.answer(block, tuple(waiting), times.setdefault(block, Times()))
            if answers:
                finished = answers[-1]
                assert isinstance(finished, RunsFinished), "items come before their run is over"
                events += [RunsTaken(block, finished.runs), *answers]
        return events

    def answer(self, block: int, ranges: Ranges, times: Times) -> tuple[Ranges, list[Event]]:
        """Of runs that are handed out: those that must be executed, and the events that tell of the others.

        The last of these says that they are over.
        """
        planned = self._state.plan.blocks[block]
        events: list[Event] = []
        reused: list[Range] = []
        outcomes = bytearray()
        none = not self._memory.runs_of(planned.uuid)
        anew = list(ranges) if none else []
        fresh = self._fresh_inputs(block, ranges)
        for start, stop in ranges if not none else ():
            codes = None if fresh else self._all_unchanged(block, start, stop)
            if codes is None:
                some, codes = self._answer_each(block, range(start, stop), fresh, times, events)
                anew += gather(sorted(set(range(start, stop)).difference(some)))
                reused += gather(some)
            else:
                reused.append((start, stop))
            outcomes += codes
        for start, stop in anew:
            self._fresh[block].add(start, stop)
        if planned.dynamic and anew:
            runs = sequence_of(tuple(anew))
            self._forget_flat(planned.uuid, encoded_keys(self._state.axes(block, runs), len(runs)))
        if reused:
            events.append(RunsFinished(block, tuple(reused), bytes(outcomes)))
        return tuple(anew), events

    def _all_unchanged(self, block: int, start: int, stop: int) -> bytes | None:
        """The outcomes of runs that all completed before and stay as they are, rows included; None for others."""
        planned = self._state.plan.blocks[block]
        if planned.dynamic or planned.uuid in self._forgotten_of or self._cache.concerns(block):
            return None
        axes = self._state.axes(block, range(start, stop))
        former = self._memory.joined_former_keys(axes, stop - start)
        runs = self._memory.runs_of(planned.uuid)
        if former is None or former != joined_keys(axes, stop - start) or (at := runs.find_together(former)) is None:
            return None
        outputs = self._builder.outputs[block]
        for low, high, chunk, first in runs.pieces(at, at + stop - start):
            if chunk != NOWHERE:
                outputs.put(low - at + start, high - at + start, chunk, first)
        self._unchanged[block].add(start, stop)
        return runs.statuses(at, at + stop - start).translate(_OUTCOMES)

    def _answer_each(
        self, block: int, runs: range, fresh: set[int], times: Times, events: list[Event]
    ) -> tuple[list[int], bytes]:
        """Which of these runs are not executed again, and what came of them; adds the events of their items."""
        planned = self._state.plan.blocks[block]
        axes = self._state.axes(block, runs)
        reused: list[int] = []
        outcomes = bytearray()
        former = self._memory.former_keys(axes, len(runs))
        for run, key, former_key in zip(runs, encoded_keys(axes, len(runs)), former, strict=True):
            row = self._memory.completed(planned.uuid, former_key)
            if row is None or former_key is None or run in fresh:
                continue
            reused.append(run)
            outcomes.append(_OUTCOMES[row.status])
            times.put(run, (row.started_at, row.completed_at))
            self._place(block, run, row)
            if key == former_key and (planned.uuid, key) not in self._forgotten:
                self._unchanged[block].add(run, run + 1)
            if planned.dynamic:
                events += self._items_again(block, run, key, former_key)
        return reused, bytes(outcomes)

    def to_be_written(self, block: int, ranges: Ranges) -> Ranges:
        """Those of some runs whose rows are not there already, under the same keys."""
        unchanged = self._unchanged[block]
        return unchanged.unmarked(ranges) if unchanged else ranges

    def _fresh_inputs(self, block: int, ranges: Ranges) -> set[int]:
        """Those of some runs of which an input was executed anew. Items are known by their fingerprints instead."""
        stale: set[int] = set()
        for number, edge in enumerate(self._state.plan.blocks[block].edges):
            fresh = self._fresh[edge.upstream]
            if not fresh or edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
                continue
            inputs = self._state.inputs(block, number, ranges) if edge.iterates else ((0, 1),)
            is_fresh: Callable[[int], bool] = fresh.__contains__
            if edge.reduces:
                assert edge.fold is not None, "an edge that reduces says which fold it is"
                fold = self._state.fold(edge.upstream, edge.fold)
                groups = {group for group in set(numbers(inputs)) if fresh.any_of(completed_runs(fold, group))}
                is_fresh = groups.__contains__
            elif not fresh.any_of(inputs):
                continue
            if edge.iterates:
                stale.update(run for run, at in zip(numbers(ranges), numbers(inputs), strict=True) if is_fresh(at))
            elif is_fresh(0):
                stale.update(numbers(ranges))
        return stale

    def _place(self, block: int, run: int, row: BlockRunRow) -> None:
        if row.chunk is not None and row.position is not None:
            self._builder.outputs[block].put(run, run + 1, row.chunk, row.position)
        self._cache.note(block, run, row)

    def _items_again(self, block: int, run: int, key: bytes, former_key: bytes) -> list[Event]:
        """The items of a reused dynamic run arrive as they did before."""
        uuid = self._state.plan.blocks[block].uuid
        rows = self._memory.items_of(uuid, former_key)
        events: list[Event] = []
        for row in rows:
            self._builder.place_items(block, row)
            waits = waits_of(row, self._state.plan)
            events.append(ItemsArrived(block, run, row.start, row.start + row.length, waits=waits))
        self._memory.keep_items(uuid, sum(row.length for row in rows))
        if key != former_key:
            self._rows.forget_items(uuid, key)
            for row in rows:
                self._rows.add_items(row._replace(key=key))
        return events

    def take_items(self, block: int, run: int, row: ItemsRow) -> None:
        """Items that a dynamic run gave anew: known children stay, the rows of others are forgotten."""
        labels = self._memory.labels_of(self._builder.chunks[row.chunk], row)
        self._apply(row.block, row.key, self._memory.match_items(row.key, self._former_key(block, run), row, labels))

    def close_items(self, block: int, run: int, key: bytes, total: int) -> None:
        """A dynamic run gave all its items."""
        uuid = self._state.plan.blocks[block].uuid
        reconciled = self._memory.close_items(uuid, key, self._former_key(block, run), total)
        if reconciled is not None:
            self._apply(uuid, key, reconciled)

    def _former_key(self, block: int, run: int) -> bytes | None:
        return self._memory.former_keys(self._state.axes(block, (run,)), 1)[0]

    def _apply(self, uuid: BlockUuid, key: bytes, reconciled: Reconciled) -> None:
        if reconciled.forget:
            self._rows.forget_items(uuid, key)
        for row in reconciled.write:
            self._rows.add_items(row)
        if reconciled.changed:
            for block, stale in self._stale(uuid, key, reconciled.changed):
                self._forget(block, stale)

    def _stale(self, uuid: BlockUuid, key: bytes, changed: Sequence[int]) -> list[tuple[BlockUuid, bytes]]:
        """Stored runs that stand at other items now, where a run of a dynamic block gave others than before."""
        changes = {index.to_bytes(4) for index in changed}
        return [
            (planned.uuid, stored)
            for planned in self._state.plan.blocks
            for depth, axis in enumerate(planned.axes)
            if self._state.plan.blocks[axis.block].uuid == uuid and not axis.flat
            for stored in self._memory.stored_at(planned.uuid, axis.parents, key)
            if stored[4 * depth : 4 * depth + 4] in changes
        ]

    def _forget_flat(self, uuid: BlockUuid, keys: Sequence[bytes]) -> None:
        """Dynamic runs are executed anew: what stands on a flat axis behind them is forgotten.

        There each item's index depends on all items before it, so stored keys would come to mean other items. What is
        recollected is written again when its item has come again.
        """
        for planned in self._state.plan.blocks:
            for axis in planned.axes if keys else ():
                for key in keys if axis.flat else ():
                    for places, wanted in self._flat_places(axis, uuid, key):
                        for stored in self._memory.stored_at(planned.uuid, places, wanted):
                            self._forget(planned.uuid, stored)

    def _forget(self, uuid: BlockUuid, key: bytes) -> None:
        if (uuid, key) not in self._forgotten:
            self._forgotten.add((uuid, key))
            self._forgotten_of.add(uuid)
            self._rows.forget(uuid, key)

    def _flat_places(self, flat: Axis, uuid: BlockUuid, key: bytes) -> list[tuple[Sequence[int], bytes]]:
        """Where a flat axis stands behind the run `key` of a dynamic block: outer places, and the indices there."""
        producer = self._state.plan.blocks[flat.block]
        outer = len(flat.parents)
        if producer.uuid == uuid:
            return [(flat.parents, key[: 4 * outer])]
        return [
            ([flat.parents[parent] for parent in axis.parents if parent < outer], key if outer else b"")
            for axis in producer.axes[outer:]
            if self._state.plan.blocks[axis.block].uuid == uuid
        ]

    def forget_vanished(self) -> None:
        """All is settled: rows at which no run stands any more are forgotten.

        Where a producer failed, what it did not come to again may be there when it is tried another time.
        """
        for planned in self._state.plan.blocks:
            if not self._state.total_final(planned.number):
                continue
            order = range(self._state.blocks[planned.number].space.size)
            axes = self._state.axes(planned.number, order)
            for key in self._memory.vanished(planned.uuid, joined_keys(axes, len(order)), 4 * len(axes)):
                self._rows.forget(planned.uuid, key)
                if planned.dynamic:
                    self._rows.forget_items(planned.uuid, key)
