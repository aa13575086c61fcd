"""What a block's configuration says about unfolding and folding, in each of the spellings that projects use.

dynamic: true                      the first version's, with `reduce_output: true` beside it
dynamic: {parent: true, ...}       the second version's: `parent`, `modes`, `reduce_output`, ... in one mapping
dynamic: {mode: batch}             Refold's own short form (design 2.8)
"""

from __future__ import annotations

import keyword

from refold.errors import BadInputError
from refold.model.block import STRATEGIES, DynamicSettings, Join, Reduction, Tolerance
from refold.model.child_limits import ChildLimits
from refold.model.flow_entry import read_flow
from refold.model.keys import BlockUuid
from refold.model.place import Place

_FIX = "Write `dynamic: true`, or keys such as `dynamic: {parent: true, mode: batch}`."


def read_dynamic(configuration: Place, limits: ChildLimits | None = None) -> DynamicSettings:
    """The settings that a block's `configuration` holds; `limits` hold where it says nothing.

    Raises PipelineError for a value that is none of the spellings. Keys that are not read here are left alone.
    """
    place = configuration.get("dynamic")
    reduce_output = _reduce_output(configuration.get("reduce_output"))
    beside = _uuids(configuration.get("reduce_output_upstream"))
    limits = limits or ChildLimits()
    if place is None or not isinstance(place.value, dict):
        return DynamicSettings(
            dynamic=place is not None and place.value != [] and _flag(place),
            reduce_output=reduce_output,
            reduce_output_upstream=beside,
            max_concurrent_child_block_runs=limits.at_once,
            max_child_block_runs=limits.children,
            cut_children=limits.cut,
        )
    dynamic, children = _parent(place)
    limits, flow = limits.under(place), read_flow(place, dynamic=dynamic)
    join = place.get("join")
    return DynamicSettings(
        dynamic=dynamic,
        batch_mode=_batch_mode(place),
        reduce_output=_both(reduce_output, _reduce_output(place.get("reduce_output"))),
        reduce_output_upstream=tuple(dict.fromkeys([*beside, *_uuids(place.get("reduce_output_upstream"))])),
        max_concurrent_child_block_runs=limits.at_once,
        children=children,
        join=Join.PRODUCT if join is None else _join(join),
        reduction=_reduction(place.get("reduce")),
        tolerance=_tolerance(place.get("tolerate")),
        max_child_block_runs=limits.children,
        cut_children=limits.cut,
        buffer_items=flow.buffer_items,
        buffer_bytes=flow.buffer_bytes,
        rate=flow.rate,
        limit_by=flow.limit_by,
        lazy_input=_lazy_input(place.get("reduce_input")),
    )


def _join(place: Place) -> Join:
    try:
        return Join(place.text().strip().lower())
    except ValueError:
        raise place.unexpected("`product`, `align` or `zip`") from None


def _lazy_input(place: Place | None) -> bool:
    if place is None:
        return False
    word = place.text().strip().lower()
    if word not in {"list", "lazy"}:
        raise place.unexpected("`list` (all at once) or `lazy` (piece by piece)")
    return word == "lazy"


def _reduction(place: Place | None) -> Reduction:
    if place is None:
        return Reduction()
    if not isinstance(place.value, dict):
        return Reduction(_strategy(place))
    named, levels, initial = place.get("strategy"), place.get("levels"), place.has("initial")
    strategy = Reduction().strategy if named is None else _strategy(named)
    if initial and strategy in STRATEGIES:
        raise place.error(
            f"`initial` is what a function of the block's file begins with; `{strategy}` needs none",
            "Leave it out, or name a function as the strategy.",
        )
    return Reduction(
        strategy=strategy,
        levels=None if levels is None else _levels(levels),
        initial=place.value.get("initial"),
        has_initial=initial,
    )


def _strategy(place: Place) -> str:
    name = place.value
    if isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name):
        return name
    raise place.unexpected(
        f"one of {', '.join(sorted(STRATEGIES))}, or the name of a function in the block's file",
        "That the block reduces at all is said by `reduce_output: true`.",
    )


def _levels(place: Place) -> int | None:
    levels = {"1": 1, "all": None}
    word = place.text().strip().lower()
    if word not in levels:
        raise place.unexpected("1 (the last axis ends) or `all`")
    return levels[word]


def _tolerance(place: Place | None) -> Tolerance | None:
    if place is None:
        return None
    expected = "how many runs may fail, or a percentage such as 5%"
    if isinstance(place.value, str) and place.value.strip().endswith("%"):
        try:
            percent = float(place.value.strip()[:-1])
        except ValueError:
            raise place.unexpected(expected) from None
        if 0 <= percent <= 100:
            return Tolerance(percent=percent)
        raise place.unexpected(expected)
    return Tolerance(int(place.number(expected, 0, whole=True)))


def _flag(place: Place) -> bool:
    if isinstance(place.value, bool | str):
        return place.boolean()
    raise place.unexpected("true, false, or keys and values", _FIX)


def _parent(place: Place) -> tuple[bool, tuple[BlockUuid, ...] | None]:
    """Whether the block is dynamic, and for which children.

    A `mode` of its own says how items are handed on, so it implies that there are some; `modes` stands on blocks that
    merely pass items on, too.
    """
    parent = place.get("parent")
    if parent is None:
        return place.get("mode") is not None, None
    if isinstance(parent.value, list):
        children = tuple(dict.fromkeys(parent.uuids()))
        return bool(children), children or None
    return _boolean(parent), None


def _uuids(place: Place | None) -> tuple[BlockUuid, ...]:
    return () if place is None else tuple(dict.fromkeys(place.uuids()))


def _reduce_output(place: Place | None) -> bool | tuple[BlockUuid, ...]:
    if place is None:
        return False
    if isinstance(place.value, list):
        return tuple(dict.fromkeys(place.uuids())) or False
    return _boolean(place)


def _boolean(place: Place) -> bool:
    """True or false where a list of block uuids may stand, too."""
    expected = "true, false, or a list of block uuids"
    if not isinstance(place.value, bool | str):
        raise place.unexpected(expected)
    try:
        return place.boolean()
    except BadInputError:
        raise place.unexpected(expected) from None


def _both(one: bool | tuple[BlockUuid, ...], other: bool | tuple[BlockUuid, ...]) -> bool | tuple[BlockUuid, ...]:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(dict.fromkeys([*one, *other]))
    return True if True in (one, other) else one or other


def _batch_mode(place: Place) -> bool:
    mode = place.get("mode")
    if mode is not None:
        return _mode(mode)
    modes = place.get("modes")
    if modes is None:
        return False
    kinds = [item.get("type") for item in modes.items()]
    batch = [_mode(kind) for kind in kinds if kind is not None]
    return bool(batch) and all(batch)


def _mode(place: Place) -> bool:
    word = place.text().strip().lower()
    if word not in {"stream", "batch", "default"}:
        raise place.unexpected("`stream` or `batch`")
    return word != "stream"
