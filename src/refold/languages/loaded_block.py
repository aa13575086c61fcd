"""What any language makes of a block's file: functions that Python can call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from refold.languages.python.block_function import BlockFunction, Callback


class LoadedBlock(Protocol):
    """A loaded file."""

    @property
    def main(self) -> BlockFunction:
        """The function that the block runs. Of SQL and R it takes one positional argument for each upstream, several
        outputs of one as a list, and all keyword arguments."""

    @property
    def conditions(self) -> Sequence[BlockFunction]:
        """All must say True before the block runs."""

    @property
    def tests(self) -> Sequence[BlockFunction]:
        """They are called with the block's outputs."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """Called after the block's runs."""
