"""The order among the children of one dynamic run that its items ask for (generated dependencies, design 2.9).

An item's metadata may name, under `upstream_blocks` or `dynamic_upstream_block_uuids`, what its children wait for:

    label         the child's own block at the item of that label
    block:label   that block's run at the item of that label; the block is a child of the same dynamic block, and
                  follows no other child of it
    block         the one run of a block without axes that does not follow the dynamic block

An item's label is its `block_uuid`, or its index. A name may be that of an item still to come: it is open until then.
Names that never came are known when the items end, a circle as soon as its last item comes. Of a returned list all is
known before its first item is given.

Only what asks for an order costs anything: items without such metadata leave nothing behind but their labels.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from refold.errors import DependencyError
from refold.languages.description import describe, excerpt
from refold.languages.unfolding import LabelCheck, Metadata, label_of
from refold.model.keys import BlockUuid
from refold.model.suggestion import near, suggestion
from refold.ports.executor import BlockTask, NamedWait
from refold.scheduler.events import OPEN

ORDERING = ("upstream_blocks", "dynamic_upstream_block_uuids")
"""The keys of an item's metadata that name what its children wait for."""
_ORDERING = frozenset(ORDERING)
_CONSIDERED = 10_000
"""Of how many labels at most the nearest to an unknown one is sought."""


@dataclass(slots=True)
class _Ordered:
    """An item that waits for others, as long as it could be part of a circle."""

    label: str
    targets: list[int]
    """The items that it waits for."""
    open: int = 0
    """How many it waits for that have not come."""


@dataclass(slots=True)
class Dependencies:
    """Is told of the items of one run in order; says what each, and each that waited for it, waits for."""

    task: BlockTask
    """The dynamic block's."""
    labels: LabelCheck = field(default_factory=LabelCheck)
    _open: dict[str, list[tuple[int, BlockUuid | None]]] = field(default_factory=dict)
    """By the label to come: who waits for it, and for which block there."""
    _ordered: dict[int, _Ordered] = field(default_factory=dict)
    _blocks_named: dict[str, str] = field(default_factory=dict)
    """The blocks without axes that were named, each with the first item that did."""

    def resolve(self, metadata: Metadata | None, count: int, cut: bool = False) -> Sequence[NamedWait]:
        """What `count` items that are all known wait for, by item. Raises as `add` and `finish`."""
        if not metadata or (len(metadata) == count and _plainly_named(metadata)):
            return ()
        waits = [wait for each in metadata for wait in self.add(each)]
        for _ in range(count - len(metadata)):
            waits += self.add(None)
        self.finish(cut)
        return sorted((wait for wait in waits if wait.target != OPEN), key=operator.attrgetter("item"))

    def add(self, metadata: Mapping[str, object] | None) -> Sequence[NamedWait]:
        """What is known with the next item: what it waits for, OPEN among it, and who before waited for it.

        Raises DuplicateLabelError for a label that is taken, and DependencyError, naming item and name, for names that
        are none, for one that means both an item and a block, for items that wait for each other, and for any names
        where the children of the items cannot be ordered by them.
        """
        index = len(self.labels)
        label = self.labels.add(label_of(metadata))
        names = _names(label, metadata) if metadata and not _ORDERING.isdisjoint(metadata) else ()
        if not names and not self._open and not self._blocks_named:
            return ()
        if label in self._blocks_named:
            raise _ambiguous(self._blocks_named[label], label)
        waits = self._met(index, label)
        awaited = bool(waits)
        if names:
            waits += self._waits_of(index, label, names)
            if awaited:
                self._check_circle(index)
        return waits

    @property
    def indifferent(self) -> bool:
        """Whether the next item, if it has no metadata, needs no look at: none has a label, or waits for another."""
        return not (self._open or self._blocks_named or self.labels.named)

    def pass_over(self, count: int) -> None:
        """So many items came that have no metadata, while they were indifferent."""
        self.labels.pass_over(count)

    def finish(self, cut: bool = False) -> None:
        """There are no more items; `cut`: because the rest was left out. Raises DependencyError for a name that never
        came."""
        for name, waiting in self._open.items():
            item, block = waiting[0]
            wanted = name if block is None else f"{block}:{name}"
            left_out = f"; the items after the first {len(self.labels)} were left out" if cut else ""
            raise DependencyError(
                f"item {self._ordered[item].label!r} waits for {wanted!r}, and no item of that name came{left_out}",
                fix=self._meant(name, block),
            )

    def _met(self, index: int, label: str) -> list[NamedWait]:
        """Those who waited for the item that has come."""
        waits = [NamedWait(item, block, index) for item, block in self._open.pop(label, ())]
        for wait in waits:
            ordered = self._ordered[wait.item]
            ordered.open -= 1
            ordered.targets.append(index)
        return waits

    def _waits_of(self, index: int, label: str, names: Sequence[str]) -> list[NamedWait]:
        if not self.task.lone_children:
            raise DependencyError(
                f"item {label!r} waits for {names[0]!r}, but a block downstream of `{self.task.block}` has runs for "
                "more than one item each, which items cannot order",
                fix=f"Leave `{ORDERING[0]}` out, or put a block between that has one run for each item.",
            )
        waits: list[NamedWait] = []
        ordered = _Ordered(label, [])
        for name in dict.fromkeys(names):
            block, target = self._target(label, name)
            waits.append(NamedWait(index, block, target))
            if target == OPEN:
                ordered.open += 1
                self._open.setdefault(name if block is None else name[len(block) + 1 :], []).append((index, block))
            elif target is not None:
                ordered.targets.append(target)
        if index in ordered.targets:
            raise _circle([label])
        if ordered.open or any(target in self._ordered for target in ordered.targets):
            self._ordered[index] = ordered
        return waits

    def _target(self, label: str, name: str) -> tuple[BlockUuid | None, int | None]:
        """The block and the item that a name means; OPEN where it is to come."""
        found = self.labels.position_of(name)
        if (block := BlockUuid(name)) in self.task.statics:
            if found is not None:
                raise _ambiguous(label, name)
            self._blocks_named.setdefault(name, label)
            return block, None
        prefix, colon, rest = name.partition(":")
        if found is None and colon and (block := BlockUuid(prefix)) in self.task.siblings:
            found = self.labels.position_of(rest)
            return block, OPEN if found is None else found
        return None, OPEN if found is None else found

    def _check_circle(self, start: int) -> None:
        """Raises DependencyError where the item waits for itself by way of others.

        It was awaited and now waits itself: only through it can a circle have come about.
        """
        came_from = {start: start}
        pending, settled = [start], True
        while pending:
            item = pending.pop()
            ordered = self._ordered.get(item)
            if ordered is None:
                continue
            settled = settled and not ordered.open
            for target in ordered.targets:
                if target == start:
                    raise _circle([self._ordered[each].label for each in _path(came_from, item)])
                if target not in came_from:
                    came_from[target] = item
                    pending.append(target)
        if settled:  # all that these wait for has come: no later item can close a circle with them
            for item in came_from:
                self._ordered.pop(item, None)

    def _meant(self, name: str, block: BlockUuid | None) -> str:
        if block is not None:
            return suggestion(name, self._some_labels(), f"items that `{block}` has a run at")
        if name in self.task.siblings:
            return f"Say at which item: `{name}:{next(self._some_labels())}`."
        prefix, colon, rest = name.partition(":")
        sibling = near(prefix, self.task.siblings) if colon else None
        if sibling is not None:
            return f"Did you mean `{sibling}:{rest}`?"
        return suggestion(name, [*self._some_labels(), *self.task.statics], "names")

    def _some_labels(self) -> Iterator[str]:
        return islice(self.labels.names(), _CONSIDERED)


def _plainly_named(metadata: Metadata) -> bool:
    """Whether each item has a label of its own, and none asks for an order: there is nothing to look for."""
    labels = set(map(label_of, metadata))
    return len(labels) == len(metadata) and None not in labels and all(map(_ORDERING.isdisjoint, metadata))


def _names(label: str, metadata: Mapping[str, object]) -> Sequence[str]:
    names: list[str] = []
    for key in ORDERING:
        given = metadata.get(key)
        if given is None:
            continue
        for name in given if isinstance(given, (list, tuple)) else (given,):
            if isinstance(name, str):
                names += (name,) if name else ()
            elif isinstance(given, (list, tuple)) and hasattr(name, "__index__") and not isinstance(name, bool):
                names.append(str(operator.index(name)))  # labels may be given as numbers, too
            else:
                raise DependencyError(
                    f"item {label!r} waits for {describe(name)}{': ' * bool(excerpt(name))}{excerpt(name)}, "
                    "which is no name",
                    fix=f"Write `{key}` as a list of texts: labels of items, `block:label`, or uuids of blocks.",
                )
    return names


def _path(came_from: Mapping[int, int], item: int) -> list[int]:
    """The items on the way that led to this one, from the first."""
    path = [item]
    while came_from[item] != item:
        item = came_from[item]
        path.append(item)
    return path[::-1]


def _circle(labels: Sequence[str]) -> DependencyError:
    if len(labels) == 1:
        return DependencyError(f"item {labels[0]!r} waits for itself", fix=f"Leave it out of its `{ORDERING[0]}`.")
    shown = [*labels[:8], *(["..."] if len(labels) > 8 else []), labels[0]]
    return DependencyError(
        f"items wait for each other in a circle: {' -> '.join(map(repr, shown))}",
        fix=f"Leave one of them out of the `{ORDERING[0]}` of the other.",
    )


def _ambiguous(label: str, name: str) -> DependencyError:
    return DependencyError(
        f"item {label!r} waits for {name!r}, which is the name of an item and of a block",
        fix="Give the item another `block_uuid`, or write `block:label` for the run of a block at an item.",
    )
