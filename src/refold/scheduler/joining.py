"""How the axes of several upstreams become the axes of one block (design 2.3), worked out before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from refold.errors import PlanError
from refold.model.block import Join
from refold.scheduler.plan import Axis


@dataclass(frozen=True, slots=True)
class Joined:
    """The axes of a block, and where those of each upstream are among them."""

    axes: tuple[Axis, ...] = ()
    columns: tuple[tuple[int, ...], ...] = ()


def join_axes(join: Join, visible: Sequence[Sequence[Axis]], upstreams: Sequence[str], names: Sequence[str]) -> Joined:
    """Joins what is visible over each iterating edge. `upstreams` names the edges, `names` all blocks, for messages.

    Raises PlanError, without saying where, for axes that cannot be aligned.
    """
    if len(visible) < 2 or join is Join.PRODUCT:
        return _product(visible)
    merging = _Merging(upstreams, names)
    for number, axes in enumerate(visible):
        merging.refuse_repeats(number, axes)
    merging.refuse_hidden(visible)
    if join is Join.ALIGN:
        columns = [merging.add(number, axes) for number, axes in enumerate(visible)]
        return Joined(tuple(merging.axes), tuple(columns))
    outer = [merging.add(number, axes[:-1]) for number, axes in enumerate(visible)]
    last = len(merging.axes)
    first = visible[0][-1]
    own = first.zipped
    others = tuple(axes[-1].block for axes in visible[1:]) + tuple(b for axes in visible[1:] for b in axes[-1].zipped)
    zipped = tuple(dict.fromkeys([*own, *(block for block in others if block != first.block)]))
    merging.axes.append(replace(first, parents=tuple(outer[0][place] for place in first.parents), zipped=zipped))
    return Joined(tuple(merging.axes), tuple((*places, last) for places in outer))


def _product(visible: Sequence[Sequence[Axis]]) -> Joined:
    joined: list[Axis] = []
    columns = []
    for axes in visible:
        shift = len(joined)
        joined += [replace(axis, parents=tuple(place + shift for place in axis.parents)) for axis in axes]
        columns.append(tuple(range(shift, len(joined))))
    return Joined(tuple(joined), tuple(columns))


class _Merging:
    """Axes that are the same become one."""

    def __init__(self, upstreams: Sequence[str], names: Sequence[str]) -> None:
        self.axes: list[Axis] = []
        self._upstreams = upstreams
        self._names = names

    def add(self, number: int, axes: Sequence[Axis]) -> tuple[int, ...]:
        """Where these axes are among the merged ones; new ones are added."""
        columns: list[int] = []
        for axis in axes:
            own = replace(axis, parents=tuple(columns[place] for place in axis.parents))
            same = [at for at, other in enumerate(self.axes) if (other.block, other.flat) == (own.block, own.flat)]
            if not same:
                columns.append(len(self.axes))
                self.axes.append(own)
                continue
            other = self.axes[same[0]]
            if other.parents != own.parents:
                raise PlanError(
                    f"the items of `{self._names[own.block]}` stand under other items in `{self._upstreams[number]}` "
                    "than in an upstream before it, so they cannot be aligned",
                    fix="Leave out `join`, and every combination is run.",
                )
            self.axes[same[0]] = replace(other, zipped=tuple(dict.fromkeys([*other.zipped, *own.zipped])))
            columns.append(same[0])
        return tuple(columns)

    def refuse_repeats(self, number: int, axes: Sequence[Axis]) -> None:
        """An axis that one upstream holds twice cannot be told from itself (design 2.3)."""
        seen = [(axis.block, axis.flat) for axis in axes]
        for axis in axes:
            if seen.count((axis.block, axis.flat)) > 1:
                raise PlanError(
                    f"`{self._upstreams[number]}` has the items of `{self._names[axis.block]}` twice among its axes, "
                    "so they cannot be aligned",
                    fix=f"Set `join: align` on `{self._upstreams[number]}` as well, or leave `join` out here.",
                )

    def refuse_hidden(self, visible: Sequence[Sequence[Axis]]) -> None:
        """Items that were zipped with others stand on those others' axis, and are not on one of their own any more."""
        for axis in (axis for axes in visible for axis in axes if axis.zipped):
            for number, axes in enumerate(visible):
                hidden = [other.block for other in axes if other.block in axis.zipped]
                if hidden and (axis.block, axis.flat) not in [(other.block, other.flat) for other in axes]:
                    raise PlanError(
                        f"an upstream pairs the items of `{self._names[axis.block]}` with those of "
                        f"`{self._names[hidden[0]]}`, and `{self._upstreams[number]}` iterates over the latter alone",
                        fix=f"Let `{self._upstreams[number]}` follow the block that pairs them.",
                    )
