"""Keys of a block's entry that nobody reads where they stand: most often misspelt, or a level too high.

They are kept as they are, and named in warnings. A block's `configuration` is free to hold what its function wants to
find there, so there only what looks like one of the known keys is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from refold.model.child_limits import KEYS
from refold.model.place import Place
from refold.model.suggestion import near, suggestion

_LIKENESS = 0.85

_IN_CONFIGURATION = frozenset(
    {
        "cache",
        "conditional",
        "dynamic",
        "executor",
        "file_path",
        "file_source",
        "poll_interval",
        "reduce_output",
        "reduce_output_upstream",
        "run_tests",
    }
)
"""The keys of `configuration` that are read."""
_IN_ENTRY = frozenset(
    {
        "all_upstream_blocks_executed",
        "color",
        "configuration",
        "content",
        "downstream_blocks",
        "executor_config",
        "executor_type",
        "extension_uuid",
        "groups",
        "has_callback",
        "language",
        "name",
        "replicated_block",
        "retry_config",
        "status",
        "tags",
        "timeout",
        "type",
        "upstream_blocks",
        "uuid",
    }
)
"""The keys of a block's entry, read or merely kept."""
_IN_DYNAMIC = frozenset(
    {
        *KEYS,
        "buffer",
        "join",
        "limit_by",
        "mode",
        "modes",
        "parent",
        "rate",
        "reduce",
        "reduce_input",
        "reduce_output",
        "reduce_output_upstream",
        "tolerate",
    }
)
_WITHOUT_EFFECT = frozenset({"batch_settings"})
"""Keys of `dynamic` that others write, and that change nothing here."""
_ONLY_IN_DYNAMIC = frozenset({*KEYS, "limit_by", "reduce", "reduce_input", "tolerate"})
"""Keys of `dynamic` that hardly mean anything else."""
_IN_EXECUTOR = frozenset({"concurrency", "threads"})
_IN_DYNAMIC_KEYS = {
    "buffer": frozenset({"bytes", "items"}),
    "limit_by": frozenset({"key", "limit"}),
    "reduce": frozenset({"initial", "levels", "strategy"}),
}
"""Keys of those keys of `dynamic` that may be mappings."""


def unread_keys(entry: Place) -> Iterator[str]:
    """A warning for each key of a block's entry that is not read where it stands, and is probably meant to be."""
    for key in entry.mapping():
        if key in _IN_CONFIGURATION:
            yield f"`{key}` is read inside `configuration`, not beside it"
        elif key not in _IN_ENTRY and (meant := near(key, _IN_ENTRY | _IN_CONFIGURATION, _LIKENESS)) is not None:
            yield f"`{key}` is no setting. Did you mean `{'configuration.' * (meant not in _IN_ENTRY)}{meant}`?"
    configuration = entry.get("configuration")
    if configuration is not None:
        yield from _unread_settings(configuration)


def _unread_settings(configuration: Place) -> Iterator[str]:
    for key in configuration.mapping():
        if key in _ONLY_IN_DYNAMIC:
            yield f"`configuration.{key}` is read inside `configuration.dynamic`, not beside it"
        elif key not in _IN_CONFIGURATION and (meant := near(key, _IN_CONFIGURATION, _LIKENESS)) is not None:
            yield f"`configuration.{key}` is no setting. Did you mean `{meant}`?"
    executor = configuration.get("executor")
    if executor is not None and isinstance(executor.value, dict):
        yield from _unknown("configuration.executor", executor.value, _IN_EXECUTOR)
    dynamic = configuration.get("dynamic")
    if dynamic is None or not isinstance(dynamic.value, dict):
        return
    for key in dynamic.value:
        if key in _WITHOUT_EFFECT:
            yield f"`configuration.dynamic.{key}` changes nothing"
        elif key not in _IN_DYNAMIC:
            yield f"`configuration.dynamic.{key}` is no setting. {suggestion(key, _IN_DYNAMIC, 'settings')}"
    for key, known in _IN_DYNAMIC_KEYS.items():
        found = dynamic.get(key)
        if found is not None and isinstance(found.value, dict):
            yield from _unknown(f"configuration.dynamic.{key}", found.value, known)


def unread_limits(root: Place) -> Iterator[str]:
    """The same for `dynamic_blocks` in a pipeline's metadata."""
    limits = root.get("dynamic_blocks")
    if limits is not None:
        yield from _unknown("dynamic_blocks", limits.mapping(), frozenset(KEYS))


def _unknown(name: str, given: Iterable[str], known: frozenset[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"`{name}.{key}` is no setting. {suggestion(key, known, 'settings')}"
