"""The function of a block's file that its outputs are folded with: `reduce: {strategy: its_name}` (design 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from refold.errors import ArgumentsError, BlockFileError
from refold.languages.python.block_file import listing, loaded_module
from refold.languages.python.block_function import BlockFunction
from refold.languages.python.decorators import DECORATORS, Decorated
from refold.model.keys import BlockUuid


def load_fold_function(
    block_uuid: BlockUuid,
    path: Path,
    source: str,
    name: str,
    *,
    requirements: Sequence[Path] = (),
    project: Path | None = None,
) -> BlockFunction:
    """The function `f(acc, value)` of this name, plain or `async def`, from the text of a block's file.

    Raises BlockFileError when the file cannot be loaded, and when what it has under the name is no function, is
    decorated (then it is for something else), yields, or cannot be called with two positional arguments.
    """
    module, decorated = loaded_module(block_uuid, path, source, requirements, project)
    found = vars(module).get(name)
    if not callable(found) or any(found is each for each in DECORATORS.values()):
        raise BlockFileError(
            f"defines no function `{name}` to reduce by; {listing(decorated, module)}",
            where=str(path),
            fix=f"Define `def {name}(acc, value)` in this file, or correct `reduce` in the pipeline's metadata.yaml.",
        )
    function = BlockFunction.of(found)
    fault = _fault(function, next((each for each in decorated if each.function is found), None))
    if fault is not None:
        raise BlockFileError(
            f"`{function.signature.text}` is nothing to reduce by: {fault}",
            where=str(path),
            fix=f"Write `def {name}(acc, value)`: what was folded so far and the next value go in, one comes out.",
        )
    return function


def _fault(function: BlockFunction, decorated: Decorated | None) -> str | None:
    """What keeps the function from folding two values into one."""
    if decorated is not None:
        return f"it is decorated with `@{decorated.decorator}`"
    if function.is_generator or function.is_async_generator:
        return "it yields"
    try:
        function.signature.call((None, None), {})
    except ArgumentsError:
        return "it cannot be called with two positional arguments"
    return None
