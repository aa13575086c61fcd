"""The fold of values: how the outputs of a block's runs become one value over a reducing edge (design 2.4).

    strategy      takes                        gives                                     of nothing
    list          anything, None too           a list of the values                      []
    concat        data frames of one library   one frame, its rows in order              an empty pandas DataFrame
    sum           what can be added            0 + the first + the second ...            0
    merge         dicts                        one dict, later keys win                  {}
    count         anything                     how many values                           0
    min, max      what can be compared         the least, the greatest; of equals        None
                                               the first
    a function    what it takes                f(... f(f(initial, first), second) ...)   initial; without: an error

Every strategy but `list` passes over None. Values are folded from left to right, in the order in which they are given,
which is that of the runs' keys: what comes out never depends on which run finished first. Nor does it depend on how
much was folded ahead: a fold can stop after any value, leave what it has as its `partial`, and be taken up again from
there, in another process, to the same value. That is why a partial of frames keeps apart those whose columns or types
differ: what type a column gets is decided once, from all of them.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Protocol, cast

from refold.errors import ReduceError
from refold.languages.concatenation import concatenate, concatenate_alike
from refold.languages.description import describe, excerpt
from refold.languages.event_loops import outside_loop, run_coroutine
from refold.languages.frames import FrameLibrary, table_library
from refold.languages.python.block_function import BlockFunction
from refold.ports.executor import Folding


class Reducer(ABC):
    """A fold under way: `begin` where another one stopped, `extend` by values, ask for the `value`."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding

    @classmethod
    def of(cls, folding: Folding, function: BlockFunction | None = None) -> Reducer:
        """A fold that has met nothing yet; `function` is what the strategy names, where it is none of our own.

        Raises ReduceError when there is no such function.
        """
        kind = _STRATEGIES.get(folding.strategy)
        if kind is not None:
            return kind(folding)
        if function is None:
            raise ReduceError(
                f"`reduce: {folding.strategy}` of `{folding.block}` is neither a strategy nor a function of its file",
                fix=f"Write one of {', '.join(_STRATEGIES)}, or define `{folding.strategy}(acc, value)`.",
            )
        return _ByFunction(folding, function)

    @abstractmethod
    def begin(self, partials: Iterable[object]) -> None:
        """Takes up the fold where others stopped; to be called before any value comes, partials in order.

        Where partials are cumulative (`Folding.cumulative`), the last one counts; others are joined.
        """

    @abstractmethod
    def extend(self, values: Iterable[object]) -> None:
        """Folds the values, in order.

        Raises ReduceError for a value that the strategy does not take, and what the block's own function raises.
        """

    @abstractmethod
    def partial(self) -> object:
        """What another fold can `begin` with. Raises ReduceError as `value`."""

    @abstractmethod
    def value(self) -> object:
        """What the values came to. Raises ReduceError when nothing came to a function without `initial`, or frames
        cannot be put together."""

    @property
    def _over(self) -> str:
        return f"`{self._folding.strategy}` over `{self._folding.block}`"


def _unfit(folding: Folding, value: object, wanted: str) -> ReduceError:
    return ReduceError(
        f"`{folding.strategy}` over `{folding.block}` takes {wanted}, and met {_shown(value)}",
        fix=f"Let `{folding.block}` return {wanted}, or write `reduce: list` to get its outputs as they are.",
    )


def library_of(folding: Folding, value: object, before: FrameLibrary | None) -> FrameLibrary:
    """The library of a frame that `concat` meets; `before`: that of the frames before it.

    Raises ReduceError for what is no data frame, or one of another library.
    """
    library = table_library(value)
    if library is None:
        raise _unfit(folding, value, "data frames (pandas, polars or pyarrow)")
    if before not in (None, library):
        raise ReduceError(
            f"`{folding.strategy}` over `{folding.block}` met {_shown(value)} among frames of {before}; "
            "frames of different libraries make no frame",
            fix=f"Let all runs of `{folding.block}` return frames of one library.",
        )
    return library


def _present(values: Iterable[object]) -> Iterator[object]:
    return (value for value in values if value is not None)


def _shown(value: object) -> str:
    text = excerpt(value)
    return f"{describe(value)}: {text}" if text else describe(value)


class _List(Reducer):
    def __init__(self, folding: Folding) -> None:
        super().__init__(folding)
        self._values: list[object] = []

    def begin(self, partials: Iterable[object]) -> None:
        for each in partials:
            self._values.extend(cast("list[object]", each))

    def extend(self, values: Iterable[object]) -> None:
        self._values.extend(values)

    def partial(self) -> object:
        return self._values

    def value(self) -> object:
        return self._values


class _Running(Reducer):
    """A fold whose partial is its value so far."""

    _nothing: ClassVar[object] = None

    def __init__(self, folding: Folding) -> None:
        super().__init__(folding)
        self._so_far = self._nothing

    def begin(self, partials: Iterable[object]) -> None:
        for each in partials:
            self._so_far = each

    def partial(self) -> object:
        return self._so_far

    def value(self) -> object:
        return self._so_far


class _Count(_Running):
    _nothing = 0

    def extend(self, values: Iterable[object]) -> None:
        self._so_far = cast("int", self._so_far) + sum(1 for _ in _present(values))


class _Sum(_Running):
    _nothing = 0

    def extend(self, values: Iterable[object]) -> None:
        total = self._so_far
        for value in _present(values):
            try:
                total = cast("_Adds", total) + value
            except Exception as error:
                raise ReduceError(
                    f"{self._over} cannot add {_shown(value)} to {_shown(total)}",
                    fix=f"Let `{self._folding.block}` return numbers, or reduce by a function of its own.",
                ) from error
        self._so_far = total


class _Extreme(_Running):
    def extend(self, values: Iterable[object]) -> None:
        greatest = self._folding.strategy == "max"
        chosen = self._so_far
        for value in _present(values):
            try:
                # of equals the first one stays, as with the builtin
                if chosen is None or ((value > chosen) if greatest else (value < chosen)):  # type: ignore[operator]
                    chosen = value
            except Exception as error:
                raise ReduceError(
                    f"{self._over} cannot compare {_shown(value)} with {_shown(chosen)}",
                    fix=f"Let `{self._folding.block}` return values of one kind, or reduce by a function of its own.",
                ) from error
        self._so_far = chosen


class _Merge(Reducer):
    def __init__(self, folding: Folding) -> None:
        super().__init__(folding)
        self._merged: dict[object, object] = {}

    def begin(self, partials: Iterable[object]) -> None:
        self.extend(partials)

    def extend(self, values: Iterable[object]) -> None:
        for value in _present(values):
            if not isinstance(value, dict):
                raise _unfit(self._folding, value, "dicts")
            self._merged.update(value)

    def partial(self) -> object:
        return self._merged

    def value(self) -> object:
        return self._merged


class _Concat(Reducer):
    def __init__(self, folding: Folding) -> None:
        super().__init__(folding)
        self._frames: list[object] = []
        self._library: FrameLibrary | None = None

    def begin(self, partials: Iterable[object]) -> None:
        for each in partials:
            self.extend(cast("list[object]", each) if isinstance(each, list) else (each,))

    def extend(self, values: Iterable[object]) -> None:
        for value in _present(values):
            self._library = library_of(self._folding, value, self._library)
            self._frames.append(value)

    def partial(self) -> object:
        if self._library is None:
            return []
        with self._explained():
            alike = concatenate_alike(self._frames, self._library)
        return alike[0] if len(alike) == 1 else alike

    def value(self) -> object:
        if self._library is None:
            import pandas as pd

            return pd.DataFrame()
        with self._explained():
            return concatenate(self._frames, self._library)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise ReduceError(
                f"{self._over}: {self._library} makes no frame of these {len(self._frames)}: "
                f"{type(error).__name__}: {error}",
                fix=f"Let all runs of `{self._folding.block}` return frames of the same columns and types.",
            ) from error


class _ByFunction(Reducer):
    """A function of the block's file. Its partial is a list of what was folded so far, or empty: that may be None."""

    def __init__(self, folding: Folding, function: BlockFunction) -> None:
        super().__init__(folding)
        self._function = function
        self._folded: list[object] = [copy.deepcopy(folding.initial)] if folding.has_initial else []

    def begin(self, partials: Iterable[object]) -> None:
        for each in partials:
            self._folded = list(cast("list[object]", each))

    def extend(self, values: Iterable[object]) -> None:
        present = _present(values)
        if not self._folded:
            first = next(present, None)
            if first is None:
                return
            self._folded = [first]
        if self._function.is_async:
            self._folded = [outside_loop(partial(run_coroutine, self._fold_async(present)))]
            return
        folded, function = self._folded[0], self._function.function
        for value in present:
            folded = function(folded, value)
        self._folded = [folded]

    async def _fold_async(self, values: Iterable[object]) -> object:
        folded, function = self._folded[0], cast("_AsyncFunction", self._function.function)
        for value in values:
            folded = await function(folded, value)
        return folded

    def partial(self) -> object:
        return self._folded

    def value(self) -> object:
        if self._folded:
            return self._folded[0]
        raise ReduceError(
            f"{self._over} has nothing to fold and nothing to begin with",
            fix=f"Say what nothing comes to: `reduce: {{strategy: {self._folding.strategy}, initial: ...}}`.",
        )


_STRATEGIES: Mapping[str, Callable[[Folding], Reducer]] = {
    "list": _List,
    "concat": _Concat,
    "sum": _Sum,
    "merge": _Merge,
    "count": _Count,
    "min": _Extreme,
    "max": _Extreme,
}

_AsyncFunction = Callable[[object, object], Awaitable[object]]


class _Adds(Protocol):
    def __add__(self, other: object) -> object: ...
