"""A callable that stands in for a function of a block's file, where the file is not written in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from refold.languages.python.block_function import BlockFunction


def called_with_inputs(name: str, inputs: int, call: Callable[..., object]) -> BlockFunction:
    """A function of so many inputs and any keyword arguments, `call(*inputs, **keywords)`.

    One input for each upstream block, no more: several outputs of one arrive as a list (design 2.12).
    """
    kinds = inspect.Parameter
    parameters = [inspect.Parameter(f"df_{number}", kinds.POSITIONAL_ONLY) for number in range(1, inputs + 1)]
    parameters.append(inspect.Parameter("keywords", kinds.VAR_KEYWORD))

    def function(*given: object, **keywords: object) -> object:
        return call(*given, **keywords)

    function.__name__ = name
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by inspect
    return BlockFunction.of(function)
