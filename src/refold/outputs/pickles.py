"""Pickles: the values that neither JSON nor Parquet keeps, and the words for those that nothing keeps.

Plain pickle is tried first. It fails for lambdas and for classes that no import finds, such as those of a block's file;
cloudpickle stores these by value. What cloudpickle would turn into something else (an open file into a `StringIO`, a
memoryview into bytes) is refused: a child sees what its parent made, or an error.
"""

from __future__ import annotations

import inspect
import io
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

from refold.errors import RefoldError, StoreError

_ACCEPTED = (
    "Return plain values, DataFrames or objects that pickle can store; generators, open files, locks and connections"
    " cannot be handed from one block to another."
)
_SAFE_RECURSION = 5_000
_MAX_PATH = 20
_MAX_CHILDREN = 10_000


def encode_pickle(value: object) -> bytes:
    """The value as a pickle of protocol 5.

    Raises StoreError naming the type that cannot be stored and its path inside the value.
    """
    # The C pickler crashes the process on a full C stack where somebody has raised the recursion limit.
    if sys.getrecursionlimit() > _SAFE_RECURSION and _deeper_than(value, _SAFE_RECURSION):
        raise _too_deep()
    try:
        return _dump(value)
    except RefoldError:
        raise
    except RecursionError as error:
        raise _too_deep() from error
    except Exception as error:
        if isinstance(error.__cause__, RecursionError):
            raise _too_deep() from error
        culprit, path = _culprit(value)
        place = f" at {path}" if path else ""
        if inspect.iscoroutine(culprit):
            culprit.close()  # else Python says later, under some other child, that nobody awaited it
            raise StoreError(
                f"a coroutine{place} cannot be stored: nobody awaited it", fix="Await it, in a function `async def`."
            ) from error
        raise StoreError(
            f"a value of type {_type_name(culprit)}{place} cannot be stored: {_reason(error)}", fix=_ACCEPTED
        ) from error


def _reason(error: Exception) -> str:
    """Why pickle refused; an error of the value's own methods with its type."""
    own = not isinstance(error, pickle.PicklingError | TypeError | AttributeError)
    return f"{type(error).__name__}: {error}" if own else str(error)


def _dump(value: object) -> bytes:
    try:
        data = pickle.dumps(value, 5)
    except (RefoldError, RecursionError):
        raise
    except Exception:
        return _dump_by_value(value)
    return _dump_by_value(value) if _refers_to_local_code(data) else data


def _refers_to_local_code(data: bytes) -> bool:
    """Whether the pickle may name a class of the main script or of a block's file, which other processes lack."""
    if b"__main__" in data:
        return True
    if "cloudpickle" not in sys.modules:
        return False
    from cloudpickle.cloudpickle import list_registry_pickle_by_value

    return any(name.encode() in data for name in list_registry_pickle_by_value())


def _dump_by_value(value: object) -> bytes:
    buffer = io.BytesIO()
    _by_value_pickler()(buffer, 5).dump(value)
    return buffer.getvalue()


_pickler: Callable[[io.BytesIO, int], pickle.Pickler] | None = None


def _by_value_pickler() -> Callable[[io.BytesIO, int], pickle.Pickler]:
    global _pickler  # noqa: PLW0603 # made once, when cloudpickle is first needed
    if _pickler is None:
        import cloudpickle

        class StrictPickler(cloudpickle.Pickler):  # type: ignore[misc] # untyped base
            def reducer_override(self, obj: object) -> Any:
                if isinstance(obj, io.TextIOWrapper | memoryview):
                    raise TypeError(f"cannot pickle {type(obj).__name__!r} object")
                return super().reducer_override(obj)

        _pickler = StrictPickler
    return _pickler


def _too_deep() -> StoreError:
    return StoreError(
        "the value is nested too deeply to be stored",
        fix="Return a flatter value, such as a list of nodes that refer to each other by index.",
    )


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _culprit(value: object) -> tuple[object, str]:
    """The innermost part that cannot be stored, as far as it is easily found, and its path."""
    path = ""
    for _ in range(_MAX_PATH):
        for count, (step, child) in enumerate(_children(value)):
            if count == _MAX_CHILDREN:
                return value, path
            if not _storable(child):
                path += step
                value = child
                break
        else:
            break
    return value, path


def _storable(value: object) -> bool:
    try:
        _dump(value)
    except RefoldError:
        raise
    except Exception:
        return False
    return True


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, child in list(value.items()):
            yield f"[{key!r:.60}]", child
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield f"[{index}]", child
    elif isinstance(value, set | frozenset):
        for child in value:
            yield "{...}", child
    elif not isinstance(value, type):
        for name, child in list(getattr(value, "__dict__", {}).items()):
            yield f".{name}", child


def _deeper_than(value: object, limit: int) -> bool:
    """Whether pickle's walk through the value, which enters each object once, goes deeper than the limit."""
    seen: set[int] = set()
    walk = [iter([("", value)])]
    while walk:
        _, child = next(walk[-1], ("", walk))
        if child is walk:
            walk.pop()
        elif id(child) not in seen:
            seen.add(id(child))
            walk.append(_children(child))
            if len(walk) > limit:
                return True
    return False
