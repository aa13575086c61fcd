"""JSON and free text, as columns of text hold them in every database."""

from __future__ import annotations

import json
from collections.abc import Mapping

from refold.errors import StoreError
from refold.model.block import JsonValue
from refold.ports.run_store import FailureRow


def to_json(value: Mapping[str, JsonValue]) -> str:
    """The mapping as ASCII JSON. Raises StoreError for values that JSON does not have."""
    try:
        return json.dumps(value, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"a pipeline run's record cannot be stored as JSON: {error}",
            fix="Variables and settings are null, true, false, numbers, text, lists, or mappings with text as keys.",
        ) from error


def from_json(text: str) -> Mapping[str, JsonValue]:
    """The mapping that `to_json` wrote."""
    value: Mapping[str, JsonValue] = json.loads(text)
    return value


def storable(failure: FailureRow) -> FailureRow:
    """The failure with what no database keeps (NUL, lone surrogates) written as escapes: messages hold anything."""
    block, key, *texts = failure
    return FailureRow(block, key, *map(_escaped, texts))


def _escaped(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")
