"""From the words of a command line to the call of a command; commands are loaded when they are called.

A table names the commands, so that `refold run` loads nothing of `refold trace`, and `refold --help` nothing of either.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

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


def load(place: str) -> Callable[..., None]:
    """The function at `module:function`: what few commands need is loaded by those."""
    module, _, function = place.partition(":")
    loaded: Callable[..., None] = getattr(import_module(module), function)
    return loaded


class CommandLine:
    """A program with commands."""

    def __init__(self, program: str, summary: str, commands: Mapping[str, Command]) -> None:
        self.program = program
        self.summary = summary
        self.commands = commands

    def run(self, words: Sequence[str]) -> int:
        """Runs the command that the words ask for: its exit code."""
        return exit_code_of(lambda: self._run(words))

    def _run(self, words: Sequence[str]) -> None:
        if not words or words[0] in _HELP:
            print(self.help())
            if not words:
                raise Exit(BAD_INPUT)
        elif words[0] == "--version":
            from importlib.metadata import version  # slow to load, and seldom asked for

            print(f"{self.program} {version('refold')}")
        else:
            self._call(words[0], words[1:])

    def _call(self, name: str, words: Sequence[str]) -> None:
        found = self.commands.get(name)
        if found is None:
            what = "option" if name.startswith("-") else "command"
            self._refuse(f"there is no {what} `{name}`", suggestion(name, self.commands, "commands"))
        command = found.load()
        # What is loaded by now stays: looking through it again and again would be much of the collector's work.
        gc.freeze()
        gc.enable()
        answer_ctrl_c()
        command(**self.read(name, command, words))

    def read(self, name: str, command: Callable[..., None], words: Sequence[str]) -> dict[str, object]:
        """The command's arguments. Raises Exit when the words ask for help, or are not what it takes."""
        parser = _Parser(f"{self.program} {name}", command.__doc__)
        add_parameters(parser, command)
        read = parser.parse_known_intermixed_args if takes_optional_argument(command) else parser.parse_known_args
        given, unknown = read(list(words))
        if unknown and not (name in self.commands and self.commands[name].ignores_more):
            parser.error(f"it takes no {', '.join(unknown)}")
        return vars(given)

    def help(self) -> str:
        """What the program does, and its commands."""
        width = max(map(len, self.commands))
        lines = [f"usage: {self.program} COMMAND ...", "", self.summary, "", "commands:"]
        lines += [f"  {name:<{width}}  {command.summary}" for name, command in self.commands.items()]
        lines += ["", "options:", "  --version   Print the version.", "  -h, --help  Print this."]
        return "\n".join([*lines, "", f"`{self.program} COMMAND --help` says what a command takes."])

    def _refuse(self, what: str, fix: str) -> NoReturn:
        note(f"error: {what}\n  {fix}\n  `{self.program} --help` lists the commands.")
        raise Exit(BAD_INPUT)


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
