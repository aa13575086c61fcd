"""Which keyword arguments a block's function gets, and which of them wins (design 2.12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

RESERVED = frozenset(
    {
        "pipeline_uuid",
        "block_uuid",
        "block_run_uuid",
        "pipeline_run_id",
        "configuration",
        "context",
        "logger",
        "repo_path",
        "dynamic_block_index",
        "dynamic_block_key",
    }
)
"""Names that only Refold gives a value: a variable or metadata of the same name is passed over."""


def merge_keywords(
    builtins: Mapping[str, object],
    variables: Mapping[str, object],
    metadata_of_axes: Iterable[Mapping[str, object] | None],
    reserved: Mapping[str, object],
) -> dict[str, object]:
    """The keyword arguments of one block run, a new dict.

    Later wins: built-ins (`env`, `execution_date`, ...), variables, the items' metadata from the outermost axis to the
    innermost. A reserved name is never overridden, and stays absent where `reserved` does not give it. Metadata keys
    that are not text cannot be keywords and are left out.
    """
    merged = {**builtins, **variables}
    for metadata in metadata_of_axes:
        if metadata:
            merged.update(_textual(metadata))
    if not RESERVED.isdisjoint(merged):
        for name in RESERVED:
            merged.pop(name, None)
    merged.update(reserved)
    return merged


def _textual(metadata: Mapping[str, object]) -> Mapping[str, object]:
    # Metadata comes from user code, whatever its type says.
    strangers = [name for name in cast("Mapping[object, object]", metadata) if not isinstance(name, str)]
    return {name: value for name, value in metadata.items() if name not in strangers} if strangers else metadata
