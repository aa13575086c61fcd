"""Turns what the scheduler has recorded, and what dynamic runs gave, into rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat

from refold.engine.batch_builder import BatchBuilder, sequence_of
from refold.engine.places import NOWHERE, Piece
from refold.engine.result_cache import ResultCache
from refold.engine.reuse import Reuse
from refold.engine.row_buffer import RowBuffer
from refold.engine.run_keys import encoded_keys, joined_keys
from refold.engine.times import Times
from refold.model.block import Join
from refold.model.keys import BlockUuid
from refold.ports.clock import Clock
from refold.ports.executor import Failure, Produced
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import BlockRunColumns, ItemsRow
from refold.scheduler.commands import Command, Record
from refold.scheduler.folds import COMPLETE
from refold.scheduler.ranges import Range
from refold.scheduler.state import State
from refold.scheduler.status import Status

ALIKE = 8
"""How many runs are worth telling of in columns."""
_Moments = Iterable[float | None]
_Numbers = Iterable[int | None]


class Recorder:
    """Makes the rows of one pipeline run, in the order in which they came to be."""

    def __init__(
        self,
        state: State,
        builder: BatchBuilder,
        rows: RowBuffer,
        cache: ResultCache,
        reuse: Reuse | None,
        clock: Clock,
    ) -> None:
        self._state = state
        self._builder = builder
        self._rows = rows
        self._cache = cache
        self._reuse = reuse
        self._clock = clock
        self.failures: dict[tuple[int, int], Failure] = {}
        """Why runs failed, of those that are not recorded."""
        self.times: dict[int, Times] = {}
        """By block: when runs began and ended, until the scheduler has decided on the event that told."""
        self.given: dict[tuple[int, int], list[bytes]] = {}
        """Fingerprints of the items of dynamic runs that are not over: another attempt must give the same."""

    def add_chunk(self, ref: ChunkRef) -> int:
        """A chunk was published; its number."""
        number, new = self._builder.chunks.add(ref)
        if new:
            self._rows.add_chunk(number, ref)
        return number

    def take_items(self, block: int, run: int, report: Produced) -> ItemsRow:
        """A dynamic run gave items; the row of them."""
        row = ItemsRow(
            block=self._uuid(block),
            key=self._keys(block, (run,))[0],
            start=report.start,
            length=report.length,
            chunk=self.add_chunk(report.chunk),
            first=report.first,
            named=report.named,
            fingerprints=report.fingerprints,
            waits=json.dumps(report.waits) if report.waits else None,
        )
        self.given.setdefault((block, run), []).append(report.fingerprints)
        self.add_items(block, run, row)
        return row

    def add_items(self, block: int, run: int, row: ItemsRow) -> None:
        """The next items of a dynamic run lie there."""
        if self._reuse is None:
            self._rows.add_items(row)
        else:
            self._reuse.take_items(block, run, row)
        self._builder.place_items(block, row)

    def record(self, command: Record) -> None:
        """Runs have reached their last status."""
        block, status = command.block, command.status
        rest = command.runs if self._reuse is None else self._reuse.to_be_written(block, command.runs)
        if self._are_alike(block, status):
            rest = tuple(each for each in rest if not self._add_columns(block, status, *each))
        if rest:
            self._record_each(block, sequence_of(rest), status)

    def _are_alike(self, block: int, status: Status) -> bool:
        """Whether rows of the block's runs with this status may differ in keys, times and positions alone."""
        planned = self._state.plan.blocks[block]
        return not (planned.dynamic or status is Status.FAILED or self._cache.concerns(block))

    def _add_columns(self, block: int, status: Status, start: int, stop: int) -> bool:
        """Makes rows of the runs `start` to `stop` without looking at each; False where that cannot be."""
        failures = self._state.blocks[block].failures
        if stop - start < ALIKE or not (failures.keys().isdisjoint(range(start, stop)) if failures else True):
            return False
        pieces = [Piece(start, stop, NOWHERE, NOWHERE)]
        if status in COMPLETE:
            pieces = list(self._builder.outputs[block].pieces(start, stop))
        times = self.times.get(block)
        told = times.columns(start, stop) if times else (None, self._clock.now())
        if told is None or stop - start < ALIKE * len(pieces):
            return False
        for piece in pieces:
            low, high, length = piece.start - start, piece.stop - start, piece.stop - piece.start
            began, ended = (column[low:high] if isinstance(column, Sequence) else column for column in told)
            self._rows.add_columns(
                BlockRunColumns(
                    block=self._uuid(block),
                    keys=joined_keys(self._state.axes(block, range(piece.start, piece.stop)), length),
                    length=length,
                    status=int(status),
                    attempts=int(began is not None),
                    started_at=began,
                    completed_at=ended,
                    chunk=None if piece.chunk == NOWHERE else piece.chunk,
                    position=None if piece.chunk == NOWHERE else piece.first,
                )
            )
        return True

    def _record_each(self, block: int, runs: Sequence[int], status: Status) -> None:
        keys = self._keys(block, runs)
        self._add_rows(block, runs, keys, status)
        if status is Status.FAILED:
            for run, key in zip(runs, keys, strict=True):
                failure = self.failures.pop((block, run), None) or self._lone(block, run)
                if failure is not None:
                    self._rows.add_failure(self._uuid(block), key, failure)
        if self._state.plan.blocks[block].dynamic:
            self._close_items(block, runs, keys)

    def _add_rows(self, block: int, runs: Sequence[int], keys: Sequence[bytes], status: Status) -> None:
        uuid = self._uuid(block)
        if not self._cache.concerns(block):
            self._rows.add_rows(uuid, keys, status, *self._columns(block, runs, status))
            return
        for kept, some in self._cache.columns(block, runs):
            if some:
                digests, fingerprints = self._cache.stored(block, some)
                some_keys, columns = self._keys(block, some), self._columns(block, some, status)
                add = partial(self._rows.add_rows, digests=digests, fingerprints=fingerprints, kept=kept)
                add(uuid, some_keys, status, *columns)

    def _lone(self, block: int, run: int) -> Failure | None:
        """Why a run failed without being executed: a side of a zip has no item for it, or it waits in a circle."""
        if (block, run) in self._state.waiting.circular:
            error = "DependencyError: what its item's `upstream_blocks` name waits for it, by way of other blocks"
            return Failure(error, error, "", for_good=True)
        if not self._state.is_surplus(block, run):
            return None
        sides = [self._uuid(edge.upstream) for edge in self._state.plan.blocks[block].edges if edge.iterates]
        listed = ", ".join(f"`{side}`" for side in sides)
        error = f"JoinError: `join: zip` has no partner for this one: {listed} do not have the same number here"
        return Failure(error, error, "", for_good=True)

    def _columns(
        self, block: int, runs: Sequence[int], status: Status
    ) -> tuple[Iterable[int], _Moments, _Moments, _Numbers, _Numbers]:
        """Attempts, beginnings, ends, chunks and positions of runs that have reached this status."""
        failures = self._state.blocks[block].failures
        times = self.times.get(block, Times())
        began, ended = zip(*times.each(runs, (None, self._clock.now())), strict=True)
        # A worker that died took the moment with it when its child began.
        attempts = [int(started is not None or status is Status.FAILED) for started in began]
        if status is Status.FAILED and self._state.plan.blocks[block].join is Join.ZIP:
            lone = [self._state.is_surplus(block, run) for run in runs]
            attempts = [0 if never else tried for never, tried in zip(lone, attempts, strict=True)]
        if failures:
            for at, run in enumerate(runs):
                if run in failures:
                    attempts[at] = failures[run] + (status is not Status.FAILED)
        if status not in COMPLETE:
            return attempts, began, ended, repeat(None, len(runs)), repeat(None, len(runs))
        return attempts, began, ended, *self._builder.outputs[block].columns(runs)

    def _close_items(self, block: int, runs: Sequence[int], keys: Sequence[bytes]) -> None:
        items = self._state.blocks[block].items
        assert items is not None
        for run, key in zip(runs, keys, strict=True):
            self.given.pop((block, run), None)
            if self._reuse is not None and self._state.blocks[block].status[run] == Status.COMPLETED:
                self._reuse.close_items(block, run, key, items.arrived_from(run))

    def _uuid(self, block: int) -> BlockUuid:
        return self._state.plan.blocks[block].uuid

    def _keys(self, block: int, runs: Sequence[int]) -> list[bytes]:
        return encoded_keys(self._state.axes(block, runs), len(runs))


def gathered(commands: Sequence[Command]) -> Iterable[Command]:
    """The commands of one decision, those that record runs of one block with one status as one, where the first stood.

    Where every other child fails there are as many of them as children.
    """
    if len(commands) < ALIKE:
        return commands
    found: list[Command] = []
    places: dict[tuple[int, Status], int] = {}
    ranges: dict[int, list[Range]] = {}
    for command in commands:
        if not isinstance(command, Record):
            found.append(command)
            continue
        place = places.setdefault((command.block, command.status), len(found))
        if place == len(found):
            found.append(command)
        ranges.setdefault(place, []).extend(command.runs)
    for (block, status), place in places.items():
        found[place] = Record(block, tuple(ranges[place]), status)
    return found
