"""The decorators that say what a function in a block's file is for.

A decorator returns the function itself, so that decorated functions stay plain functions to whoever imports them. While
a block's file is being loaded it also tells that loading what it has decorated; a helper module that the file imports
may use the same decorators, so only what belongs to the file counts.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar, cast, overload

from refold.model.block import BlockType

Function = Callable[..., object]
"""A function of a block's file: any parameters, any result."""
_F = TypeVar("_F", bound=Function)


class Role(StrEnum):
    """What a decorated function is for; also the decorator's name."""

    DATA_LOADER = "data_loader"
    TRANSFORMER = "transformer"
    DATA_EXPORTER = "data_exporter"
    CUSTOM = "custom"
    SENSOR = "sensor"
    CONDITION = "condition"
    CALLBACK = "callback"
    TEST = "test"
    EXTENSION = "extension"
    PREPROCESSER = "preprocesser"


ROLE_OF_TYPE: Mapping[BlockType, Role] = {
    BlockType.DATA_LOADER: Role.DATA_LOADER,
    BlockType.TRANSFORMER: Role.TRANSFORMER,
    BlockType.DATA_EXPORTER: Role.DATA_EXPORTER,
    BlockType.CUSTOM: Role.CUSTOM,
    BlockType.SENSOR: Role.SENSOR,
    BlockType.CALLBACK: Role.CALLBACK,
    BlockType.CONDITIONAL: Role.CONDITION,
    BlockType.EXTENSION: Role.EXTENSION,
}
"""The role of the function that a Python block of each type runs; other types run none."""


@dataclass(frozen=True, slots=True)
class Decorated:
    """A function that a block's file decorates."""

    role: Role
    decorator: str
    """The decorator as written, without `@`: the role, or a legacy name of it."""
    function: Function
    options: tuple[object, ...]
    """What stood between the decorator's parentheses: `('failure',)` for `@callback('failure')`."""
    settings: Mapping[str, object]
    """The same, by keyword."""


class Decorator(Protocol):
    """`@data_loader` as well as `@data_loader()` and `@callback('failure')`."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(self, *options: str, **settings: object) -> Callable[[_F], _F]: ...


@dataclass(slots=True)
class _Loading:
    """A block's file while it is being executed."""

    namespace: Mapping[str, object]
    decorated: list[Decorated] = field(default_factory=list)

    def owns(self, applied_in: Mapping[str, object], function: Function) -> bool:
        """Whether the file applied the decorator, or defined the function that a helper decorated for it."""
        if applied_in is self.namespace:
            return True
        return getattr(inspect.unwrap(function), "__globals__", None) is self.namespace


_loading: ContextVar[_Loading | None] = ContextVar("refold_block_loading", default=None)


@contextmanager
def collecting(namespace: Mapping[str, object]) -> Iterator[list[Decorated]]:
    """Collects, in order, what the code executed in this namespace decorates inside the `with` block."""
    loading = _Loading(namespace)
    token = _loading.set(loading)
    try:
        yield loading.decorated
    finally:
        _loading.reset(token)


def _decorator(name: str, role: Role, preset: tuple[object, ...] = ()) -> Decorator:
    # A closure and not an object: pytest warns of any callable named `test` that is not a function.
    def register(function: Function, options: tuple[object, ...], settings: Mapping[str, object]) -> None:
        loading = _loading.get()
        if loading is not None and loading.owns(sys._getframe(2).f_globals, function):
            loading.decorated.append(Decorated(role, name, function, preset + options, settings))

    def decorate(*options: object, **settings: object) -> object:
        if len(options) == 1 and not settings and callable(options[0]):
            register(options[0], (), {})
            return options[0]

        def apply(function: Function) -> Function:
            register(function, options, settings)
            return function

        return apply

    decorate.__name__ = decorate.__qualname__ = name
    decorate.__doc__ = f"Marks the function as the block's {role.value.replace('_', ' ')}; returns it unchanged."
    decorate.__test__ = False  # type: ignore[attr-defined]
    return cast("Decorator", decorate)


data_loader = _decorator("data_loader", Role.DATA_LOADER)
transformer = _decorator("transformer", Role.TRANSFORMER)
data_exporter = _decorator("data_exporter", Role.DATA_EXPORTER)
custom = _decorator("custom", Role.CUSTOM)
sensor = _decorator("sensor", Role.SENSOR)
condition = _decorator("condition", Role.CONDITION)
callback = _decorator("callback", Role.CALLBACK)
on_success = _decorator("on_success", Role.CALLBACK, ("success",))
on_failure = _decorator("on_failure", Role.CALLBACK, ("failure",))
test = _decorator("test", Role.TEST)
extension = _decorator("extension", Role.EXTENSION)
preprocesser = _decorator("preprocesser", Role.PREPROCESSER)

DECORATORS: Mapping[str, Decorator] = {
    "data_loader": data_loader,
    "transformer": transformer,
    "data_exporter": data_exporter,
    "custom": custom,
    "sensor": sensor,
    "condition": condition,
    "callback": callback,
    "on_success": on_success,
    "on_failure": on_failure,
    "test": test,
    "extension": extension,
    "preprocesser": preprocesser,
}
"""By the name that a block's file finds them under."""

DECORATOR_ROLES: Mapping[str, Role] = {
    **{role.value: role for role in Role},
    "on_success": Role.CALLBACK,
    "on_failure": Role.CALLBACK,
}
"""The role that each decorator gives, by the decorator's name."""
