"""The command line: it parses, calls and prints; what it prints as JSON is described in docs/json.md."""

from __future__ import annotations

from refold.cli.start import start_program


def main() -> None:
    """The command `refold`. Ends the process: 0 completed, 1 failed or cancelled, 2 wrong input, nothing started."""
    start_program("refold.cli.app", "REFOLD")


def mage() -> None:
    """The command `mage`: the same under the names that Mage's documents use."""
    start_program("refold.cli.mage_app", "MAGE")
