"""What a block's configuration says about unfolding and folding, in each of the spellings that projects use.

dynamic: true                      the first version's, with `reduce_output: true` beside it
dynamic: {parent: true, ...}       the second version's: `parent`, `modes`, `reduce_output`, ... in one mapping
dynamic: {mode: batch}             Refold's own short form (design 2.8)
"""

from __future__ import annotations

from refold.model.block import DynamicSettings
from refold.model.keys import BlockUuid
from refold.model.place import Place

SETTINGS = frozenset(
    {
        "batch_settings",
        "buffer",
        "join",
        "limit_by",
        "max_child_block_runs",
        "max_concurrent_child_block_runs",
        "mode",
        "modes",
        "on_max_child_block_runs_exceeded",
        "parent",
        "rate",
        "reduce",
        "reduce_input",
        "reduce_output",
        "reduce_output_upstream",
        "tolerate",
    }
)
"""The keys that `dynamic` may have, Mage's and the design's; some are refused when the pipeline is planned."""
_FIX = "Write `dynamic: true`, or keys such as `dynamic: {parent: true, mode: batch}`."


def read_dynamic(configuration: Place, limit: int | None = None) -> DynamicSettings:
    """The settings that a block's `configuration` holds; `limit` is the pipeline's `max_concurrent_child_block_runs`.

    Raises PipelineError for a value that is none of the spellings. Keys that are not read here are left alone.
    """
    place = configuration.get("dynamic")
    reduce_output = _reduce_output(configuration.get("reduce_output"))
    beside = _uuids(configuration.get("reduce_output_upstream"))
    if place is None or not isinstance(place.value, dict):
        return DynamicSettings(
            dynamic=place is not None and place.value != [] and _flag(place),
            reduce_output=reduce_output,
            reduce_output_upstream=beside,
            max_concurrent_child_block_runs=limit,
        )
    dynamic, children = _parent(place)
    own_limit = place.get("max_concurrent_child_block_runs")
    return DynamicSettings(
        dynamic=dynamic,
        batch_mode=_batch_mode(place),
        reduce_output=_both(reduce_output, _reduce_output(place.get("reduce_output"))),
        reduce_output_upstream=tuple(dict.fromkeys([*beside, *_uuids(place.get("reduce_output_upstream"))])),
        max_concurrent_child_block_runs=limit if own_limit is None else own_limit.integer(1),
        children=children,
    )


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
    if isinstance(parent.value, bool | str):
        return parent.boolean(), None
    raise parent.unexpected("true, false, or a list of block uuids")


def _uuids(place: Place | None) -> tuple[BlockUuid, ...]:
    return () if place is None else tuple(dict.fromkeys(place.uuids()))


def unknown_settings(configuration: Place) -> tuple[str, ...]:
    """Keys of `dynamic` that nobody reads: most often misspelt ones."""
    place = configuration.get("dynamic")
    return tuple(key for key in place.value if key not in SETTINGS) if place and isinstance(place.value, dict) else ()


def _reduce_output(place: Place | None) -> bool | tuple[BlockUuid, ...]:
    if place is None:
        return False
    if isinstance(place.value, list):
        return tuple(dict.fromkeys(place.uuids())) or False
    if isinstance(place.value, bool | str):
        return place.boolean()
    raise place.unexpected("true, false, or a list of block uuids")


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
