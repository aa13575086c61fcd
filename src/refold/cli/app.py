"""The command `refold`: which commands there are, and where."""

from __future__ import annotations

from refold.cli.command_line import Command, CommandLine, Commands, Group

_READING = "refold.cli.reading_commands"
_EXPLAINING = "refold.cli.explaining_commands"
_AUTHORING = "refold.cli.authoring_commands"
_PROJECTS = "refold.cli.project_commands"
_SECRETS = "refold.cli.secret_commands"

PLAN = {"plan": Command("refold.cli.plan_command:plan", "Show what would run, and run nothing.")}
SHARED: Commands = {
    "runs": Command(f"{_READING}:runs", "List runs, newest first."),
    "show": Command(f"{_READING}:show", "Show one run: counts, and failures by kind."),
    "block-runs": Command(f"{_READING}:block_runs", "List the block runs of a run, in key order."),
    "output": Command(f"{_READING}:output", "Print what a block run returned."),
    "trace": Command(f"{_EXPLAINING}:trace", "Show where the inputs of a block run came from."),
    "why": Command(f"{_EXPLAINING}:why", "Say why a block run waits, ran, was kept, was skipped or failed."),
    "logs": Command(f"{_READING}:logs", "Print what blocks printed and logged."),
    "debug": Command(f"{_EXPLAINING}:debug", "Run one block run again on its stored inputs, and store nothing."),
    "retry": Command("refold.cli.retry_command:retry", "Run what did not complete of a run."),
    "cancel": Command(f"{_PROJECTS}:cancel", "Stop a run."),
    "clean": Command(f"{_PROJECTS}:clean", "Delete old runs; the latest outputs stay."),
    "block": Group(
        "Make blocks.",
        {"new": Command(f"{_AUTHORING}:block", "Make a block: its file, and its entry in a pipeline.")},
    ),
    "pipeline": Group("Make pipelines.", {"new": Command(f"{_AUTHORING}:pipeline", "Make a pipeline.")}),
    "templates": Command(f"{_AUTHORING}:templates", "List templates of blocks and pipelines."),
    "install": Command(f"{_PROJECTS}:install", "Install the packages that the project asks for."),
    "secrets": Group(
        "Keep passwords and other secrets of a project, encrypted.",
        {
            "set": Command(f"{_SECRETS}:set_secret", "Set a secret of the project; you are asked for its value."),
            "list": Command(f"{_SECRETS}:list_secrets", "List the secrets of the project: names and dates, no values."),
            "delete": Command(f"{_SECRETS}:delete_secret", "Delete a secret of the project."),
        },
    ),
}
"""What `refold` and `mage` have alike."""

REFOLD = CommandLine(
    "refold",
    "Run data pipelines that unfold at runtime and fold back exactly.",
    {
        "init": Command(f"{_PROJECTS}:init", "Make a project, with a pipeline that runs."),
        "run": Command("refold.cli.run_command:run_as_asked", "Run a pipeline and show its progress."),
        **PLAN,
        **SHARED,
    },
)
