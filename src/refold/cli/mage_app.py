"""The command `mage`: Mage's own names and flags, so that its documents and scripts work as they are."""

from __future__ import annotations

from refold.cli.app import PLAN, SHARED
from refold.cli.command_line import Command, CommandLine

_HERE = "refold.cli.mage_commands"

MAGE = CommandLine(
    "mage",
    "Refold under Mage's names. There is no server: a run is a command.",
    {
        "init": Command(f"{_HERE}:init", "Make a project, with a pipeline that runs."),
        "run": Command(f"{_HERE}:run_as_asked", "Run a pipeline and show its progress."),
        "start": Command(f"{_HERE}:start", "Not here: there is no server to start.", ignores_more=True),
        "clean-cached-variables": Command(
            f"{_HERE}:clean_cached_variables", "Delete old runs (`variables_retention_period`)."
        ),
        "clean-old-logs": Command(f"{_HERE}:clean_old_logs", "Delete old runs (`logging_config.retention_period`)."),
        **PLAN,
        **SHARED,
    },
)
