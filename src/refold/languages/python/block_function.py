"""A function of a block's file, with what its kind and signature mean for running it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from refold.errors import BlockFileError
from refold.languages.arguments import Signature
from refold.languages.python.annotations import is_bool
from refold.languages.python.decorators import Decorated, Function


@dataclass(frozen=True, slots=True)
class BlockFunction:
    """A function that Refold calls."""

    name: str
    function: Function
    signature: Signature
    is_async: bool
    """Whether it is `async def` and returns once: calling it gives a coroutine."""
    is_generator: bool
    """Whether it is a plain function that yields."""
    is_async_generator: bool
    """Whether it is `async def` and yields."""
    is_condition: bool
    """Whether it is annotated exactly `-> bool` (design 2.7)."""

    @classmethod
    def of(cls, function: Function) -> BlockFunction:
        """The function, looked at; a callable object is judged by its `__call__`."""
        # inspect looks through functools.partial by itself
        plain = inspect.isroutine(function) or isinstance(function, functools.partial)
        judged: Function = function if plain else type(function).__call__
        return cls(
            name=getattr(function, "__name__", type(function).__name__),
            function=function,
            signature=Signature(function),
            is_async=inspect.iscoroutinefunction(judged),
            is_generator=inspect.isgeneratorfunction(judged),
            is_async_generator=inspect.isasyncgenfunction(judged),
            is_condition=is_bool(_annotations(judged).get("return")),
        )

    @property
    def wants_dict(self) -> bool:
        """Whether the first parameter is annotated as a dict: a frame's row then arrives as one (design 2.1)."""
        return self.signature.wants_dict(0)


class CallbackStatus(StrEnum):
    """What a parent's run must have come to for a callback to be called."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Callback:
    """A function that is called after a block run."""

    status: CallbackStatus
    function: BlockFunction

    @classmethod
    def of(cls, decorated: Decorated, where: str) -> Callback:
        """The callback; `@callback` alone means success. Raises BlockFileError for a status that there is not."""
        given = decorated.options[0] if decorated.options else decorated.settings.get("status", CallbackStatus.SUCCESS)
        function = BlockFunction.of(decorated.function)
        try:
            status = CallbackStatus(str(given))
        except ValueError:
            raise BlockFileError(
                f"`@{decorated.decorator}` of `{function.name}` names the status {given!r}, which there is not",
                where=where,
                fix=f"Write one of {', '.join(repr(each.value) for each in CallbackStatus)}.",
            ) from None
        return cls(status, function)


def _annotations(function: Function) -> Mapping[str, object]:
    try:
        return inspect.get_annotations(function)
    except Exception:  # evaluating annotations runs user code on newer Pythons
        return {}
