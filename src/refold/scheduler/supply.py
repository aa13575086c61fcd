"""How far the runs of a dynamic block may run ahead of those who read their items (design 2.10).

An item is *unread* until some run that stands at it was handed out, or will never be; of several downstream blocks the
slowest one counts. Each producing run has a *credit*, items and bytes that it may still give before it pauses. What is
unread and what is lent as credit together never exceed the block's budget, with these exceptions, and no others:

    a producing run that begins       may give one item at least, and one item may be larger than all bytes
    a returned list or frame          is there at once, whatever its credit
    nothing else can happen           a paused run is given more, so that no buffer brings a run to a stand

Nothing is bounded where nobody could read before the block has completed: in batch mode, where its items are one flat
axis, and for a downstream block that waits for a reduce over the same items.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from refold.scheduler.plan import PlannedBlock
from refold.scheduler.ranges import stretches

UNBOUNDED = 2**53
"""A credit that nobody uses up."""
_STRETCHES = 4096
"""How many stretches of sizes are told apart."""
_BEGUN = bytes((0,)) + bytes((1,)) * 255


class Sizes:
    """Bytes of items, as they came: an item has its part of those that came with it."""

    def __init__(self) -> None:
        self._stops = array("Q", (0,))
        """Where stretches end; before the first lies nothing that anybody will ask for."""
        self._totals = array("Q", (0,))
        """Bytes of all items up to there."""

    def __len__(self) -> int:
        return len(self._stops)

    def add(self, count: int, size: int) -> None:
        """The next items, 1 or more, take so many bytes together."""
        self._stops.append(self._stops[-1] + count)
        self._totals.append(self._totals[-1] + size)

    def between(self, start: int, stop: int) -> int:
        """Bytes of items `start` to `stop`; sums of adjoining ranges are exact."""
        return self._up_to(stop) - self._up_to(start)

    def _up_to(self, position: int) -> int:
        at = bisect_right(self._stops, position)
        if at == 0 or at == len(self._stops):
            return self._totals[0 if at == 0 else -1]
        before, total = self._stops[at - 1], self._totals[at - 1]
        return total + (self._totals[at] - total) * (position - before) // (self._stops[at] - before)

    def forget(self, position: int) -> None:
        """Nobody will ask for what lies before this position; of what lies behind, the detail may go."""
        at = bisect_right(self._stops, position) - 1
        if at > 0:
            del self._stops[:at], self._totals[:at]
        if len(self._stops) > _STRETCHES // 2:
            last, total = self._stops[-1], self._totals[-1]
            self._stops, self._totals = self._stops[::2], self._totals[::2]
            if self._stops[-1] != last:
                self._stops.append(last)
                self._totals.append(total)


class Reader:
    """One downstream block, as a reader of a dynamic block's items."""

    def __init__(self, status: bytearray, column: array[int] | None, reads: list[Reader], supply: Supply) -> None:
        """`status`: of its runs; `column`: for each of them its item, None where run and item have one number.

        It is added to what is `supply`'s, and to `reads`, which are the block's own.
        """
        self.unread = 0
        self.unread_bytes = 0
        self._status = status
        self._column = column
        self._reads = reads
        self._met: bytearray | None = None if column is None else bytearray()
        """A byte an item: 1 once it was read; None as long as the statuses tell."""
        self._low = 0
        """All items before this one are read."""
        self._sizes = supply.sizes
        reads.append(self)
        supply.readers.append(self)

    def arrive(self, count: int, size: int) -> None:
        """There are so many more items, of so many bytes."""
        self.unread += count
        self.unread_bytes += size
        if self._met is not None:
            self._met.extend(bytes(count))

    def read(self, start: int, stop: int) -> None:
        """The block's runs `start` to `stop` are handed out, or are over without."""
        if self._column is None:
            self._meet(start, stop)
        elif self.unread:
            for item in set(self._column[start:stop]):
                self._meet(item, item + 1)

    def _meet(self, start: int, stop: int) -> None:
        met, sizes = self._met, self._sizes
        if met is None:
            self.unread -= stop - start
            self.unread_bytes -= sizes.between(start, stop)
        else:
            for code, low, high in stretches(met[start:stop], start):
                if not code:
                    self.unread -= high - low
                    self.unread_bytes -= sizes.between(low, high)
            met[start:stop] = b"\1" * (stop - start)
        if not self.unread:
            self.unread_bytes = 0

    def come_back(self, start: int, stop: int) -> None:
        """Runs `start` to `stop`, handed out before, are not under way any more: what they stand at was read."""
        if self._met is None:
            self._met = self._status.translate(_BEGUN)
            self._met[start:stop] = b"\1" * (stop - start)

    def low(self) -> int:
        """An item before which all are read."""
        column = self._status if self._met is None else self._met
        found = column.find(0, self._low)
        self._low = len(column) if found < 0 else found
        return self._low

    def end(self) -> None:
        """Nobody will ask any more."""
        self._reads.remove(self)


class Credit(NamedTuple):
    """What a producing run may give."""

    items: int
    size: int
    """Bytes."""


@dataclass(slots=True)
class _Lent:
    """What a producing run may still give before it pauses."""

    items: int = 0
    size: int = 0
    low_items: int = 0
    """With so few left it may be given more: half of what it had."""
    low_size: int = 0

    @property
    def wants_items(self) -> bool:
        """Whether it may be given more of them."""
        return self.items <= self.low_items

    @property
    def wants_bytes(self) -> bool:
        """The same of bytes."""
        return self.size <= self.low_size


class Supply:
    """The items of one dynamic block, on their way to those who read them."""

    def __init__(self, plan: PlannedBlock) -> None:
        self.readers: list[Reader] = []
        """Those that could read while the block produces; without any, nothing is bounded."""
        self.sizes = Sizes()
        self.producing: dict[int, _Lent] = {}
        """Runs under way."""
        self.paused: set[int] = set()
        """Those of them that gave their slot back."""
        self.hungry: set[int] = set()
        """Those of them that may be given more: they are paused, or have used up half of their credit."""
        self._items = plan.buffer_items
        self._bytes = plan.buffer_bytes
        self._lent_items = 0
        self._lent_bytes = 0

    @property
    def bounded(self) -> bool:
        """Whether a budget holds."""
        return bool(self.readers)

    @property
    def unread(self) -> int:
        """How many items are unread."""
        return max((reader.unread for reader in self.readers), default=0)

    @property
    def unread_bytes(self) -> int:
        """How many bytes those take."""
        return max((reader.unread_bytes for reader in self.readers), default=0)

    def room(self) -> Credit:
        """What could be lent; below 0 where more is unread than the budget admits."""
        return Credit(self._items - self.unread - self._lent_items, self._bytes - self.unread_bytes - self._lent_bytes)

    def share(self, run: int, parts: int) -> Credit | None:
        """What a hungry run may be given, where the room is shared among so many; None: it is not worth a pull.

        It is when readers have caught up by half of what each producing run has on average.
        """
        room, lent, halves = self.room(), self.producing[run], 2 * len(self.producing)
        least_items = max(1, self._items // halves) if lent.wants_items else 0
        least_bytes = max(1, self._bytes // halves) if lent.wants_bytes else 0
        if room.items < least_items or room.size < least_bytes:
            return None
        return Credit(_part(room.items, parts), _part(room.size, parts))

    @property
    def half(self) -> Credit:
        """What a run is given when nothing else can happen."""
        return Credit(max(1, self._items // 2), max(1, self._bytes // 2))

    def lend(self, runs: Iterable[int], parts: int) -> Credit:
        """Producing runs begin: the credit of each; `parts` is among how many the room is shared."""
        given = Credit(UNBOUNDED, 0)
        if self.readers:
            room = self.room()
            given = Credit(max(1, _part(room.items, parts)), max(1, _part(room.size, parts)))
        for run in runs:
            self.producing[run] = _Lent()
            self.pull(run, given)
        return given

    def pull(self, run: int, credit: Credit) -> None:
        """A run may give so much more; it is not paused any more."""
        lent = self.producing[run]
        self._set(lent, lent.items + credit.items, lent.size + credit.size)
        lent.low_items, lent.low_size = lent.items // 2, lent.size // 2
        self.paused.discard(run)
        self.hungry.discard(run)

    def arrive(self, run: int, count: int, size: int) -> None:
        """A run gave items."""
        if not self.readers or not count:
            return
        for reader in self.readers:
            reader.arrive(count, size)
        self.sizes.add(count, size)
        if len(self.sizes) > _STRETCHES:
            self.sizes.forget(min(reader.low() for reader in self.readers))
        lent = self.producing.get(run)
        if lent is not None:
            self._set(lent, max(0, lent.items - count), max(0, lent.size - size))
            if lent.wants_items or lent.wants_bytes:
                self.hungry.add(run)

    def pause(self, run: int) -> None:
        """A run gave its slot back, and with it what it had left of its credit."""
        self.paused.add(run)
        self.hungry.add(run)
        self._set(self.producing[run], 0, 0)

    def over(self, run: int) -> None:
        """A run does not produce any more."""
        lent = self.producing.pop(run, None)
        if lent is not None:
            self._set(lent, 0, 0)
            self.paused.discard(run)
            self.hungry.discard(run)

    def end(self) -> None:
        """No run will produce any more."""
        for reader in self.readers:
            reader.end()
        self.readers.clear()
        self.sizes = Sizes()

    def _set(self, lent: _Lent, items: int, size: int) -> None:
        if self.readers:
            self._lent_items += items - lent.items
            self._lent_bytes += size - lent.size
        lent.items, lent.size = items, size

    def validate(self) -> None:
        """Raises AssertionError where sums and parts disagree."""
        assert self.paused <= self.hungry <= self.producing.keys(), "who waits for credit"
        if self.readers:
            assert self._lent_items == sum(lent.items for lent in self.producing.values()), "items lent"
            assert self._lent_bytes == sum(lent.size for lent in self.producing.values()), "bytes lent"
        for reader in self.readers:
            assert reader.unread >= 0, "unread items"
            assert reader.unread_bytes >= 0, "unread bytes"


def _part(room: int, parts: int) -> int:
    """A part of a room: 1 at least, where there is some."""
    return max(1, room // parts) if room > 0 else 0
