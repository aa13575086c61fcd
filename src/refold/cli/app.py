"""The command `refold`: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from refold.cli import explaining_commands, plan_command, project_commands, reading_commands, run_command
from refold.cli.command_group import CommandGroup
from refold.cli.run_request import RunRequest, command_of

_SETTINGS = {"help_option_names": ["--help", "-h"]}


def make_app(summary: str) -> typer.Typer:
    """An app without commands. Help is plain text: it needs no rich, and pipes well."""
    return typer.Typer(
        cls=CommandGroup,
        help=summary,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # slow to load, and seldom asked for

        print(f"refold {version('refold')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
]


def refold_app() -> typer.Typer:
    """The app of the command `refold`."""
    app = make_app("Run data pipelines that unfold at runtime and fold back exactly.")

    @app.callback()
    def options(version: VersionOption = False) -> None:
        """Run data pipelines that unfold at runtime and fold back exactly."""

    app.command()(project_commands.init)
    app.command()(command_of(RunRequest, run_command.run))
    app.command()(plan_command.plan)
    add_shared_commands(app)
    app.command()(project_commands.clean)
    app.command()(project_commands.install)
    return app


def add_shared_commands(app: typer.Typer) -> None:
    """The commands that `refold` and `mage` have alike."""
    for command in (
        reading_commands.runs,
        reading_commands.show,
        reading_commands.block_runs,
        reading_commands.output,
        explaining_commands.trace,
        explaining_commands.why,
        reading_commands.logs,
        explaining_commands.debug,
        run_command.retry,
        project_commands.cancel,
    ):
        app.command()(command)
