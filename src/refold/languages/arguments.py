"""What a block's function is called with, given what its upstreams hand over (design 2.12).

    feed      VALUE       TUPLE       LIST
    item      as it is    as it is    as it is       one item of a dynamic block
    static    as it is    outputs     as it is       a block without axes
    child     as it is    outputs     outputs        a block with axes
    reduced   as it is    as it is    as it is       what a reducing edge folded: a list, or one value

One output arrives as itself, none as an empty list. Several are spread over the positional parameters where the
function takes that many arguments, else each upstream's arrive as one list where it takes that; between the two,
upstreams are spread from the first on, as far as the parameters go.

A child may be one of a million, so all that a function's signature says is worked out once.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol, cast

from refold.errors import ArgumentsError
from refold.languages.description import describe
from refold.languages.frames import FrameLibrary, series_library
from refold.languages.python.annotations import is_dict
from refold.ports.output_store import Output, Shape


class Feed(Enum):
    """How an upstream block feeds a block run."""

    ITEM = "item"
    """With one item of a dynamic block."""
    STATIC = "static"
    """With the output of a block without axes, the same for every run."""
    CHILD = "child"
    """With the output of one run of a block with axes."""
    REDUCED = "reduced"
    """With what the outputs of several runs were folded to: a list, where nothing else was asked for."""


class Argument(NamedTuple):
    """What one upstream hands over."""

    feed: Feed
    output: Output


Bound = tuple[tuple[object, ...], Mapping[str, object]]
"""Positional and keyword arguments, as in `function(*args, **kwargs)`; the mapping is not to be changed."""

_NO_KEYWORDS: Mapping[str, object] = {}


class Signature:
    """What a function's signature says about calling it; made once a function."""

    __slots__ = (
        "_names",
        "_required_keywords",
        "_wants_dict",
        "maximum",
        "minimum",
        "simple",
        "takes_keywords",
        "text",
    )

    text: str
    """As people read it: `transform(data, *args)`."""
    minimum: int
    """Positional parameters without default."""
    maximum: int
    """Positional parameters; `sys.maxsize` with `*args`."""
    takes_keywords: bool
    """Whether it takes `**kwargs`."""
    simple: bool
    """Whether one positional argument satisfies it, and it takes no keywords."""

    def __init__(self, function: Callable[..., object]) -> None:
        try:
            signature = inspect.signature(function)
        except (ValueError, TypeError):
            # Some functions written in C have none: they are left to judge for themselves.
            signature = inspect.Signature(
                [
                    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
                ]
            )
        parameters = signature.parameters.values()
        kinds = inspect.Parameter
        positional = [p for p in parameters if p.kind in {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}]
        spreads = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
        self.text = f"{getattr(function, '__name__', type(function).__name__)}{_without_annotations(signature)}"
        self.minimum = sum(1 for p in positional if p.default is kinds.empty)
        self.maximum = sys.maxsize if spreads else len(positional)
        self.takes_keywords = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
        self._names = tuple("" if p.kind is kinds.POSITIONAL_ONLY else p.name for p in positional)
        self._required_keywords = tuple(
            p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY and p.default is kinds.empty
        )
        self._wants_dict = tuple(
            p.annotation is not kinds.empty and is_dict(p.annotation, namespace) for p in positional
        )
        self.simple = (
            self.minimum <= 1 <= self.maximum
            and not self.takes_keywords
            and not self._required_keywords
            and not any(self._wants_dict[:1])
        )

    def wants_dict(self, position: int) -> bool:
        """Whether the positional parameter at this position is annotated as a dict."""
        return position < len(self._wants_dict) and self._wants_dict[position]

    def accepts(self, count: int, keywords: Mapping[str, object]) -> bool:
        """Whether the function can be called with this many positional arguments, keywords filling what is left."""
        if count > self.maximum:
            return False
        if count >= self.minimum:
            return True
        return self.takes_keywords and all(name and name in keywords for name in self._names[count : self.minimum])

    def call(self, values: tuple[object, ...], keywords: Mapping[str, object]) -> Bound:
        """The arguments of a call with these positional ones and what it takes of the keywords.

        A keyword that a positional argument has filled is dropped. Raises ArgumentsError when the function cannot be
        called like that.
        """
        if not self.accepts(len(values), keywords):
            raise self._mismatch(values)
        missing = [name for name in self._required_keywords if name not in keywords]
        if missing:
            raise self._missing_keywords(missing)
        if not self.takes_keywords:
            if not self._required_keywords:
                return values, _NO_KEYWORDS
            return values, {name: keywords[name] for name in self._required_keywords}
        taken = self._names[: len(values)]
        for name in taken:
            if name in keywords:
                return values, {key: value for key, value in keywords.items() if key not in taken}
        return values, keywords

    def _mismatch(self, values: tuple[object, ...]) -> ArgumentsError:
        given = ", ".join(describe(value) for value in values[:20]) + (", ..." if len(values) > 20 else "")
        wanted = (
            f"{self.minimum} or more"
            if self.maximum == sys.maxsize
            else str(self.maximum)
            if self.minimum == self.maximum
            else f"{self.minimum} to {self.maximum}"
        )
        plural = "" if wanted == "1" else "s"
        return ArgumentsError(
            f"`{self.text}` takes {wanted} positional argument{plural}, and {len(values)} would have been passed: "
            f"({given})",
            fix="Give the function one parameter for each upstream block, in `upstream_blocks` order, or add `*args`.",
        )

    def _missing_keywords(self, names: Sequence[str]) -> ArgumentsError:
        listed = ", ".join(f"`{name}`" for name in names)
        return ArgumentsError(
            f"`{self.text}` needs the keyword argument{'s' if len(names) > 1 else ''} {listed}, "
            "which this run does not have",
            fix="Give it as a variable of the pipeline or with --runtime-vars, or give the parameter a default.",
        )


def bind(
    signature: Signature, arguments: Sequence[Argument], keywords: Mapping[str, object], mage_outputs: bool = False
) -> Bound:
    """The arguments of one call: `function(*args, **kwargs)` (design 2.12).

    `arguments` has one an upstream, in `upstream_blocks` order; `keywords` is what `merge_keywords` gives.
    `mage_outputs` packs several outputs into one list and unwraps one-element lists, whichever block they come from.
    Raises ArgumentsError, showing the signature and what would have been passed, when they do not fit.
    """
    if len(arguments) == 1:
        feed, output = arguments[0]
        shape = output.shape
        if shape is Shape.VALUE or (feed is Feed.CHILD and len(output.values) == 1):
            value = output.values[0]
            if signature.simple:
                return (value,), _NO_KEYWORDS
            if feed is Feed.ITEM and signature.wants_dict(0):
                value = _as_dict(value)
            return signature.call((value,), keywords)
    groups = [_outputs(argument, mage_outputs) for argument in arguments]
    placed: list[object] = []
    for argument, group, spreads in zip(arguments, groups, _spreading(signature, groups, keywords), strict=True):
        if argument.feed is Feed.ITEM and signature.wants_dict(len(placed)):
            placed.append(_as_dict(group[0]))
        elif spreads or len(group) == 1:
            placed.extend(group)
        else:
            placed.append(list(group))
    return signature.call(tuple(placed), keywords)


def spread(output: Output, from_child: bool) -> tuple[object, ...]:
    """The outputs one by one, as `@test` functions get them.

    A tuple, and a list from a block with axes (`from_child`), are outputs; none arrive as one empty list.
    """
    if output.shape is Shape.VALUE:
        return (output.values[0],)
    if output.shape is Shape.LIST and not from_child:
        return (output.value,)
    return tuple(output.values) or ([],)


def _outputs(argument: Argument, mage_outputs: bool) -> Sequence[object]:
    """What an upstream hands over, one element an output; one empty list where there is none."""
    feed, output = argument
    if feed is Feed.ITEM or feed is Feed.REDUCED or output.shape is Shape.VALUE:
        return (output.value,)
    if mage_outputs:
        return output.values if len(output.values) == 1 else (list(output.values),)
    return spread(output, feed is Feed.CHILD)


def _spreading(
    signature: Signature, groups: Sequence[Sequence[object]], keywords: Mapping[str, object]
) -> Sequence[bool]:
    """For each upstream, whether its outputs are spread over parameters rather than passed as one list."""
    everything = sum(map(len, groups))
    if signature.accepts(everything, keywords):
        return [True] * len(groups)
    if signature.accepts(len(groups), keywords):
        return [False] * len(groups)
    chosen = []
    spare = signature.maximum - len(groups)
    for group in groups:
        fits = len(group) - 1 <= spare
        chosen.append(fits)
        if fits:
            spare -= len(group) - 1
    return chosen


def _as_dict(value: object) -> object:
    if series_library(value) is FrameLibrary.PANDAS:
        return cast("_Series", value).to_dict()
    return value


class _Series(Protocol):
    """As much of pandas.Series as is used."""

    def to_dict(self) -> dict[object, object]: ...


def _without_annotations(signature: inspect.Signature) -> str:
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    text = str(inspect.Signature(bare))
    return text if len(text) <= 200 else f"{text[:197]}..."
