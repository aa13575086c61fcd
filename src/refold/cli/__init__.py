"""The command line: it parses, calls and prints; what it prints as JSON is described in docs/json.md."""

from __future__ import annotations

from refold.cli.app import refold_app
from refold.cli.command_group import prepare_streams
from refold.cli.mage_app import mage_app


def main() -> None:
    """The command `refold`. Ends the process: 0 completed, 1 failed or cancelled, 2 wrong input, nothing started."""
    prepare_streams()
    refold_app()(prog_name="refold")


def mage() -> None:
    """The command `mage`: the same under the names that Mage's documents use."""
    prepare_streams()
    mage_app()(prog_name="mage")
