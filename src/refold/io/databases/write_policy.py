"""What happens to a table that is there already when rows are written to it (`export_write_policy`, `if_exists`)."""

from __future__ import annotations

from enum import StrEnum


class WritePolicy(StrEnum):
    """What is done; a table that is not there is made in any case."""

    APPEND = "append"
    """Its rows stay; the new ones are added."""
    REPLACE = "replace"
    """It gives way to a new one."""
    FAIL = "fail"
    """An error; nothing is written."""
    MERGE = "merge"
    """Of rows with the same keys the columns are set; others are added."""
