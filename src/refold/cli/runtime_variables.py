"""The variables of a run as they are given on the command line: one JSON object."""

from __future__ import annotations

import json

from refold.errors import BadInputError
from refold.model.block import JsonValue

_EXAMPLE = """Write an object: --runtime-vars '{"env": "prod"}'."""


def parse_runtime_variables(text: str | None) -> dict[str, JsonValue]:
    """The object that the text holds; empty for None. Raises BadInputError for anything else: nothing is ignored."""
    if text is None:
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"not JSON: {error.msg} at character {error.pos + 1}: {_around(text, error.pos)}",
            where="--runtime-vars",
            fix=_EXAMPLE,
        ) from None
    except RecursionError:
        raise BadInputError("nested too deeply", where="--runtime-vars") from None
    except ValueError as error:
        raise BadInputError(f"not JSON: {error}", where="--runtime-vars", fix=_EXAMPLE) from None
    if not isinstance(value, dict):
        raise BadInputError(f"expected a JSON object, got {_kind(value)}", where="--runtime-vars", fix=_EXAMPLE)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _around(text: str, position: int) -> str:
    return repr(text[max(0, position - 10) : position + 20]) if text.strip() else "it is empty"


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {list: "a list", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
