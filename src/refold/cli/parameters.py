"""What a command takes, written beside its function's parameters: `pipeline: Annotated[str, Argument(...)]`.

The annotated type says how a word is read: `str`, `int`, `Path`, an enum's value, `bool` for a flag, a list for an
option that may be given several times. A default makes an argument optional.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Argument:
    """A word that is told by its place."""

    metavar: str
    """What stands for it in the help."""
    help: str


class Option:
    """A word behind a flag, or a flag alone where the type is bool."""

    def __init__(self, *flags: str, help: str, metavar: str | None = None, minimum: int | None = None) -> None:  # noqa: A002
        """`metavar` stands for the word in the help; `minimum` is the least number that is taken."""
        self.flags = flags
        self.help = help
        self.metavar = metavar
        self.minimum = minimum


Reader = Callable[[str], object]
"""Makes a value of a word. Raises argparse.ArgumentTypeError."""


def add_parameters(parser: argparse.ArgumentParser, command: Callable[..., None]) -> None:
    """Lets a parser take what a command takes."""
    for name, default, kind, told in _parameters(command):
        text = told.help.replace("%", "%%")
        if isinstance(told, Argument):
            nargs = None if default is inspect.Parameter.empty else "?"
            given = None if default is inspect.Parameter.empty else default
            parser.add_argument(name, metavar=told.metavar, help=text, nargs=nargs, default=given, type=_reader(kind))
        elif kind is bool:
            parser.add_argument(*told.flags, dest=name, help=text, action="store_true")
        else:
            several = get_origin(kind) is list
            reader = _reader(get_args(kind)[0] if several else kind, told.minimum)
            action = "append" if several else "store"
            metavar = told.metavar or _choices(kind) or "TEXT"
            parser.add_argument(
                *told.flags, dest=name, metavar=metavar, help=text, default=default, type=reader, action=action
            )


def takes_optional_argument(command: Callable[..., None]) -> bool:
    """Whether some argument may be left out."""
    return any(
        isinstance(told, Argument) and default is not inspect.Parameter.empty
        for _, default, _, told in _parameters(command)
    )


def _parameters(command: Callable[..., None]) -> Iterator[tuple[str, object, object, Argument | Option]]:
    """Name, default, type and what is told of each parameter."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, told = _told(hints[name])
        yield name, parameter.default, kind, told


def _told(hint: object) -> tuple[object, Argument | Option]:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{hint} says nothing of a command's parameter")
    kind, told = get_args(hint)
    if get_origin(kind) in {Union, UnionType}:
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    return kind, told


def _reader(kind: object, minimum: int | None = None) -> Reader:
    if kind is int:
        return lambda word: _read_number(word, minimum)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda word: _read_choice(word, kind)
    return Path if kind is Path else str


def _read_number(word: str, minimum: int | None) -> int:
    try:
        number = int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{word}` is not a whole number") from None
    if minimum is not None and number < minimum:
        raise argparse.ArgumentTypeError(f"{number} is less than {minimum}")
    return number


def _read_choice(word: str, kind: type[Enum]) -> Enum:
    try:
        return kind(word)
    except ValueError:
        known: Sequence[str] = [str(each.value) for each in kind]
        raise argparse.ArgumentTypeError(f"`{word}` is none of {', '.join(known)}") from None


def _choices(kind: object) -> str | None:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(each.value) for each in kind)
    return None
