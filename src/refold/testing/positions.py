"""Where block runs stand: their keys, what of the keys is an outer key, which runs fold together, and what has closed.

This is the yardstick's own reading of axes, joins and folds (design 2.2 to 2.6). It recurs from block to upstream over
whole lists of keys, by the plainest code there is, and shares none with the scheduler. It is asked by the evaluator, to
whom everything has happened, and by the referee, who knows what has been said so far: then a run that is not over has
no status, and whatever needs it is not so yet.

Keys are cut down to *places*: the axes that are kept, by their place, the axes on which an item depends among them. A
key that is cut down stays there where the axes that were cut off have no items; so it is with outer keys (design 2.4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from refold.model.block import Join
from refold.model.keys import Key
from refold.scheduler.plan import Edge, EdgeKind, Plan, PlannedBlock
from refold.scheduler.status import Status

COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})
BROKEN = frozenset({Status.FAILED, Status.UPSTREAM_FAILED, Status.CANCELLED})

Part = Mapping[int, int]
"""A key, or some of it: indices by their places."""
Group = tuple[int, int | None, Key]
"""Runs that fold together: their block, how many of its axes end, and the key on those that do not."""


class Facts(Protocol):
    """What is known of block runs."""

    def status(self, block: int, key: Key) -> Status | None:
        """The run's last status; None while it is not over."""

    def items(self, block: int, key: Key) -> int:
        """How many items have come from this run of a dynamic block."""


class Forebear(NamedTuple):
    """A run from which another descends."""

    block: int
    key: Key
    item: int | None
    """Which of its items leads to the other; None where that stands at the run itself."""


@dataclass(slots=True)
class Positions:
    """Answers from a plan and from facts; what it has found out it keeps until told to forget it."""

    plan: Plan
    facts: Facts
    _keys: dict[int, list[Key]] = field(default_factory=dict)
    _groups: dict[tuple[int, int | None], dict[Key, list[Key]]] = field(default_factory=dict)
    _closed: dict[tuple[int, tuple[int, ...]], bool] = field(default_factory=dict)
    _tolerated: dict[int, bool] = field(default_factory=dict)
    _happened: dict[Group, bool] = field(default_factory=dict)
    _flat: dict[Group, list[tuple[Key, int]]] = field(default_factory=dict)

    def forget(self) -> None:
        """There are more facts. What has closed, or has happened, stays so."""
        self._keys.clear()
        self._groups.clear()
        self._closed = {kept: answer for kept, answer in self._closed.items() if answer}
        self._tolerated = {block: answer for block, answer in self._tolerated.items() if answer}
        self._happened = {group: answer for group, answer in self._happened.items() if answer}
        self._flat = {group: items for group, items in self._flat.items() if group in self._happened}

    def keys(self, block: int) -> list[Key]:
        """The keys of all the block's runs, in order."""
        if block not in self._keys:
            planned = self.plan.blocks[block]
            places = range(len(planned.axes))
            self._keys[block] = self._zipped(planned) if _zips(planned) else self._met(planned, places)
        return self._keys[block]

    def standing(self, block: int, places: Sequence[int]) -> list[Key]:
        """The keys of a block cut down to these places, in order and each once."""
        planned = self.plan.blocks[block]
        last = len(planned.axes) - 1
        if len(places) > last:
            return self.keys(block)
        if _zips(planned) and last in places:
            return sorted({tuple(key[place] for place in places) for key in self.keys(block)})
        return self._met(planned, places)

    def group_keys(self, block: int, levels: int | None) -> list[Key]:
        """What tells a block's groups from each other when so many of its axes end, in order."""
        return self.standing(block, range(0 if levels is None else len(self.plan.blocks[block].axes) - levels))

    def _met(self, planned: PlannedBlock, places: Sequence[int]) -> list[Key]:
        """All combinations of what the edges let see that agree where they share an axis, cut down to these places."""
        rows: list[dict[int, int]] = [{}]
        for edge in _iterating(planned):
            held = [at for at, column in enumerate(edge.columns) if column in places]
            columns = [edge.columns[at] for at in held]
            seen = [dict(zip(columns, key, strict=True)) for key in self._seen(edge, held)]
            shared = sorted(set(columns).intersection(*rows[:1]))
            alike: dict[Key, list[dict[int, int]]] = {}
            for part in seen:
                alike.setdefault(tuple(part[column] for column in shared), []).append(part)
            rows = [row | part for row in rows for part in alike.get(tuple(row[column] for column in shared), ())]
        return sorted(tuple(row[place] for place in places) for row in rows)

    def _seen(self, edge: Edge, held: Sequence[int]) -> list[Key]:
        """The keys of what an iterating edge lets see, cut down to these of its places."""
        upstream = edge.upstream
        if len(held) == len(edge.columns):
            if edge.kind is EdgeKind.ITEMS:
                return [(*key, item) for key in self.keys(upstream) for item in range(self.facts.items(upstream, key))]
            if edge.kind is EdgeKind.FLAT:
                groups: list[Group] = [(upstream, edge.levels, key) for key in self.group_keys(upstream, edge.levels)]
                return [(*group[2], at) for group in groups for at in range(len(self.flat_items(group)))]
        return self.standing(upstream, held)

    def _zipped(self, planned: PlannedBlock) -> list[Key]:
        """Under each outer key, as many positions as all sides have, or once all have closed, as one of them has."""
        whole = self._sides_closed(planned)
        outer = range(len(planned.axes) - 1)
        counts = self._counts(planned)
        found: list[Key] = []
        for key in self._met(planned, outer):
            sizes = _sizes(planned, counts, key)
            found += [(*key, index) for index in range(max(sizes) if whole else min(sizes))]
        return found

    def _counts(self, planned: PlannedBlock) -> list[Counter[Key]]:
        """For each side of a zip, how many there are under each of its outer keys."""
        return [Counter(key[:-1] for key in self._seen(edge, range(len(edge.columns)))) for edge in _iterating(planned)]

    def _sides_closed(self, planned: PlannedBlock) -> bool:
        return all(self._edge_closed(edge, range(len(edge.columns))) for edge in _iterating(planned))

    def surplus(self, block: int, key: Key) -> bool:
        """Whether a run has no counterpart on some side of its zip: it fails without being tried (design 2.3)."""
        planned = self.plan.blocks[block]
        if not _zips(planned) or not self._sides_closed(planned):
            return False
        return key[-1] >= min(_sizes(planned, self._counts(planned), key[:-1]))

    def closed(self, block: int, places: Sequence[int] | None = None) -> bool:
        """Whether every key of a block (cut down to these places) is there: no dynamic run on the way is missing."""
        planned = self.plan.blocks[block]
        kept = tuple(range(len(planned.axes)) if places is None else places)
        if (block, kept) not in self._closed:
            self._closed[block, kept] = all(
                self._edge_closed(edge, [at for at, column in enumerate(edge.columns) if column in kept])
                for edge in _iterating(planned)
            )
        return self._closed[block, kept]

    def _edge_closed(self, edge: Edge, held: Sequence[int]) -> bool:
        upstream = edge.upstream
        if len(held) < len(edge.columns) or edge.kind not in {EdgeKind.ITEMS, EdgeKind.FLAT}:
            return self.closed(upstream, held)
        if not self.closed(upstream, held[:-1]):
            return False
        if edge.kind is EdgeKind.ITEMS:
            return all(self._gave_all(upstream, key) for key in self.keys(upstream))
        return all(self.happened((upstream, edge.levels, key)) for key in self.group_keys(upstream, edge.levels))

    def settled(self, block: int) -> bool:
        """Whether no more keys of a block will come, closed or not: all dynamic runs on the way are over."""
        return all(
            self.settled(edge.upstream)
            and (
                edge.kind not in {EdgeKind.ITEMS, EdgeKind.FLAT}
                or all(self.facts.status(edge.upstream, key) is not None for key in self.keys(edge.upstream))
            )
            for edge in _iterating(self.plan.blocks[block])
        )

    def _gave_all(self, block: int, key: Key) -> bool:
        """Whether all items of this run are there; one that a condition stopped gives none."""
        status = self.facts.status(block, key)
        return status is not None and status not in BROKEN

    def _axis_whole(self, block: int, place: int, part: Part) -> bool:
        """Whether everything at one place of a block's keys is there, under the indices at other places."""
        planned = self.plan.blocks[block]
        for edge in _iterating(planned):
            if place in edge.columns:
                at = edge.columns.index(place)
                seen = {held: part[column] for held, column in enumerate(edge.columns) if column in part}
                if not self._edge_whole(edge, at, seen):
                    return False
        if not _zips(planned) or place < len(planned.axes) - 1:
            return True
        # Where one side has more, whether the rest is surplus is known only when no side gets any more.
        sizes = _sizes(planned, self._counts(planned), tuple(part[column] for column in range(place)))
        return len(set(sizes)) == 1 or self.settled(block)

    def _edge_whole(self, edge: Edge, at: int, seen: Part) -> bool:
        if at == len(edge.columns) - 1 and edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
            key = tuple(seen[place] for place in range(at))
            if edge.kind is EdgeKind.ITEMS:
                return self._gave_all(edge.upstream, key)
            return self.happened((edge.upstream, edge.levels, key))
        return self._axis_whole(edge.upstream, at, seen)

    def group(self, group: Group) -> list[Key]:
        """The keys of the runs that fold together, in order."""
        block, levels, outer = group
        if levels is None:
            return self.keys(block)
        if (block, levels) not in self._groups:
            found = self._groups[block, levels] = {}
            for key in self.keys(block):
                found.setdefault(key[: len(key) - levels], []).append(key)
        return self._groups[block, levels].get(outer, [])

    def happened(self, group: Group) -> bool:
        """Whether a fold has all that it is to have (design 2.4 and 2.6); if all is over and not so, it never will."""
        if group not in self._happened:
            self._happened[group] = self._happens(*group)
        return self._happened[group]

    def _happens(self, block: int, levels: int | None, outer: Key) -> bool:
        statuses = [self.facts.status(block, key) for key in self.group((block, levels, outer))]
        if None in statuses:
            return False
        part = dict(enumerate(outer))
        whole = self.closed(block) if levels is None else self._axis_whole(block, len(outer), part)
        return whole and (BROKEN.isdisjoint(statuses) or self.tolerated(block))

    def tolerated(self, block: int) -> bool:
        """Whether a reduce over the block puts up with those of its runs that did not complete (design 2.6)."""
        if block not in self._tolerated:
            self._tolerated[block] = self._judge_tolerance(block)
        return self._tolerated[block]

    def _judge_tolerance(self, block: int) -> bool:
        tolerance = self.plan.blocks[block].tolerance
        if tolerance is None or not self.closed(block):
            return False
        statuses = [self.facts.status(block, key) for key in self.keys(block)]
        if None in statuses:
            return False
        broken = sum(status in BROKEN for status in statuses)
        return tolerance.admits(broken, len(statuses) - statuses.count(Status.CONDITION_FAILED))

    def excused(self, block: int) -> bool:
        """Whether failures of a block leave the pipeline run completed: every way leads to where they are tolerated."""
        if self.tolerated(block):
            return True
        edges = [(edge, below) for below in self.plan.blocks for edge in below.edges if edge.upstream == block]
        return bool(edges) and all(
            not edge.reduces and edge.kind is not EdgeKind.FLAT and self.excused(below.number) for edge, below in edges
        )

    def flat_items(self, group: Group) -> list[tuple[Key, int]]:
        """The items of a group of a dynamic block's runs, as one axis: each item's run, and its index there."""
        if group not in self._flat:
            runs = self.group(group) if self.happened(group) else []
            self._flat[group] = [
                (key, item)
                for key in runs
                if self.facts.status(group[0], key) in COMPLETE
                for item in range(self.facts.items(group[0], key))
            ]
        return self._flat[group]

    def forebears(self, block: int, part: Part, *, folded: bool = False) -> Iterator[Forebear]:
        """The runs from which one with this key descends, or with a key that begins like this.

        Where folds lie between (`folded`), it descends only from the runs that gave the items in its key: of the others
        it gets what they fold to, and that happens or does not.
        """
        for edge in _iterating(self.plan.blocks[block]):
            seen = {at: part[column] for at, column in enumerate(edge.columns) if column in part}
            upstream = edge.upstream
            whole = len(self.plan.blocks[upstream].axes)
            if edge.kind is EdgeKind.ITEMS and len(seen) > whole:
                yield Forebear(upstream, tuple(seen[place] for place in range(whole)), seen.pop(whole))
            elif edge.kind is EdgeKind.FLAT:
                seen.pop(len(edge.columns) - 1, None)
            elif edge.kind is not EdgeKind.ITEMS and len(seen) == whole and not folded:
                yield Forebear(upstream, tuple(seen[place] for place in range(whole)), None)
            ends = edge.kind is EdgeKind.FLAT or edge.reduces or len(seen) < whole
            yield from self.forebears(upstream, seen, folded=folded or ends)

    def doomed(self, block: int, key: Key) -> bool:
        """Whether a generator has failed that gave an item to start the run with, or one further up (design 2.8)."""
        return self._bereft(block, key, batch_mode=False)

    def barred(self, block: int, key: Key) -> bool:
        """The same of a dynamic block in batch mode: then the run is one of those that were never to start."""
        return self._bereft(block, key, batch_mode=True)

    def _bereft(self, block: int, key: Key, *, batch_mode: bool) -> bool:
        return any(
            forebear.item is not None
            and self.plan.blocks[forebear.block].batch_mode is batch_mode
            and self.facts.status(forebear.block, forebear.key) in BROKEN
            for forebear in self.forebears(block, dict(enumerate(key)))
        )


def _iterating(planned: PlannedBlock) -> list[Edge]:
    return [edge for edge in planned.edges if edge.iterates]


def _zips(planned: PlannedBlock) -> bool:
    return planned.join is Join.ZIP and len(_iterating(planned)) > 1


def _sizes(planned: PlannedBlock, counts: Sequence[Counter[Key]], outer: Key) -> list[int]:
    """How many each side of a zip has under an outer key."""
    return [
        count[tuple(outer[column] for column in edge.columns[:-1])]
        for edge, count in zip(_iterating(planned), counts, strict=True)
    ]
