"""Commands for the secrets that a project keeps: set, list, delete. None of them ever prints a value.

A value is never an argument: arguments stay in the shell's history, and others see them in the list of processes.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

from refold.cli.endings import note
from refold.cli.options import JsonOption, ProjectOption
from refold.cli.output_format import json_line
from refold.cli.parameters import Argument, Option
from refold.cli.project_folder import project_around
from refold.cli.text_table import table_lines
from refold.errors import BadInputError
from refold.io.secrets.masking import SHORTEST, conceal
from refold.io.secrets.store import SecretStore

_NameArgument = Annotated[str, Argument(metavar="NAME", help="The secret's name.")]


def set_secret(
    name: _NameArgument,
    source: Annotated[
        str | None, Argument(metavar="-", help="Read the value from standard input; without it you are asked.")
    ] = None,
    variable: Annotated[
        str | None, Option("--from-env", metavar="VAR", help="Take the value of an environment variable.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Set a secret of the project; you are asked for its value."""
    store = SecretStore(project_around(project).path)
    value = _value(name, source, variable)
    conceal(value)
    store.set(name, value)
    print(f"set the secret `{name}`")
    if len(value) < SHORTEST:
        note(f"warning: a value of fewer than {SHORTEST} characters is not masked in prints, logs and errors")


def list_secrets(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the secrets of the project: names and dates, no values."""
    found = SecretStore(project_around(project).path).list()
    if as_json:
        for each in found:
            print(json_line({"name": each.name, "set_at": each.set_at}))
        return
    if not found:
        print("no secrets yet")
        return
    for line in table_lines(("name", "set"), ((each.name, each.set_at) for each in found)):
        print(line)


def delete_secret(name: _NameArgument, project: ProjectOption = None) -> None:
    """Delete a secret of the project."""
    SecretStore(project_around(project).path).delete(name)
    print(f"deleted the secret `{name}`")


def _value(name: str, source: str | None, variable: str | None) -> str:
    if source not in {None, "-"}:
        raise BadInputError(
            "a value is never an argument: the shell would keep it in its history; nothing was changed",
            fix=f"Leave it out and you are asked, or pipe it in: `refold secrets set {name} - < FILE`.",
        )
    if variable is not None:
        if source is not None:
            raise BadInputError("`-` and `--from-env` contradict each other", fix="Give one of them.")
        if variable not in os.environ:
            raise BadInputError(f"the environment variable {variable} is not set; nothing was changed")
        return os.environ[variable]
    if source == "-":
        return _piped(name)
    if not sys.stdin.isatty():
        raise BadInputError(
            "there is no terminal to ask for the value on; nothing was changed",
            fix=f"Pipe it in, `refold secrets set {name} - < FILE`, or name its variable: `--from-env VAR`.",
        )
    return _asked(name)


def _piped(name: str) -> str:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise BadInputError(
            f"the value of `{name}` is not text in UTF-8; nothing was changed", fix="Encode it, in base64 say."
        ) from None
    # `echo` and editors end a text with a line end that nobody means.
    return text.removesuffix("\n").removesuffix("\r")


def _asked(name: str) -> str:
    from getpass import getpass

    try:
        value = getpass(f"value of {name}: ")
        if value != getpass("the same again: "):
            raise BadInputError("these are two different values; nothing was changed")
    except EOFError:
        raise BadInputError("no value was given; nothing was changed") from None
    return value
