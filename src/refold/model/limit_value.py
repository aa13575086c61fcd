"""The value by which a dynamic block limits the runs of its children (`configuration.dynamic.limit_by`)."""

from __future__ import annotations

import json
from collections.abc import Mapping


def limit_value(metadata: Mapping[str, object] | None, key: str) -> str:
    """An item's value as text: the JSON of what its metadata has under the key, of None where it has nothing."""
    value = None if metadata is None else metadata.get(key)
    if type(value) is str or value is None:
        return json.dumps(value)
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that cannot be sorted, or a value that holds itself
        return json.dumps(repr(value))
