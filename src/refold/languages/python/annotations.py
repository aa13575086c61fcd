"""What an annotation says, whether it is an object or still text.

Annotations are text under `from __future__ import annotations`, and may name types that only a type checker imports;
they are resolved where that works and read as text where it does not.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Mapping, MutableMapping

_DICT_TYPES = (dict, Mapping, MutableMapping)
_DICT_NAMES = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})


def is_bool(annotation: object) -> bool:
    """Whether the annotation is exactly `bool`, as an object or as text."""
    if isinstance(annotation, str):
        return annotation.strip().strip("'\"").strip() == "bool"
    return annotation is bool


def is_dict(annotation: object, namespace: Mapping[str, object]) -> bool:
    """Whether the annotation asks for a dict: `dict`, `Dict[str, int]`, `Mapping`, a TypedDict, any of them or None.

    `namespace` holds the names that an annotation kept as text may use.
    """
    if isinstance(annotation, str):
        try:
            resolved: object = eval(annotation, dict(namespace))
        except Exception:  # the text may hold anything, names that only a type checker knows among it
            return _text_is_dict(annotation)
        return resolved != annotation and is_dict(resolved, namespace)
    if isinstance(annotation, typing.ForwardRef):
        return is_dict(annotation.__forward_arg__, namespace)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return is_dict(typing.get_args(annotation)[0], namespace)
    if origin in {typing.Union, types.UnionType}:
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        return len(members) == 1 and is_dict(members[0], namespace)
    return (origin or annotation) in _DICT_TYPES or typing.is_typeddict(annotation)


def _text_is_dict(text: str) -> bool:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return False
    if isinstance(node, ast.Subscript):
        node = node.value
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in _DICT_NAMES
