"""Limits by group: of the runs whose items share a value, so many are under way at once (`dynamic.limit_by`).

Ready runs are looked at in key order. One whose group is full waits in a *lane* with the others that stand as it does,
while those behind it go on. A lane stands either where it may be looked at, or at the one full group that it waits
for; whenever that group is not full any more, the first lane that waits there is let go. A block that iterates over the
items of several dynamic blocks obeys the limits of all: its lanes are the combinations of their groups.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import insort
from collections import Counter
from collections.abc import Sequence

from refold.scheduler.ranges import Ranges, gather, numbers
from refold.scheduler.ready import ReadyRuns
from refold.scheduler.spaces import FlatSpace, ItemSpace

_Key = tuple[int, ...]
"""A group for each limit."""
_SLACK = 1024
"""How many places of runs that have gone a lane may keep, where it is not half empty."""


class Limit:
    """What one dynamic block's `limit_by` means for the runs of a block below it."""

    def __init__(self, most: int, space: ItemSpace | FlatSpace, column: Sequence[int] | None = None) -> None:
        """`space`: what the runs stand at on that block's axis; `column`: for each run its position there, None where
        that is the run's number."""
        self.parked: dict[int, list[tuple[int, _Key]]] = {}
        """By full group: the lanes that wait for it, as a heap of their first runs."""
        self._most = most
        self._items = space.items if isinstance(space, FlatSpace) else space
        self._base = space.base if isinstance(space, FlatSpace) else None
        self._column = column
        self._under_way: dict[int, int] = {}
        """By group; none where it is 0."""
        self._full = 0
        """How many groups are full."""

    def group_of(self, run: int) -> int:
        """The group of a run."""
        at = run if self._column is None else self._column[run]
        return self._items.groups[at if self._base is None else self._base[at]]

    def is_full(self, group: int) -> bool:
        """Whether no more runs of a group may be handed out."""
        return self._under_way.get(group, 0) >= self._most

    def all_full(self) -> bool:
        """Whether that is so of all groups that are known."""
        return self._full >= self._items.group_count

    def add(self, group: int) -> None:
        """A run of a group is handed out."""
        count = self._under_way[group] = self._under_way.get(group, 0) + 1
        if count == self._most:
            self._full += 1

    def remove(self, group: int) -> bool:
        """A run of a group is not under way any more; whether some lane waits for that."""
        count = self._under_way[group] - 1
        if count:
            self._under_way[group] = count
        else:
            del self._under_way[group]
        if count == self._most - 1:
            self._full -= 1
        return group in self.parked

    def validate(self, under_way: Sequence[int]) -> None:
        """Raises AssertionError where the counts are not those of these runs."""
        counted = Counter(map(self.group_of, under_way))
        assert counted == self._under_way, "runs under way by group"
        assert self._full == sum(count >= self._most for count in counted.values()), "full groups"


class _Lane:
    """Runs that wait for the same groups, smallest number first."""

    __slots__ = ("_at", "_runs", "entry", "limit")

    def __init__(self) -> None:
        self.limit: int | None = None
        """Which limit's full group it waits for; None while it may be looked at."""
        self.entry = -1
        """The run under which it stands in its heap; other entries are out of date."""
        self._runs = array("I")
        self._at = 0

    def __len__(self) -> int:
        return len(self._runs) - self._at

    @property
    def first(self) -> int:
        """Its smallest number."""
        return self._runs[self._at]

    def add(self, run: int) -> None:
        """A run more."""
        if not len(self) or run > self._runs[-1]:
            self._runs.append(run)
        else:
            insort(self._runs, run, self._at)

    def drop(self) -> None:
        """The first one has gone."""
        self._at += 1
        if self._at > _SLACK and 2 * self._at > len(self._runs):
            del self._runs[: self._at]
            self._at = 0

    def held(self) -> Sequence[int]:
        """All of them."""
        return self._runs[self._at :]


class LimitedRuns:
    """The runs of a block that could be handed out but for its limits, as `ReadyRuns` holds those of others."""

    __slots__ = ("_due", "_lanes", "_unseen", "_waiting", "limits")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limits = tuple(limits)
        self._unseen = ReadyRuns()
        """Runs that were not looked at."""
        self._lanes: dict[_Key, _Lane] = {}
        self._due: list[tuple[int, _Key]] = []
        """Lanes that may be looked at, as a heap of their first runs."""
        self._waiting = 0
        """How many runs lanes hold."""

    @property
    def size(self) -> int:
        """How many runs it holds, those whose groups are full and settled ones included."""
        return self._unseen.size + self._waiting

    def add(self, start: int, stop: int) -> None:
        """Adds a range that it does not hold."""
        self._unseen.add(start, stop)

    def stuck(self) -> bool:
        """Whether no run can be handed out, whatever it stands at."""
        return any(limit.all_full() for limit in self.limits)

    def take(self, most: int, status: bytearray, initial: int) -> Ranges:
        """Removes and returns up to `most` runs whose status is `initial`, and that no full group holds back."""
        taken: list[int] = []
        while len(taken) < most and not self.stuck():
            due, unseen = self._first_due(status, initial), self._unseen.first()
            if unseen is not None and (due is None or unseen < due):
                self._look_at_unseen(taken, most, due, status, initial)
            elif due is not None:
                self._look_at_lane(taken)
            else:
                break
        return gather(taken)

    def _first_due(self, status: bytearray, initial: int) -> int | None:
        """The first run, not settled, of the lanes that may be looked at."""
        while self._due:
            run, key = self._due[0]
            lane = self._lanes.get(key)
            if lane is None or lane.limit is not None or lane.entry != run:
                heapq.heappop(self._due)
            elif status[run] == initial:
                return run
            else:
                heapq.heappop(self._due)
                self._leave(key, lane)
                self._let_others_go(key)
        return None

    def _look_at_unseen(self, taken: list[int], most: int, due: int | None, status: bytearray, initial: int) -> None:
        """Runs before `due` are looked at for the first time: each is taken, or waits; until enough are."""
        start, stop = self._unseen.pop()
        end = stop if due is None else min(stop, due)
        for run in range(start, end):
            if status[run] != initial:
                continue
            key = self._key_of(run)
            at = self._held_up_at(key)
            if at is not None:
                self._wait(run, key, at)
                continue
            self._count(key)
            taken.append(run)
            if len(taken) == most or self.stuck():
                end = run + 1
                break
        if end < stop:
            self._unseen.add(end, stop)

    def _key_of(self, run: int) -> _Key:
        limits = self.limits
        return (limits[0].group_of(run),) if len(limits) == 1 else tuple([limit.group_of(run) for limit in limits])

    def _wait(self, run: int, key: _Key, at: int) -> None:
        """A run waits for its group of a limit."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
            lane.limit = at
        lane.add(run)
        self._waiting += 1
        if lane.first == run:
            self._stand(key, lane)

    def _look_at_lane(self, taken: list[int]) -> None:
        """The lane that is due is looked at: its first run is taken, or it waits at a full group."""
        run, key = heapq.heappop(self._due)
        lane = self._lanes[key]
        lane.limit = self._held_up_at(key)
        if lane.limit is None:
            self._count(key)
            taken.append(run)
            lane.limit = self._held_up_at(key)
            self._leave(key, lane)
        else:
            self._stand(key, lane)
            self._let_others_go(key)

    def _leave(self, key: _Key, lane: _Lane) -> None:
        """The first run of a lane that was looked at has gone."""
        lane.drop()
        self._waiting -= 1
        if len(lane):
            self._stand(key, lane)
        else:
            del self._lanes[key]

    def _held_up_at(self, key: _Key) -> int | None:
        """The first limit whose group is full."""
        for at, limit in enumerate(self.limits):
            if limit.is_full(key[at]):
                return at
        return None

    def _stand(self, key: _Key, lane: _Lane) -> None:
        """A lane stands where it belongs, under its first run."""
        lane.entry = lane.first
        heap = self._due if lane.limit is None else self.limits[lane.limit].parked.setdefault(key[lane.limit], [])
        heapq.heappush(heap, (lane.entry, key))

    def _let_others_go(self, key: _Key) -> None:
        """A lane took nothing: in each of its groups that is not full, the first lane that waits may be looked at."""
        for at, group in enumerate(key):
            self._let_go(at, group)

    def _let_go(self, at: int, group: int) -> None:
        """Where a group is not full, the first lane that waits for it may be looked at."""
        limit = self.limits[at]
        heap = limit.parked.get(group)
        while heap and not limit.is_full(group):
            run, key = heapq.heappop(heap)
            lane = self._lanes.get(key)
            if lane is not None and lane.limit == at and lane.entry == run:
                lane.limit = None
                self._stand(key, lane)
                break
        if heap is not None and not heap:
            del limit.parked[group]

    def _count(self, key: _Key) -> None:
        for limit, group in zip(self.limits, key, strict=True):
            limit.add(group)

    def take_named(self, runs: Ranges) -> None:
        """These runs are handed out, whatever is full."""
        for run in numbers(runs):
            self._count(self._key_of(run))

    def over(self, start: int, stop: int) -> None:
        """Runs `start` to `stop` are not under way any more."""
        for run in range(start, stop):
            for at, limit in enumerate(self.limits):
                group = limit.group_of(run)
                if limit.remove(group):
                    self._let_go(at, group)

    def held(self) -> Ranges:
        """All it holds, for checks."""
        waiting = gather(sorted(run for lane in self._lanes.values() for run in lane.held()))
        return (*self._unseen.held(), *waiting)

    def validate(self, under_way: Sequence[int]) -> None:
        """Raises AssertionError where its counts are not those of these runs, or a lane waits for what is not full."""
        for limit in self.limits:
            limit.validate(under_way)
        assert self._waiting == sum(map(len, self._lanes.values())), "waiting runs"
        due = {group for key, lane in self._lanes.items() if lane.limit is None for group in enumerate(key)}
        for key, lane in self._lanes.items():
            at = lane.limit
            if at is not None:
                assert self.limits[at].is_full(key[at]) or (at, key[at]) in due, "a lane that nobody will look at"
