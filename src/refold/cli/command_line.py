"""From the words of a command line to the call of a command; commands are loaded when they are called.

A table names the commands, so that `refold run` loads nothing of `refold trace`, and `refold --help` nothing of either.
Commands that are about the same thing stand in a group, under a word of its own: `refold secrets set`.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn, TypeAlias, TypeVar

from refold.cli.endings import BAD_INPUT, Exit, answer_ctrl_c, exit_code_of, note
from refold.cli.parameters import add_parameters, takes_optional_argument
from refold.model.suggestion import suggestion

_HELP = {"-h", "--help"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and where it is."""

    place: str
    """`module:function`."""
    summary: str
    """What it does, in a line: the first one of its docstring."""
    ignores_more: bool = False
    """Whether words that it does not know are passed over."""

    def load(self) -> Callable[..., None]:
        """Its function."""
        return load(self.place)


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under a word that they share: `refold WORD COMMAND`."""

    summary: str
    """What they are about, in a line."""
    commands: Mapping[str, Command]
    """By their second word, in the order in which the help lists them."""


Commands: TypeAlias = "Mapping[str, Command | Group]"
"""Commands and groups of them, by their first word, in the order in which the help lists them."""


def load(place: str) -> Callable[..., None]:
    """The function at `module:function`: what few commands need is loaded by those."""
    module, _, function = place.partition(":")
    loaded: Callable[..., None] = getattr(import_module(module), function)
    return loaded


class CommandLine:
    """A program with commands."""

    def __init__(self, program: str, summary: str, commands: Commands) -> None:
        self.program = program
        self.summary = summary
        self.commands = commands

    def run(self, words: Sequence[str]) -> int:
        """Runs the command that the words ask for: its exit code."""
        return exit_code_of(lambda: self._run(words))

    def every(self) -> Mapping[str, Command]:
        """All commands by their words, those of groups by both: `secrets set`."""
        found: dict[str, Command] = {}
        for word, each in self.commands.items():
            if isinstance(each, Group):
                found |= {f"{word} {second}": command for second, command in each.commands.items()}
            else:
                found[word] = each
        return found

    def _run(self, words: Sequence[str]) -> None:
        if words and words[0] == "--version":
            from importlib.metadata import version  # slow to load, and seldom asked for

            print(f"{self.program} {version('refold')}")
        elif self._is_told(self.help, words):
            word, *rest = words
            found = _named(self.program, word, self.commands)
            if not isinstance(found, Group):
                self._call(word, found, rest)
            elif self._is_told(lambda: self._group_help(word, found), rest):
                second, *more = rest
                self._call(f"{word} {second}", _named(f"{self.program} {word}", second, found.commands), more)

    @staticmethod
    def _is_told(help_text: Callable[[], str], words: Sequence[str]) -> bool:
        """Whether the words say which command; where they do not, or ask for help, the help is printed."""
        if words and words[0] not in _HELP:
            return True
        print(help_text())
        if not words:
            raise Exit(BAD_INPUT)
        return False

    def _call(self, name: str, found: Command, words: Sequence[str]) -> None:
        command = found.load()
        # What is loaded by now stays: looking through it again and again would be much of the collector's work.
        gc.freeze()
        gc.enable()
        answer_ctrl_c()
        command(**self.read(name, command, words, ignores_more=found.ignores_more))

    def read(
        self, name: str, command: Callable[..., None], words: Sequence[str], *, ignores_more: bool = False
    ) -> dict[str, object]:
        """The arguments of a command of this name. Raises Exit when the words ask for help, or are not what it takes.

        With `ignores_more` words that it does not take are passed over.
        """
        parser = _Parser(f"{self.program} {name}", command.__doc__)
        add_parameters(parser, command)
        read = parser.parse_known_intermixed_args if takes_optional_argument(command) else parser.parse_known_args
        given, unknown = read(list(words))
        if unknown and not ignores_more:
            parser.error(f"it takes no {', '.join(unknown)}")
        return vars(given)

    def help(self) -> str:
        """What the program does, and its commands."""
        options = ["", "options:", "  --version   Print the version.", "  -h, --help  Print this."]
        return _help_text(self.program, self.summary, self.commands, options)

    def _group_help(self, word: str, group: Group) -> str:
        return _help_text(f"{self.program} {word}", group.summary, group.commands, [])


def _help_text(program: str, summary: str, commands: Commands, options: Sequence[str]) -> str:
    width = max(map(len, commands))
    lines = [f"usage: {program} COMMAND ...", "", summary, "", "commands:"]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join([*lines, *options, "", f"`{program} COMMAND --help` says what a command takes."])


_Found = TypeVar("_Found", bound="Command | Group")


def _named(program: str, word: str, commands: Mapping[str, _Found]) -> _Found:
    found = commands.get(word)
    if found is None:
        what = "option" if word.startswith("-") else "command"
        fix = suggestion(word, commands, "commands")
        note(f"error: there is no {what} `{word}`\n  {fix}\n  `{program} --help` lists the commands.")
        raise Exit(BAD_INPUT)
    return found


class _Formatter(argparse.HelpFormatter):
    """Asks for the terminal's width itself: parsers make one of it for each option, and theirs loads much."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 0
        super().__init__(prog, max_help_position=30, width=min(columns, 120) - 2 if columns else 98)


class _Parser(argparse.ArgumentParser):
    """Refuses in the words of the house."""

    def __init__(self, program: str, description: str | None) -> None:
        super().__init__(prog=program, description=description, allow_abbrev=False, formatter_class=_Formatter)

    def error(self, message: str) -> NoReturn:
        note(f"error: {message}\n  `{self.prog} --help` says what it takes.")
        raise Exit(BAD_INPUT)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002 # as it is declared
        """Ends after the help was printed."""
        raise Exit(status)
